//! What a model thinks, told from what it answers.

const OPEN: &str = Thoughts::OPEN;
const CLOSE: &str = Thoughts::CLOSE;

/// Tells what a model thinks from what it answers, in a text that comes in pieces: `<think>…</think>` at its beginning, as DeepSeek R1,
/// Qwen 3 and others write it. For models that leave both in one text.
///
/// ```
/// use parkway_core::model::Thoughts;
///
/// let mut thoughts = Thoughts::new(false);
/// assert_eq!(thoughts.push("<think>Two and"), ("Two and".into(), "".into()));
/// assert_eq!(thoughts.push(" two.</think>\n\nFour"), (" two.".into(), "Four".into()));
/// assert_eq!(thoughts.end(), ("".into(), "".into()));
/// ```
#[derive(Clone, Debug)]
pub struct Thoughts {
    place: Place,
    held: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nothing was said yet but what may begin a thought.
    Before,
    Thought,
    /// A thought has ended, and only white space came since.
    Between,
    Answer,
}

impl Thoughts {
    /// What opens a thought.
    pub const OPEN: &str = "<think>";
    /// What closes it.
    pub const CLOSE: &str = "</think>";

    /// Thoughts of a text that may begin with one, or that begins `within` one.
    pub fn new(within: bool) -> Self {
        Thoughts { place: if within { Place::Thought } else { Place::Before }, held: String::new() }
    }

    /// Takes a piece in. What is certain of it: more of the thought, and more of the answer.
    pub fn push(&mut self, piece: &str) -> (String, String) {
        self.held.push_str(piece);
        let (mut thought, mut answer) = (String::new(), String::new());
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
                Place::Thought => match self.held.split_once(CLOSE) {
                    Some((rest_of_it, rest)) => {
                        thought.push_str(rest_of_it);
                        (self.held, self.place) = (rest.to_owned(), Place::Between);
                    }
                    None => {
                        let held = self.held.split_off(self.held.len() - may_close(&self.held));
                        thought.push_str(&std::mem::replace(&mut self.held, held));
                    }
                },
                Place::Between => {
                    self.held = self.held.trim_start().to_owned();
                    if !self.held.is_empty() {
                        self.place = Place::Answer;
                    }
                }
                Place::Answer => answer.push_str(&std::mem::take(&mut self.held)),
            }
            if self.place == place {
                return (thought, answer);
            }
        }
    }

    /// What was held back until the text ended: the rest of the thought, or of the answer.
    pub fn end(&mut self) -> (String, String) {
        let held = std::mem::take(&mut self.held);
        if self.place == Place::Thought { (held, String::new()) } else { (String::new(), held) }
    }

    /// A message without the thought that it begins with.
    pub fn strip(text: &str) -> &str {
        let thought = text.trim_start().strip_prefix(OPEN).and_then(|rest| rest.split_once(CLOSE));
        thought.map_or(text, |(_, answer)| answer.trim_start())
    }
}

/// The bytes at the end of a text that may begin the end of a thought.
fn may_close(text: &str) -> usize {
    (1..CLOSE.len()).rev().find(|length| text.ends_with(&CLOSE[..*length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(within: bool, pieces: &[&str]) -> (String, String) {
        let mut thoughts = Thoughts::new(within);
        let (mut thought, mut answer) = (String::new(), String::new());
        let said = pieces.iter().map(|piece| thoughts.push(piece)).collect::<Vec<_>>();
        for (more_thought, more_answer) in said.into_iter().chain([thoughts.end()]) {
            thought.push_str(&more_thought);
            answer.push_str(&more_answer);
        }
        (thought, answer)
    }

    #[track_caller]
    fn check(within: bool, text: &str, thought: &str, answer: &str) {
        let expect = (thought.to_owned(), answer.to_owned());
        assert_eq!(split(within, &[text]), expect);
        let chars = text.chars().map(String::from).collect::<Vec<_>>();
        assert_eq!(split(within, &chars.iter().map(String::as_str).collect::<Vec<_>>()), expect);
    }

    #[test]
    fn a_thought_is_told_from_the_answer() {
        check(false, "<think>é is 2 < 3</think>\n\nYes.", "é is 2 < 3", "Yes.");
        check(false, "\n<think>\nnever ends </thin", "\nnever ends </thin", "");
        check(false, "<think></think>{}", "", "{}");
        check(true, "So.\n</think>\n\nYes. </think>", "So.\n", "Yes. </think>");
        check(true, "never ends", "never ends", "");
    }

    #[test]
    fn an_answer_that_only_looks_like_a_thought_stays_whole() {
        check(false, "<thinker> is a word", "", "<thinker> is a word");
        check(false, "  <b>x</b> <think>y</think>", "", "  <b>x</b> <think>y</think>");
        check(false, "<thi", "", "<thi");
        check(false, "", "", "");
    }

    #[test]
    fn a_message_loses_the_thought_that_it_begins_with() {
        assert_eq!(Thoughts::strip("<think>a</think>\n\nb <think>c</think>"), "b <think>c</think>");
        assert_eq!(Thoughts::strip(" b <think>c</think>"), " b <think>c</think>");
        assert_eq!(Thoughts::strip("<think>a"), "<think>a");
    }

    proptest! {
        #[test]
        fn it_makes_no_difference_where_a_text_is_cut(
            parts in prop::collection::vec(prop::sample::select(vec!["<think>", "</think>", "<", "think", ">", "\n", "ä", "</"]), 0..12),
            cut in 0usize..99,
            within: bool,
        ) {
            let text = parts.concat();
            let mut at = cut % (text.len() + 1);
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            prop_assert_eq!(split(within, &[&text[..at], &text[at..]]), split(within, &[&text]));
        }
    }
}
