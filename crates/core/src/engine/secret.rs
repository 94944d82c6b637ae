//! Keeping secrets out of everything but the call that needs them. Templates never see a secret's value: they see a mark
//! that nobody can guess, which becomes `[secret NAME]` and a note of the place. The value is put into its places when the
//! call is made, and whatever comes back is searched for it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::engine::executor::ExecutorError;
use crate::engine::services::Services;
use crate::engine::step::Failure;
use crate::label::Labels;
use crate::model::ChatResponse;
use crate::secret::{Scrub, Secret};
use crate::workflow::Plan;

/// A place in arguments where a secret belongs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SecretUse {
    /// JSON pointer to the text.
    at: String,
    /// Where its `[secret NAME]` begins in the text, in bytes.
    offset: usize,
    name: String,
}

/// How a secret is shown.
fn shown(name: &str) -> String {
    format!("[secret {name}]")
}

/// What stands in the place of an output that is a secret as a whole.
const WHOLE: &str = "[secret]";

/// Whether an output stands in the place of one that is not kept.
pub(crate) fn is_withheld(output: &Value) -> bool {
    output == WHOLE
}

/// The secrets of a run.
#[derive(Debug, Default)]
pub(crate) struct Known {
    values: BTreeMap<String, Secret>,
    scrub: Scrub,
}

impl Known {
    /// The secrets that a plan declares; all that are missing are told at once.
    pub(crate) async fn fetch(services: &Services, plan: &Plan) -> Result<Known, ExecutorError> {
        let mut values = BTreeMap::new();
        let mut missing = Vec::new();
        for name in &plan.secrets {
            let why = match services.secrets.get(name).await {
                Ok(Some(secret)) if !secret.expose().trim().is_empty() => {
                    values.insert(name.clone(), secret);
                    continue;
                }
                // Nothing advises to name a source where one is named.
                Ok(Some(_)) => "is empty".to_owned(),
                Ok(None) => format!(
                    "has no source; say where it comes from in `parkway.toml`: `[secrets]`, `{name} = {{ env = \"{name}\" }}`"
                ),
                Err(error) => format!("cannot be read: {error}"),
            };
            missing.push(format!("the secret `{name}` {why}"));
        }
        if !missing.is_empty() {
            return Err(ExecutorError::Missing(missing));
        }
        // A server may say its key. One that cannot be had is told when the model is loaded.
        for key in plan.models.values().filter_map(|model| model.openai.as_ref()?.key.as_ref()) {
            if let (false, Ok(Some(secret))) = (values.contains_key(key), services.secrets.get(key).await) {
                values.insert(key.clone(), secret);
            }
        }
        Ok(Known::of(values))
    }

    fn of(values: BTreeMap<String, Secret>) -> Known {
        let scrub = Scrub::new(values.iter().map(|(name, secret)| (shown(name), secret)));
        Known { values, scrub }
    }

    /// A text without any secret.
    pub(crate) fn scrub(&self, text: &str) -> String {
        self.scrub.clean(text)
    }

    /// A value without any secret.
    pub(crate) fn scrub_value(&self, value: Value) -> Value {
        if self.scrub.is_idle() {
            return value;
        }
        match value {
            Value::String(text) => Value::String(self.scrub(&text)),
            Value::Array(list) => list.into_iter().map(|item| self.scrub_value(item)).collect(),
            Value::Object(map) => {
                map.into_iter().map(|(key, item)| (self.scrub(&key), self.scrub_value(item))).collect()
            }
            // A secret of digits may come back as a number.
            Value::Number(number) if self.scrub.is_one(&number.to_string()) => {
                Value::String(self.scrub(&number.to_string()))
            }
            other => other,
        }
    }

