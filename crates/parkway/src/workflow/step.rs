//! Steps made in Rust: a verb, and what stands beside it.

use std::time::Duration;

use parkway_core::model::Role;
use parkway_core::workflow::{OnError, OnItemError, Retry, RunIf};
use serde_json::{Map, Value, json};

use super::builder::{enter, push, span};
use super::field::Field;

/// A step: one verb, and what stands beside it. A method that does not go with the verb is told when the workflow is built.
#[derive(Clone, Debug)]
#[must_use]
pub struct Step {
    verb: &'static str,
    /// What the verb says where that is one value: a tool's name, a path, a duration.
    head: Option<Value>,
    /// What the verb says where that is a map.
    inner: Map<String, Value>,
    beside: Map<String, Value>,
    twice: Vec<String>,
}

/// The verbs.
impl Step {
    fn new(verb: &'static str, head: Option<Value>) -> Self {
        Step { verb, head, inner: Map::new(), beside: Map::new(), twice: Vec::new() }
    }

    /// Calls a tool; its arguments follow with [`Step::with`].
    pub fn tool(name: impl Into<String>) -> Self {
        Step::new("tool", Some(name.into().into()))
    }

    /// Asks a model, by its name in the workflow.
    pub fn chat(model: impl Into<String>) -> Self {
        Step::new("chat", None).inside("model", model.into())
    }

    /// Reaches a goal in turns of a model, which calls tools ([`Step::tools`]) and answers.
    ///
    /// ```
    /// use parkway::{Field, Step, Workflow};
    /// use serde_json::json;
    ///
    /// # fn main() -> Result<(), parkway::Error> {
    /// let workflow = Workflow::builder("largest")
    ///     .model("main", json!({ "gguf": { "name": "smollm2-135m-instruct" } }))
    ///     .tools("files", json!({ "read": ["in"] }))
    ///     .step(
    ///         "find",
    ///         Step::agent("main", "Which file in the folder `in` is the largest?")
    ///             .tools(["files.*"])
    ///             .max_turns(6)
    ///             .output("file", Field::string()),
    ///     )
    ///     .build()?;
    /// # assert_eq!(workflow.name(), "largest");
    /// # Ok(())
    /// # }
    /// ```
    pub fn agent(model: impl Into<String>, goal: impl Into<Value>) -> Self {
        Step::new("agent", None).inside("model", model.into()).inside("goal", goal)
    }

    /// Reaches a goal by a plan that a model writes over [`Step::tools`]: its lines are checked as they are written, and its steps run.
    ///
    /// ```
    /// use parkway::{Step, Workflow};
    /// use serde_json::json;
    ///
    /// # fn main() -> Result<(), parkway::Error> {
    /// let workflow = Workflow::builder("tidy")
    ///     .model("main", json!({ "gguf": { "name": "smollm2-135m-instruct" } }))
    ///     .tools("files", json!({ "read": ["in"], "write": ["out"] }))
    ///     .step("tidy", Step::plan("main", "Copy all letters to `out`.").tools(["files.*"]).max_steps(8).approve_plan())
    ///     .build()?;
    /// # assert_eq!(workflow.name(), "tidy");
    /// # Ok(())
    /// # }
    /// ```
    pub fn plan(model: impl Into<String>, goal: impl Into<Value>) -> Self {
        Step::new("plan", None).inside("model", model.into()).inside("goal", goal)
    }

    /// Runs another workflow, by its path in [`WorkflowBuilder::folder`]; its inputs follow with [`Step::with`].
    ///
    /// [`WorkflowBuilder::folder`]: super::WorkflowBuilder::folder
    pub fn workflow(path: impl Into<String>) -> Self {
        Step::new("workflow", Some(path.into().into()))
    }

    /// A group; its members follow with [`Step::step`].
    pub fn group() -> Self {
        Step::new("steps", None)
    }

    /// Asks a person for a yes or a no.
    pub fn approve(prompt: impl Into<String>) -> Self {
        Step::new("approve", None).inside("prompt", prompt.into())
    }

    /// Asks a person for values; the fields of the form follow with [`Step::output`].
    pub fn input(prompt: impl Into<String>) -> Self {
        Step::new("input", None).inside("prompt", prompt.into())
    }

    /// Waits so long.
    pub fn wait(time: Duration) -> Self {
        Step::new("wait", Some(span(time).into()))
    }

