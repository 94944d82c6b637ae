//! The state of a run as bytes: what a snapshot holds. Only the engine that wrote them reads them, over the same plan.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::call::Used;
use super::reopen::Reopened;
use super::shape::Shape;
use super::stop::Stop;
use super::{Forked, Kept, RunState};
use crate::id::{Digest, Fence, RunId, Seq, StepKey, Time};
use crate::label::Labels;
use crate::log::ready::Ready;
use crate::log::step::{
    Answer, Approval, Came, Fan, Overtime, Rounds, Step, StepError, StepIndex, StepStatus, Waiting,
};
use crate::log::{
    Actor, Budget, Commitment, FailureReason, Finish, Parent, Resolution, RunStatus, SkipReason, Verdict, WaitFor,
};
use crate::model::Usage;
use crate::workflow::{NodeIndex, Plan};

/// What the bytes mean. Whoever changes the state of a run, or a step's, raises it.
pub(crate) const SNAPSHOT_VERSION: u32 = 2;

/// All statuses, each at its number.
const STATUSES: [StepStatus; 8] = [
    StepStatus::Pending,
    StepStatus::Running,
    StepStatus::Waiting,
    StepStatus::Completed,
    StepStatus::Failed,
    StepStatus::Skipped,
    StepStatus::Cancelled,
    StepStatus::InDoubt,
];

type Text = [u8; 32];
type Error = (String, Text);

#[derive(Serialize, Deserialize)]
struct FrozenRun {
    /// What there is once: JSON, as its parts are written in events.
    once: Vec<u8>,
    roots: Vec<usize>,
    listeners: Vec<usize>,
    children: Vec<usize>,
    signals: Vec<(u64, Text, Text)>,
    steps: Vec<FrozenStep>,
    ready: Ready,
}

#[derive(Serialize, Deserialize)]
struct Once {
    run: RunId,
    created: Time,
    opened: Time,
    updated: Time,
    head: Seq,
    fence: Fence,
    status: RunStatus,
    plan_payload: Option<Commitment>,
    inputs: Option<Commitment>,
    input_labels: Labels,
    env: Option<Commitment>,
    parent: Option<Parent>,
    forked: Option<(RunId, Seq, StepKey, Seq)>,
    reopened: Option<Reopened>,
    open: usize,
    failure: Option<FailureReason>,
    stop: Stop,
    groups_over: u32,
    completed: Option<Commitment>,
    failed: Option<FailureReason>,
    cancelled: bool,
    spent: Budget,
    reserved: Budget,
    running: u32,
    paused: u32,
    waiting: u32,
    active_since: Time,
    active: Duration,
    model_calls: u32,
    usage: Usage,
    used: Vec<(usize, Used)>,
}