    /// What a model answered, without any secret. The tokens of an answer that held one spell it, and go with it.
    pub(crate) fn scrub_answer(&self, mut answer: ChatResponse) -> ChatResponse {
        let (text, thinking) = (self.scrub(&answer.text), self.scrub(&answer.thinking));
        if text != answer.text || thinking != answer.thinking {
            (answer.end.tokens, answer.end.logprobs) = (Vec::new(), Vec::new());
        }
        (answer.text, answer.thinking) = (text, thinking);
        for call in &mut answer.tool_calls {
            (call.id, call.name) = (self.scrub(&call.id), self.scrub(&call.name));
            call.arguments = self.scrub_value(std::mem::take(&mut call.arguments));
        }
        answer
    }

    /// A failure whose words hold no secret.
    pub(crate) fn scrub_failure(&self, failure: Failure) -> Failure {
        Failure { code: self.scrub(&failure.code), message: self.scrub(&failure.message), ..failure }
    }

    /// What is kept of what a tool gave: all of it but secrets, and nothing where it is one as a whole.
    pub(crate) fn kept(&self, value: Value, labels: Labels) -> Value {
        if labels.secret { Value::String(WHOLE.into()) } else { self.scrub_value(value) }
    }

    /// What is kept of a tool's failure, whose words may quote what it would have given.
    pub(crate) fn kept_failure(&self, failure: Failure, labels: Labels) -> Failure {
        let failure = self.scrub_failure(failure);
        if labels.secret { Failure { message: WHOLE.into(), ..failure } } else { failure }
    }

    /// Puts the secrets into their places.
    pub(crate) fn fill(&self, mut args: Value, uses: &[SecretUse]) -> Result<Value, Failure> {
        // From the end, so that earlier places stay where they are.
        for place in uses.iter().rev() {
            let gone = || Failure::new("erased", format!("the place of the secret `{}` is gone", place.name));
            let secret = self.values.get(&place.name).ok_or_else(gone)?;
            let Some(Value::String(text)) = args.pointer_mut(&place.at) else { return Err(gone()) };
            let mark = shown(&place.name);
            if !text.get(place.offset..).is_some_and(|rest| rest.starts_with(&mark)) {
                return Err(gone());
            }
            text.replace_range(place.offset..place.offset + mark.len(), secret.expose());
        }
        Ok(args)
    }
}

/// The marks that stand for secrets while arguments are evaluated.
pub(crate) struct Marks {
    open: String,
}

const CLOSE: char = '\u{2}';

impl Marks {
    /// Marks that nobody can guess, as long as `random` is random.
    pub(crate) fn new(random: [u8; 16]) -> Marks {
        Marks { open: format!("\u{1}{}:", hex::encode(random)) }
    }

    /// What templates see as `secrets`.
    pub(crate) fn root(&self, names: &[String]) -> Value {
        let marked = |name: &String| (name.clone(), Value::String(format!("{}{name}{CLOSE}", self.open)));
        Value::Object(names.iter().map(marked).collect())
    }

    /// Writes `[secret NAME]` for each mark in an argument, and notes the places.
    pub(crate) fn settle(&self, argument: &str, value: Value) -> Result<(Value, Vec<SecretUse>), Failure> {
        let mut uses = Vec::new();
        let value = self.settle_at(format!("/{}", escaped(argument)), value, &mut uses)?;
        Ok((value, uses))
    }

    fn settle_at(&self, at: String, value: Value, uses: &mut Vec<SecretUse>) -> Result<Value, Failure> {
        Ok(match value {
            Value::String(text) => Value::String(self.settle_text(&at, &text, uses)?),
            Value::Array(list) => {
                let items = list.into_iter().enumerate();
                Value::Array(
                    items.map(|(i, item)| self.settle_at(format!("{at}/{i}"), item, uses)).collect::<Result<_, _>>()?,
                )
            }
            Value::Object(map) => {
                let mut settled = Map::new();
                for (key, item) in map {
                    if key.contains(&self.open) {
                        return Err(Failure::new("template", "a secret cannot be a key"));
                    }
                    let item = self.settle_at(format!("{at}/{}", escaped(&key)), item, uses)?;
                    settled.insert(key, item);
                }
                Value::Object(settled)
            }
            other => other,
        })
    }

