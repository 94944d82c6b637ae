//! The one way in: a workflow as YAML goes in, its event log comes out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parkway_core::clock::{Clock, SystemClock};
use parkway_core::engine::{Control, Ended, Executor, ExecutorError, Services};
use parkway_core::id::{RunId, Seq, WorkerId};
use parkway_core::label::Labels;
use parkway_core::log::{Channel, Commitment, Event, EventKind, Resolution, RunState, SkipReason, Verdict, WaitFor};
use parkway_core::model::SharedModel;
use parkway_core::policy::{DefaultPolicy, Policy};
use parkway_core::secret::{Secret, SecretError, Secrets};
use parkway_core::store::{Log, Message, Queue, Store};
use parkway_core::testing::{FakeClock, FaultyStore, MemoryStore, ScriptedModel};
use parkway_core::tool::{Effect, Tool, ToolContext, ToolError, ToolOutput, ToolSpec, Toolbox, tool_fn};
use parkway_core::workflow::{Definition, Diagnostics, Inputs, Plan, Requirements};
use serde_json::{Value, json};

/// A world to run workflows in.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) tools: Toolbox,
    pub(crate) model: Arc<ScriptedModel>,
    pub(crate) control: Control,
    pub(crate) worker: &'static str,
    pub(crate) concurrency: usize,
    pub(crate) clock: Arc<dyn Clock>,
    /// How long a run may take before it is said to hang.
    pub(crate) patience: Duration,
    pub(crate) secrets: Vault,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) policy: Arc<dyn Policy>,
    /// In place of the scripted model.
    pub(crate) own_model: Option<SharedModel>,
    /// What stands before the store, and may fail.
    pub(crate) front: Option<Arc<FaultyStore>>,
}

/// Secrets by name.
#[derive(Clone, Default)]
pub(crate) struct Vault(pub(crate) BTreeMap<String, String>);

#[async_trait::async_trait]
impl Secrets for Vault {
    async fn get(&self, name: &str) -> Result<Option<Secret>, SecretError> {
        Ok(self.0.get(name).map(Secret::new))
    }
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
pub(crate) struct Echo {
    #[serde(default)]
    value: Value,
}

impl World {
    pub(crate) fn new() -> World {
        let mut tools = Toolbox::new();
        tools.insert(Arc::new(tool_fn("t.echo", Effect::Pure, |echo: Echo| async move { Ok(echo.value) })));
        tools.insert(Arc::new(tool_fn("t.fail", Effect::Pure, |echo: Echo| async move {
            Err::<Value, _>(ToolError::invalid("broken", format!("told to fail with {}", echo.value)))
        })));
        tools.insert(Arc::new(
            tool_fn("t.letter", Effect::Read, |_: Echo| async move { Ok(json!({"text": "dear all"})) })
                .labels(Labels::UNTRUSTED),
        ));
        World {
            store: Arc::new(MemoryStore::new(Arc::new(SystemClock))),
            tools,
            model: Arc::new(ScriptedModel::new().otherwise("fine")),
            control: Control::default(),
            worker: "one",
            concurrency: 64,
            clock: Arc::new(SystemClock),
            patience: Duration::from_secs(60),
            secrets: Vault::default(),
            env: BTreeMap::new(),
            policy: Arc::new(DefaultPolicy),
            own_model: None,
            front: None,
        }
    }

    /// A world whose time is that of the test's runtime, paused: waiting takes no time.
    pub(crate) fn paced() -> World {
        let world = World::new().at(Arc::new(FakeClock::default().paced()));
        World { patience: Duration::from_secs(7_200), ..world }
    }

    pub(crate) fn at(self, clock: Arc<dyn Clock>) -> World {
        World { store: Arc::new(MemoryStore::new(clock.clone())), clock, ..self }
    }

    pub(crate) fn tool(mut self, tool: impl Tool + 'static) -> World {
        self.tools.insert(Arc::new(tool));
        self
    }

    pub(crate) fn model(mut self, model: ScriptedModel) -> World {
        self.model = Arc::new(model);
        self
    }

