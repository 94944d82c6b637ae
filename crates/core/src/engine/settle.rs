//! Recording how steps ended: what came of an attempt, and what a group made of its members.

use std::time::Duration;

use serde_json::json;

use crate::engine::context::{Site, labels_named};
use crate::engine::executor::{Executor, ExecutorError};
use crate::engine::recorder::Draft;
use crate::engine::step::{self, Failure, Outcome, Turn};
use crate::id::StepKey;
use crate::label::Labels;
use crate::log::{Budget, Commitment, EventKind, ModelCall, StepIndex, StepStatus};
use crate::workflow::{Node, Template, Verb, expression_or_value};

/// The longest that the other side may ask to be left alone before a step is tried again.
const PATIENCE: Duration = Duration::from_secs(3_600);

impl Executor {
    /// Records how a group or a fan-out ended well.
    pub(super) async fn complete(&mut self, key: StepKey) -> Result<(), ExecutorError> {
        let Some(index) = self.state.index_of(&key) else { return Ok(()) };
        let step = self.state.at(index);
        let attempt = step.attempt;
        let plan = self.state.plan().clone();
        let node = plan.graph.node(step.node);
        let condition = step.arg_labels;
        let fans_out = step.fan.is_some();
        let last_round = step.rounds.as_ref().and_then(|rounds| rounds.begun.last().copied());
        let mut draft = Draft::default();
        let (output, labels) = match &node.verb {
            // What a step gives that is repeated is what its last round gave.
            _ if last_round.is_some() => {
                let output = last_round.and_then(|round| self.state.at(round).output);
                let until = node.repeat.as_ref().map(|repeat| expression_or_value(&repeat.until));
                let site = last_round.map(|_| Site::of(&self.state, index));
                let of_until = until.zip(site).map(|(until, site)| labels_named(&self.state, site, until));
                let labels = self.state.labels_of(index).union(of_until.unwrap_or(Labels::NONE));
                (output, labels.union(condition))
            }
            Verb::Steps { result: Some(result), .. } if !fans_out => {
                let site = Site::inside(index);
                match Self::evaluated(self.values.evaluate(&self.state, site, Template::Value(result)).await)? {
                    Ok((value, labels)) => (Some(self.value(&mut draft, &value)?), labels.union(condition)),
                    Err(failure) => return self.fail(key, &failure).await,
                }
            }
            Verb::Workflow(workflow) if !fans_out => match self.returned(index, workflow).await? {
                Ok((value, labels)) => (Some(self.value(&mut draft, &value)?), labels.union(condition)),
                Err(failure) => return self.fail(key, &failure).await,
            },
            _ => (None, self.state.labels_of(index).union(condition)),
        };
        draft.event(EventKind::StepCompleted { key, attempt, output, labels });
        self.record(draft).await?;
        Ok(())
    }

    /// Records what came of an attempt.
    pub(crate) async fn settle_outcome(&mut self, outcome: Outcome) -> Result<(), ExecutorError> {
        let step = self.state.at(outcome.index);
        if step.status != StepStatus::Running {
            return Ok(());
        }
        if let Some(what) = outcome.child.as_ref().and_then(|child| child.waits.clone()) {
            let key = step.key.clone();
            return self.say(EventKind::StepWaiting { key, what }).await;
        }
        let mut draft = Draft::default();
        self.draft_outcome(&mut draft, &outcome)?;
        self.record(draft).await?;
        Ok(())
    }

    /// What came of an attempt, as events. What it asks to be written is not among them.
    pub(super) fn draft_outcome(&self, draft: &mut Draft, outcome: &Outcome) -> Result<(), ExecutorError> {
        let Outcome { index, result, turns, child, .. } = outcome;
        let (index, step) = (*index, self.state.at(*index));
        let plan = self.state.plan().clone();
        let node = plan.graph.node(step.node);
        let mut tokens = 0;
        // All turns of an attempt are held to the same.
        let form = turns.first().and_then(|turn| turn.form.as_deref());
        let form = form.map(|form| self.value(draft, &json!(form))).transpose()?;
        for (i, turn) in turns.iter().enumerate() {
            tokens += turn.response.end.usage.total();
            self.draft_turn(draft, node, index, u32::try_from(i).unwrap_or(u32::MAX) + 1, turn, form)?;
        }
        if result.as_ref().is_err_and(|failure| !failure.not_done) {
            // Nobody knows what the model had written by then.
            tokens = tokens.max(step.reserved.tokens);
        }
        if step.reserved != Budget::default() {
            // A call that failed for sure before it did anything is a call all the same.
            let spent = Budget::new(tokens, step.reserved.tool_calls);
            let spent = child.as_ref().map_or(spent, |child| child.spent);
            draft.event(EventKind::BudgetSettled { key: step.key.clone(), spent });
        }
        let (key, attempt) = (step.key.clone(), step.attempt);
        match result {
            Ok(output) => {
                // What came back was searched for secrets.
                let labels = output.labels.union(step.arg_labels.scrubbed());
                let output = Some(self.value(draft, &output.value)?);
                draft.event(EventKind::StepCompleted { key, attempt, output, labels });
            }
            Err(failure) => self.draft_attempt_failure(draft, node, index, failure)?,
        }
        Ok(())
    }

