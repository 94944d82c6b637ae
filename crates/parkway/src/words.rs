//! What is said to a run from outside, whoever executes it: what became of a call in doubt, a signal, that it is to end.

use std::sync::Arc;

use parkway_core::engine::ExecutorError;
use parkway_core::id::{RunId, StepKey};
use parkway_core::log::{Channel, Event, EventKind, Resolution, RunState, StepStatus};
use parkway_core::store::{Message, RunFilter, StoreError};
use parkway_core::workflow::Plan;
use serde_json::Value;

use crate::embed::Parkway;
use crate::error::Error;
use crate::record::Record;

impl Parkway {
    /// Says what became of a call in doubt. The run's executor takes the word up when it sees it; if nobody executes the run,
    /// that is when it is resumed.
    ///
    /// An error if the run has ended, the step is not in doubt, or its tool could not have returned that output. A tool that
    /// this program does not have is not asked: then the executor decides, and the doubt stands if the output does not fit.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
    /// use parkway::log::{Channel, Resolution, RunStatus};
    /// use parkway::policy::RulePolicy;
    /// use parkway::{Effect, Parkway, RunOptions, ToolError, Workflow, inputs, tool_fn};
    /// use serde_json::{Value, json};
    ///
    /// // The answer is lost on its way, and with it whether the money is.
    /// let pay = tool_fn("bank.pay", Effect::AtMostOnce, |_: Value| async move {
    ///     Err::<Value, _>(ToolError::transient("unreachable", "the bank's answer did not come"))
    /// });
    /// let rule = json!({ "match": { "tool": "bank.pay" }, "verdict": "allow" });
    /// let policy = RulePolicy::new(&[serde_json::from_value(rule).unwrap()]).unwrap();
    /// let parkway = Parkway::builder().store("sqlite::memory:").tool(pay).policy(policy).build().await?;
    /// let workflow = Workflow::from_source("pay.yaml", r#"
    /// parkway: 1
    /// tools: { bank: {} }
    /// steps: { pay: { tool: bank.pay, with: { amount: 12 } } }
    /// outputs: { receipt: "${{ steps.pay.output.receipt }}" }
    /// "#)?;
    /// let run = parkway.start(workflow, inputs! {}).await?;
    /// assert_eq!(run.wait().await?.status, RunStatus::Waiting);
    ///
    /// // Somebody has looked at the account.
    /// let outcome = Resolution::Done { output: json!({ "receipt": "R-17" }) };
    /// let (id, step) = (run.id(), "pay".parse().unwrap());
    /// parkway.resolve(id, step, outcome, Some("seen".into()), "ada".into(), Channel::Program).await?;
    /// let outputs: Value = parkway.resume(id, RunOptions::default()).await?.output().await?;
    /// assert_eq!(outputs["receipt"], "R-17");
    /// # Ok::<_, parkway::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn resolve(
        &self,
        run: RunId,
        step: StepKey,
        outcome: Resolution<Value>,
        note: Option<String>,
        by: String,
        via: Channel,
    ) -> Result<(), Error> {
        self.open(run).await?;
        let record = self.record(run).await?;
        match record.state.step(&step).map(|step| step.status) {
            Some(StepStatus::InDoubt) => {}
            Some(status) => {
                return Err(Error::OutOfPlace(format!(
                    "the step `{step}` of run {run} is {}, and only one in doubt can be resolved",
                    status.as_str().replace('_', " ")
                )));
            }
            None => return Err(Error::OutOfPlace(format!("no step `{step}` of run {run} has begun"))),
        }
        if let Resolution::Done { output } = &outcome {
            self.check_returned(&record, &step, output)?;
        }
        self.services().store.signal(run, Message::Resolve { step, outcome, note, by, via }).await?;
        Ok(())
    }

    /// Whether the call of a step could have returned this, as far as the tools at hand can tell.
    pub fn check_returned(&self, record: &Record, step: &StepKey, output: &Value) -> Result<(), Error> {
        let Some(step) = record.state.step(step) else { return Ok(()) };
        record.plan.check_output(step.node, self.tools(), output).map_err(Error::OutOfPlace)
    }

    /// What was said of a call in doubt, and no executor has taken up yet.
    pub async fn pending_resolution(&self, run: RunId, step: &StepKey) -> Result<Option<Resolution<Value>>, Error> {
        let inbox = self.services().store.inbox(run).await?;
        Ok(inbox.into_iter().find_map(|received| match received.message {
            Message::Resolve { step: resolved, outcome, .. } if resolved == *step => Some(outcome),
            _ => None,
        }))
    }

    /// Sends a signal to a run: the first step that waits for one of this name has it, now or later. An error if the run has
    /// ended.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
    /// use parkway::log::Channel;
    /// use parkway::{Parkway, Workflow, inputs};
    /// use serde_json::{Value, json};
    ///
    /// let parkway = Parkway::builder().store("sqlite::memory:").build().await?;
    /// let workflow = Workflow::from_source("ship.yaml", r#"
    /// parkway: 1
    /// steps: { paid: { wait: { signal: paid } } }
    /// outputs: { amount: "${{ steps.paid.output.amount }}" }
    /// "#)?;
    /// let run = parkway.start(workflow, inputs! {}).await?;
    /// parkway.signal(run.id(), "paid", json!({ "amount": 12 }), "shop".into(), Channel::Program).await?;
    /// let outputs: Value = run.output().await?;
    /// assert_eq!(outputs["amount"], 12);
    /// # Ok::<_, parkway::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn signal(&self, run: RunId, name: &str, payload: Value, by: String, via: Channel) -> Result<(), Error> {
        self.open(run).await?;
        let name = name.to_owned();
        self.services().store.signal(run, Message::Signal { name, payload, by, via }).await?;
        Ok(())
    }

    /// How many signals of a name were sent that no executor has taken up yet.
    pub async fn pending_signals(&self, run: RunId, name: &str) -> Result<usize, Error> {
        let inbox = self.services().store.inbox(run).await?;
        let is = |message: &Message| matches!(message, Message::Signal { name: sent, .. } if sent == name);
        Ok(inbox.iter().filter(|received| is(&received.message)).count())
    }

    /// Asks a run to end: what runs is cancelled, `run_if: always` steps still run. If nobody executes the run, it ends when it
    /// is resumed. An error if it has ended.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
    /// use parkway::log::{Channel, RunStatus};
    /// use parkway::{Parkway, RunOptions, Workflow, inputs};
    ///
    /// let parkway = Parkway::builder().store("sqlite::memory:").build().await?;
    /// let workflow = Workflow::from_source("ask.yaml", r#"
    /// parkway: 1
    /// steps: { confirm: { approve: { prompt: "Go on?" } } }
    /// "#)?;
    /// let run = parkway.start(workflow, inputs! {}).await?;
    /// run.stop();
    /// run.wait().await?;
    ///
    /// parkway.cancel(run.id(), Some("no longer needed".into()), "ada".into(), Channel::Program).await?;
    /// let run = parkway.resume(run.id(), RunOptions::default()).await?;
    /// assert_eq!(run.wait().await?.status, RunStatus::Cancelled);
    /// # Ok::<_, parkway::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn cancel(&self, run: RunId, note: Option<String>, by: String, via: Channel) -> Result<(), Error> {
        self.open(run).await?;
        self.services().store.signal(run, Message::Cancel { note, by, via }).await?;
        Ok(())
    }

    /// Whether a run was asked to end, and no executor has taken that up yet.
    pub async fn pending_cancel(&self, run: RunId) -> Result<bool, Error> {
        let inbox = self.services().store.inbox(run).await?;
        Ok(inbox.iter().any(|received| matches!(received.message, Message::Cancel { .. })))
    }

    /// Whether a run does nothing any more but end.
    pub(crate) async fn ends(&self, run: RunId, plan: &Arc<Plan>, events: &[Event]) -> Result<bool, Error> {
        let asked = |event: &Event| matches!(event.kind, EventKind::CancelRequested { .. });
        let ends = events.iter().any(asked)
            && RunState::replay(run, plan.clone(), events).map_err(ExecutorError::from)?.cancelling();
        Ok(ends || self.pending_cancel(run).await?)
    }

    /// That a run is there and has not ended: what is said to one that has is heard by nobody.
    async fn open(&self, run: RunId) -> Result<(), Error> {
        let filter = RunFilter { run: Some(run), ..RunFilter::default() };
        match self.runs(&filter).await?.first() {
            None => Err(StoreError::NoRun(run).into()),
            Some(found) if found.status.ended() => Err(ExecutorError::Over(run, found.status).into()),
            Some(_) => Ok(()),
        }
    }
}