    pub(crate) fn plan(&self, yaml: &str) -> Result<Plan, Diagnostics> {
        let definition = Definition::parse("test.yaml", yaml, |path| Err(format!("no file {path}")))?;
        Plan::check(&definition, &Requirements::new(&self.tools, DefaultPolicy.fingerprint()))
    }

    pub(crate) fn services(&self) -> Services {
        let store: Arc<dyn Store> = match &self.front {
            Some(front) => front.clone(),
            None => self.store.clone(),
        };
        let mut services = Services::new(
            store,
            Arc::new(self.tools.clone()),
            self.policy.clone(),
            self.clock.clone(),
            WorkerId::new(self.worker),
        );
        services.lease = Duration::from_secs(30);
        services.concurrency = self.concurrency;
        // Whoever takes a run up here begins with a snapshot.
        services.snapshot_every = 1;
        services.secrets = Arc::new(self.secrets.clone());
        let env = self.env.clone();
        services.env = Arc::new(move |name| env.get(name).cloned());
        services
    }

    pub(crate) fn models(&self) -> BTreeMap<String, SharedModel> {
        let model: SharedModel = match &self.own_model {
            Some(model) => model.clone(),
            None => self.model.clone(),
        };
        BTreeMap::from([("main".to_owned(), model)])
    }

    pub(crate) async fn create(&self, yaml: &str, inputs: Value) -> Executor {
        let plan = self.plan(yaml).unwrap_or_else(|problems| panic!("{problems}"));
        self.create_plan(plan, inputs).await
    }

    pub(crate) async fn create_plan(&self, plan: Plan, inputs: Value) -> Executor {
        let inputs = plan.fill_inputs(inputs.as_object().cloned().unwrap_or_else(Inputs::new)).unwrap();
        Executor::create(self.services(), self.models(), self.control.clone(), Arc::new(plan), &inputs).await.unwrap()
    }

    pub(crate) async fn run(&self, yaml: &str, inputs: Value) -> (RunId, Ended) {
        self.drive(self.create(yaml, inputs).await).await
    }

    pub(crate) async fn drive(&self, executor: Executor) -> (RunId, Ended) {
        let run = executor.run();
        let ended = tokio::time::timeout(self.patience, executor.execute()).await.expect("hangs").unwrap();
        (run, ended)
    }

    pub(crate) async fn resume(&self, run: RunId) -> Result<Ended, ExecutorError> {
        let plan = self.stored_plan(run).await;
        let executor =
            Executor::take_over(self.services(), self.models(), self.control.clone(), Arc::new(plan), run).await?;
        tokio::time::timeout(self.patience, executor.execute()).await.expect("hangs")
    }

    /// Another process beside this one, on the same store.
    pub(crate) fn beside(&self) -> World {
        World { worker: "two", control: Control::default(), front: None, ..self.clone() }
    }

    /// A store before this one's that fails when it is told to.
    pub(crate) fn faulty(&mut self) -> Arc<FaultyStore> {
        let front = Arc::new(FaultyStore::new(self.store.clone()));
        self.front = Some(front.clone());
        front
    }

    /// Ada's word about a step, from elsewhere.
    pub(crate) async fn answer(&self, run: RunId, step: &str, yes: bool) {
        let verdict = if yes { Verdict::Approved } else { Verdict::Rejected };
        let (step, note) = (step.parse().unwrap(), (!yes).then(|| "too soon".to_owned()));
        let message = Message::Approval { step, verdict, note, by: "ada".into(), via: Channel::Command };
        self.store.signal(run, message).await.unwrap();
    }

    pub(crate) async fn signal(&self, run: RunId, name: &str, payload: Value) {
        let message = Message::Signal { name: name.into(), payload, by: "ada".into(), via: Channel::Command };
        self.store.signal(run, message).await.unwrap();
    }

