//! Going another way from a step of an earlier run on: what does not depend on the step keeps what came of it, in a new run
//! with the same plan and inputs; the step, and what depends on it, is done anew.

mod copy;
mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::control::Control;
use crate::engine::executor::{Executor, ExecutorError, TENANT, let_go};
use crate::engine::recorder::Draft;
use crate::engine::secret::Known;
use crate::engine::services::Services;
use crate::id::{Fence, RunId, Seq, StepKey};
use crate::log::{Actor, Channel, Event, EventKind, RunState, SkipReason, StepIndex, StepStatus};
use crate::model::SharedModel;
use crate::store::{Lease, NewRun, Write};
use crate::tool::Effect;
use crate::workflow::{NodeIndex, Plan, Verb};

/// What a fork keeps of an earlier run, and what it does anew: known before it starts.
#[derive(Clone, Debug)]
pub struct Fork {
    from: RunId,
    at: Seq,
    step: StepKey,
    plan: Arc<Plan>,
    /// The first event of the new run.
    created: EventKind,
    /// The events of the steps that keep what came of them; `None` for what no person has done.
    events: Vec<(Option<Actor>, EventKind)>,
    kept: Vec<StepKey>,
    anew: Vec<ForkStep>,
}

/// A step that is done anew in a fork, if the fork comes to it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForkStep {
    /// The step; without the items and rounds that nobody knows yet.
    pub key: StepKey,
    /// What it does, as a file names it: `tool`, `chat`.
    pub verb: &'static str,
    /// The tool that it calls.
    pub tool: Option<String>,
    /// The effect of that tool.
    pub effect: Option<Effect>,
    /// Whether nobody knows what became of it, or of an item or a round of it, in the earlier run.
    pub in_doubt: bool,
}

impl ForkStep {
    /// Whether a person is asked before it may call its tool.
    pub fn asks(&self) -> bool {
        self.effect.is_some_and(Effect::changes)
    }
}

impl Fork {
    /// What a fork of this run from `step` on would be. `step` is a step's id, or its place in groups and called workflows,
    /// such as `work.send`.
    pub fn new(plan: Arc<Plan>, run: RunId, events: &[Event], step: &str) -> Result<Fork, ExecutorError> {
        let state = RunState::replay(run, plan.clone(), events)?;
        let way = place::way(&plan, run, step).map_err(ExecutorError::NotAgain)?;
        let created = events.iter().find_map(|event| match event.kind.clone() {
            EventKind::RunCreated { plan, plan_hash, inputs, labels, env, .. } => {
                Some(EventKind::RunCreated { plan, plan_hash, inputs, labels, env, parent: None })
            }
            _ => None,
        });
        let Some(created) = created else {
            return Err(ExecutorError::NotAgain(format!("run {run} has not begun, and there is nothing to fork")));
        };
        let mut key: Option<StepKey> = None;
        for node in &way {
            let id = &plan.graph.node(*node).id;
            key = Some(key.map_or_else(|| StepKey::root(id), |key| key.child(id)));
        }
        let step = key.ok_or_else(|| ExecutorError::NotAgain("no step is named".into()))?;
        let mut sorting =
            Sorting { state: &state, copy: copy::Copy::of(&state, events), kept: Vec::new(), anew: Vec::new() };
        sorting.sort(None, &way);
        let Sorting { copy, kept, anew, .. } = sorting;
        let events = copy.events;
        Ok(Fork { from: run, at: state.head(), step, plan, created, events, kept, anew })
    }

    /// The earlier run.
    pub fn from(&self) -> RunId {
        self.from
    }

    /// The step from which on steps are done anew.
    pub fn step(&self) -> &StepKey {
        &self.step
    }

    /// The plan, which is that of the earlier run.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The steps that keep what came of them, with all that is in them.
    pub fn kept(&self) -> &[StepKey] {
        &self.kept
    }

    /// The steps that are done anew, in the order of the file; no groups.
    pub fn anew(&self) -> &[ForkStep] {
        &self.anew
    }
}

impl Executor {
    /// Starts a fork, held by this process, in the name of `by`. The run is on disk when this returns.
    pub async fn fork(
        services: Services,
        models: BTreeMap<String, SharedModel>,
        control: Control,
        fork: Fork,
        by: &str,
        via: Channel,
    ) -> Result<Executor, ExecutorError> {
        let Fork { from, at, step, plan, created, events, .. } = fork;
        let changed = plan.changed_tools(&services.tools);
        if !changed.is_empty() {
            return Err(ExecutorError::ToolsChanged(changed));
        }
        let secrets = Known::fetch(&services, &plan).await?;
        let now = services.clock.now();
        let run = RunId::new(now, services.clock.random());
        let lease = Lease { run, worker: services.worker.clone(), fence: Fence(1) };
        let new = NewRun { run, tenant: TENANT.into(), workflow: plan.workflow.clone(), at: now, parent: None };
        let state = RunState::new(run, plan);
        let mut executor = Executor::begin(services, models, control, state, lease, secrets);
        let mut draft = Draft::default();
        draft.event(created);
        let by = executor.person(&mut draft, by, via)?;
        draft.event_by(by, EventKind::RunForked { from, at, step, copied: events.len() as u64 });
        draft.events.extend(events);
        draft.event(EventKind::RunClaimed { worker: executor.lease.worker.clone() });
        draft.writes.push(Write::Enqueue(new));
        match executor.record_to_disk(draft).await {
            Ok(()) => Ok(executor),
            Err(error) => {
                let_go(&executor.services, &executor.lease, &error).await;
                Err(error)
            }
        }
    }
}