    /// Waits until a time: a template of RFC 3339 text.
    pub fn wait_until(time: impl Into<String>) -> Self {
        Step::new("wait", None).inside("until", time.into())
    }

    /// Waits for a signal from outside.
    pub fn wait_for(signal: impl Into<String>) -> Self {
        Step::new("wait", None).inside("signal", signal.into())
    }

    /// Makes values; they follow with [`Step::with`].
    pub fn set() -> Self {
        Step::new("set", None)
    }
}

/// What belongs to a verb.
impl Step {
    /// Adds an argument of a tool, an input of a workflow, or a value of `set`.
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        let (name, value) = (name.into(), value.into());
        if self.verb == "set" {
            if self.inner.contains_key(&name) {
                self.twice.push(format!("`{name}` in `set`"));
            }
            return self.inside(&name, value);
        }
        enter(&mut self.beside, "with", name, value, &mut self.twice);
        self
    }

    /// Adds a member of a group.
    pub fn step(mut self, id: impl Into<String>, step: Step) -> Self {
        let id = id.into();
        if self.inner.contains_key(&id) {
            self.twice.push(format!("`{id}` in `steps`"));
        }
        self.twice.extend(step.twice());
        self.inside(&id, step.into_value())
    }

    /// The output of a group.
    pub fn result(self, value: impl Into<Value>) -> Self {
        self.raw("result", value)
    }

    /// Runs a workflow as a run of its own.
    pub fn own_run(self) -> Self {
        self.raw("own_run", true)
    }

    /// What a model is told above the conversation: a text, or `json!({ "file": path })`.
    pub fn system(self, text: impl Into<Value>) -> Self {
        self.inside("system", text)
    }

    /// What a model is asked: a text, or `json!({ "file": path })`.
    pub fn prompt(self, text: impl Into<Value>) -> Self {
        self.inside("prompt", text)
    }

    /// Shows a model a question and its answer: a text, or the object.
    pub fn example(mut self, prompt: impl Into<Value>, answer: impl Into<Value>) -> Self {
        push(&mut self.inner, "examples", json!({ "prompt": prompt.into(), "answer": answer.into() }));
        self
    }

    /// Adds a message, in place of `system`, `example` and `prompt`.
    pub fn message(mut self, role: Role, text: impl Into<Value>) -> Self {
        push(&mut self.inner, "messages", json!({ "role": role.as_str(), "content": text.into() }));
        self
    }

    /// Adds a field of a model's answer, or of a form.
    pub fn output(mut self, name: impl Into<String>, field: Field) -> Self {
        enter(&mut self.inner, "output", name.into(), field.into(), &mut self.twice);
        self
    }

    /// Says what a model's answer or a form is as a whole JSON Schema, in place of [`Step::output`].
    pub fn output_schema(self, schema: Value) -> Self {
        self.inside("output_schema", schema)
    }

    /// How freely a model answers, from 0.
    pub fn temperature(self, temperature: f64) -> Self {
        self.inside("temperature", temperature)
    }

    /// The most tokens of an answer.
    pub fn max_tokens(self, most: u32) -> Self {
        self.inside("max_tokens", most)
    }

    /// The seed of a model's choices.
    pub fn seed(self, seed: u64) -> Self {
        self.inside("seed", seed)
    }

    /// The adapter to put on a model, by its name there.
    pub fn adapter(self, name: impl Into<String>) -> Self {
        self.inside("adapter", name.into())
    }

    /// Offers a tool to a model; its calls come back as output, and are not made. Beside an agent or a plan they are.
    pub fn offer(mut self, tool: impl Into<String>) -> Self {
        push(&mut self.inner, "tools", tool.into().into());
        self
    }

    /// Offers tools to a model: names, families (`files.*`), or workflows (`json!({ "workflow": path })`).
    pub fn tools<T: Into<Value>>(mut self, tools: impl IntoIterator<Item = T>) -> Self {
        for tool in tools {
            push(&mut self.inner, "tools", tool.into());
        }
        self
    }

    /// The most turns of an agent, and of the one that goes on where a plan cannot be mended.
    pub fn max_turns(self, most: u32) -> Self {
        self.inside("max_turns", most)
    }

    /// The most steps of a plan.
    pub fn max_steps(self, most: u32) -> Self {
        self.inside("max_steps", most)
    }

    /// How often what has not started of a plan may be planned anew after a failure.
    pub fn max_replans(self, most: u32) -> Self {
        self.inside("max_replans", most)
    }

    /// Has a person approve a plan before anything is changed: the key `approve`.
    pub fn approve_plan(self) -> Self {
        self.inside("approve", true)
    }

    /// Only writes a plan: its lines are the output, and no step of it runs.
    pub fn draft(self) -> Self {
        self.inside("draft", true)
    }

    /// Shows a planner a plan that worked for another goal.
    pub fn plan_example(mut self, goal: impl Into<String>, lines: impl IntoIterator<Item = Value>) -> Self {
        let lines: Vec<Value> = lines.into_iter().collect();
        push(&mut self.inner, "examples", json!({ "goal": goal.into(), "lines": lines }));
        self
    }

    /// What a person sees beside the prompt.
    pub fn show(self, value: impl Into<Value>) -> Self {
        self.inside("show", value)
    }
}

