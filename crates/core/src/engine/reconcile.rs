//! Asking tools what became of their calls in doubt, beside the loop. A person's word that comes first wins.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tracing::Instrument;

use crate::engine::calls::{End, Purpose};
use crate::engine::executor::{Executor, ExecutorError};
use crate::engine::recorder::{Disk, Draft};
use crate::engine::secret::Known;
use crate::engine::step::{Failure, words};
use crate::id::{Seq, StepKey};
use crate::log::{Actor, EventKind, Resolution, RunState, StepIndex, StepStatus};
use crate::schema::Schema;
use crate::store::StoreError;
use crate::tool::{Cancel, Reconciled, SharedTool, ToolContext, ToolError};
use crate::workflow::Verb;

/// How long a tool may look, where its step has no timeout.
const LIMIT: Duration = Duration::from_secs(60);

/// Steps in doubt whose tools are to be asked.
#[derive(Default)]
pub(super) struct Doubts {
    waiting: VecDeque<StepIndex>,
}

impl Doubts {
    /// The steps that a draft puts in doubt.
    pub(super) fn in_draft(draft: &Draft) -> Vec<StepKey> {
        let doubted = |kind: &EventKind| match kind {
            EventKind::StepInDoubt { key, .. } => Some(key.clone()),
            _ => None,
        };
        draft.events.iter().filter_map(|(_, kind)| doubted(kind)).collect()
    }

    pub(super) fn add(&mut self, state: &RunState, doubted: Vec<StepKey>) {
        self.waiting.extend(doubted.iter().filter_map(|key| state.index_of(key)));
    }

    /// Whether some tool is still to be asked.
    pub(super) fn any(&self) -> bool {
        !self.waiting.is_empty()
    }
}

/// What a tool found out about an attempt in doubt.
pub(super) struct Finding {
    index: StepIndex,
    attempt: u32,
    found: Reconciled,
}

/// A question to a tool.
struct Asking {
    index: StepIndex,
    tool: SharedTool,
    context: ToolContext,
    limit: Duration,
    output: Arc<Schema>,
    secrets: Arc<Known>,
    /// The events that must be on disk before it is asked.
    after: (Disk, Seq),
}

impl Executor {
    /// Asks about what earlier processes, or earlier tries, left in doubt.
    pub(super) fn doubt_again(&mut self) {
        let in_doubt = |(index, step): (usize, &crate::log::Step)| {
            (step.status == StepStatus::InDoubt).then_some(StepIndex(index))
        };
        self.doubts.waiting = self.state.steps().iter().enumerate().filter_map(in_doubt).collect();
    }

    /// Asks the tools of steps in doubt, as far as there is room, and nobody twice at once.
    pub(super) fn ask_tools(&mut self) {
        let state = &self.state;
        let settled = |index: StepIndex| state.at(index).status != StepStatus::InDoubt;
        self.calls.abort(|purpose, index| purpose == Purpose::Finding && settled(index));
        for _ in 0..self.doubts.waiting.len() {
            let Some(index) = self.doubts.waiting.pop_front() else { break };
            if self.state.at(index).status != StepStatus::InDoubt {
                continue;
            }
            if !self.has_room() {
                self.doubts.waiting.push_front(index);
                break;
            }
            if self.calls.asks_about(index) {
                self.doubts.waiting.push_back(index);
                continue;
            }
            if let Some(asking) = self.question(index) {
                let (key, cancel) = (asking.context.step.clone(), asking.context.cancel.clone());
                let span = tracing::info_span!("reconcile", step = %key);
                self.calls.spawn(index, Purpose::Finding, cancel, ask(asking).instrument(span));
            }
        }
    }

    fn question(&mut self, index: StepIndex) -> Option<Asking> {
        let plan = self.state.plan().clone();
        let (key, node) = (self.state.at(index).key.clone(), self.state.at(index).node);
        let Verb::Tool { name, .. } = &plan.graph.node(node).verb else { return None };
        let tool = self.services.tools.get(name)?.clone();
        let output = self.schemas.output_of(tool.spec()).ok()?;
        let (_, site) = self.place(&key)?;
        let limit = plan.graph.node(node).timeout_ms.map_or(LIMIT, Duration::from_millis);
        let grants = self.grants(site).get(tool.spec().family()).cloned();
        let context = self.tool_context(index, grants, self.services.clock.now(), Some(limit), &Cancel::new());
        let (secrets, after) = (self.secrets.clone(), (self.recorder.disk(), self.state.head()));
        Some(Asking { index, tool, context, limit, output, secrets, after })
    }

    /// Records what a tool found out, if nobody was quicker.
    pub(super) async fn take_finding(&mut self, finding: Finding) -> Result<(), ExecutorError> {
        let Finding { index, attempt, found } = finding;
        let step = self.state.at(index);
        if step.status != StepStatus::InDoubt || step.attempt != attempt {
            return Ok(());
        }
        let outcome = match found {
            Reconciled::Done(output) => Resolution::Done { output },
            Reconciled::NotDone => Resolution::NotDone,
            Reconciled::Unknown => return Ok(()),
        };
        let mut draft = Draft::default();
        self.draft_finding(
            &mut draft,
            index,
            Actor::Engine,
            outcome,
            "the tool found that the call was not carried out",
        )?;
        self.record(draft).await?;
        Ok(())
    }

    /// What is known now of a call in doubt, and what follows of it, as events.
    pub(super) fn draft_finding(
        &self,
        draft: &mut Draft,
        index: StepIndex,
        by: Actor,
        outcome: Resolution<Value>,
        not_done: &str,
    ) -> Result<(), ExecutorError> {
        let outcome = match outcome {
            Resolution::Done { output } => {
                let output = self.secrets.kept(output, self.given_labels(index));
                Resolution::Done { output: self.value(draft, &output)? }
            }
            Resolution::NotDone => Resolution::NotDone,
            Resolution::Redo => return Ok(()),
        };
        let key = self.state.at(index).key.clone();
        draft.event_by(by, EventKind::StepResolved { key, outcome: outcome.clone(), note: None });
        self.draft_resolved(draft, index, &outcome, not_done)
    }
}

/// Asks a tool. Whatever goes wrong, nothing is known.
async fn ask(asking: Asking) -> Result<End, StoreError> {
    let Asking { index, tool, context, limit, output, secrets, after: (mut disk, seq) } = asking;
    disk.holds(seq).await?;
    let cancel = context.cancel.clone();
    let found = tokio::select! {
        biased;
        () = cancel.cancelled() => Err(ToolError::transient("cancelled", "the question was taken back")),
        found = tool.reconcile(&context.key, &context) => found,
        () = tokio::time::sleep(limit) => {
            cancel.cancel();
            Err(ToolError::transient("timeout", format!("looking took longer than {}", words(limit))))
        }
    };
    let found = found.and_then(|found| match found {
        Reconciled::Done(value) => match output.check(&value) {
            Ok(()) => Ok(Reconciled::Done(value)),
            Err(error) => {
                Err(ToolError::invalid("output", format!("what it found cannot have been returned: {error}")))
            }
        },
        found => Ok(found),
    });
    let found = found.unwrap_or_else(|error| {
        let failure = secrets.kept_failure(Failure::new(&error.code, error.message), tool.spec().labels);
        let Failure { code, message, .. } = failure;
        tracing::warn!(code, message, "what became of the call could not be found out");
        Reconciled::Unknown
    });
    Ok(End::Finding(Finding { index, attempt: context.attempt, found }))
}
