//! The port to tools: what a step may do to the world, with its effect declared.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use crate::host::HostPattern;
use crate::id::{EffectKey, Fence, RunId, StepKey, Time};
use crate::label::Labels;
use crate::model::{ChatMessage, ChatRequest, Role, SharedModel};
use crate::write::ToolWrite;

/// What calling a tool does to the world. Static: a tool whose effect depends on its arguments is two tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// A function of its arguments; may repeat.
    Pure,
    /// Looks at the world and leaves it as it is; may repeat.
    Read,
    /// Changes the world, and doing it twice with the same key is like doing it once: at least once.
    Idempotent,
    /// Changes only our own database, in the commit of the step: exactly once. The call itself must change nothing: it
    /// returns what is to be changed as [`ToolOutput::writes`], which become true with the completion of its step or not at
    /// all. A process that ends between the two has changed nothing, and the call is simply made again.
    Transactional,
    /// Changes the world and must never be repeated unasked: at most once, and in doubt after a crash.
    AtMostOnce,
}

impl Effect {
    /// Whether the call may be made again after a crash or an error without asking anyone.
    pub fn repeatable(self) -> bool {
        self != Effect::AtMostOnce
    }

    /// Whether a call changes something: then every earlier event must be on disk before it starts.
    pub(crate) fn changes(self) -> bool {
        matches!(self, Effect::Idempotent | Effect::Transactional | Effect::AtMostOnce)
    }

    /// Its name in files and messages, for example `at_most_once`.
    pub fn as_str(self) -> &'static str {
        match self {
            Effect::Pure => "pure",
            Effect::Read => "read",
            Effect::Idempotent => "idempotent",
            Effect::Transactional => "transactional",
            Effect::AtMostOnce => "at_most_once",
        }
    }
}

/// What a tool is: everything that a plan freezes and a model may be shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// `family.verb`, or a single word for a tool of the embedder's; `[a-z][a-z0-9_.]*`.
    pub name: String,
    /// One or two sentences, written for a reader who chooses among tools.
    pub description: String,
    /// JSON Schema of the arguments: an object.
    pub input_schema: Value,
    /// JSON Schema of the output's value.
    pub output_schema: Value,
    /// What a call does to the world.
    pub effect: Effect,
    /// Labels of everything that it returns.
    #[serde(default)]
    pub labels: Labels,
}

impl ToolSpec {
    /// The part of the name before the first dot: what grants are given to.
    pub fn family(&self) -> &str {
        self.name.split('.').next().unwrap_or(&self.name)
    }
}

/// What a tool call gave back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolOutput {
    /// The output, of the tool's output schema.
    pub value: Value,
    /// Labels of this output beside those that the spec declares for every output.
    pub labels: Labels,
    /// What becomes true in the commit of the step. Only a tool with [`Effect::Transactional`] may ask for any. Where the
    /// store refuses one, the step fails with the code `refused`, and none of them becomes true.
    pub writes: Vec<ToolWrite>,
}

impl ToolOutput {
    /// An output with no labels beside the spec's, and no writes.
    pub fn new(value: Value) -> Self {
        ToolOutput { value, labels: Labels::NONE, writes: Vec::new() }
    }

    /// Asks for a change in the commit of the step.
    #[must_use]
    pub fn write(mut self, write: ToolWrite) -> Self {
        self.writes.push(write);
        self
    }
}

/// Why a tool call gave nothing back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ToolError {
    /// Stable code in `snake_case`, as `steps.x.error.code` and `retry.on` show it: `not_found`, `denied`, `invalid`.
    pub code: String,
    /// What happened, where, and a way out: a lowercase fragment.
    pub message: String,
    /// Whether the same call may succeed later.
    pub retryable: bool,
    /// Whether it is certain that the call had no effect. Without it, a failed `at_most_once` call is in doubt.
    pub not_done: bool,
    /// How long the other side asks to be left alone. A retry comes no sooner, up to an hour.
    pub retry_after: Option<Duration>,
}

impl ToolError {
    /// An error that will come again: the call was refused before it had an effect.
    pub fn invalid(code: impl Into<String>, message: impl Into<String>) -> Self {
        ToolError { code: code.into(), message: message.into(), retryable: false, not_done: true, retry_after: None }
    }

    /// An error that may pass; whether the call had an effect is not known.
    pub fn transient(code: impl Into<String>, message: impl Into<String>) -> Self {
        ToolError { retryable: true, not_done: false, ..ToolError::invalid(code, message) }
    }
}

/// What a tool finds when it looks whether an interrupted call was carried out.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reconciled {
    /// It was, and this is its output.
    Done(Value),
    /// It was not; calling again is safe.
    NotDone,
    /// The tool cannot tell: a person must.
    Unknown,
}

