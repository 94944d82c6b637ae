//! Recording how a run ended.

use serde_json::Value;

use crate::engine::context::Site;
use crate::engine::executor::{Executor, ExecutorError};
use crate::engine::perform::short;
use crate::engine::recorder::Draft;
use crate::engine::step::Failure;
use crate::log::{EventKind, FailureReason};
use crate::workflow::Template;

impl Executor {
    /// Records how the run ended: `ensure` and `outputs` are evaluated now, once.
    pub(super) async fn finish(&mut self) -> Result<(), ExecutorError> {
        if self.state.cancelling() {
            return self.say(EventKind::RunCancelled).await;
        }
        if let Some(reason) = self.state.failure().cloned() {
            return self.say(EventKind::RunFailed { reason }).await;
        }
        if self.state.overdue() {
            return self.miss_deadline().await;
        }
        let plan = self.state.plan().clone();
        if let Err(failure) = self.check_ensure(Site::TOP, &plan.ensure).await? {
            return self.fail_run(&failure.code, &failure.message).await;
        }
        let result = self.values.evaluate(&self.state, Site::TOP, Template::Value(&plan.outputs)).await;
        match Self::evaluated(result)? {
            Ok((outputs, _)) => {
                let mut draft = Draft::default();
                let outputs = self.value(&mut draft, &outputs)?;
                draft.event(EventKind::RunCompleted { outputs });
                self.record(draft).await?;
                Ok(())
            }
            Err(failure) => self.fail_run("outputs", &format!("the outputs have no value: {}", failure.message)).await,
        }
    }

    /// Whether every `ensure` holds. One that is false and one that has no value are told apart.
    pub(super) async fn check_ensure(
        &mut self,
        site: Site,
        ensures: &[String],
    ) -> Result<Result<(), Failure>, ExecutorError> {
        for ensure in ensures {
            let result = self.values.evaluate(&self.state, site, Template::Expression(ensure)).await;
            let (code, message) = match Self::evaluated(result)? {
                Ok((Value::Bool(true), _)) => continue,
                Ok((Value::Bool(false), _)) => ("ensure", format!("`ensure` does not hold: {ensure}")),
                Ok((other, _)) => {
                    ("ensure_error", format!("`ensure` must be true or false, not {}: {ensure}", short(&other)))
                }
                Err(failure) => ("ensure_error", format!("`ensure` could not be checked: {}", failure.message)),
            };
            return Ok(Err(Failure::new(code, message)));
        }
        Ok(Ok(()))
    }

    pub(super) async fn fail_run(&mut self, code: &str, message: &str) -> Result<(), ExecutorError> {
        let mut draft = Draft::default();
        let message = self.text(&mut draft, message)?;
        draft.event(EventKind::RunFailed { reason: FailureReason::new(code, None, Some(message)) });
        self.record(draft).await?;
        Ok(())
    }
}
