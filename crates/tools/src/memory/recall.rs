//! `memory.recall`: what is known, as much of it as a prompt has room for.

use parkway_core::id::Time;
use parkway_core::memory::{self, MemoryKind};
use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::find::Finder;
use super::grants::{Access, Grants};
use super::told::{Room, Told};
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
    /// So many tokens of `model` may `text` have: what does not fit behind those that fit better is left out.
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
    memories: Vec<Told>,
    /// What they say, one to a line, for a prompt.
    text: String,
    /// How many are not among them: those that `max_tokens` has no room for, and those that are pinned and that `limit` has no room for.
    left_out: u32,
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
        let found = self.finder.recall(recall.clone()).await?;
        let mut left_out = 0;
        if found.len() >= input.limit as usize {
            let given = found.iter().filter(|found| found.memory.pinned).count();
            left_out += self.finder.pinned(recall.clone()).await?.saturating_sub(given);
        }
        let mut room = Room::new(input.max_tokens, input.model.as_deref(), context)?;
        for found in found {
            let told = Told::new(found.memory, Some(found.score), (recall.at, recall.known));
            // A shorter one behind one that does not fit may do so.
            if let Some(told) = told
                && room.add(told)?.is_err()
            {
                left_out += 1;
            }
        }
        let (memories, text) = room.told();
        Ok(Output { memories, text, left_out: u32::try_from(left_out).unwrap_or(u32::MAX) })
    }
}
