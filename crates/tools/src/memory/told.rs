//! A memory as the tools tell it, and as many of them as a prompt has room for.

use parkway_core::id::Time;
use parkway_core::memory::{MemoryKind, Remembered};
use parkway_core::tool::{ToolContext, ToolError};
use schemars::JsonSchema;
use serde::Serialize;

use super::remember::MemoryName;

/// A memory.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Memory", deny_unknown_fields)]
pub(super) struct Told {
    id: MemoryName,
    /// Its place among all memories of the store.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub(super) number: u64,
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
    /// How well it fits, to be compared within one answer; 0 where nothing was asked.
    score: f64,
}

impl Told {
    /// A memory, unless it is forgotten.
    pub(super) fn new(memory: Remembered, score: Option<f64>) -> Option<Self> {
        let content = memory.content?;
        Some(Told {
            id: MemoryName(memory.id),
            number: memory.number,
            namespace: content.namespace,
            text: content.text,
            subject: content.subject,
            kind: memory.kind,
            from: memory.from,
            until: memory.superseded.map(|superseded| superseded.from).into_iter().chain(memory.until).min(),
            known: memory.known,
            run: memory.run.to_string(),
            contradicts: memory.contradicts.into_iter().map(MemoryName).collect(),
            score: score.unwrap_or_default(),
        })
    }
}

/// The first memories whose texts, a line each, have at most so many tokens of a model, and that text. Each is read only when there is room
/// for those before it.
pub(super) fn fit(
    memories: impl Iterator<Item = Told>,
    max_tokens: Option<u32>,
    model: Option<&str>,
    context: &ToolContext,
) -> Result<(Vec<Told>, String), ToolError> {
    let (mut fitting, mut text) = (Vec::new(), String::new());
    for memory in memories {
        let mut longer = text.clone();
        if !longer.is_empty() {
            longer.push('\n');
        }
        longer.push_str(&memory.text);
        if let Some(most) = max_tokens {
            let model = model.ok_or_else(|| {
                ToolError::invalid(
                    "invalid",
                    "`max_tokens` needs `model`: tokens are those of a model; name one of this workflow",
                )
            })?;
            // A shorter one behind it could fit, and is not taken: those that are told come before all that are not.
            if context.tokens.count(model, &longer)? > most as usize {
                break;
            }
        }
        text = longer;
        fitting.push(memory);
    }
    Ok((fitting, text))
}