    /// A form filled by Ada.
    pub(crate) async fn fill(&self, run: RunId, step: &str, values: Value) {
        let message = Message::Input { step: step.parse().unwrap(), values, by: "ada".into(), via: Channel::Command };
        self.store.signal(run, message).await.unwrap();
    }

    /// Ada's word about a call in doubt.
    pub(crate) async fn resolve(&self, run: RunId, step: &str, outcome: Resolution<Value>) {
        let (step, by, via) = (step.parse().unwrap(), "ada".into(), Channel::Command);
        self.store.signal(run, Message::Resolve { step, outcome, note: None, by, via }).await.unwrap();
    }

    pub(crate) async fn cancel(&self, run: RunId) {
        let message = Message::Cancel { note: None, by: "ada".into(), via: Channel::Command };
        self.store.signal(run, message).await.unwrap();
    }

    pub(crate) async fn stored_plan(&self, run: RunId) -> Plan {
        let events = self.store.events(run, Seq(0)).await.unwrap();
        let EventKind::RunCreated { plan, .. } = &events[0].kind else { panic!("{:?}", events[0]) };
        serde_json::from_value(self.payload(*plan).await).unwrap()
    }

    pub(crate) async fn payload(&self, commitment: Commitment) -> Value {
        let payload = self.store.payloads(&[commitment]).await.unwrap().remove(0).expect("a payload");
        payload.value().unwrap()
    }

    pub(crate) async fn events(&self, run: RunId) -> Vec<Event> {
        self.store.events(run, Seq(0)).await.unwrap()
    }

    pub(crate) async fn state(&self, run: RunId) -> RunState {
        let plan = self.stored_plan(run).await;
        RunState::replay(run, Arc::new(plan), &self.events(run).await).unwrap()
    }

    pub(crate) async fn outputs(&self, run: RunId) -> Value {
        for event in self.events(run).await {
            if let EventKind::RunCompleted { outputs } = event.kind {
                return self.payload(outputs).await;
            }
        }
        panic!("the run has no outputs:\n{}", self.log(run).await)
    }

    /// The log, one line an event: what happened to which step, and the texts.
    pub(crate) async fn log(&self, run: RunId) -> String {
        let mut lines = Vec::new();
        for event in self.events(run).await {
            lines.push(self.line(&event).await);
        }
        lines.join("\n")
    }

