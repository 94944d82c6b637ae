//! Steps that are a workflow with a run of its own: the run comes into being in the commit that starts the step, under a
//! name that follows from the step's, with its share of the budget.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::engine::begin::Start;
use crate::engine::budget;
use crate::engine::child::ChildRun;
use crate::engine::context::Site;
use crate::engine::control::{Control, Poke};
use crate::engine::executor::{Executor, ExecutorError, TENANT};
use crate::engine::recorder::Draft;
use crate::engine::ruling::rules_of_forks;
use crate::engine::step::{Attempt, Call, Failure};
use crate::id::{RunId, StepKey};
use crate::log::{Budget, EventKind, Parent, Step, StepIndex};
use crate::store::{Message, MessageId, NewRun, RunFilter, Write};
use crate::tool::Cancel;
use crate::workflow::{Plan, Verb};

/// Runs of steps that are looked at together, at each look.
const LOOKS: usize = 16;

/// The declared ones among a run's environment variables.
fn declared(env: Value, names: &[String]) -> Option<Value> {
    let Value::Object(mut all) = env else { return None };
    let own: Map<_, _> = names.iter().filter_map(|name| all.remove_entry(name)).collect();
    (!own.is_empty()).then_some(Value::Object(own))
}

impl Executor {
    /// Makes an attempt at a workflow with a run of its own. `cancelled` where it is only to be told so.
    pub(super) async fn call_run(&mut self, key: StepKey, cancelled: bool) -> Result<(), ExecutorError> {
        let plan = self.state.plan().clone();
        let Some((node, site)) = self.place(&key) else { return Ok(()) };
        let node = plan.graph.node(node);
        let Verb::Workflow(workflow) = &node.verb else { return Ok(()) };
        let Some(child_plan) = workflow.own_run.as_deref() else { return Ok(()) };
        let condition = self.condition_labels(node, site).union(self.labels_of_turn(&key));
        let step = self.state.step(&key).cloned();
        let run = self.lease.run.child(&key);
        let mut draft = Draft::default();
        let begun = step.as_ref().and_then(|step| step.args);
        let inputs = match begun {
            Some(args) => {
                let inputs = self.values.value(args).await?;
                let share = self.share_again(step.as_ref(), site, child_plan);
                if let Some(why) = budget::exceeded(&self.state, site.scope, share, self.services.clock.now()) {
                    return self.fail(key, &Failure::new("budget", why)).await;
                }
                self.draft_start(&mut draft, key.clone(), Start { condition, ..Start::default() })?;
                if share != Budget::default() {
                    draft.event(EventKind::BudgetReserved { key: key.clone(), share });
                }
                inputs
            }
            None => {
                let (inputs, labels) = match self.inputs_for(site, workflow).await? {
                    Ok(found) => found,
                    Err(failure) => return self.fail(key, &failure).await,
                };
                let now = self.services.clock.now();
                let share = budget::share(&self.state, site.scope, &child_plan.limits);
                if let Some(why) = budget::exceeded(&self.state, site.scope, share, now) {
                    return self.fail(key, &Failure::new("budget", why)).await;
                }
                let start = Start { args: Some(&inputs), labels, condition, ..Start::default() };
                self.draft_start(&mut draft, key.clone(), start)?;
                if share != Budget::default() {
                    draft.event(EventKind::BudgetReserved { key: key.clone(), share });
                }
                draft.writes.push(Write::Enqueue(NewRun {
                    run,
                    tenant: TENANT.into(),
                    workflow: child_plan.workflow.clone(),
                    at: now,
                    parent: Some(self.lease.run),
                }));
                inputs
            }
        };
        let head = self.record(draft).await?;
        let Some(index) = self.state.index_of(&key) else { return Ok(()) };
        let env = match self.state.env() {
            Some(env) => declared(self.values.value(env).await?, &child_plan.env),
            None => None,
        };
        let mut child_plan = child_plan.clone();
        self.narrow(&mut child_plan, index, site);
        let mut control = Control::default();
        control.stop = self.control.stop.clone();
        control.poke = Poke::default();
        control.for_caller = true;
        control.preapprovals.clone_from(&self.control.preapprovals);
        let child = ChildRun {
            services: self.services.clone(),
            models: self.models.clone(),
            control,
            run,
            parent: Parent::new(self.lease.run, key),
            path: workflow.path.clone(),
            plan: Arc::new(child_plan),
            inputs,
            labels: self.state.at(index).arg_labels,
            env,
            timeout: node.timeout_ms.map(Duration::from_millis),
            reopened: self.state.at(index).reopened,
            settled: self.state.at(index).settled,
        };
        let cancel = Cancel::new();
        if cancelled {
            cancel.cancel();
        }
        let after = Some((self.recorder.disk(), head));
        let call = Call::Run(Box::new(child));
        self.launch(Attempt { index, call, timeout: None, by_budget: false, cancel, after });
        Ok(())
    }

