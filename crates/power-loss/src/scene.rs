//! What is done while the power may fail: workflows with tools of every effect, people who answer, runs of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parkway_core::clock::SystemClock;
use parkway_core::engine::{Control, Executor, ExecutorError, Services};
use parkway_core::id::{RunId, Seq, WorkerId};
use parkway_core::label::Labels;
use parkway_core::log::{Channel, Commitment, EventKind, Resolution, RunState, RunStatus, StepStatus, Verdict};
use parkway_core::policy::{DefaultPolicy, Policy};
use parkway_core::store::{Message, RunFilter, Store};
use parkway_core::tool::{Effect, Tool, ToolContext, ToolError, ToolOutput, ToolSpec, Toolbox};
use parkway_core::workflow::{Definition, Inputs, Plan, Requirements};
use parkway_core::write::{OutboxEntry, ToolWrite};
use serde_json::{Value, json};

use crate::record::{Mark, Record};
use crate::table;

/// A workflow with an example of most of what writes to a log.
const WORKFLOW: &str = "
parkway: 1
name: storm
tools: { t: {} }
inputs: { n: { type: integer } }
steps:
  look: { tool: t.read, with: { n: '${{ inputs.n }}' } }
  ask: { approve: { prompt: 'go on with ${{ inputs.n }}?' } }
  each: { for_each: [1, 2, 3], max_parallel: 2, tool: t.write, with: { n: '${{ steps.look.output.n }}', item: '${{ item }}' } }
  flaky: { tool: t.flaky, retry: { max: 3, initial: 1ms }, with: { n: '${{ steps.look.output.n }}' } }
  post: { needs: [look], for_each: [1, 2], max_parallel: 2, tool: t.post, with: { n: '${{ item }}' } }
  group:
    needs: [flaky]
    steps:
      nap: { wait: 5ms }
      sum: { needs: [nap], tool: t.pure, with: { text: '${{ steps.flaky.output.n }} after a nap' } }
    result: '${{ steps.sum.output }}'
  send: { needs: [ask], tool: t.once, with: { to: '${{ steps.each.output | length }} people' } }
  rounds: { needs: [group], repeat: { until: index == 1, max: 3 }, tool: t.write, with: { n: '${{ index }}' } }
  bad: { tool: t.bad, on_error: continue }
  inner: { workflow: child.yaml, with: { n: 1 } }
  own: { needs: [inner], workflow: child.yaml, own_run: true, with: { n: 2 } }
  last: { needs: [send, rounds, bad, own, each, post], tool: t.write, with: { text: '${{ steps.own.output.n }}', long: '${{ [steps.send.output.to] | join }}' } }
outputs: { end: '${{ steps.last.output.text }}', sent: '${{ steps.send.output.to }}' }
";

const CHILD: &str = "
parkway: 1
name: child
tools: { t: {} }
inputs: { n: { type: integer } }
steps:
  confirm: { approve: { prompt: 'n is ${{ inputs.n }}' } }
  store: { needs: [confirm], tool: t.write, with: { n: '${{ inputs.n }}' } }
  post: { needs: [store], tool: t.post, with: { n: '${{ inputs.n }}' } }
outputs: { n: '${{ steps.store.output.n }}' }
";

/// A tool that gives its input back, and does what its name says.
struct Echo {
    spec: ToolSpec,
    record: Option<Arc<Record>>,
}

#[async_trait::async_trait]
impl Tool for Echo {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, input: Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        if let (Some(record), Effect::Idempotent | Effect::AtMostOnce) = (&self.record, self.spec.effect) {
            let (step, attempt) = (context.step.to_string(), context.attempt);
            record.mark(Mark::Effect { run: context.run, step, attempt });
        }
        tokio::task::yield_now().await;
        match self.spec.name.as_str() {
            "t.bad" => Err(ToolError::invalid("broken", "always")),
            "t.flaky" if context.attempt < 3 => Err(ToolError::transient("net", "the line broke")),
            "t.post" => {
                let entry = OutboxEntry::new("effect", json!([context.run.to_string(), context.step.to_string()]));
                let row = table::insert(context.run, &context.step);
                Ok(ToolOutput::new(input).write(ToolWrite::Sql(row)).write(ToolWrite::Outbox(entry)))
            }
            _ => Ok(ToolOutput::new(input)),
        }
    }
}

