//! The rounds of a `repeat`: whether one was the last, and the time between two.

use std::time::Duration;

use serde_json::Value;

use crate::engine::context::Site;
use crate::engine::executor::{Executor, ExecutorError};
use crate::engine::perform::short;
use crate::engine::step::Failure;
use crate::id::StepKey;
use crate::log::{EventKind, WaitFor};
use crate::workflow::expression_or_value;

impl Executor {
    /// Evaluates `until` after a round, and records what it says.
    pub(super) async fn judge(&mut self, key: StepKey) -> Result<(), ExecutorError> {
        let plan = self.state.plan().clone();
        let Some(host) = self.state.index_of(&key) else { return Ok(()) };
        let Some(repeat) = &plan.graph.node(self.state.at(host).node).repeat else { return Ok(()) };
        let newest = self.state.round_to_judge(host).and_then(|round| self.state.at(round).round());
        let Some(round) = newest else { return Ok(()) };
        let site = Site::after_round(host, round);
        let result = self.values.evaluate(&self.state, site, expression_or_value(&repeat.until)).await;
        let done = match Self::evaluated(result)? {
            Ok((Value::Bool(done), _)) => done,
            Ok((other, _)) => {
                let message = format!("`until` must be true or false, not {}", short(&other));
                return self.fail(key, &Failure::new("template", message)).await;
            }
            Err(failure) => return self.fail(key, &failure).await,
        };
        self.say(EventKind::StepRepeated { key, round, done }).await
    }

    /// Waits before the next round.
    pub(super) async fn pause(&mut self, key: StepKey) -> Result<(), ExecutorError> {
        let Some(host) = self.state.index_of(&key) else { return Ok(()) };
        let delay = self.state.repeat(host).map_or(0, |repeat| repeat.delay_ms);
        let at = self.services.clock.now().after(Duration::from_millis(delay));
        self.say(EventKind::StepWaiting { key, what: WaitFor::Timer { at } }).await
    }

    /// Records that no round was the last.
    pub(super) async fn exhaust(&mut self, key: StepKey) -> Result<(), ExecutorError> {
        let index = self.state.index_of(&key);
        let max = index.map_or(0, |index| self.state.most_rounds(index));
        let rounds = if max == 1 { "1 round".to_owned() } else { format!("{max} rounds") };
        self.fail(key, &Failure::new("exhausted", format!("`until` was not true after {rounds}"))).await
    }
}
