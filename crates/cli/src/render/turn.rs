//! What a model is doing for a step at the moment: how far it has read, or what it writes.

use super::bars::bar;
use super::symbols::Symbols;
use super::words::{clean, counted};

/// How many characters of an answer are kept for showing its end.
const KEPT: usize = 400;

/// How wide the bar of what is read is.
const BAR: usize = 8;

/// The call of a model that goes on.
#[derive(Clone, Debug)]
pub(super) enum Turn {
    /// It reads its prompt; in tokens.
    Reads { done: u32, total: u32 },
    /// It writes its answer, of which the last characters are kept.
    Writes { characters: u64, end: String },
}

impl Turn {
    /// The turn after the model has written more.
    pub(super) fn written(before: Option<Turn>, text: &str) -> Turn {
        let (mut characters, mut end) = match before {
            Some(Turn::Writes { characters, end }) => (characters, end),
            _ => (0, String::new()),
        };
        characters += u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
        end.push_str(text);
        if let Some((cut, _)) = end.char_indices().rev().nth(KEPT - 1) {
            end.drain(..cut);
        }
        Turn::Writes { characters, end }
    }

    /// `read 320 of 512 tokens`, `132 characters`.
    pub(super) fn note(&self) -> String {
        match self {
            Turn::Reads { done, total } => format!("read {done} of {total} tokens"),
            Turn::Writes { characters, .. } => counted(*characters, "character"),
        }
    }

    /// The same in fewer columns: `read 320/512`.
    pub(super) fn short(&self) -> String {
        match self {
            Turn::Reads { done, total } => format!("read {done}/{total}"),
            Turn::Writes { .. } => self.note(),
        }
    }

    /// How far it has read, as a bar, or the end of what it has written, on one line.
    pub(super) fn beside(&self, symbols: Symbols) -> String {
        match self {
            Turn::Reads { done, total } => bar((*done).into(), (*total).into(), BAR, symbols),
            Turn::Writes { end, .. } => clean(end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_answer_does_not_fill_the_memory() {
        let mut turn = None;
        for _ in 0..100 {
            turn = Some(Turn::written(turn, &"äöü".repeat(1_000)));
        }
        let turn = Turn::written(turn, "\u{1b}[2J the\nend");
        assert_eq!(turn.note(), "300k characters");
        let end = turn.beside(Symbols::Unicode);
        assert!(end.ends_with("ü [2J the end") && end.chars().count() <= KEPT, "{end}");
    }
}
