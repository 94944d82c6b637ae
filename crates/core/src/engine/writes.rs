//! Transactional tools: what they ask for becomes true in the commit that holds the completion of their steps, or not at
//! all. The state does not run ahead of such a commit; calls under way go on meanwhile.

use crate::engine::executor::{Executor, ExecutorError};
use crate::engine::recorder::Draft;
use crate::engine::secret::Known;
use crate::engine::step::{Failure, Outcome};
use crate::id::{RunId, StepKey};
use crate::log::{Channel, StepStatus};
use crate::schema::check_depth;
use crate::store::{Message, Write};
use crate::tool::{Effect, ToolSpec};
use crate::write::ToolWrite;

/// Whether a tool may ask for this, and whether it can be kept.
pub(super) fn check(spec: &ToolSpec, writes: &[ToolWrite]) -> Result<(), Failure> {
    if spec.effect != Effect::Transactional && !writes.is_empty() {
        let (name, effect) = (&spec.name, spec.effect.as_str());
        let message = format!(
            "`{name}` asks for writes in the commit of its step, and only a transactional tool may: declare it `transactional` if it does nothing else, else take the writes away (it is `{effect}`)"
        );
        // The call was made, whatever it asks for.
        return Err(Failure { not_done: false, ..Failure::new("writes", message) });
    }
    for (i, write) in writes.iter().enumerate() {
        let body = match write {
            ToolWrite::Signal { payload, .. } => payload,
            ToolWrite::Outbox(entry) => &entry.body,
            ToolWrite::Sql(_) => continue,
        };
        check_depth(body).map_err(|error| {
            Failure::new("writes", format!("write {} that `{}` asks for cannot be kept: {error}", i + 1, spec.name))
        })?;
    }
    Ok(())
}

/// What tools ask for without the secrets that this store would keep. A statement is left as it is: it is for the embedder's
/// own tables, as a call is for the world outside.
pub(super) fn scrub(secrets: &Known, writes: Vec<ToolWrite>) -> Vec<ToolWrite> {
    let scrubbed = |write| match write {
        ToolWrite::Signal { run, name, payload } => {
            ToolWrite::Signal { run, name: secrets.scrub(&name), payload: secrets.scrub_value(payload) }
        }
        ToolWrite::Outbox(mut entry) => {
            (entry.topic, entry.body) = (secrets.scrub(&entry.topic), secrets.scrub_value(entry.body));
            ToolWrite::Outbox(entry)
        }
        ToolWrite::Sql(sql) => ToolWrite::Sql(sql),
    };
    writes.into_iter().map(scrubbed).collect()
}

/// A write as the step's commit has it.
fn in_commit(write: &ToolWrite, run: RunId, step: &StepKey) -> Write {
    match write {
        ToolWrite::Sql(sql) => Write::Sql(sql.clone()),
        ToolWrite::Outbox(entry) => Write::Outbox(entry.clone()),
        ToolWrite::Signal { run: to, name, payload } => {
            let by = format!("step `{step}` of run {run}");
            let (name, payload, via) = (name.clone(), payload.clone(), Channel::Program);
            Write::Send(*to, Message::Signal { name, payload, by, via })
        }
    }
}

impl Executor {
    /// Records what came of attempts that ask for writes: together where the store takes all that they ask for. One whose
    /// write is refused has failed, and nothing of it has become true.
    pub(super) async fn settle_writing(&mut self, mut outcomes: Vec<Outcome>) -> Result<(), ExecutorError> {
        while !outcomes.is_empty() {
            let mut draft = Draft::default();
            // Whose write each of the draft's is.
            let mut owners = Vec::new();
            for (place, outcome) in outcomes.iter().enumerate() {
                let step = self.state.at(outcome.index);
                if step.status != StepStatus::Running {
                    continue;
                }
                let key = step.key.clone();
                let writes = outcome.result.iter().flat_map(|output| &output.writes);
                draft.writes.extend(writes.map(|write| in_commit(write, self.lease.run, &key)));
                owners.resize(draft.writes.len(), place);
                self.draft_outcome(&mut draft, outcome)?;
            }
            let refusal = match self.record_if_taken(draft).await? {
                Ok(()) => return Ok(()),
                Err(refusal) => refusal,
            };
            let Some(place) = owners.get(refusal.write).copied() else {
                let message = format!("the store refused a write that nobody asked for: {}", refusal.message);
                return Err(crate::store::StoreError::Malformed(message).into());
            };
            let mut refused = outcomes.remove(place);
            let nth = refusal.write - owners.partition_point(|owner| *owner < place) + 1;
            let message = format!("the store refused write {nth} of the call: {}", refusal.message);
            refused.result = Err(self.secrets.scrub_failure(Failure::new("refused", message)));
            self.settle_outcome(refused).await?;
        }
        Ok(())
    }
}
