//! `memory.remember`: to write a memory, unless it is there.

use parkway_core::id::{MemoryId, Time};
use parkway_core::memory::{self, Content, Known, MemoryKind, NewMemory, Remembered};
use parkway_core::tool::{Effect, ToolContext, ToolError};
use parkway_core::write::ToolWrite;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::find::Finder;
use super::grants::{Access, Grants};
use crate::remote::Remote;

/// From this likeness on, a memory is told of as similar.
const SIMILAR: f64 = 0.6;
/// From this likeness on, it is not written where similar ones are to be skipped.
const ALIKE: f64 = 0.8;
/// So many similar ones are told of at most.
const TOLD: u32 = 5;

/// Writes a memory. What says the same in the same words is there already, and nothing is written. What is merely similar is told of: a word
/// that differs may be the one that counts, and only the caller knows.
pub(crate) struct Remember {
    pub(super) finder: Finder,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// What to remember, in words that can be understood alone: `Anna Kern wants her orders delivered on Fridays.`
    text: String,
    /// Where it belongs: a namespace that is granted. May be left out where one is granted by its name.
    namespace: Option<String>,
    /// What it is about, where only one memory of the namespace holds at a time: `address`. What was known of it gives way to this one for the
    /// time in which this one holds.
    subject: Option<String>,
    /// What kind of memory it is.
    #[serde(default)]
    kind: MemoryKind,
    /// Since when it holds, as `2027-01-31T12:00:00Z`; since now where it is not said.
    #[schemars(with = "Option<String>")]
    from: Option<Time>,
    /// Until when it holds.
    #[schemars(with = "Option<String>")]
    until: Option<Time>,
    /// When it is no longer recalled.
    #[schemars(with = "Option<String>")]
    expires: Option<Time>,
    /// Whether it is recalled whatever is asked for.
    #[serde(default)]
    pinned: bool,
    /// Ids of memories of the same namespace that do not hold while this one does.
    #[serde(default)]
    supersedes: Vec<MemoryName>,
    /// Ids of memories of the same namespace that say something else; both are kept.
    #[serde(default)]
    contradicts: Vec<MemoryName>,
    /// What to do where four of five words are those of another memory.
    #[serde(default)]
    on_similar: OnSimilar,
}

/// The id of a memory.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct MemoryName(#[schemars(with = "String", regex(pattern = r"^[0-9a-f]{32}$"))] pub(super) MemoryId);

/// What to do with a memory that is similar to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum OnSimilar {
    /// Write it all the same.
    #[default]
    Keep,
    /// Write nothing.
    Skip,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The memory: the new one, or the one that was there.
    id: MemoryName,
    /// Its namespace.
    namespace: String,
    /// Whether it was there, and nothing was written.
    known: bool,
    /// The memories that hold for a shorter time now that it does.
    superseded: Vec<MemoryName>,
    /// Memories of the namespace with much the same words, the most alike first.
    similar: Vec<Similar>,
    #[serde(skip)]
    write: Option<ToolWrite>,
}

/// A memory with much the same words.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Similar {
    id: MemoryName,
    text: String,
    /// The words that both have, of all that they have: 0 to 1.
    likeness: f64,
}

impl Remote for Remember {
    const NAME: &'static str = "memory.remember";
    const DESCRIPTION: &'static str = "Remembers a text in a namespace, exactly once, so that later runs can recall it. What is known already is \
         not written again; a text about a subject takes the place of the earlier one, which is kept as what held before.";
    const EFFECT: Effect = Effect::Transactional;
    type Input = Input;
    type Output = Output;

    fn write(output: &mut Output) -> Option<ToolWrite> {
        output.write.take()
    }

