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
    /// A memory, unless it says nothing any more. Of the times in which it holds, by what was known at `known`, it tells the one that `at` is
    /// in, or the next one.
    pub(super) fn new(memory: Remembered, score: Option<f64>, (at, known): (Time, Time)) -> Option<Self> {
        let span = memory.span(at, known);
        let content = memory.content?;
        Some(Told {
            id: MemoryName(memory.id),
            number: memory.number,
            namespace: content.namespace,
            text: content.text,
            subject: content.subject,
            kind: memory.kind,
            from: span.map_or(memory.from, |span| span.from),
            until: span.map_or(memory.until, |span| span.until),
            known: memory.known,
            run: memory.run.to_string(),
            contradicts: memory.contradicts.into_iter().map(MemoryName).collect(),
            score: score.unwrap_or_default(),
        })
    }
}

/// Why a memory has no place in a text.
pub(super) enum NoRoom {
    /// Those before it take too much.
    Left,
    /// It alone has more tokens than there may be.
    TooLong,
}

/// Memories whose texts, a line each, have at most so many tokens of a model.
pub(super) struct Room<'a> {
    most: Option<(usize, &'a str)>,
    context: &'a ToolContext,
    told: Vec<Told>,
    text: String,
}

impl<'a> Room<'a> {
    /// For at most `max_tokens` of `model`; for any number where none is said.
    pub(super) fn new(
        max_tokens: Option<u32>,
        model: Option<&'a str>,
        context: &'a ToolContext,
    ) -> Result<Self, ToolError> {
        let most = match (max_tokens, model) {
            (Some(most), Some(model)) => Some((most as usize, model)),
            (Some(_), None) => {
                let message = "`max_tokens` needs `model`: tokens are those of a model; name one of this workflow";
                return Err(ToolError::invalid("invalid", message));
            }
            (None, _) => None,
        };
        Ok(Room { most, context, told: Vec::new(), text: String::new() })
    }

    /// Adds a memory behind the others, if there is room for it.
    pub(super) fn add(&mut self, memory: Told) -> Result<Result<(), NoRoom>, ToolError> {
        let line = line(&memory.text);
        let longer = if self.told.is_empty() { line.clone() } else { format!("{}\n{line}", self.text) };
        if let Some((most, model)) = self.most
            && self.context.tokens.count(model, &longer)? > most
        {
            let alone = self.told.is_empty() || self.context.tokens.count(model, &line)? > most;
            return Ok(Err(if alone { NoRoom::TooLong } else { NoRoom::Left }));
        }
        self.text = longer;
        self.told.push(memory);
        Ok(Ok(()))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.told.len()
    }

    /// The memories, and their text.
    pub(super) fn told(self) -> (Vec<Told>, String) {
        (self.told, self.text)
    }
}

/// A text as one line: none may look like several memories to who reads them one to a line.
fn line(text: &str) -> String {
    let ends = ['\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'];
    text.replace("\r\n", " ").replace(ends, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_memory_looks_like_two() {
        assert_eq!(line("a\nb\r\nc\rd"), "a b c d");
        assert_eq!(line("a\u{b}b\u{c}c\u{1c}d\u{1d}e\u{1e}f\u{85}g\u{2028}h\u{2029}i"), "a b c d e f g h i");
        assert_eq!(line("a  b\tc"), "a  b\tc");
    }
}
