//! Transactional tools: what they ask for becomes true in the commit that holds the completion of their steps, or not at
//! all. The state does not run ahead of such a commit; calls under way go on meanwhile.

use crate::clock::Clock;
use crate::engine::executor::{Executor, ExecutorError};
use crate::engine::memories;
use crate::engine::recorder::Draft;
use crate::engine::secret::Known;
use crate::engine::step::{Failure, Outcome};
use crate::id::{RunId, StepKey};
use crate::label::Labels;
use crate::log::{Actor, Channel, PayloadError, StepStatus};
use crate::schema::check_depth;
use crate::store::{Message, StoreError, Write};
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
            ToolWrite::Remember(memory) => {
                let said = memory.content.check();
                said.map_err(|why| {
                    let message = format!("write {} that `{}` asks for cannot be kept: {why}", i + 1, spec.name);
                    Failure::new("writes", message)
                })?;
                continue;
            }
            ToolWrite::Sql(_) | ToolWrite::Forget { .. } => continue,
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
        ToolWrite::Remember(mut memory) => {
            let content = &mut memory.content;
            (content.namespace, content.text) = (secrets.scrub(&content.namespace), secrets.scrub(&content.text));
            content.subject = content.subject.take().map(|subject| secrets.scrub(&subject));
            ToolWrite::Remember(memory)
        }
        ToolWrite::Forget { id, content, note } => {
            ToolWrite::Forget { id, content, note: note.map(|note| secrets.scrub(&note)) }
        }
        ToolWrite::Sql(sql) => ToolWrite::Sql(sql),
    };
    writes.into_iter().map(scrubbed).collect()
}

/// A write as the step's commit has it; none for what an event says.
fn in_commit(write: &ToolWrite, run: RunId, step: &StepKey) -> Option<Write> {
    Some(match write {
        ToolWrite::Remember(_) | ToolWrite::Forget { .. } => return None,
        ToolWrite::Sql(sql) => Write::Sql(sql.clone()),
        ToolWrite::Outbox(entry) => Write::Outbox(entry.clone()),
        ToolWrite::Signal { run: to, name, payload } => {
            let by = format!("step `{step}` of run {run}");
            let (name, payload, via) = (name.clone(), payload.clone(), Channel::Program);
            Write::Send(*to, Message::Signal { name, payload, by, via })
        }
    })
}

/// Adds what events say of the writes of a step.
fn draft_memories(
    draft: &mut Draft,
    clock: &dyn Clock,
    step: &StepKey,
    writes: &[ToolWrite],
    labels: Labels,
) -> Result<(), PayloadError> {
    let of_step = (&Actor::Engine, Some(step));
    for write in writes {
        match write {
            ToolWrite::Remember(memory) => memories::remember(draft, clock, of_step, memory, labels)?,
            ToolWrite::Forget { id, content, note } => {
                memories::forget(draft, clock, of_step, (*id, *content), note.as_deref())?;
            }
            ToolWrite::Sql(_) | ToolWrite::Signal { .. } | ToolWrite::Outbox(_) => {}
        }
    }
    Ok(())
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
                let (key, labels) = (step.key.clone(), step.arg_labels.scrubbed());
                let writes = outcome.result.as_ref().map_or(&[][..], |output| &output.writes);
                draft.writes.extend(writes.iter().filter_map(|write| in_commit(write, self.lease.run, &key)));
                draft_memories(&mut draft, &*self.services.clock, &key, writes, labels).map_err(StoreError::from)?;
                owners.resize(draft.writes.len(), place);
                self.draft_outcome(&mut draft, outcome)?;
            }
            let refusal = match self.record_if_taken(draft).await? {
                Ok(()) => return Ok(()),
                Err(refusal) => refusal,
            };
            let Some(place) = owners.get(refusal.write).copied() else {
                let message = format!("the store refused a write that nobody asked for: {}", refusal.message);
                return Err(StoreError::Malformed(message).into());
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