    pub(super) fn draft_attempt_failure(
        &self,
        draft: &mut Draft,
        node: &Node,
        index: StepIndex,
        failure: &Failure,
    ) -> Result<(), ExecutorError> {
        let step = self.state.at(index);
        let (key, attempt) = (step.key.clone(), step.attempt);
        let code = failure.code.clone();
        if !self.effect_of(index).repeatable() && !failure.not_done {
            return self.draft_doubt(draft, index, failure);
        }
        // A run of its own that only waited is cancelled when the run has failed.
        let given_up = matches!(node.verb, Verb::Workflow(_)) && failure.code == "cancelled";
        if self.state.cut_off(index).is_some() || (given_up && self.state.barred(index).is_some()) {
            draft.event(EventKind::StepCancelled { key, attempt });
            return Ok(());
        }
        // After a failure elsewhere nothing starts again.
        let over = self.state.barred(index).is_some();
        let retry = node.retry.as_ref().filter(|_| !over);
        let delay = retry.and_then(|retry| retry.delay(step.failures_now() + 1, &code, failure.retryable));
        match delay {
            Some(delay) => {
                let message = self.text(draft, &failure.message)?;
                let now = self.services.clock.now();
                // Who asks for more time gets it.
                let asked = failure.retry_after.unwrap_or_default().min(PATIENCE);
                let delay = delay.max(asked);
                let not_before = now.after(delay + self.services.clock.jitter(delay / 4));
                draft.event(EventKind::StepRetried { key, attempt, code, message, not_before });
                Ok(())
            }
            None => self.draft_failure(draft, key, failure),
        }
    }

    /// What a node asks of a model beside the words.
    fn asked<'a>(&'a self, node: &'a Node) -> Option<Asked<'a>> {
        match &node.verb {
            Verb::Chat(chat) => Some(Asked {
                model: &chat.model,
                adapter: chat.adapter.as_ref(),
                seed: chat.seed,
                temperature_milli: chat.temperature_milli,
                max_tokens: chat.max_tokens,
            }),
            Verb::Turn(turn) => match &self.state.plan().graph.node(node.parent?).verb {
                Verb::Goal(goal) => Some(Asked {
                    model: &goal.model,
                    adapter: None,
                    seed: goal.seed,
                    temperature_milli: goal.temperature_milli,
                    max_tokens: goal.tokens_of(turn),
                }),
                _ => None,
            },
            _ => None,
        }
    }

    fn draft_turn(
        &self,
        draft: &mut Draft,
        node: &Node,
        index: StepIndex,
        number: u32,
        turn: &Turn,
        form: Option<Commitment>,
    ) -> Result<(), ExecutorError> {
        let Some(asked) = self.asked(node) else { return Ok(()) };
        let step = self.state.at(index);
        let Some(model) = self.models.get(asked.model) else { return Ok(()) };
        let capabilities = model.capabilities();
        let end = &turn.response.end;
        let messages = serde_json::to_value(&turn.messages).unwrap_or_default();
        // The first turn's messages are the step's arguments, which are recorded already.
        let messages = match (number, step.args) {
            (1, Some(args)) => args,
            _ => self.value(draft, &messages)?,
        };
        let tokens = match end.tokens.is_empty() {
            true => None,
            false => Some(self.value(draft, &json!(end.tokens))?),
        };
        let answer = self.text(draft, &turn.response.text)?;
        let thinking = match turn.response.thinking.as_str() {
            "" => None,
            text => Some(self.text(draft, text)?),
        };
        let tool_calls = match turn.response.tool_calls.as_slice() {
            [] => None,
            calls => Some(self.value(draft, &json!(calls))?),
        };
        let adapter = asked.adapter.and_then(|name| capabilities.adapter_files.get(name));
        let call = ModelCall {
            model: asked.model.to_owned(),
            name: capabilities.name.clone(),
            model_hash: capabilities.model_hash.clone(),
            template_hash: capabilities.template_hash.clone(),
            adapter: asked.adapter.cloned(),
            adapter_hash: adapter.map(|file| file.hash.clone()),
            adapter_scale_milli: adapter.map(|file| file.scale_milli),
            grammar_hash: end.grammar.clone(),
            device: capabilities.device.clone(),
            seed: asked.seed.unwrap_or_else(|| step::seed(&step.key, step.failures)),
            temperature_milli: asked.temperature_milli,
            max_tokens: asked.max_tokens,
            messages,
            form,
            answer,
            thinking,
            tool_calls,
            tokens,
            usage: end.usage,
            finish: end.finish,
            took_ms: u32::try_from(turn.took.as_millis()).unwrap_or(u32::MAX),
            energy: turn.energy.clone(),
            confidence_milli: end.confidence.map(milli),
            valid: turn.valid,
        };
        let (key, attempt) = (step.key.clone(), step.attempt);
        draft.event(EventKind::ModelCalled { key, attempt, turn: number, call: Box::new(call) });
        Ok(())
    }
}

/// What is asked of a model beside the words.
struct Asked<'a> {
    model: &'a str,
    adapter: Option<&'a String>,
    seed: Option<u64>,
    temperature_milli: u32,
    max_tokens: u32,
}

/// A number from 0 to 1 in thousandths.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped")]
fn milli(share: f32) -> u16 {
    (share.clamp(0.0, 1.0) * 1_000.0).round() as u16
}