#[derive(Serialize, Deserialize)]
struct FrozenStep {
    node: u32,
    parent: Option<usize>,
    item: Option<u32>,
    iteration: u32,
    status: u8,
    attempt: u32,
    failures: u32,
    forgiven: u32,
    reopened: Option<u64>,
    interruptions: u32,
    args: Option<Text>,
    secrets: Option<Text>,
    arg_labels: (bool, bool),
    output: Option<Text>,
    labels: (bool, bool),
    error: Option<Error>,
    reserved: (u64, u64),
    settled: (u64, u64),
    fan: Option<Box<FrozenFan>>,
    rounds: Option<(Vec<usize>, Option<bool>, u32)>,
    redo: u32,
    told: bool,
    time_up: Option<i64>,
    overtime: Option<(bool, bool)>,
    members: Vec<usize>,
    retry_at: Option<i64>,
    started: Option<i64>,
    ended: Option<i64>,
    live: bool,
    waits_for: usize,
    open: usize,
    first_failure: Option<Error>,
    asking: u32,
    /// What few steps have: JSON, as its parts are written in events.
    rare: Option<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
struct FrozenFan {
    total: u32,
    list: Text,
    names: Option<Text>,
    labels: (bool, bool),
    items: Vec<usize>,
    ended: u32,
    active: u32,
    failed: Option<(u32, Error)>,
    again: Vec<u32>,
}

#[derive(Default, PartialEq, Serialize, Deserialize)]
struct Rare {
    skipped: Option<SkipReason>,
    confidence: Option<u16>,
    waiting: Option<(WaitFor, Option<Came>)>,
    resolution: Option<Resolution<Commitment>>,
    approval: Option<(Commitment, Commitment, Option<Time>, Option<FrozenAnswer>)>,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct FrozenAnswer {
    verdict: Verdict,
    note: Option<Commitment>,
    by: Actor,
    at: Time,
    inherited: bool,
}

impl RunState {
    /// The state as bytes.
    pub(crate) fn freeze(&self) -> Result<Vec<u8>, String> {
        // Named one by one, so that what is added to the state is not forgotten here.
        let RunState {
            plan: _,
            shape: _,
            run,
            created,
            opened,
            updated,
            head,
            fence,
            status,
            plan_payload,
            inputs,
            input_labels,
            env,
            parent,
            forked,
            reopened,
            steps,
            index: _,
            roots,
            open,
            failure,
            stop,
            groups_over,
            signals,
            listeners,
            children,
            finish,
            spent,
            reserved,
            running,
            paused,
            waiting,
            active_since,
            active,
            model_calls,
            usage,
            used,
            grown: _,
            ready,
        } = self;
        if self.pursues() {
            return Err("its plan grows while it runs".into());
        }
        let mut used: Vec<(usize, Used)> = used.iter().map(|(index, used)| (index.0, *used)).collect();
        used.sort_by_key(|(index, _)| *index);
        let (completed, failed) = match finish {
            Some(Finish::Completed(outputs)) => (Some(*outputs), None),
            Some(Finish::Failed(reason)) => (None, Some(reason.clone())),
            _ => (None, None),
        };
        let once = Once {
            run: *run,
            created: *created,
            opened: *opened,
            updated: *updated,
            head: *head,
            fence: *fence,
            status: *status,
            plan_payload: *plan_payload,
            inputs: *inputs,
            input_labels: *input_labels,
            env: *env,
            parent: parent.clone(),
            forked: forked.as_ref().map(|forked| (forked.from, forked.at, forked.step.clone(), forked.until)),
            reopened: *reopened,
            open: *open,
            failure: failure.clone(),
            stop: *stop,
            groups_over: *groups_over,
            completed,
            failed,
            cancelled: matches!(finish, Some(Finish::Cancelled)),
            spent: *spent,
            reserved: *reserved,
            running: *running,
            paused: *paused,
            waiting: *waiting,
            active_since: *active_since,
            active: *active,
            model_calls: *model_calls,
            usage: *usage,
            used,
        };
        let frozen = FrozenRun {
            once: json(&once)?,
            roots: numbers(roots),
            listeners: numbers(listeners),
            children: numbers(children),
            signals: signals.iter().map(|kept| (kept.seq.0, *kept.name.as_bytes(), *kept.payload.as_bytes())).collect(),
            steps: steps.iter().map(freeze_step).collect::<Result<_, _>>()?,
            ready: ready.clone(),
        };
        let body = postcard::to_stdvec(&frozen).map_err(|e| e.to_string())?;
        Ok([Digest::of(&[&body]).as_bytes().as_slice(), &body].concat())
    }