/// Sorts the steps of a run into those that keep what came of them, and those that are done anew.
struct Sorting<'a> {
    state: &'a RunState,
    copy: copy::Copy<'a>,
    kept: Vec<StepKey>,
    anew: Vec<ForkStep>,
}

impl Sorting<'_> {
    /// Sorts the members of a group, or the steps of the top level. `way` leads from there to the step that is named; it is
    /// empty elsewhere.
    fn sort(&mut self, group: Option<StepIndex>, way: &[NodeIndex]) {
        let plan = self.state.plan().clone();
        let members = self.state.members(group).to_vec();
        let node = |index: StepIndex| self.state.at(index).node;
        let head = way.first().copied();
        let mut anew: BTreeSet<_> =
            members.iter().copied().filter(|m| Some(node(*m)) == head || !self.ended_well(*m)).collect();
        let first = anew.clone();
        let mut queue: Vec<_> = anew.iter().copied().collect();
        while let Some(index) = queue.pop() {
            queue.extend(self.state.dependents(index).into_iter().filter(|other| anew.insert(*other)));
        }
        for index in self.state.in_order(&members) {
            let step = self.state.at(index);
            if !anew.contains(&index) {
                self.copy.keep(index);
                self.kept.push(step.key.clone());
                continue;
            }
            // A group that began, and before which nothing changes, keeps what is done in it.
            let named = Some(step.node) == head;
            let whole = named && way.len() == 1;
            let rest = if named { way.get(1..).unwrap_or_default() } else { &[] };
            let opened = !step.members.is_empty() && step.round().is_none() && plan_group(&plan, step.node);
            let stays = first.contains(&index) && !self.state.dependencies(index).iter().any(|d| anew.contains(d));
            if opened && stays && !whole && step.status != StepStatus::Skipped {
                self.copy.begin(index);
                self.sort(Some(index), rest);
            } else {
                let key = step.key.clone();
                self.note(&plan, step.node, key);
            }
        }
    }

    /// Whether what came of a step can stand as it is: it completed, its failure was handled, or it was not to run.
    fn ended_well(&self, index: StepIndex) -> bool {
        let step = self.state.at(index);
        match step.status {
            StepStatus::Completed => true,
            StepStatus::Failed => self.state.handles_itself(index),
            StepStatus::Skipped => {
                matches!(step.skipped, Some(SkipReason::Condition | SkipReason::Dependency { .. } | SkipReason::RunIf))
            }
            _ => false,
        }
    }

    /// Notes the leaves at and below a node that is done anew.
    fn note(&mut self, plan: &Plan, node: NodeIndex, key: StepKey) {
        let inner = plan.graph.node(node);
        let members = plan.graph.members(Some(node));
        if inner.verb.has_members() && !matches!(inner.verb, Verb::Goal(_)) {
            for member in members {
                let key = key.child(&plan.graph.node(*member).id);
                self.note(plan, *member, key);
            }
            return;
        }
        if let Verb::Workflow(workflow) = &inner.verb
            && let Some(own) = &workflow.own_run
        {
            for root in &own.graph.roots {
                let key = key.child(&own.graph.node(*root).id);
                self.note(own, *root, key);
            }
            return;
        }
        let (tool, effect) = match &inner.verb {
            Verb::Tool { name, .. } => (Some(name.clone()), plan.tools.get(name).map(|tool| tool.effect)),
            _ => (None, None),
        };
        let doubtful = self.state.steps().iter().filter(|step| step.status == StepStatus::InDoubt);
        let in_doubt = doubtful.into_iter().any(|step| step.key.plain() == key);
        self.anew.push(ForkStep { key, verb: inner.verb.name(), tool, effect, in_doubt });
    }
}

/// Whether a node is a group or a called workflow that is neither fanned out nor repeated.
fn plan_group(plan: &Plan, node: NodeIndex) -> bool {
    let node = plan.graph.node(node);
    let grows = matches!(node.verb, Verb::Goal(_));
    node.verb.has_members() && !grows && node.for_each.is_none() && node.repeat.is_none()
}