    fn settle_text(&self, at: &str, text: &str, uses: &mut Vec<SecretUse>) -> Result<String, Failure> {
        let mut settled = String::new();
        let mut rest = text;
        while let Some(start) = rest.find(&self.open) {
            settled.push_str(&rest[..start]);
            rest = &rest[start + self.open.len()..];
            let Some((name, after)) = rest.split_once(CLOSE) else {
                return Err(Failure::new("template", "a secret stands by itself, as `${{ secrets.NAME }}`"));
            };
            uses.push(SecretUse { at: at.to_owned(), offset: settled.len(), name: name.to_owned() });
            settled.push_str(&shown(name));
            rest = after;
        }
        settled.push_str(rest);
        Ok(settled)
    }
}

/// A key as a JSON pointer holds it.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn known(values: &[(&str, &str)]) -> Known {
        Known::of(values.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect())
    }

    #[test]
    fn what_comes_back_holds_no_secret() {
        let known = known(&[("TOKEN", "hunter2"), ("LONG", "hunter2-and-more"), ("WORD", "secret"), ("PIN", "1234")]);
        for (text, clean) in [
            ("bad token hunter2!", "bad token [secret TOKEN]!"),
            ("hunter2-and-more", "[secret LONG]"),
            ("a secret, hunter2", "a [secret WORD], [secret TOKEN]"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(known.scrub(text), clean);
        }
        let value = json!({"hunter2": ["x hunter2", {"n": 1234, "m": 12345}], "ok": true});
        let clean = json!({"[secret TOKEN]": ["x [secret TOKEN]", {"n": "[secret PIN]", "m": 12345}], "ok": true});
        assert_eq!(known.scrub_value(value), clean);
    }

    #[test]
    fn a_secret_is_found_without_its_line_end_and_inside_json() {
        let known = known(&[("KEY", "ab\"cd\n")]);
        assert_eq!(known.scrub("<ab\"cd>"), "<[secret KEY]>");
        assert_eq!(known.scrub(r#"{"key":"ab\"cd\n"}"#), r#"{"key":"[secret KEY]"}"#);
    }

    #[test]
    fn a_secret_is_found_in_addresses_and_line_by_line() {
        let known = known(&[("KEY", "ab+/= c&"), ("PEM", "-----BEGIN-----\nMIIEvQIBADANBgkq\nshort\n")]);
        for text in ["k=ab%2B%2F%3D%20c%26", "k=ab%2B%2F%3D+c%26", "/ab+/=%20c&/x", "?k=ab+/=%20c&"] {
            assert!(known.scrub(text).contains("[secret KEY]"), "{text}");
        }
        assert_eq!(known.scrub("says: MIIEvQIBADANBgkq"), "says: [secret PEM]");
        assert_eq!(known.scrub("in short"), "in short");
    }

    #[test]
    fn data_that_looks_like_a_mark_stays_data() {
        let (marks, known) = (Marks::new([7; 16]), known(&[("A", "value")]));
        let root = marks.root(&["A".into()]);
        let mark = root["A"].as_str().unwrap();
        let value = json!({"x/y~": [format!("[secret A] {mark}{mark} [secret A]"), "[secret A]"]});
        let (settled, uses) = marks.settle("arg", value).unwrap();
        assert_eq!(settled, json!({"x/y~": ["[secret A] [secret A][secret A] [secret A]", "[secret A]"]}));
        let filled = known.fill(json!({"arg": settled}), &uses).unwrap();
        assert_eq!(filled, json!({"arg": {"x/y~": ["[secret A] valuevalue [secret A]", "[secret A]"]}}));
    }

    proptest! {
        #[test]
        fn no_scrubbed_text_holds_a_secret(
            a in "[a-c]{2,4}", b in "[a-c]{2,4}", parts in prop::collection::vec("[a-c]{0,3}", 0..6),
        ) {
            let known = known(&[("A", &a), ("B", &b)]);
            let text = parts.join(&a);
            let clean = known.scrub(&text);
            for left in clean.replace("[secret A]", "\n").replace("[secret B]", "\n").lines() {
                prop_assert!(!left.contains(&a) && !left.contains(&b), "{text} -> {clean}");
            }
        }
    }
}