    /// What is set aside again for a run that has ended and is reopened: what it has not used of its own budget.
    fn share_again(&self, step: Option<&Step>, site: Site, child: &Plan) -> Budget {
        match step {
            Some(step) if step.reopened.is_some() && step.reserved == Budget::default() => {
                let mut left = child.limits.clone();
                left.tokens = left.tokens.map(|most| most.saturating_sub(step.settled.tokens));
                left.tool_calls = left.tool_calls.map(|most| most.saturating_sub(step.settled.tool_calls));
                budget::share(&self.state, site.scope, &left)
            }
            _ => Budget::default(),
        }
    }

    /// Gives the child's plan what the parent has set aside for it, and the parent's rules beside its own.
    fn narrow(&self, plan: &mut Plan, index: StepIndex, site: Site) {
        let share = self.state.at(index).reserved;
        if budget::counts(&self.state, site.scope, |limits| limits.tokens) {
            plan.limits.tokens = Some(share.tokens);
        }
        if budget::counts(&self.state, site.scope, |limits| limits.tool_calls) {
            plan.limits.tool_calls = Some(share.tool_calls);
        }
        let wall = budget::wall_left(&self.state, site.scope, self.services.clock.now());
        let wall = wall.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
        plan.limits.wall_ms = plan.limits.wall_ms.into_iter().chain(wall).min();
        let around = self.state.calls_around(site.scope).flat_map(|(_, workflow, _)| &workflow.rules);
        let rules: Vec<_> = self.state.plan().rules.iter().chain(around).cloned().collect();
        plan.rules.splice(0..0, rules);
        if self.state.forked().is_some() {
            plan.rules.extend(rules_of_forks());
        }
        // Models bind by name, the caller's first.
        for (name, model) in &mut plan.models {
            if let Some(callers) = self.state.plan().models.get(name) {
                model.clone_from(callers);
            }
        }
    }

    /// Tells the run that this one is a part of that it has ended, in the commit that ends it. Where that run's own executor
    /// drives this one it sees the end itself; and one that is gone is told nothing.
    pub(super) async fn draft_report(&self, draft: &mut Draft) -> Result<(), ExecutorError> {
        let ends = |kind: &EventKind| {
            matches!(kind, EventKind::RunCompleted { .. } | EventKind::RunFailed { .. } | EventKind::RunCancelled)
        };
        let Some(parent) = self.state.parent().filter(|_| !self.control.for_caller) else { return Ok(()) };
        if !draft.events.iter().any(|(_, kind)| ends(kind)) {
            return Ok(());
        }
        let filter = RunFilter { run: Some(parent.run), ..RunFilter::default() };
        if !self.services.store.runs(&filter).await?.is_empty() {
            let (step, run) = (parent.step.clone(), self.lease.run);
            draft.writes.push(Write::Send(parent.run, Message::RunEnded { step, run }));
        }
        Ok(())
    }

    /// Takes the word that a step's run has ended. It waits while an attempt at the step is under way, which may have seen
    /// the run before it ended.
    pub(super) async fn take_report(
        &mut self,
        id: MessageId,
        draft: Draft,
        key: StepKey,
        run: RunId,
    ) -> Result<(), ExecutorError> {
        let index = self.state.index_of(&key);
        if index.is_some_and(|index| self.calls.cancel_of(index).is_some()) {
            self.taken.remove(&id);
            return Ok(());
        }
        self.record(draft).await?;
        if let Some(index) = index.filter(|index| self.state.waits_for_run(*index) == Some(run)) {
            let cancelled = self.state.barred(index).is_some();
            self.call_run(key, cancelled).await?;
        }
        Ok(())
    }

    /// Goes on with steps whose runs somebody has spoken to: of many, some at each look. How a run ended is told by message.
    pub(super) async fn look_at_children(&mut self) -> Result<(), ExecutorError> {
        let waiting: Vec<_> = self.state.waiting_for_runs().collect();
        if waiting.is_empty() {
            return Ok(());
        }
        let from = self.looked_at % waiting.len();
        self.looked_at = from + LOOKS;
        for (index, run) in waiting.iter().cycle().skip(from).take(LOOKS.min(waiting.len())) {
            // What only a newer version can read moves nobody here.
            let unread = self.services.store.inbox(*run).await?;
            if unread.iter().all(|unread| unread.message == Message::Unknown) {
                continue;
            }
            let filter = RunFilter { run: Some(*run), ..RunFilter::default() };
            if self.services.store.runs(&filter).await?.iter().any(|summary| !summary.held) {
                let key = self.state.at(*index).key.clone();
                let cancelled = self.state.barred(*index).is_some();
                self.call_run(key, cancelled).await?;
            }
        }
        Ok(())
    }
}
