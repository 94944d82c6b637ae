//! What is on the shelf, and a tool with state: a type of its own, since it needs the key of the call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use parkway::{Effect, Labels, Tool, ToolContext, ToolError, ToolOutput, ToolSpec};
use serde_json::{Value, json};

/// Pieces by part.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    pieces: BTreeMap<String, u32>,
    /// The calls that were made: one that comes again changes nothing.
    done: BTreeSet<String>,
}

impl Shelf {
    /// A shelf with these pieces.
    pub fn new(pieces: impl IntoIterator<Item = (&'static str, u32)>) -> Self {
        let pieces = pieces.into_iter().map(|(part, pieces)| (part.to_owned(), pieces)).collect();
        Shelf { kept: Arc::new(Mutex::new(Kept { pieces, done: BTreeSet::new() })) }
    }

    /// How many pieces of a part there are.
    pub fn pieces(&self, part: &str) -> Option<u32> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).pieces.get(part).copied()
    }

    /// The tool that reserves pieces.
    pub fn reserving(&self) -> impl Tool + 'static {
        let spec = ToolSpec {
            name: "stock.reserve".into(),
            description: "Reserves pieces of a part.".into(),
            input_schema: json!({
                "type": "object",
                "properties": { "part": { "type": "string" }, "pieces": { "type": "integer", "minimum": 1 } },
                "required": ["part", "pieces"],
                "additionalProperties": false,
            }),
            output_schema: json!({
                "type": "object",
                "properties": { "left": { "type": "integer" } },
                "required": ["left"],
                "additionalProperties": false,
            }),
            effect: Effect::Idempotent,
            labels: Labels::NONE,
        };
        Reserving { spec, shelf: self.clone() }
    }
}

struct Reserving {
    spec: ToolSpec,
    shelf: Shelf,
}

#[async_trait]
impl Tool for Reserving {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, input: Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        let part = input["part"].as_str().unwrap_or_default();
        let wanted = input["pieces"].as_u64().and_then(|pieces| u32::try_from(pieces).ok()).unwrap_or(u32::MAX);
        let mut kept = self.shelf.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Kept { pieces, done } = &mut *kept;
        let Some(pieces) = pieces.get_mut(part) else {
            return Err(ToolError::invalid("not_found", format!("there is no part `{part}`")));
        };
        if done.insert(context.key.to_string()) {
            let Some(left) = pieces.checked_sub(wanted) else {
                done.remove(&context.key.to_string());
                return Err(ToolError::invalid(
                    "too_few",
                    format!("of `{part}` there are {pieces}, and {wanted} are wanted"),
                ));
            };
            *pieces = left;
        }
        Ok(ToolOutput::new(json!({ "left": *pieces })))
    }
}
