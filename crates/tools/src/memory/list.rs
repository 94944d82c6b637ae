//! `memory.list`: what is known in a namespace, oldest first, a part at a time.

use parkway_core::memory::{MemoryFilter, MemoryKind};
use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::find::Finder;
use super::grants::{Access, Grants};
use super::told::{Told, fit};
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
    /// So many tokens of `model` may `text` have: what does not fit is left for the next list.
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
    /// The memories that hold, oldest first.
    memories: Vec<Told>,
    /// What they say, one to a line, for a prompt.
    text: String,
    /// The number of the last of them: `after` of the next list. Where nothing is listed, what was asked for.
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
        let mut listed = Vec::new();
        let limit = input.limit as usize;
        // One more than is asked for says whether there are more.
        while listed.len() <= limit {
            let (page, Some(last)) = self.finder.page(&filter, context.now).await? else { break };
            filter.after = last;
            let known = page.into_iter().filter(|memory| input.kinds.is_empty() || input.kinds.contains(&memory.kind));
            listed.extend(known.filter_map(|memory| Told::new(memory, None)));
        }
        let mut more = listed.len() > limit;
        listed.truncate(limit);
        let all = listed.len();
        let (memories, text) = fit(listed.into_iter(), input.max_tokens, input.model.as_deref(), context)?;
        more |= memories.len() < all;
        if memories.is_empty() && all > 0 {
            let message =
                "the first memory has more tokens than `max_tokens` allows, so that no list would ever go past it";
            return Err(ToolError::invalid("invalid", message));
        }
        let last = memories.last().map_or(input.after, |memory| memory.number);
        Ok(Output { memories, text, last, more })
    }
}