/// What a tool call knows of the run that makes it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ToolContext {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepKey,
    /// Which attempt at the step this is, from 1.
    pub attempt: u32,
    /// The same over retries, crashes and workers: hand it to the other side as its idempotency key.
    pub key: EffectKey,
    /// The run's owner count: a system that remembers the highest one it saw can refuse a zombie.
    pub fence: Fence,
    /// The time of this attempt, the same for everything in it.
    pub now: Time,
    /// When the attempt is given up; `None` without a timeout.
    pub deadline: Option<Time>,
    /// What the workflow and the site grant to the tool's family, by that family's schema; null without any.
    pub grants: Value,
    /// Fires when the run is cancelled or the attempt has timed out.
    pub cancel: Cancel,
    /// Counts tokens with the run's models.
    pub tokens: Tokens,
}

impl ToolContext {
    /// A context for calling a tool outside a run: tests, one-off calls.
    pub fn detached(grants: Value, now: Time) -> Self {
        let run = RunId::new(now, [0; 16]);
        let step = StepKey::root("detached");
        let key = EffectKey::new(run, &step, 0);
        let (cancel, tokens) = (Cancel::new(), Tokens::default());
        ToolContext { run, step, attempt: 1, key, fence: Fence(0), now, deadline: None, grants, cancel, tokens }
    }
}

/// Counts the tokens of texts with the models of a run.
#[derive(Clone, Default)]
pub struct Tokens {
    models: BTreeMap<String, SharedModel>,
}

impl Tokens {
    /// Counts with these models, by their names.
    pub fn new(models: BTreeMap<String, SharedModel>) -> Self {
        Tokens { models }
    }

    /// How many tokens the text adds to a message for the model. A template may leave out white space around a message.
    ///
    /// The codes are `unknown_model` where the run has no model of that name, and `no_tokens` where it cannot count.
    pub fn count(&self, model: &str, text: &str) -> Result<usize, ToolError> {
        let Some(found) = self.models.get(model) else {
            let known: Vec<&str> = self.models.keys().map(String::as_str).collect();
            let known = match &known[..] {
                [] => "it has none".into(),
                known => format!("it has {}", known.join(", ")),
            };
            let message =
                format!("no model of this run is called `{model}`; {known}, of those that its `chat` steps ask");
            return Err(ToolError::invalid("unknown_model", message));
        };
        let count = |content: &str| {
            found.count_tokens(&ChatRequest::new(vec![ChatMessage::new(Role::User, content)])).ok_or_else(|| {
                let message = format!("the tokens of model `{model}` cannot be counted here; count characters instead");
                ToolError::invalid("no_tokens", message)
            })
        };
        Ok(count(text)?.saturating_sub(count("")?))
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.models.keys()).finish()
    }
}

/// A flag that is raised once, and that any number of tasks can wait for.
#[derive(Clone)]
pub struct Cancel {
    flag: Arc<watch::Sender<bool>>,
}

impl Cancel {
    /// A flag that is not raised.
    pub fn new() -> Self {
        Cancel { flag: Arc::new(watch::Sender::new(false)) }
    }

    /// Raises the flag.
    pub fn cancel(&self) {
        self.flag.send_replace(true);
    }

    /// Whether the flag is raised.
    pub fn is_cancelled(&self) -> bool {
        *self.flag.borrow()
    }

    /// Returns when the flag is raised.
    pub async fn cancelled(&self) {
        let mut receiver = self.flag.subscribe();
        // The sender lives in `self`, so waiting cannot fail before the flag is raised.
        let _ = receiver.wait_for(|raised| *raised).await;
    }
}

impl Default for Cancel {
    fn default() -> Self {
        Cancel::new()
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancel").field(&self.is_cancelled()).finish()
    }
}

/// A tool.
#[async_trait]
pub trait Tool: Send + Sync {
    /// What it is.
    fn spec(&self) -> &ToolSpec;

    /// Calls it. `input` is valid under the spec's input schema.
    async fn call(&self, input: Value, context: &ToolContext) -> Result<ToolOutput, ToolError>;

    /// Looks whether the call with `key` was carried out. It is asked when an `at_most_once` call is in doubt, once that is on
    /// disk, and again by each process that takes the run up; it has the step's timeout, or 60 seconds, and must change
    /// nothing. `context.attempt` is the attempt in doubt. [`Reconciled::Done`] completes the step with an output of the
    /// tool's output schema, [`Reconciled::NotDone`] fails the attempt (and `retry` applies); [`Reconciled::Unknown`], an
    /// error and a panic leave the doubt to a person. An answer of the other side that may still change is `Unknown`.
    async fn reconcile(&self, key: &EffectKey, context: &ToolContext) -> Result<Reconciled, ToolError> {
        let _ = (key, context);
        Ok(Reconciled::Unknown)
    }