    async fn call(&self, input: Input, context: &ToolContext) -> Result<Output, ToolError> {
        let grants = Grants::of(context)?;
        let mut meant = grants.meant(input.namespace.into_iter().collect(), Access::Write)?;
        if meant.len() > 1 {
            let message = format!("more than one namespace is granted; name one as `namespace`: {}", meant.join(", "));
            return Err(ToolError::invalid("invalid", message));
        }
        let namespace = meant.pop().unwrap_or_default();
        let mut content = Content::new(&namespace, input.text);
        content.subject = input.subject;
        let now = context.now;
        let mut memory = NewMemory::new(MemoryId::of_call(&context.key), content, input.from.unwrap_or(now));
        (memory.kind, memory.pinned) = (input.kind, input.pinned);
        (memory.until, memory.expires) = (input.until, input.expires);
        memory.check().map_err(|why| ToolError::invalid("invalid", why))?;
        if input.expires.is_some_and(|expires| expires <= now) {
            let message =
                format!("it is to expire at {}, which is over: nobody would recall it", input.expires.unwrap_or(now));
            return Err(ToolError::invalid("invalid", message));
        }
        memory.supersedes = self.of_namespace(&namespace, &input.supersedes).await?;
        memory.contradicts = self.of_namespace(&namespace, &input.contradicts).await?;
        let known = self.finder.known(&memory, now).await?;
        if let Known::Yes(known) = known {
            return Ok(known_already(known, namespace, Vec::new()));
        }
        let similar = self.similar(&memory.content, now).await?;
        // What is said with another end, or of another memory, is to be written.
        let may_skip = known == Known::No && memory.supersedes.is_empty() && memory.contradicts.is_empty();
        let skip = may_skip && input.on_similar == OnSimilar::Skip;
        if let Some(alike) = similar.iter().find(|similar| skip && similar.likeness >= ALIKE) {
            return Ok(known_already(alike.id.0, namespace, similar));
        }
        // It goes on: what is new is how it ends, or what it is beside.
        if let (Known::Otherwise(span), None) = (known, input.from) {
            memory.from = span.from;
        }
        let changed = self.finder.changed(&memory).await?;
        let named = memory.supersedes.clone();
        memory.supersedes.extend(changed.iter().filter(|id| !named.contains(id)));
        let superseded = changed.into_iter().map(MemoryName).collect();
        let id = MemoryName(memory.id);
        Ok(Output { id, namespace, known: false, superseded, similar, write: Some(ToolWrite::Remember(memory)) })
    }
}

/// Nothing is written.
fn known_already(id: MemoryId, namespace: String, similar: Vec<Similar>) -> Output {
    Output { id: MemoryName(id), namespace, known: true, superseded: Vec::new(), similar, write: None }
}

impl Remember {
    /// Memories with much the same words, the most alike first.
    async fn similar(&self, content: &Content, now: Time) -> Result<Vec<Similar>, ToolError> {
        let mut recall = memory::Recall::new(vec![content.namespace.clone()], &content.text, now);
        recall.limit = TOLD * 4;
        let found = self.finder.by_words(&recall).await?;
        let texts = found.into_iter().filter_map(|found| Some((found.memory.id, found.memory.content?.text)));
        let mut similar: Vec<Similar> = texts
            .map(|(id, text)| Similar { id: MemoryName(id), likeness: memory::likeness(&content.text, &text), text })
            .filter(|similar| similar.likeness >= SIMILAR)
            .collect();
        similar.sort_by(|a, b| b.likeness.total_cmp(&a.likeness));
        similar.truncate(TOLD as usize);
        Ok(similar)
    }

    /// These memories, which must be of the namespace.
    async fn of_namespace(&self, namespace: &str, named: &[MemoryName]) -> Result<Vec<MemoryId>, ToolError> {
        let mut found = Vec::new();
        for MemoryName(id) in named {
            let of_it =
                |memory: &Remembered| memory.content.as_ref().is_some_and(|content| content.namespace == namespace);
            if !self.finder.get(*id).await?.as_ref().is_some_and(of_it) {
                let message =
                    format!("there is no memory {id} in the namespace `{namespace}`; `memory.recall` gives ids");
                return Err(ToolError::invalid("not_found", message));
            }
            found.push(*id);
        }
        Ok(found)
    }
}
