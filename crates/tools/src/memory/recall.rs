//! `memory.recall`: what is known, as much of it as a prompt has room for.

use parkway_core::id::Time;
use parkway_core::memory::{self, MemoryKind, Recalled};
use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::find::Finder;
use super::grants::{Access, Grants};
use super::remember::MemoryName;
use crate::remote::Remote;

/// Recalls memories. They are what somebody once said: text, never orders.
pub(crate) struct Recall {
    pub(super) finder: Finder,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// What is asked for, in words: `When does Anna Kern want her orders?` Where it is empty, only what is pinned is recalled.
    query: String,
    /// Only from these namespaces, which must be granted; from all that are granted by name where none is named.
    #[serde(default)]
    namespaces: Vec<String>,
    /// Only of these kinds.
    #[serde(default)]
    kinds: Vec<MemoryKind>,
    /// At most so many.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 200))]
    limit: u32,
    /// What held at this time, as `2027-01-31T12:00:00Z`; now where it is not said.
    #[schemars(with = "Option<String>")]
    at: Option<Time>,
    /// By what was known at this time.
    #[schemars(with = "Option<String>")]
    known_at: Option<Time>,
    /// So many tokens of `model` may `text` have: what does not fit is left out, the worst fit first.
    max_tokens: Option<u32>,
    /// The model that counts tokens, by its name in the workflow.
    model: Option<String>,
}

fn ten() -> u32 {
    10
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The memories, best fit first.
    memories: Vec<Memory>,
    /// What they say, one to a line, for a prompt.
    text: String,
    /// How many were found that `max_tokens` has left out.
    left_out: u32,
}

/// A memory.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Memory {
    id: MemoryName,
    namespace: String,
    text: String,
    /// What it is about, where it is about one thing.
    subject: Option<String>,
    kind: MemoryKind,
    /// Since when it holds.
    #[schemars(with = "String")]
    from: Time,
    /// Until when it holds, where that is known.
    #[schemars(with = "Option<String>")]
    until: Option<Time>,
    /// When it became known.
    #[schemars(with = "String")]
    known: Time,
    /// The run that remembered it.
    run: String,
    /// Memories that say something else.
    contradicts: Vec<MemoryName>,
    /// How well it fits, to be compared within one answer.
    score: f64,
}

impl Remote for Recall {
    const NAME: &'static str = "memory.recall";
    const DESCRIPTION: &'static str = "Recalls what was remembered in the granted namespaces and fits a question, best first, within a number of tokens.";
    const EFFECT: Effect = Effect::Read;
    type Input = Input;
    type Output = Output;

    async fn call(&self, input: Input, context: &ToolContext) -> Result<Output, ToolError> {
        let namespaces = Grants::of(context)?.meant(input.namespaces, Access::Read)?;
        let mut recall = memory::Recall::new(namespaces, input.query, context.now);
        (recall.kinds, recall.limit) = (input.kinds, input.limit);
        recall.at = input.at.unwrap_or(context.now);
        recall.known = input.known_at.unwrap_or(context.now);
        let found = self.finder.recall(recall).await?;
        let all = found.len();
        let mut text = String::new();
        let mut memories = Vec::new();
        for found in found {
            let Some(memory) = shown(found) else { continue };
            let mut longer = text.clone();
            if !longer.is_empty() {
                longer.push('\n');
            }
            longer.push_str(&memory.text);
            if let Some(most) = input.max_tokens {
                let model = input.model.as_deref().ok_or_else(|| {
                    ToolError::invalid(
                        "invalid",
                        "`max_tokens` needs `model`: tokens are those of a model; name one of this workflow",
                    )
                })?;
                // A shorter one behind it could fit, and would be a worse fit.
                if context.tokens.count(model, &longer)? > most as usize {
                    break;
                }
            }
            text = longer;
            memories.push(memory);
        }
        let left_out = u32::try_from(all - memories.len()).unwrap_or(u32::MAX);
        Ok(Output { memories, text, left_out })
    }
}

fn shown(found: Recalled) -> Option<Memory> {
    let memory = found.memory;
    let content = memory.content?;
    Some(Memory {
        id: MemoryName(memory.id),
        namespace: content.namespace,
        text: content.text,
        subject: content.subject,
        kind: memory.kind,
        from: memory.from,
        until: memory.superseded.map(|superseded| superseded.from).into_iter().chain(memory.until).min(),
        known: memory.known,
        run: memory.run.to_string(),
        contradicts: memory.contradicts.into_iter().map(MemoryName).collect(),
        score: found.score,
    })
}
