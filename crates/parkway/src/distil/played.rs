//! The file of tests beside a distilled workflow: what the tools and the model answered, played.

use parkway_core::tool::Effect;
use parkway_core::workflow::{Goal, Verb, yaml};
use serde_json::{Map, Value, json};

use super::file::{ANSWER, Step};
use super::reached::Call;

/// What a test plays.
#[derive(Debug, Default)]
pub(super) struct Played {
    tools: Map<String, Value>,
    models: Map<String, Value>,
    answers: Map<String, Value>,
}

impl Played {
    /// Plays a call, or each of a fan-out's; `covered` is one that an approval before it covers.
    pub(super) fn call(&mut self, step: &Step, call: &Call, covered: bool) {
        let Verb::Tool { name, .. } = &step.node.verb else { return };
        for (args, output) in &call.made {
            let rule = json!({ "step": step.node.id, "with": args, "output": output });
            push(&mut self.tools, name, rule);
        }
        // Such a call is asked about before it is made.
        if call.effect == Effect::AtMostOnce && !call.made.is_empty() && !covered {
            self.yes(&step.node.id);
        }
    }

    /// Says yes where a step asks.
    pub(super) fn yes(&mut self, step: &str) {
        self.answers.insert(step.to_owned(), json!({ "approve": true }));
    }

    /// Plays the answer of the model.
    pub(super) fn answer(&mut self, goal: &Goal, answer: &Value) {
        // An answer that is held to a form is written as JSON, and a text alone is taken as it is.
        let answer = match answer {
            Value::String(_) | Value::Null if goal.schema.is_some() => json!(answer.to_string()),
            answer => answer.clone(),
        };
        push(&mut self.models, &goal.model, json!({ "step": ANSWER, "answer": answer }));
    }

    /// The file.
    pub(super) fn file(self, description: &str, outputs: &Value) -> String {
        let mut test = Map::from_iter([("description".to_owned(), json!(description))]);
        for (key, part) in [("tools", self.tools), ("models", self.models), ("answers", self.answers)] {
            if !part.is_empty() {
                test.insert(key.into(), Value::Object(part));
            }
        }
        test.insert("expect".into(), json!({ "status": "completed", "outputs": outputs }));
        yaml(&json!({ "tests": { "what_was_distilled_gives_what_was_found": test } }))
    }
}

fn push(map: &mut Map<String, Value>, key: &str, rule: Value) {
    if let Value::Array(rules) = map.entry(key).or_insert_with(|| json!([])) {
        rules.push(rule);
    }
}
