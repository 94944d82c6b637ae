//! A goal in Rust: what is to be reached, with which tools, and of what type the answer is.

use std::marker::PhantomData;

use parkway_core::tool::schema_of;
use parkway_core::workflow::{PlanExample, literal};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::embed::Parkway;
use crate::error::Error;
use crate::run::Run;
use crate::workflow::{Workflow, WorkflowBuilder};

/// The name of the only step of a goal's workflow.
const STEP: &str = "goal";

/// A goal that a model plans for: [`Parkway::pursue`] makes a run of it, whose outputs are an [`Answer`]. `T` is the type of the
/// answer: text, if nothing else is said.
///
/// ```
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
/// use parkway::testing::ScriptedModel;
/// use parkway::{Effect, Goal, Parkway, ToolError, tool_fn};
/// use serde_json::json;
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// struct Part { number: String }
/// #[derive(serde::Serialize, schemars::JsonSchema)]
/// struct Stock { pieces: u32 }
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// struct Report { pieces: u32 }
///
/// // In place of a model: it writes a plan of one step, and says what the answer is made of.
/// let model = ScriptedModel::new().script(|request| {
///     let planned = request.step.as_ref().is_some_and(|step| step.to_string().ends_with("line_1"));
///     Ok(if planned {
///         r#"{"id":"s1","tool":"lookup","args":{"number":"A-12"},"why":"the stock of the part"}"#
///     } else {
///         r#"{"done":true,"answer":{"pieces":{"$ref":"s1.pieces"}}}"#
///     }.to_owned())
/// });
/// let lookup = |_: Part| async { Ok::<_, ToolError>(Stock { pieces: 40 }) };
/// let parkway = Parkway::builder()
///     .store("sqlite::memory:")
///     .model("main", model)
///     .tool(tool_fn("lookup", Effect::Read, lookup).describe("How many pieces of a part are in stock."))
///     .build()
///     .await?;
///
/// let goal = Goal::new("How many pieces of A-12 are there?").grant("lookup", json!({})).tools(["lookup"]).typed::<Report>();
/// let (_run, report) = parkway.reach(goal).await?;
/// assert_eq!(report.pieces, 40);
/// # Ok::<_, parkway::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "a goal is pursued by `Parkway::pursue`"]
pub struct Goal<T = String> {
    name: String,
    plan: Map<String, Value>,
    grants: Vec<(String, Value)>,
    model: (String, Value),
    answer: PhantomData<fn() -> T>,
}

/// The outputs of a run that pursued a goal.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Answer<T = String> {
    /// The answer.
    pub answer: T,
}

impl Goal {
    /// What is to be reached, in words. They are data: no expression in them is evaluated.
    pub fn new(goal: impl AsRef<str>) -> Goal {
        let plan = Map::from_iter([("goal".to_owned(), json!(literal(goal.as_ref())))]);
        let model = ("main".to_owned(), json!({}));
        Goal { name: STEP.into(), plan, grants: Vec::new(), model, answer: PhantomData }
    }
}

impl<T> Goal<T> {
    /// What the workflow is called; `goal` if nothing is said.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The model that plans, which the program or the settings bind; `main` if nothing is said.
    pub fn model(mut self, name: impl Into<String>) -> Self {
        self.model.0 = name.into();
        self
    }

    /// Where that model comes from, as a workflow file says it: `json!({ "gguf": { "path": … } })`.
    pub fn model_source(mut self, source: Value) -> Self {
        self.model.1 = source;
        self
    }

    /// The tools that may be called: names, and `family.*` for all of a family.
    pub fn tools<N: Into<String>>(self, tools: impl IntoIterator<Item = N>) -> Self {
        let tools: Vec<String> = tools.into_iter().map(Into::into).collect();
        self.key("tools", json!(tools))
    }

    /// Grants something to a family of tools, and sets it up.
    pub fn grant(mut self, family: impl Into<String>, grant: Value) -> Self {
        self.grants.push((family.into(), grant));
        self
    }

    /// JSON Schema of the answer; free text if nothing is said.
    pub fn output_schema(self, schema: Value) -> Goal<Value> {
        self.key("output_schema", schema).answering()
    }

    /// The type of the answer.
    pub fn typed<A: JsonSchema + DeserializeOwned>(self) -> Goal<A> {
        self.key("output_schema", schema_of::<A>()).answering()
    }

    /// How often what has not started may be planned anew after a failure.
    pub fn max_replans(self, most: u32) -> Self {
        self.key("max_replans", json!(most))
    }

    /// The most steps of the plan, those of its patches counted in.
    pub fn max_steps(self, most: u32) -> Self {
        self.key("max_steps", json!(most))
    }

    /// The most turns of the agent that goes on where the plan was given up.
    pub fn max_turns(self, most: u32) -> Self {
        self.key("max_turns", json!(most))
    }

    /// The most tokens of one turn of the model.
    pub fn max_tokens(self, most: u32) -> Self {
        self.key("max_tokens", json!(most))
    }

    /// Whether a person approves the plan before anything is changed.
    pub fn approve(self, approve: bool) -> Self {
        self.key("approve", json!(approve))
    }

    /// Only writes the plan: the answer is `{"lines": […]}`, and none of its steps runs. [`distil::drafted`](crate::distil::drafted)
    /// makes a workflow of it.
    pub fn draft(self) -> Goal<Value> {
        self.key("draft", json!(true)).answering()
    }

    /// Plans that worked for other goals, shown to the model.
    pub fn examples(self, examples: impl IntoIterator<Item = PlanExample>) -> Self {
        let examples: Vec<_> = examples.into_iter().collect();
        if examples.is_empty() { self } else { self.key("examples", json!(examples)) }
    }

    /// The workflow of one step that pursues the goal, and whose output `answer` is its answer.
    pub fn into_workflow(mut self) -> Result<Workflow, Error> {
        let (model, source) = self.model;
        self.plan.insert("model".into(), json!(model));
        let granted = self.grants.into_iter();
        let builder =
            granted.fold(Workflow::builder(self.name), |builder, (family, grant)| builder.tools(family, grant));
        let builder: WorkflowBuilder = builder.model(model, source);
        let steps = json!({ STEP: { "plan": self.plan } });
        builder.raw("steps", steps).output("answer", format!("${{{{ steps.{STEP}.output }}}}")).build()
    }

    fn key(mut self, key: &str, value: Value) -> Self {
        self.plan.insert(key.into(), value);
        self
    }

    fn answering<A>(self) -> Goal<A> {
        let Goal { name, plan, grants, model, .. } = self;
        Goal { name, plan, grants, model, answer: PhantomData }
    }
}

impl Parkway {
    /// Starts a run that pursues a goal, as [`Parkway::start`] does. Its outputs are an [`Answer`].
    pub async fn pursue<T>(&self, goal: Goal<T>) -> Result<Run, Error> {
        self.start(goal.into_workflow()?, crate::Inputs::new()).await
    }

    /// The same, and waits for the answer.
    pub async fn reach<T: DeserializeOwned>(&self, goal: Goal<T>) -> Result<(Run, T), Error> {
        let run = self.pursue(goal).await?;
        let Answer { answer } = run.output().await?;
        Ok((run, answer))
    }
}
