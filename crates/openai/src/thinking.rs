//! Telling what a model thinks from what it answers, where the server leaves both in one text: `<think>…</think>` at its beginning.

use parkway_core::model::Delta;

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Splits a text that comes in pieces.
#[derive(Clone, Debug, Default)]
pub(crate) struct Splitter {
    place: Place,
    held: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Nothing was said yet but what may begin a thought.
    #[default]
    Before,
    Thought,
    /// A thought has ended, and only white space came since.
    Between,
    Answer,
}

impl Splitter {
    /// Takes a piece in; what is certain of it is added to `deltas`.
    pub(crate) fn push(&mut self, piece: &str, deltas: &mut Vec<Delta>) {
        self.held.push_str(piece);
        loop {
            let place = self.place;
            match place {
                Place::Before => {
                    let begun = self.held.trim_start();
                    if let Some(rest) = begun.strip_prefix(OPEN) {
                        (self.held, self.place) = (rest.to_owned(), Place::Thought);
                    } else if !OPEN.starts_with(begun) {
                        self.place = Place::Answer;
                    }
                }
                Place::Thought => match self.held.find(CLOSE) {
                    Some(end) => {
                        let rest = self.held.split_off(end + CLOSE.len());
                        self.held.truncate(end);
                        thought(std::mem::replace(&mut self.held, rest), deltas);
                        self.place = Place::Between;
                    }
                    None => {
                        let rest = self.held.split_off(self.held.len() - may_close(&self.held));
                        thought(std::mem::replace(&mut self.held, rest), deltas);
                    }
                },
                Place::Between => {
                    self.held = self.held.trim_start().to_owned();
                    if !self.held.is_empty() {
                        self.place = Place::Answer;
                    }
                }
                Place::Answer => answer(std::mem::take(&mut self.held), deltas),
            }
            if self.place == place {
                return;
            }
        }
    }

    /// What was held back until the text ended.
    pub(crate) fn end(&mut self, deltas: &mut Vec<Delta>) {
        let held = std::mem::take(&mut self.held);
        if self.place == Place::Thought { thought(held, deltas) } else { answer(held, deltas) }
    }
}

fn thought(text: String, deltas: &mut Vec<Delta>) {
    if !text.is_empty() {
        deltas.push(Delta::Thinking(text));
    }
}

fn answer(text: String, deltas: &mut Vec<Delta>) {
    if !text.is_empty() {
        deltas.push(Delta::Text(text));
    }
}

/// The bytes at the end of a text that may begin the end of a thought.
fn may_close(text: &str) -> usize {
    (1..CLOSE.len()).rev().find(|length| text.ends_with(&CLOSE[..*length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use parkway_core::model::ChatResponse;

    use super::*;

    #[track_caller]
    fn check(text: &str, thinking: &str, answer: &str) {
        let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect::<Vec<_>>();
        for cut in &ends {
            let (mut splitter, mut deltas) = (Splitter::default(), Vec::new());
            splitter.push(&text[..*cut], &mut deltas);
            text[*cut..].chars().for_each(|c| splitter.push(c.encode_utf8(&mut [0; 4]), &mut deltas));
            splitter.end(&mut deltas);
            let mut response = ChatResponse::default();
            deltas.into_iter().for_each(|delta| {
                response.take(delta);
            });
            assert_eq!((response.thinking.as_str(), response.text.as_str()), (thinking, answer), "cut at {cut}");
        }
    }

    #[test]
    fn a_thought_is_told_from_the_answer_wherever_the_text_is_cut() {
        check("<think>é is 2 < 3</think>\n\nYes.", "é is 2 < 3", "Yes.");
        check("\n<think>\nnever ends </thin", "\nnever ends </thin", "");
        check("<think></think>{}", "", "{}");
    }

    #[test]
    fn an_answer_that_only_looks_like_a_thought_stays_whole() {
        check("<thinker> is a word", "", "<thinker> is a word");
        check("  <b>x</b> <think>y</think>", "", "  <b>x</b> <think>y</think>");
        check("<thi", "", "<thi");
        check("", "", "");
    }
}
