//! One cell: a tiny workflow, run on the engine to its end, in the time of a paused runtime.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parkway_core::engine::{Executor, Services};
use parkway_core::id::{RunId, Seq};
use parkway_core::log::{Channel, EventKind, RunStatus, SkipReason};
use parkway_core::policy::{Decision, DefaultPolicy, Policy, PolicyRequest, Verdict};
use parkway_core::store::{Log, Message, Queue};
use parkway_core::tool::{Effect, ToolError};
use parkway_core::workflow::{Definition, Plan, Requirements};
use serde_json::json;
use tokio::sync::Notify;

use super::ending::{Ending, FromOutside};
use super::line::Watch;
use crate::check::{Acting, World};

/// The workflow that the lines about sub-workflows call.
const CHILD: &str = "
parkway: 1
tools: { t: {} }
steps:
  x: { BODY }
  after: { needs: [x], set: { n: 1 } }
  at_last_after: { needs: [x], run_if: always, set: { n: 1 } }
outputs: { seen: \"${{ steps.x.status }}\" }
";

/// What a cell's workflow did.
pub(super) struct Found {
    /// As the table says it.
    pub(super) printed: String,
    /// The workflow, and its log or the checker's answer.
    pub(super) why: String,
}

pub(super) async fn cell(yaml: String, watch: Watch, ending: &'static Ending) -> Found {
    let started = Arc::new(Notify::new());
    let world = world(started.clone());
    let yaml = format!("parkway: 1\ntools: {{ t: {{}} }}\n{}\n{}\n", ending.top, yaml.replace("BODY", ending.body));
    let child = |_: &str| Ok(CHILD.replace("BODY", ending.body));
    let plan = Definition::parse("test.yaml", &yaml, child)
        .and_then(|definition| Plan::check(&definition, &Requirements::new(&world.tools, AllowAll.fingerprint())));
    let plan = match plan {
        Ok(plan) => Arc::new(plan),
        Err(problems) => {
            let said = problems.to_string();
            let codes: BTreeSet<_> =
                said.split("error[").skip(1).filter_map(|rest| Some(rest.split_once(']')?.0)).collect();
            let codes: Vec<_> = codes.into_iter().collect();
            return Found { printed: format!("refused `{}`", codes.join("`, `")), why: format!("{yaml}\n{said}") };
        }
    };
    let services = services(&world);
    let executor = Executor::create(services.clone(), world.models(), world.control.clone(), plan.clone(), &json!({}))
        .await
        .unwrap();
    let run = executor.run();
    let ended = drive(&world, services, plan, executor, ending.from_outside, &started);
    let in_time = tokio::time::timeout(Duration::from_secs(3_600), ended).await.is_ok();
    let why = format!("{yaml}\n{}", world.log(run).await);
    if !in_time {
        return Found { printed: "hangs".into(), why };
    }
    let run_ends = run_end(&world, run).await;
    let printed = match watch {
        Watch::Run => run_ends,
        watch => format!("{}; run {run_ends}", watched(&world, run, &watch).await),
    };
    Found { printed, why }
}

/// Takes the run to its end, or to where only a person can move it.
async fn drive(
    world: &World,
    services: Services,
    plan: Arc<Plan>,
    executor: Executor,
    from_outside: FromOutside,
    started: &Notify,
) {
    let run = executor.run();
    let mut going = tokio::spawn(executor.execute());
    if from_outside == FromOutside::Cancel {
        tokio::select! {
            () = started.notified() => {
                let cancel = Message::Cancel { note: None, by: "ada".into(), via: Channel::Command };
                world.store.signal(run, cancel).await.unwrap();
            }
            ended = &mut going => { ended.unwrap().unwrap(); return }
        }
    }
    loop {
        if going.await.unwrap().unwrap().status != RunStatus::Waiting || from_outside != FromOutside::Reject {
            return;
        }
        // The question may stand in the run of a sub-workflow that has its own.
        let child = run.child(&"w".parse().unwrap());
        let (of, asked) = match (open_question(world, run).await, open_question(world, child).await) {
            (Some(asked), _) => (run, asked),
            (None, Some(asked)) => (child, asked),
            (None, None) => return,
        };
        world.answer(of, &asked, false).await;
        let again = Executor::take_over(services.clone(), world.models(), world.control.clone(), plan.clone(), run);
        going = tokio::spawn(again.await.unwrap().execute());
    }
}

/// The first approval that nobody has answered and that nothing has ended.
async fn open_question(world: &World, run: RunId) -> Option<String> {
    let mut open = Vec::new();
    for event in world.store.events(run, Seq(0)).await.unwrap_or_default() {
        let Some(key) = event.kind.key().map(ToString::to_string) else { continue };
        match event.kind {
            EventKind::ApprovalRequested { .. } => open.push(key),
            EventKind::StepFailed { .. } | EventKind::StepCompleted { .. } | EventKind::StepCancelled { .. } => {
                open.retain(|asked| *asked != key);
            }
            _ => {}
        }
    }
    // `x` before what is asked beside it.
    let of_x = open.iter().position(|asked| asked.ends_with('x')).unwrap_or(0);
    (!open.is_empty()).then(|| open.swap_remove(of_x))
}

async fn run_end(world: &World, run: RunId) -> String {
    match world.events(run).await.pop().map(|event| event.kind) {
        Some(EventKind::RunCompleted { .. }) => "completed".into(),
        Some(EventKind::RunFailed { reason }) => format!("failed `{}`", reason.code),
        Some(EventKind::RunCancelled) => "cancelled".into(),
        _ => "waits".into(),
    }
}

/// What became of what the line is about.
async fn watched(world: &World, run: RunId, watch: &Watch) -> String {
    let wanted = match watch {
        Watch::Step(step) | Watch::Output(step) => step.as_str(),
        Watch::Outputs | Watch::Run => "",
    };
    let (mut said, mut value) = (None, None);
    for event in world.events(run).await {
        if let (EventKind::RunCompleted { outputs }, Watch::Outputs) = (&event.kind, watch) {
            value = Some(*outputs);
        }
        if event.kind.key().is_none_or(|key| key.to_string() != wanted) {
            continue;
        }
        said = match event.kind {
            EventKind::StepCompleted { output, .. } => {
                value = output;
                Some(if wanted.ends_with("after") { "runs" } else { "completed" }.to_owned())
            }
            EventKind::StepFailed { code, .. } => Some(format!("failed `{code}`")),
            EventKind::StepCancelled { .. } => Some("cancelled".into()),
            EventKind::StepSkipped { reason, .. } => Some(format!("skipped ({})", why_skipped(reason))),
            _ => said,
        };
    }
    match (watch, value, said) {
        (Watch::Step(_), _, Some(said)) => said,
        (Watch::Step(_), _, None) if run_end(world, run).await == "waits" => "waits".into(),
        (Watch::Step(_), _, None) => "never starts".into(),
        (_, Some(value), _) => world.payload(value).await.to_string(),
        (_, None, _) => "-".into(),
    }
}

fn why_skipped(reason: SkipReason) -> String {
    match reason {
        SkipReason::Condition => "if".into(),
        SkipReason::Dependency { id } => id,
        SkipReason::RunIf => "run_if".into(),
        SkipReason::RunFailed => "failed".into(),
        SkipReason::RunCancelled => "cancelled".into(),
        other => format!("{other:?}"),
    }
}

/// Tools that take long, that say when they have begun, and whose calls get lost.
fn world(started: Arc<Notify>) -> World {
    let takes = |name, effect, time, started: Option<Arc<Notify>>| {
        Acting::new(name, effect, move |_, _| {
            started.iter().for_each(|started| started.notify_one());
            async move {
                tokio::time::sleep(time).await;
                Ok(json!(1))
            }
        })
    };
    let long = Duration::from_secs(600);
    World::paced()
        .tool(takes("t.slow", Effect::Pure, long, None))
        .tool(takes("t.short", Effect::Pure, Duration::from_secs(20), None))
        .tool(takes("t.hang", Effect::Pure, long, Some(started.clone())))
        .tool(Acting::new("t.hold", Effect::AtMostOnce, move |_, context| {
            started.notify_one();
            async move {
                context.cancel.cancelled().await;
                Err(ToolError::transient("net", "the line was cut"))
            }
        }))
        .tool(Acting::new("t.panic", Effect::Pure, |_, _| async { panic!("told to") }))
        .tool(Acting::new("t.lose", Effect::AtMostOnce, |_, _| async {
            Err(ToolError::transient("net", "the line broke"))
        }))
}

fn services(world: &World) -> Services {
    let mut services = world.services();
    services.policy = Arc::new(AllowAll);
    services
}

/// Asks nobody, so that a call that must not be repeated is made.
struct AllowAll;

impl Policy for AllowAll {
    fn decide(&self, request: &PolicyRequest<'_>) -> Decision {
        Decision { verdict: Verdict::Allow, ..DefaultPolicy.decide(request) }
    }

    fn fingerprint(&self) -> String {
        "all is allowed".into()
    }
}
