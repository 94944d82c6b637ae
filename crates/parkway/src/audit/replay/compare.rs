//! Whether two answers are the same one, and where they part.

use parkway_core::log::{Commitment, ModelCall};
use parkway_core::model::{ChatResponse, ToolCall};
use serde_json::{Value, json};

use super::Outcome;
use crate::embed::Parkway;
use crate::error::Error;

/// So many characters before the place where two answers part are told, and so many from there on.
const AROUND: (usize, usize) = (24, 40);

/// How an answer differs from the recorded one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The first token that differs, from 1; none where the texts were compared.
    pub token: Option<usize>,
    /// How many tokens were recorded, and how many there are now.
    pub tokens: Option<(usize, usize)>,
    /// What is said around the place.
    pub excerpt: Excerpt,
}

/// What two answers say around the place where they part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Excerpt {
    /// A part of both.
    Apart {
        /// Of the recorded one.
        recorded: String,
        /// Of the one that was decoded now.
        now: String,
    },
    /// They say the same, in other tokens.
    Alike,
    /// The step was told a secret: what it said is not shown.
    Secret,
    /// What was said was erased, and the ids of its tokens were not.
    Erased,
}

/// An answer as it was recorded.
pub(super) struct Answer {
    /// The ids of its tokens, where the backend told them.
    tokens: Option<Vec<u32>>,
    /// All that it said; none where that was erased.
    said: Option<String>,
}

impl Parkway {
    /// The answer that was recorded, or what of it is missing.
    pub(super) async fn recorded_answer(&self, call: &ModelCall) -> Result<Result<Answer, String>, Error> {
        let mut parts = [Some(call.answer), call.thinking, call.tool_calls, call.tokens].into_iter();
        let asked: Vec<Commitment> = parts.clone().flatten().collect();
        let mut texts = self.texts(&asked).await?.into_iter();
        // What was not recorded is not there; what was and is null was erased.
        let mut next = || parts.next().flatten().and_then(|_| texts.next());
        let (answer, thinking, calls, tokens) = (next(), next(), next(), next());
        let tokens = match tokens {
            None => None,
            Some(Value::Null) => return Ok(Err("the ids of its tokens were erased".into())),
            Some(value) => match serde_json::from_value(value) {
                Ok(tokens) => Some(tokens),
                Err(error) => return Ok(Err(format!("the ids of its tokens cannot be read: {error}"))),
            },
        };
        let erased = [&answer, &thinking, &calls].into_iter().any(|part| *part == Some(Value::Null));
        if erased && tokens.is_none() {
            return Ok(Err("its answer was erased".into()));
        }
        let text = |part: &Option<Value>| part.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
        let calls: Vec<ToolCall> = calls.and_then(|calls| serde_json::from_value(calls).ok()).unwrap_or_default();
        let said = (!erased).then(|| said(&text(&thinking), &text(&answer), &calls));
        Ok(Ok(Answer { tokens, said }))
    }
}

impl Answer {
    /// Holds an answer against this one; `hidden` is what it says where nobody is to see it.
    pub(super) fn against(&self, response: &ChatResponse, hidden: bool) -> Outcome {
        let now = said(&response.thinking, &response.text, &response.tool_calls);
        let excerpt = || match &self.said {
            _ if hidden => Excerpt::Secret,
            None => Excerpt::Erased,
            Some(recorded) => excerpt(recorded, &now),
        };
        let ids = &response.end.tokens;
        match &self.tokens {
            Some(recorded) if !ids.is_empty() => match parting(recorded, ids) {
                None => Outcome::Same { tokens: Some(recorded.len()) },
                Some(at) => Outcome::Differs(Difference {
                    token: Some(at + 1),
                    tokens: Some((recorded.len(), ids.len())),
                    excerpt: excerpt(),
                }),
            },
            _ => match &self.said {
                None => Outcome::NotDecoded("its answer was erased, and the model here tells no ids of tokens".into()),
                Some(recorded) if *recorded == now => Outcome::Same { tokens: None },
                Some(_) => Outcome::Differs(Difference { token: None, tokens: None, excerpt: excerpt() }),
            },
        }
    }
}

/// All that an answer says, in one text. The ids of calls are the backend's, and may be others each time.
fn said(thinking: &str, text: &str, calls: &[ToolCall]) -> String {
    let calls = calls.iter().map(|call| json!({ "tool": call.name, "args": call.arguments }).to_string());
    [thinking.to_owned(), text.to_owned()].into_iter().chain(calls).collect()
}

/// The first place at which two lists differ.
fn parting<T: PartialEq>(one: &[T], other: &[T]) -> Option<usize> {
    let alike = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    (alike < one.len().max(other.len())).then_some(alike)
}

fn excerpt(recorded: &str, now: &str) -> Excerpt {
    let (recorded, now): (Vec<char>, Vec<char>) = (recorded.chars().collect(), now.chars().collect());
    let Some(at) = parting(&recorded, &now) else { return Excerpt::Alike };
    let begin = at.saturating_sub(AROUND.0);
    let around = |text: &[char]| {
        let end = text.len().min(at + AROUND.1);
        let shown: String = text[begin..end].iter().collect();
        let (before, after) = (if begin > 0 { "…" } else { "" }, if end < text.len() { "…" } else { "" });
        format!("{before}{shown}{after}")
    };
    Excerpt::Apart { recorded: around(&recorded), now: around(&now) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_where_texts_part_is_missed() {
        let apart = |recorded: &str, now: &str| Excerpt::Apart { recorded: recorded.into(), now: now.into() };
        assert_eq!(excerpt("äbc", "äbc"), Excerpt::Alike);
        assert_eq!(excerpt("äbc", "äbd"), apart("äbc", "äbd"));
        assert_eq!(excerpt("ab", "abc"), apart("ab", "abc"));
        assert_eq!(excerpt("", "abc"), apart("", "abc"));
        let (long, other) = (format!("{}x{}", "a".repeat(100), "b".repeat(100)), "a".repeat(100));
        let Excerpt::Apart { recorded, now } = excerpt(&long, &other) else { panic!("they part") };
        assert_eq!(recorded, format!("…{}x{}…", "a".repeat(24), "b".repeat(39)));
        assert_eq!(now, format!("…{}", "a".repeat(24)));
    }

    #[test]
    fn the_end_of_a_shorter_list_is_no_place() {
        assert_eq!(parting(&[1, 2], &[1, 2]), None);
        assert_eq!(parting(&[1, 2], &[1, 2, 3]), Some(2));
        assert_eq!(parting(&[1, 2, 3], &[1, 2]), Some(2));
        assert_eq!(parting(&[1], &[2]), Some(0));
    }

    #[test]
    fn a_secret_is_shown_where_answers_part() {
        // An older Parkway kept what tools give whose labels say `secret`, and told it to models.
        let answer = Answer { tokens: None, said: Some("hunter2 is it".into()) };
        let response = ChatResponse { text: "hunter2 it is".into(), ..ChatResponse::default() };
        let difference = |excerpt| Outcome::Differs(Difference { token: None, tokens: None, excerpt });
        assert_eq!(answer.against(&response, true), difference(Excerpt::Secret));
        assert!(matches!(
            answer.against(&response, false),
            Outcome::Differs(Difference { excerpt: Excerpt::Apart { .. }, .. })
        ));
    }
}
