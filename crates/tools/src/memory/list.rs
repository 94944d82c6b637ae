//! `memory.list`: what is known in a namespace, oldest first, a part at a time.

use parkway_core::memory::{MemoryFilter, MemoryKind};
use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::find::Finder;
use super::grants::{Access, Grants};
use super::told::{NoRoom, Room, Told};
use crate::remote::Remote;

/// Memories that are read at once.
const PAGE: u32 = 500;

/// Lists memories in the order in which they were written.
pub(crate) struct List {
    pub(super) finder: Finder,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The namespace. May be left out where one is granted by its name.
    namespace: Option<String>,
    /// Only of these kinds.
    #[serde(default)]
    kinds: Vec<MemoryKind>,
    /// Only about this.
    subject: Option<String>,
    /// Only those behind this number: `last` of the list before.
    #[serde(default)]
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    after: u64,
    /// At most so many.
    #[serde(default = "fifty")]
    #[schemars(range(min = 1, max = 500))]
    limit: u32,
    /// So many tokens of `model` may `text` have: what does not fit is left for the next list, but for one that does not fit alone.
    max_tokens: Option<u32>,
    /// The model that counts tokens, by its name in the workflow.
    model: Option<String>,
}

fn fifty() -> u32 {
    50
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The memories that hold or will hold, oldest first.
    memories: Vec<Told>,
    /// What they say, one to a line, for a prompt.
    text: String,
    /// The numbers of those that were passed over, since each of them alone has more tokens than `max_tokens` allows.
    too_long: Vec<u64>,
    /// The number of the last one that is listed or was passed over: `after` of the next list. Where there is none, what was asked for.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    last: u64,
    /// Whether there may be more.
    more: bool,
}

impl Remote for List {
    const NAME: &'static str = "memory.list";
    const DESCRIPTION: &'static str = "Lists what is remembered in a granted namespace, oldest first, a part at a time and within a number of tokens.";
    const EFFECT: Effect = Effect::Read;
    type Input = Input;
    type Output = Output;

    async fn call(&self, input: Input, context: &ToolContext) -> Result<Output, ToolError> {
        let named = input.namespace.into_iter().collect();
        let mut namespaces = Grants::of(context)?.meant(named, Access::Read)?;
        if namespaces.len() > 1 {
            let message = "several namespaces are granted by their names; name one as `namespace`";
            return Err(ToolError::invalid("invalid", message));
        }
        let mut filter = MemoryFilter::of(namespaces.remove(0));
        (filter.subject, filter.after, filter.limit) = (input.subject, input.after, PAGE);
        // What will hold is listed as well: nobody comes back to a number that is behind.
        filter.holds_from = Some(context.now);
        let mut room = Room::new(input.max_tokens, input.model.as_deref(), context)?;
        let (mut too_long, mut last, mut more) = (Vec::new(), input.after, false);
        'pages: loop {
            let page = self.finder.list(&filter).await?;
            let Some(end) = page.last() else { break };
            filter.after = end.number;
            for memory in page {
                let number = memory.number;
                let expired = memory.expires.is_some_and(|expires| expires <= context.now);
                let wanted = input.kinds.is_empty() || input.kinds.contains(&memory.kind);
                let told = Told::new(memory, None, (context.now, context.now));
                let Some(told) = told.filter(|_| wanted && !expired) else { continue };
                if room.len() >= input.limit as usize {
                    more = true;
                    break 'pages;
                }
                match room.add(told)? {
                    Ok(()) => {}
                    Err(NoRoom::TooLong) => too_long.push(number),
                    Err(NoRoom::Left) => {
                        more = true;
                        break 'pages;
                    }
                }
                last = number;
            }
        }
        let (memories, text) = room.told();
        Ok(Output { memories, text, too_long, last, more })
    }
}