/// What stands beside a verb.
impl Step {
    /// Says what the step is for.
    pub fn description(self, text: impl Into<String>) -> Self {
        self.raw("description", text.into())
    }

    /// Waits for a step whose output it does not name.
    pub fn needs(mut self, id: impl Into<String>) -> Self {
        push(&mut self.beside, "needs", id.into().into());
        self
    }

    /// Runs only if an expression is true: the key `if`.
    pub fn when(self, expression: impl Into<String>) -> Self {
        self.raw("if", expression.into())
    }

    /// How the steps that it waits for must have ended.
    pub fn run_if(mut self, run_if: RunIf) -> Self {
        // All completed is what no key means.
        self.beside.remove("run_if");
        if run_if == RunIf::Completed { self } else { self.raw("run_if", json!(run_if)) }
    }

    /// Does it once for each item of a list.
    pub fn for_each(self, list: impl Into<Value>) -> Self {
        self.raw("for_each", list)
    }

    /// What an item is called: the key `as`.
    pub fn item(self, name: impl Into<String>) -> Self {
        self.raw("as", name.into())
    }

    /// An expression that names an item.
    pub fn key(self, expression: impl Into<String>) -> Self {
        self.raw("key", expression.into())
    }

    /// How many items run at once.
    pub fn max_parallel(self, most: u32) -> Self {
        self.raw("max_parallel", most)
    }

    /// What the failure of an item means.
    pub fn on_item_error(self, on_item_error: OnItemError) -> Self {
        self.raw("on_item_error", json!(on_item_error))
    }

    /// Does it again until an expression is true, at most so often, with a delay between.
    pub fn repeat(self, until: impl Into<String>, max: u32, delay: Duration) -> Self {
        self.raw("repeat", json!({ "until": until.into(), "max": max, "delay": span(delay) }))
    }

    /// How often a failed attempt is tried again: [`Retry::times`].
    pub fn retry(self, retry: &Retry) -> Self {
        let parts = json!({
            "max": retry.max,
            "initial": span(Duration::from_millis(retry.initial_ms)),
            "factor": f64::from(retry.factor_percent) / 100.0,
            "limit": span(Duration::from_millis(retry.limit_ms)),
            "on": retry.on,
        });
        self.raw("retry", parts)
    }

    /// How long one attempt may take, the whole of a group or workflow, or a person or a signal.
    pub fn timeout(self, most: Duration) -> Self {
        match self.verb {
            "approve" | "input" | "wait" => self.inside("timeout", span(most)),
            _ => self.raw("timeout", span(most)),
        }
    }

    /// What its failure means for the others.
    pub fn on_error(self, on_error: OnError) -> Self {
        self.raw("on_error", json!(on_error))
    }

    /// Writes a key beside the verb as it is.
    pub fn raw(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.beside.insert(key.into(), value.into());
        self
    }

    fn inside(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.inner.insert(key.into(), value.into());
        self
    }

    pub(super) fn twice(&self) -> Vec<String> {
        self.twice.clone()
    }

    pub(super) fn into_value(self) -> Value {
        let mut step = self.beside;
        match self.head {
            Some(head) => {
                step.insert(self.verb.into(), head);
                // What is no part of this verb stands where the reader tells it.
                step.extend(self.inner);
            }
            None => drop(step.insert(self.verb.into(), Value::Object(self.inner))),
        }
        Value::Object(step)
    }
}
