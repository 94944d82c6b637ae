//! Models and tools that answer what a test says.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use parkway_core::id::StepKey;
use parkway_core::model::{ChatRequest, ModelError};
use parkway_core::testing::ScriptedModel;
use parkway_core::tool::{Effect, Reach, SharedTool, Tool, ToolContext, ToolError, ToolOutput, ToolSpec, Toolbox};
use serde_json::{Map, Value};

use super::form::{Failing, ModelRule, ToolRule};
use super::recording::Recording;

/// Families whose own tools stay in the test's folder and its store, or touch nothing.
const OWN: [&str; 4] = ["files", "memory", "text", "time"];

/// Whether a text in a test means a step: its key, its path without the items, or its id.
pub(super) fn means(text: &str, key: &StepKey) -> bool {
    let path = || key.path().iter().map(|segment| segment.id.as_str()).collect::<Vec<_>>().join(".");
    key.last().is_some_and(|segment| segment.id == text) || text == path() || text == key.to_string()
}

/// Answers with how often each may still be used.
#[derive(Debug)]
struct Rules<T>(Mutex<Vec<(T, Option<u32>)>>);

impl<T: Clone> Rules<T> {
    fn new(rules: impl IntoIterator<Item = T>, times: impl Fn(&T) -> Option<u32>) -> Self {
        let counted = rules.into_iter().map(|rule| {
            let left = times(&rule);
            (rule, left)
        });
        Rules(Mutex::new(counted.collect()))
    }

    /// The first that fits and is not used up.
    fn take(&self, fits: impl Fn(&T) -> bool) -> Option<T> {
        let mut rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (rule, left) = rules.iter_mut().find(|(rule, left)| *left != Some(0) && fits(rule))?;
        if let Some(left) = left {
            *left -= 1;
        }
        Some(rule.clone())
    }
}

/// A model of this name that answers as the test says.
pub(super) fn model(name: &str, rules: &[ModelRule], recording: Option<&Recording>) -> ScriptedModel {
    let rules = Rules::new(rules.to_vec(), |rule: &ModelRule| rule.times);
    let (name, recorded) = (name.to_owned(), recording.map(|recording| recording.replay(name)));
    ScriptedModel::new().script(move |request| {
        if let Some(answer) = recorded.as_ref().and_then(|recorded| recorded.answer(request)) {
            return Ok(answer);
        }
        let fits = |rule: &ModelRule| {
            let of_step =
                rule.step.as_ref().is_none_or(|step| request.step.as_ref().is_some_and(|key| means(step, key)));
            let holds = |text: &String| request.messages.iter().any(|message| message.content.contains(text));
            of_step && rule.when.as_ref().is_none_or(holds)
        };
        match rules.take(fits) {
            Some(ModelRule { error: Some(Failing { message, retryable, .. }), .. }) => {
                Err(ModelError::Backend { message, retryable })
            }
            Some(ModelRule { answer: Some(Value::String(text)), .. }) => Ok(text),
            Some(rule) => Ok(rule.answer.unwrap_or_default().to_string()),
            None => Err(no_answer(&name, request, recorded.is_some())),
        }
    })
}

fn no_answer(name: &str, request: &ChatRequest, recorded: bool) -> ModelError {
    let step = request.step.as_ref().map(|key| format!(" of the step `{key}`")).unwrap_or_default();
    let asked = request.messages.last().map_or("", |message| message.content.as_str());
    let asked: String = asked.chars().take(120).collect();
    let why = if recorded { ", and the recording none either: prompts may have changed since" } else { "" };
    let message = format!("the test has no answer of the model `{name}` to the request{step}{why}: {asked:?}");
    ModelError::Backend { message, retryable: false }
}

/// The tools as a test sees them: those that it answers for, and of the `built_in` ones those that stay in its folder.
pub(super) fn tools(
    real: &Toolbox,
    built_in: &HashSet<String>,
    rules: &BTreeMap<String, Vec<ToolRule>>,
) -> Result<Toolbox, String> {
    if let Some(name) = rules.keys().find(|name| real.get(name).is_none()) {
        let known: Vec<_> = real.iter().map(|tool| tool.spec().name.clone()).collect();
        let help = parkway_core::workflow::did_you_mean(name, known.iter().map(String::as_str));
        return Err(format!("no tool is called `{name}`; {}", help.unwrap_or_default()));
    }
    let mut staged = Toolbox::new();
    for tool in real.iter() {
        let rules = rules.get(&tool.spec().name).cloned().unwrap_or_default();
        let rules = Rules::new(rules, |rule: &ToolRule| rule.times);
        let built_in = built_in.contains(&tool.spec().name);
        staged.insert(Arc::new(Staged { real: tool.clone(), built_in, rules }));
    }
    Ok(staged)
}

struct Staged {
    real: SharedTool,
    built_in: bool,
    rules: Rules<ToolRule>,
}

#[async_trait]
impl Tool for Staged {
    fn spec(&self) -> &ToolSpec {
        self.real.spec()
    }

    fn reach(&self, grants: &Value) -> Result<Reach, ToolError> {
        self.real.reach(grants)
    }

    async fn call(&self, input: Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        let fits = |rule: &ToolRule| {
            rule.step.as_ref().is_none_or(|step| means(step, &context.step)) && holds(&input, &rule.with)
        };
        let spec = self.spec();
        match self.rules.take(fits) {
            Some(ToolRule { error: Some(Failing { code, message, retryable, not_done }), .. }) => {
                Err(ToolError { retryable, not_done, ..ToolError::invalid(code, message) })
            }
            Some(rule) => Ok(ToolOutput::new(rule.output.unwrap_or_default())),
            None if spec.effect == Effect::Pure || self.built_in && stays(spec, &input, context) => {
                self.real.call(input, context).await
            }
            None => {
                let message =
                    format!("the test has no output of `{}` for the step `{}`: {input}", spec.name, context.step);
                Err(ToolError::invalid("no_answer", message))
            }
        }
    }
}

/// Whether a call of a built-in tool touches nothing outside the test's folder. Of a database that is a file.
fn stays(spec: &ToolSpec, input: &Value, context: &ToolContext) -> bool {
    let is_a_file = |name: &str| {
        let database = &context.grants["databases"][name];
        // One that is not granted is refused by the tool itself.
        database.is_null() || database["sqlite"].is_string() && database["postgres"].is_null()
    };
    OWN.contains(&spec.family()) || spec.family() == "sql" && input["database"].as_str().is_some_and(is_a_file)
}

fn holds(input: &Value, wanted: &Map<String, Value>) -> bool {
    wanted.iter().all(|(name, value)| input.get(name) == Some(value))
}