    /// The state that these bytes are of; why there is none in words.
    pub(crate) fn thaw(plan: Arc<Plan>, bytes: &[u8]) -> Result<RunState, String> {
        let (digest, body) = bytes.split_at_checked(32).ok_or("it is cut off")?;
        if Digest::of(&[body]).as_bytes().as_slice() != digest {
            return Err("its bytes are not those that were written".into());
        }
        let frozen: FrozenRun = postcard::from_bytes(body).map_err(|e| e.to_string())?;
        let once: Once = serde_json::from_slice(&frozen.once).map_err(|e| e.to_string())?;
        let (mut steps, mut index) = (Vec::with_capacity(frozen.steps.len()), HashMap::new());
        for step in frozen.steps {
            let step = thaw_step(&plan, &steps, step)?;
            index.insert(step.key.clone(), StepIndex(steps.len()));
            steps.push(step);
        }
        let finish = match (once.completed, once.failed, once.cancelled) {
            (Some(outputs), ..) => Some(Finish::Completed(outputs)),
            (None, Some(reason), _) => Some(Finish::Failed(reason)),
            (None, None, true) => Some(Finish::Cancelled),
            (None, None, false) => None,
        };
        let shape = Arc::new(Shape::of(&plan.graph));
        let signal = |(seq, name, payload): (u64, Text, Text)| Kept {
            seq: Seq(seq),
            name: Commitment::from_bytes(name),
            payload: Commitment::from_bytes(payload),
        };
        Ok(RunState {
            plan,
            shape,
            run: once.run,
            created: once.created,
            opened: once.opened,
            updated: once.updated,
            head: once.head,
            fence: once.fence,
            status: once.status,
            plan_payload: once.plan_payload,
            inputs: once.inputs,
            input_labels: once.input_labels,
            env: once.env,
            parent: once.parent,
            forked: once.forked.map(|(from, at, step, until)| Forked { from, at, step, until }),
            reopened: once.reopened,
            steps,
            index,
            roots: places(frozen.roots),
            open: once.open,
            failure: once.failure,
            stop: once.stop,
            groups_over: once.groups_over,
            signals: frozen.signals.into_iter().map(signal).collect(),
            listeners: places(frozen.listeners),
            children: places(frozen.children),
            finish,
            spent: once.spent,
            reserved: once.reserved,
            running: once.running,
            paused: once.paused,
            waiting: once.waiting,
            active_since: once.active_since,
            active: once.active,
            model_calls: once.model_calls,
            usage: once.usage,
            used: once.used.into_iter().map(|(index, used)| (StepIndex(index), used)).collect(),
            grown: Vec::new(),
            ready: frozen.ready,
        })
    }
}

fn freeze_step(step: &Step) -> Result<FrozenStep, String> {
    let Step {
        key,
        node,
        parent,
        status,
        attempt,
        failures,
        forgiven,
        reopened,
        interruptions,
        args,
        secrets,
        arg_labels,
        output,
        labels,
        error,
        skipped,
        confidence,
        approval,
        reserved,
        settled,
        waiting,
        fan,
        rounds,
        redo,
        resolution,
        told,
        time_up,
        overtime,
        members,
        retry_at,
        started,
        ended,
        live,
        waits_for,
        open,
        first_failure,
        asking,
        // Of a run that has any there is no snapshot.
        growth: _,
    } = step;
    let answer = |answer: &Answer| FrozenAnswer {
        verdict: answer.verdict,
        note: answer.note,
        by: answer.by.clone(),
        at: answer.at,
        inherited: answer.inherited,
    };
    let rare = Rare {
        skipped: skipped.clone(),
        confidence: *confidence,
        waiting: waiting.as_ref().map(|waiting| (waiting.what.clone(), waiting.came)),
        resolution: resolution.clone(),
        approval: approval
            .as_ref()
            .map(|asked| (asked.prompt, asked.shown, asked.expires, asked.answer.as_ref().map(answer))),
    };
    let fan = fan.as_ref().map(|fan| {
        Box::new(FrozenFan {
            total: fan.total,
            list: *fan.list.as_bytes(),
            names: fan.names.as_ref().map(text),
            labels: flags(fan.labels),
            items: numbers(&fan.items),
            ended: fan.ended,
            active: fan.active,
            failed: fan.failed.as_ref().map(|(item, failed)| (*item, freeze_error(failed))),
            again: fan.again.iter().copied().collect(),
        })
    });
    Ok(FrozenStep {
        node: node.0,
        parent: parent.map(|parent| parent.0),
        item: step.item(),
        iteration: key.last().map_or(0, |segment| segment.iteration),
        status: STATUSES.iter().position(|one| one == status).and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX),
        attempt: *attempt,
        failures: *failures,
        forgiven: *forgiven,
        reopened: reopened.map(|seq| seq.0),
        interruptions: *interruptions,
        args: args.as_ref().map(text),
        secrets: secrets.as_ref().map(text),
        arg_labels: flags(*arg_labels),
        output: output.as_ref().map(text),
        labels: flags(*labels),
        error: error.as_ref().map(freeze_error),
        reserved: (reserved.tokens, reserved.tool_calls),
        settled: (settled.tokens, settled.tool_calls),
        fan,
        rounds: rounds.as_ref().map(|rounds| (numbers(&rounds.begun), rounds.done, rounds.before)),
        redo: *redo,
        told: *told,
        time_up: time_up.map(Time::micros),
        overtime: overtime.map(|over| (over.spent, over.had_failed)),
        members: numbers(members),
        retry_at: retry_at.map(Time::micros),
        started: started.map(Time::micros),
        ended: ended.map(Time::micros),
        live: *live,
        waits_for: *waits_for,
        open: *open,
        first_failure: first_failure.as_ref().map(freeze_error),
        asking: *asking,
        rare: if rare == Rare::default() { None } else { Some(json(&rare)?) },
    })
}

/// A step, of whose group, fan-out or repetition the step stands in `before`.
fn thaw_step(plan: &Plan, before: &[Step], frozen: FrozenStep) -> Result<Step, String> {
    let unknown = || "it is of another plan".to_owned();
    let node = plan.graph.nodes.get(frozen.node as usize).ok_or_else(unknown)?;
    let host = frozen.parent.map(|parent| before.get(parent).ok_or_else(unknown)).transpose()?;
    let key = match (host, frozen.item, frozen.iteration) {
        (Some(host), Some(item), _) => host.key.item(item),
        (Some(host), None, round @ 1..) => host.key.round(round),
        (Some(host), None, 0) => host.key.child(&node.id),
        (None, ..) => StepKey::root(&node.id),
    };
    let rare = match &frozen.rare {
        Some(rare) => serde_json::from_slice(rare).map_err(|e| e.to_string())?,
        None => Rare::default(),
    };
    let answer = |answer: FrozenAnswer| Answer {
        verdict: answer.verdict,
        note: answer.note,
        by: answer.by,
        at: answer.at,
        inherited: answer.inherited,
    };
    let fan = frozen.fan.map(|fan| Fan {
        total: fan.total,
        list: Commitment::from_bytes(fan.list),
        names: fan.names.map(Commitment::from_bytes),
        labels: labels(fan.labels),
        items: places(fan.items),
        ended: fan.ended,
        active: fan.active,
        failed: fan.failed.map(|(item, error)| (item, thaw_error(error))),
        again: fan.again.into_iter().collect::<BTreeSet<_>>(),
    });
    Ok(Step {
        key,
        node: NodeIndex(frozen.node),
        parent: frozen.parent.map(StepIndex),
        status: STATUSES.get(usize::from(frozen.status)).copied().ok_or("it has a status that is none")?,
        attempt: frozen.attempt,
        failures: frozen.failures,
        forgiven: frozen.forgiven,
        reopened: frozen.reopened.map(Seq),
        interruptions: frozen.interruptions,
        args: frozen.args.map(Commitment::from_bytes),
        secrets: frozen.secrets.map(Commitment::from_bytes),
        arg_labels: labels(frozen.arg_labels),
        output: frozen.output.map(Commitment::from_bytes),
        labels: labels(frozen.labels),
        error: frozen.error.map(thaw_error),
        skipped: rare.skipped,
        confidence: rare.confidence,
        approval: rare.approval.map(|(prompt, shown, expires, given)| Approval {
            prompt,
            shown,
            expires,
            answer: given.map(answer),
        }),
        reserved: Budget::new(frozen.reserved.0, frozen.reserved.1),
        settled: Budget::new(frozen.settled.0, frozen.settled.1),
        waiting: rare.waiting.map(|(what, came)| Waiting { what, came }),
        fan,
        rounds: frozen.rounds.map(|(begun, done, before)| Rounds { begun: places(begun), done, before }),
        redo: frozen.redo,
        resolution: rare.resolution,
        told: frozen.told,
        time_up: frozen.time_up.map(Time::from_micros),
        overtime: frozen.overtime.map(|(spent, had_failed)| Overtime { spent, had_failed }),
        members: places(frozen.members),
        retry_at: frozen.retry_at.map(Time::from_micros),
        started: frozen.started.map(Time::from_micros),
        ended: frozen.ended.map(Time::from_micros),
        live: frozen.live,
        waits_for: frozen.waits_for,
        open: frozen.open,
        first_failure: frozen.first_failure.map(thaw_error),
        asking: frozen.asking,
        growth: None,
    })
}

fn json<T: Serialize>(value: &T) -> Result<Vec<u8>, String> {
    serde_json::to_vec(value).map_err(|e| e.to_string())
}

fn numbers(places: &[StepIndex]) -> Vec<usize> {
    places.iter().map(|place| place.0).collect()
}

fn places(numbers: Vec<usize>) -> Vec<StepIndex> {
    numbers.into_iter().map(StepIndex).collect()
}

fn text(commitment: &Commitment) -> Text {
    *commitment.as_bytes()
}

fn flags(labels: Labels) -> (bool, bool) {
    (labels.untrusted, labels.secret)
}

fn labels((untrusted, secret): (bool, bool)) -> Labels {
    Labels { untrusted, secret }
}

fn freeze_error(error: &StepError) -> Error {
    (error.code.clone(), text(&error.message))
}

fn thaw_error((code, message): Error) -> StepError {
    StepError { code, message: Commitment::from_bytes(message) }
}
