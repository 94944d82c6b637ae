//! Workflows made in Rust: the same values as in a file, read by the same reader.

use std::path::PathBuf;
use std::time::Duration;

use parkway_core::policy::Rule;
use parkway_core::workflow::{Definition, Diagnostic, Diagnostics};
use serde_json::{Map, Value, json};

use super::field::Field;
use super::step::Step;
use super::{Workflow, no_files, read};
use crate::error::Error;

/// Makes a workflow; made by [`Workflow::builder`]. Each method writes a key of the file format, and values may hold
/// expressions as there. What is wrong is told by [`WorkflowBuilder::build`] with the lines of the file that it would be.
#[derive(Clone, Debug)]
#[must_use = "a workflow is there after `build`"]
pub struct WorkflowBuilder {
    name: String,
    folder: Option<PathBuf>,
    top: Map<String, Value>,
    twice: Vec<String>,
}

impl Workflow {
    /// Makes a workflow in Rust.
    ///
    /// ```
    /// use parkway::{Field, Step, Workflow};
    /// use serde_json::json;
    ///
    /// # fn main() -> Result<(), parkway::Error> {
    /// let workflow = Workflow::builder("greetings")
    ///     .input("people", Field::array(Field::string()).default(["Ada", "Grace"]))
    ///     .tools("files", json!({ "write": ["out"] }))
    ///     .step(
    ///         "each",
    ///         Step::group()
    ///             .for_each("${{ inputs.people }}")
    ///             .item("person")
    ///             .step("greet", Step::set().with("text", "Hello, ${{ person }}"))
    ///             .result("${{ steps.greet.output.text }}"),
    ///     )
    ///     .step("confirm", Step::approve("Write ${{ steps.each.output | length }} greetings?"))
    ///     .step(
    ///         "write",
    ///         Step::tool("files.write_text")
    ///             .needs("confirm")
    ///             .with("path", "out/greetings.json")
    ///             .with("text", "${{ steps.each.output }}"),
    ///     )
    ///     .output("path", "${{ steps.write.output.path }}")
    ///     .build()?;
    /// assert_eq!(workflow.name(), "greetings");
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(name: impl Into<String>) -> WorkflowBuilder {
        let name = name.into();
        let top = Map::from_iter([("parkway".to_owned(), json!(1)), ("name".to_owned(), json!(name))]);
        WorkflowBuilder { name, folder: None, top, twice: Vec::new() }
    }
}

impl WorkflowBuilder {
    /// Where the files are that it names: other workflows, and `json!({ "file": path })` in place of a text.
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Says what the workflow is for.
    pub fn description(self, text: impl Into<String>) -> Self {
        self.raw("description", text.into())
    }

    /// Adds an input.
    pub fn input(self, name: impl Into<String>, field: Field) -> Self {
        self.entry("inputs", name, field)
    }

    /// Says what the inputs are as a whole JSON Schema, in place of [`WorkflowBuilder::input`].
    pub fn input_schema(self, schema: Value) -> Self {
        self.raw("input_schema", schema)
    }

    /// Declares an environment variable that templates may use.
    pub fn env(self, name: impl Into<String>) -> Self {
        self.item("env", name.into())
    }

    /// Declares a secret that templates may use.
    pub fn secret(self, name: impl Into<String>) -> Self {
        self.item("secrets", name.into())
    }

    /// Adds a model: where it comes from, as in a file; `json!({})` is one that the program binds.
    pub fn model(self, name: impl Into<String>, source: Value) -> Self {
        self.entry("models", name, source)
    }

    /// Grants something to a family of tools, and sets it up.
    pub fn tools(self, family: impl Into<String>, grant: Value) -> Self {
        self.entry("tools", family, grant)
    }

    /// Adds a rule, which can only tighten the policy.
    pub fn rule(self, rule: &Rule) -> Self {
        self.item("policy", json!(rule))
    }

    /// Limits the tokens of all model calls together.
    pub fn most_tokens(self, most: u64) -> Self {
        self.entry("budget", "tokens", most)
    }

    /// Limits the calls of tools.
    pub fn most_tool_calls(self, most: u64) -> Self {
        self.entry("budget", "tool_calls", most)
    }

    /// Limits what priced model calls cost together.
    pub fn most_money(self, most: f64) -> Self {
        self.entry("budget", "money", most)
    }

    /// Limits the time with steps running.
    pub fn most_wall(self, most: Duration) -> Self {
        self.entry("budget", "wall", span(most))
    }

    /// Limits all time from the run's creation.
    pub fn deadline(self, after: Duration) -> Self {
        self.raw("deadline", span(after))
    }

    /// What steps are without saying it themselves: `retry`, `timeout`, `model`, `max_parallel`, `temperature`,
    /// `max_tokens`.
    pub fn default(self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.entry("defaults", key, value)
    }

    /// Adds a step.
    pub fn step(mut self, id: impl Into<String>, step: Step) -> Self {
        self.twice.extend(step.twice());
        self.entry("steps", id, step.into_value())
    }

    /// Adds an output.
    pub fn output(self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.entry("outputs", name, value)
    }

    /// Adds an expression that must be true at the end.
    pub fn ensure(self, expression: impl Into<String>) -> Self {
        self.item("ensure", expression.into())
    }

    /// Writes a key of the file format as it is.
    pub fn raw(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.top.insert(key.into(), value.into());
        self
    }

    /// The workflow, read and not checked yet, or all that is wrong with its shape.
    pub fn build(mut self) -> Result<Workflow, Error> {
        self.top.entry("steps").or_insert_with(|| json!({}));
        if !self.twice.is_empty() {
            let problem = |name: &String| {
                Diagnostic::new("duplicate-key", None, format!("{name} is there twice")).help("rename one of them")
            };
            return Err(Diagnostics::new(&self.name, "", self.twice.iter().map(problem).collect()).into());
        }
        let value = Value::Object(self.top);
        let definition = match self.folder {
            Some(folder) => Definition::from_value(&self.name, &value, |file| read(&folder.join(file))),
            None => Definition::from_value(&self.name, &value, no_files),
        }?;
        Ok(Workflow { definition })
    }

    fn entry(mut self, key: &str, name: impl Into<String>, value: impl Into<Value>) -> Self {
        enter(&mut self.top, key, name.into(), value.into(), &mut self.twice);
        self
    }

    fn item(mut self, key: &str, value: impl Into<Value>) -> Self {
        push(&mut self.top, key, value.into());
        self
    }
}

/// Adds an entry to the map under a key, and notes one that is there already.
pub(super) fn enter(map: &mut Map<String, Value>, key: &str, name: String, value: Value, twice: &mut Vec<String>) {
    if let Value::Object(entries) = map.entry(key).or_insert_with(|| json!({})) {
        if entries.contains_key(&name) {
            twice.push(format!("`{name}` in `{key}`"));
        }
        entries.insert(name, value);
    }
}

/// Adds an item to the list under a key.
pub(super) fn push(map: &mut Map<String, Value>, key: &str, value: Value) {
    if let Value::Array(list) = map.entry(key).or_insert_with(|| json!([])) {
        list.push(value);
    }
}

/// A duration as a file says it, in whole milliseconds.
pub(super) fn span(duration: Duration) -> String {
    format!("{}ms", duration.as_nanos().div_ceil(1_000_000))
}

/// The page of the book about it, whose example is run.
#[cfg(doctest)]
#[doc = include_str!("../../../../docs/src/builder.md")]
struct Book;
