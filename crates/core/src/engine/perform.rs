//! Performing commands: each becomes at least one event.

use serde_json::Value;

use crate::engine::context::Site;
use crate::engine::decide::{Command, MAX_INTERRUPTIONS};
use crate::engine::executor::{Executor, ExecutorError};
use crate::engine::recorder::Draft;
use crate::engine::step::Failure;
use crate::id::StepKey;
use crate::log::{EventKind, StepIndex};
use crate::workflow::NodeIndex;

impl Executor {
    pub(crate) async fn perform(&mut self, command: Command) -> Result<(), ExecutorError> {
        match command {
            Command::Skip { key, reason } => self.say(EventKind::StepSkipped { key, reason }).await,
            Command::Open { key } => self.open(key).await,
            Command::Begin { key } | Command::Item { key } => self.begin_step(key).await,
            Command::Complete { key } => self.complete(key).await,
            Command::Fail { key, error } => {
                let attempt = self.state.step(&key).map_or(0, |step| step.attempt);
                self.say(EventKind::StepFailed { key, attempt, code: error.code, message: error.message }).await
            }
            Command::Reject { key, expired } => self.reject(key, expired).await,
            Command::Approve { key } => self.approved(key).await,
            Command::Doubt { key } => {
                let Some(index) = self.state.index_of(&key) else { return Ok(()) };
                let mut draft = Draft::default();
                self.draft_doubt(&mut draft, index, &Failure::crash())?;
                self.record(draft).await?;
                Ok(())
            }
            Command::GiveUp { key } => {
                let message = format!("{MAX_INTERRUPTIONS} processes ended while they tried this step");
                self.fail(key, &Failure::new("interrupted", message)).await
            }
            Command::Cancel { key } => self.cancel(key).await,
            Command::Fire { key, timer } => self.fire(key, timer).await,
            Command::Arrive { key } => self.arrive(key).await,
            Command::Resolve { key } => self.resolve(key).await,
            Command::Grow { key } => self.grow(key).await,
            Command::Judge { key } => self.judge(key).await,
            Command::Pause { key } => self.pause(key).await,
            Command::Exhaust { key } => self.exhaust(key).await,
            Command::TimeOut { key } => self.time_out(key).await,
            Command::Finish => self.finish().await,
        }
    }

    pub(crate) async fn say(&mut self, kind: EventKind) -> Result<(), ExecutorError> {
        let mut draft = Draft::default();
        draft.event(kind);
        self.record(draft).await?;
        Ok(())
    }

    pub(crate) async fn fail(&mut self, key: StepKey, failure: &Failure) -> Result<(), ExecutorError> {
        self.fail_after(Draft::default(), key, failure).await
    }

    /// Records that a step failed, after what is in the draft already.
    pub(super) async fn fail_after(
        &mut self,
        mut draft: Draft,
        key: StepKey,
        failure: &Failure,
    ) -> Result<(), ExecutorError> {
        self.draft_failure(&mut draft, key, failure)?;
        self.record(draft).await?;
        Ok(())
    }

    pub(super) fn draft_failure(
        &self,
        draft: &mut Draft,
        key: StepKey,
        failure: &Failure,
    ) -> Result<(), ExecutorError> {
        let attempt = self.state.step(&key).map_or(0, |step| step.attempt);
        let message = self.text(draft, &failure.message)?;
        draft.event(EventKind::StepFailed { key, attempt, code: failure.code.clone(), message });
        Ok(())
    }

    pub(super) fn draft_doubt(
        &self,
        draft: &mut Draft,
        index: StepIndex,
        failure: &Failure,
    ) -> Result<(), ExecutorError> {
        let step = self.state.at(index);
        let (key, attempt) = (step.key.clone(), step.attempt);
        let message = self.text(draft, &failure.message)?;
        draft.event(EventKind::StepInDoubt { key, attempt, code: failure.code.clone(), message });
        Ok(())
    }

    async fn cancel(&mut self, key: StepKey) -> Result<(), ExecutorError> {
        let index = self.state.index_of(&key);
        match index.and_then(|index| self.calls.cancel_of(index)) {
            // Its outcome says how it ended.
            Some(cancel) => cancel.cancel(),
            // A run of its own is cancelled by its own executor.
            None if index.is_some_and(|index| self.state.has_run(index)) => self.call_run(key, true).await?,
            None => {
                let attempt = self.state.step(&key).map_or(0, |step| step.attempt);
                self.say(EventKind::StepCancelled { key, attempt }).await?;
            }
        }
        Ok(())
    }

    /// The node of a step, and where its templates stand.
    pub(crate) fn place(&self, key: &StepKey) -> Option<(NodeIndex, Site)> {
        if let Some(index) = self.state.index_of(key) {
            return Some((self.state.at(index).node, Site::of(&self.state, index)));
        }
        // A round, or an item, comes into being with its first event.
        if let Some(round @ 1..) = key.last().map(|segment| segment.iteration)
            && let Some(host) = self.state.index_of(&key.repeated())
        {
            return Some((self.state.at(host).node, Site::in_round(host, round)));
        }
        let fan = self.state.index_of(&key.fan_out())?;
        let item = key.last().and_then(|segment| segment.item)?;
        Some((self.state.at(fan).node, Site::in_item(fan, item)))
    }
}

/// A value in a message.
pub(super) fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}