fn tools(record: Option<&Arc<Record>>) -> Toolbox {
    let mut tools = Toolbox::new();
    for (name, effect) in [
        ("t.pure", Effect::Pure),
        ("t.read", Effect::Read),
        ("t.flaky", Effect::Read),
        ("t.bad", Effect::Pure),
        ("t.write", Effect::Idempotent),
        ("t.post", Effect::Transactional),
        ("t.once", Effect::AtMostOnce),
    ] {
        let spec = ToolSpec {
            name: name.into(),
            description: "for a test".into(),
            input_schema: json!({}),
            output_schema: json!({}),
            effect,
            labels: Labels::NONE,
        };
        tools.insert(Arc::new(Echo { spec, record: record.cloned() }));
    }
    tools
}

/// A process that works on a store.
pub(crate) struct Worker {
    store: Arc<dyn Store>,
    services: Services,
}

/// A call that changed the outside world: its run, its step, its attempt.
pub(crate) type Effects = BTreeSet<(RunId, String, u32)>;

/// How a run ended, as far as it must not depend on what happened to the power.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    status: RunStatus,
    outputs: Value,
    steps: BTreeMap<String, (StepStatus, Value)>,
}

/// How long a run may take before it is said to hang.
const PATIENCE: Duration = Duration::from_secs(120);

impl Worker {
    /// A process of this name. Its tools tell a record what they do.
    pub(crate) fn new(name: &str, store: Arc<dyn Store>, record: Option<&Arc<Record>>) -> Self {
        let tools = Arc::new(tools(record));
        let clock = Arc::new(SystemClock);
        let services = Services::new(store.clone(), tools, Arc::new(DefaultPolicy), clock, WorkerId::new(name));
        Worker { store, services }
    }

    /// Creates a run of the workflow, and drives it to its end.
    pub(crate) async fn run(&self, n: u32) -> Result<RunId, String> {
        let read = |path: &str| if path == "child.yaml" { Ok(CHILD.to_owned()) } else { Err("not there".to_owned()) };
        let definition = Definition::parse("storm.yaml", WORKFLOW, read).map_err(|e| e.to_string())?;
        let requirements = Requirements::new(&self.services.tools, DefaultPolicy.fingerprint());
        let plan = Plan::check(&definition, &requirements).map_err(|e| e.to_string())?;
        let inputs: Inputs = [("n".to_owned(), json!(n))].into_iter().collect();
        let inputs = plan.fill_inputs(inputs).map_err(|e| format!("{e:?}"))?;
        let created =
            Executor::create(self.services.clone(), BTreeMap::new(), Control::default(), Arc::new(plan), &inputs);
        let executor = created.await.map_err(|e| e.to_string())?;
        let run = executor.run();
        tokio::time::timeout(PATIENCE, executor.execute())
            .await
            .map_err(|e| e.to_string())?
            .map_err(|e| e.to_string())?;
        self.go_on(run, &Effects::new()).await?;
        Ok(run)
    }

    /// Goes on with a run until it ends: what it waits for, somebody gives it; what became of a call in doubt, `effects` say.
    pub(crate) async fn go_on(&self, run: RunId, effects: &Effects) -> Result<(), String> {
        for _ in 0..200 {
            for part in self.family(run).await? {
                self.answer(part, effects).await?;
            }
            let plan = Arc::new(self.plan(run).await?);
            let services = self.services.clone();
            match Executor::take_over(services, BTreeMap::new(), Control::default(), plan, run).await {
                Ok(executor) => {
                    let ended = tokio::time::timeout(PATIENCE, executor.execute()).await;
                    let ended = ended.map_err(|_| format!("run {run} hangs"))?.map_err(|e| e.to_string())?;
                    if ended.status.ended() {
                        return Ok(());
                    }
                }
                Err(ExecutorError::Over(..)) => return Ok(()),
                Err(error) => return Err(error.to_string()),
            }
        }
        Err(format!("run {run} never ends: {:?}", self.state(run).await?.steps()))
    }