    async fn line(&self, event: &Event) -> String {
        let kind = &event.kind;
        let name = kind.name();
        let key = kind.key().map(|key| format!(" {key}")).unwrap_or_default();
        let rest = match kind {
            EventKind::StepStarted { attempt, args: Some(args), rule, .. } => {
                let by = rule.as_ref().map(|rule| format!(" by {rule}")).unwrap_or_default();
                format!(" #{attempt} {}{by}", self.payload(*args).await)
            }
            EventKind::StepStarted { attempt, .. } => format!(" #{attempt}"),
            EventKind::StepCompleted { output: Some(output), labels, .. } => {
                let label = if labels.untrusted { " (untrusted)" } else { "" };
                let mut output = self.payload(*output).await;
                // The one time in an output that no test decides.
                if let (true, Some(at)) = (output.get("via").is_some(), output.get_mut("at")) {
                    *at = json!("T");
                }
                format!(" {output}{label}")
            }
            EventKind::StepExpanded { items, .. } => format!(" {items} items"),
            EventKind::StepFailed { code, message, .. }
            | EventKind::StepRetried { code, message, .. }
            | EventKind::StepInDoubt { code, message, .. } => {
                format!(" {code}: {}", text(self.payload(*message).await))
            }
            EventKind::StepSkipped { reason, .. } => match reason {
                SkipReason::Dependency { id } => format!(" since {id} did not complete"),
                other => format!(" {other:?}"),
            },
            EventKind::PolicyDecided { verdict, rule, .. } => format!(" {verdict:?} by {rule}"),
            EventKind::ApprovalRequested { prompt, shown, .. } => {
                format!(" {} {}", text(self.payload(*prompt).await), self.payload(*shown).await)
            }
            EventKind::ApprovalDecided { verdict, .. } => format!(" {verdict:?}"),
            EventKind::StepResolved { outcome: Resolution::Done { output }, .. } => {
                format!(" done {}", self.payload(*output).await)
            }
            EventKind::StepResolved { outcome, .. } => format!(" {outcome:?}"),
            EventKind::StepRepeated { round, done, .. } => format!(" after {round}: {done}"),
            EventKind::StepWaiting { what, .. } => match what {
                WaitFor::Signal { name, .. } => format!(" for signal {}", text(self.payload(*name).await)),
                WaitFor::Input { prompt, .. } => format!(" for input: {}", text(self.payload(*prompt).await)),
                _ => " for a time".to_owned(),
            },
            EventKind::TimerFired { timer, .. } => format!(" {timer:?}"),
            EventKind::SignalReceived { name, payload, .. } => {
                format!(" {} {}", text(self.payload(*name).await), self.payload(*payload).await)
            }
            EventKind::InputReceived { values, .. } => format!(" {}", self.payload(*values).await),
            EventKind::BudgetReserved { share, .. } => format!(" {} tokens, {} calls", share.tokens, share.tool_calls),
            EventKind::BudgetSettled { spent, .. } => format!(" {} tokens, {} calls", spent.tokens, spent.tool_calls),
            EventKind::ModelCalled { turn, call, .. } => {
                format!(
                    " turn {turn}, {}, {}",
                    self.payload(call.answer).await,
                    if call.valid { "valid" } else { "invalid" }
                )
            }
            EventKind::RunCompleted { outputs } => format!(" {}", self.payload(*outputs).await),
            EventKind::RunFailed { reason } => {
                let step = reason.step.as_ref().map(|step| format!(" at {step}")).unwrap_or_default();
                let message = match reason.message {
                    Some(message) => text(self.payload(message).await),
                    None => String::new(),
                };
                format!(" {}{step}: {message}", reason.code)
            }
            _ => String::new(),
        };
        format!("{name}{key}{rest}")
    }
}

fn text(value: Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A tool whose calls a test decides: `act` is told the attempt's context.
pub(crate) struct Acting<F> {
    pub(crate) spec: ToolSpec,
    pub(crate) act: F,
}

impl<F, R> Acting<F>
where
    F: Fn(Value, ToolContext) -> R + Send + Sync,
    R: Future<Output = Result<Value, ToolError>> + Send,
{
    pub(crate) fn new(name: &str, effect: Effect, act: F) -> Self {
        let any = json!({});
        let spec = ToolSpec {
            name: name.into(),
            description: "for a test".into(),
            input_schema: any.clone(),
            output_schema: any,
            effect,
            labels: Labels::NONE,
        };
        Acting { spec, act }
    }
}

#[async_trait::async_trait]
impl<F, R> Tool for Acting<F>
where
    F: Fn(Value, ToolContext) -> R + Send + Sync,
    R: Future<Output = Result<Value, ToolError>> + Send,
{
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, input: Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        (self.act)(input, context.clone()).await.map(ToolOutput::new)
    }
}

/// Runs a workflow without inputs, and compares its log from the first step on, and that a replay gives the same state.
pub(crate) async fn check(yaml: &str, log: &str) {
    check_in(&World::new(), yaml, log).await;
}

/// The same in a world of the test's own.
pub(crate) async fn check_in(world: &World, yaml: &str, log: &str) -> RunId {
    let yaml = format!("parkway: 1\nname: test\n{yaml}");
    let (run, ended) = world.run(&yaml, json!({})).await;
    compare(world, run, log).await;
    assert_eq!(world.state(run).await.status(), ended.status);
    run
}

/// Compares a run's log from the first step on.
pub(crate) async fn compare(world: &World, run: RunId, log: &str) {
    let said = world.log(run).await;
    let said: Vec<_> = said.lines().skip(2).collect();
    let expected: Vec<_> = log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert!(said == expected, "the log is\n{}\n\nand not\n{}", said.join("\n"), expected.join("\n"));
}