    /// What a workflow lets it reach by what it grants to its family; an error says what is wrong with that. A check of the
    /// workflow asks, so that the error has a place, and the site's bounds are held against the answer. A tool that takes
    /// no grants reaches nothing by them. One that calls another passes this on: what is not told is not bounded.
    fn reach(&self, grants: &Value) -> Result<Reach, ToolError> {
        let _ = grants;
        Ok(Reach::default())
    }
}

/// What a workflow lets a tool reach outside the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reach {
    /// Folders and files, from the project root.
    pub paths: Vec<String>,
    /// Hosts.
    pub hosts: Vec<HostPattern>,
    /// Whether those of the hosts that are named may be in networks that are not public. Without it, none is.
    pub private: bool,
}

/// A shared tool.
pub type SharedTool = Arc<dyn Tool>;

/// The tools at hand, by name.
#[derive(Clone, Default)]
pub struct Toolbox {
    tools: BTreeMap<String, SharedTool>,
}

impl Toolbox {
    /// No tools.
    pub fn new() -> Self {
        Toolbox::default()
    }

    /// Adds a tool. The tool that had the same name before is returned.
    pub fn insert(&mut self, tool: SharedTool) -> Option<SharedTool> {
        self.tools.insert(tool.spec().name.clone(), tool)
    }

    /// The tool named `name`.
    pub fn get(&self, name: &str) -> Option<&SharedTool> {
        self.tools.get(name)
    }

    /// All tools, by name.
    pub fn iter(&self) -> impl Iterator<Item = &SharedTool> {
        self.tools.values()
    }
}

impl fmt::Debug for Toolbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.tools.keys()).finish()
    }
}

/// Makes a tool of an async function from a typed input to a typed output; the schemas come from the types.
///
/// ```
/// use parkway_core::tool::{Effect, ToolError, tool_fn};
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// struct Part { number: String }
/// #[derive(serde::Serialize, schemars::JsonSchema)]
/// struct Stock { pieces: u32 }
///
/// let lookup = tool_fn("lookup", Effect::Read, |part: Part| async move {
///     match part.number.as_str() {
///         "A-1" => Ok(Stock { pieces: 12 }),
///         other => Err(ToolError::invalid("not_found", format!("no part `{other}`"))),
///     }
/// });
/// ```
pub fn tool_fn<F, I, O, R>(name: &str, effect: Effect, function: F) -> FnTool<F, I, O>
where
    F: Fn(I) -> R + Send + Sync,
    R: Future<Output = Result<O, ToolError>> + Send,
    I: DeserializeOwned + JsonSchema + Send,
    O: Serialize + JsonSchema + Send,
{
    FnTool {
        spec: ToolSpec {
            name: name.into(),
            description: String::new(),
            input_schema: schema_of::<I>(),
            output_schema: schema_of::<O>(),
            effect,
            labels: Labels::NONE,
        },
        function,
        types: PhantomData,
    }
}

/// The JSON Schema of a type, as [`tool_fn`] uses it.
pub fn schema_of<T: JsonSchema>() -> Value {
    let mut schema = schemars::schema_for!(T).to_value();
    if let Some(object) = schema.as_object_mut() {
        object.remove("$schema");
    }
    schema
}

/// A tool made by [`tool_fn`].
pub struct FnTool<F, I, O> {
    spec: ToolSpec,
    function: F,
    types: PhantomData<fn(I) -> O>,
}

impl<F, I, O> FnTool<F, I, O> {
    /// Says what the tool is for.
    #[must_use]
    pub fn describe(mut self, description: impl Into<String>) -> Self {
        self.spec.description = description.into();
        self
    }

    /// Sets the labels of everything that the tool returns.
    #[must_use]
    pub fn labels(mut self, labels: Labels) -> Self {
        self.spec.labels = labels;
        self
    }
}

impl<F, I, O> fmt::Debug for FnTool<F, I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FnTool").field("name", &self.spec.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl<F, I, O, R> Tool for FnTool<F, I, O>
where
    F: Fn(I) -> R + Send + Sync,
    R: Future<Output = Result<O, ToolError>> + Send,
    I: DeserializeOwned + JsonSchema + Send,
    O: Serialize + JsonSchema + Send,
{
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, input: Value, _context: &ToolContext) -> Result<ToolOutput, ToolError> {
        let input = serde_json::from_value(input)
            .map_err(|e| ToolError::invalid("invalid", format!("the arguments do not fit the tool's input: {e}")))?;
        let output = (self.function)(input).await?;
        // The function has run: an output that cannot be written as JSON does not undo its effect.
        let value = serde_json::to_value(output).map_err(|e| ToolError {
            not_done: false,
            ..ToolError::invalid("output", format!("the tool's output cannot be written as JSON: {e}"))
        })?;
        Ok(ToolOutput::new(value))
    }
}