    /// A run, and those that its steps have for themselves, as far as they are there.
    pub(crate) async fn family(&self, run: RunId) -> Result<Vec<RunId>, String> {
        let mut family = vec![run];
        for key in self.state(run).await?.steps().iter().map(|step| step.key.clone()) {
            let child = run.child(&key);
            let filter = RunFilter { run: Some(child), ..RunFilter::default() };
            if !self.store.runs(&filter).await.map_err(|e| e.to_string())?.is_empty() {
                family.push(child);
            }
        }
        Ok(family)
    }

    async fn answer(&self, run: RunId, effects: &Effects) -> Result<(), String> {
        if self.store.events(run, Seq(0)).await.map_err(|e| e.to_string())?.is_empty() {
            return Ok(());
        }
        let state = self.state(run).await?;
        // Somebody who has answered does not answer again.
        let unread = self.store.inbox(run).await.map_err(|e| e.to_string())?;
        let answered: BTreeSet<String> = unread.iter().filter_map(|received| step_of(&received.message)).collect();
        for step in state.steps().iter().filter(|step| !answered.contains(&step.key.to_string())) {
            let (key, by, via) = (step.key.clone(), "ada".to_owned(), Channel::Command);
            let message = match step.status {
                StepStatus::InDoubt => {
                    let done = effects.contains(&(run, key.to_string(), step.attempt));
                    let outcome = match step.args {
                        Some(args) if done => Resolution::Done { output: self.payload(args).await? },
                        _ => Resolution::Redo,
                    };
                    Message::Resolve { step: key, outcome, note: None, by, via }
                }
                StepStatus::Waiting if step.asks() => {
                    Message::Approval { step: key, verdict: Verdict::Approved, note: None, by, via }
                }
                _ => continue,
            };
            self.store.signal(run, message).await.map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    async fn plan(&self, run: RunId) -> Result<Plan, String> {
        let events = self.store.events(run, Seq(0)).await.map_err(|e| e.to_string())?;
        match events.first().map(|event| &event.kind) {
            Some(EventKind::RunCreated { plan, .. }) => {
                serde_json::from_value(self.payload(*plan).await?).map_err(|e| e.to_string())
            }
            other => Err(format!("run {run} begins with {other:?}")),
        }
    }

    /// The state of a run, as its log says.
    pub(crate) async fn state(&self, run: RunId) -> Result<RunState, String> {
        let plan = Arc::new(self.plan(run).await?);
        let events = self.store.events(run, Seq(0)).await.map_err(|e| e.to_string())?;
        RunState::replay(run, plan, &events).map_err(|e| e.to_string())
    }

    async fn payload(&self, commitment: Commitment) -> Result<Value, String> {
        let payload = self.store.payloads(&[commitment]).await.map_err(|e| e.to_string())?.pop().flatten();
        payload.ok_or("a payload is missing")?.value().map_err(|e| e.to_string())
    }

    /// How a run ended.
    pub(crate) async fn end(&self, run: RunId) -> Result<End, String> {
        let state = self.state(run).await?;
        let events = self.store.events(run, Seq(0)).await.map_err(|e| e.to_string())?;
        let outputs = match events.last().map(|event| &event.kind) {
            Some(EventKind::RunCompleted { outputs }) => self.payload(*outputs).await?,
            other => json!(format!("{other:?}")),
        };
        let mut steps = BTreeMap::new();
        for step in state.steps() {
            let mut output = match step.output {
                Some(output) => self.payload(output).await?,
                None => Value::Null,
            };
            // When a person has answered depends on when they were asked.
            if let (true, Some(at)) = (output.get("via").is_some(), output.get_mut("at")) {
                *at = Value::Null;
            }
            steps.insert(step.key.to_string(), (step.status, output));
        }
        Ok(End { status: state.status(), outputs, steps })
    }
}

fn step_of(message: &Message) -> Option<String> {
    match message {
        Message::Approval { step, .. } | Message::Resolve { step, .. } => Some(step.to_string()),
        _ => None,
    }
}
