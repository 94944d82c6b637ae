//! How a goal ends: its answer is held against what the run's own steps gave, and recorded, or refused with the words that nothing supports.

use serde_json::Value;

use crate::engine::executor::{Executor, ExecutorError};
use crate::engine::recorder::Draft;
use crate::engine::step::Failure;
use crate::id::StepKey;
use crate::label::Labels;
use crate::log::{EventKind, StepIndex, StepStatus};
use crate::planning::{Found, Unsupported, verify};
use crate::tool::Effect;
use crate::workflow::Verb;

impl Executor {
    /// Takes the answer that a turn wrote.
    pub(super) async fn conclude(
        &mut self,
        key: &StepKey,
        index: StepIndex,
        turn: StepIndex,
        goal: &str,
    ) -> Result<(), ExecutorError> {
        if self.state.at(turn).status != StepStatus::Completed {
            return self.fail_like(key, turn).await;
        }
        let said = self.said(turn).await?;
        let sources = said["sources"].as_array().into_iter().flatten();
        let sources: Vec<String> = sources.filter_map(Value::as_str).map(str::to_owned).collect();
        let labels = self.state.labels_of(index);
        self.answer_with(key, index, &said["answer"], &sources, labels, goal).await
    }

    /// Completes the step with an answer that its sources support; fails it otherwise.
    pub(super) async fn answer_with(
        &mut self,
        key: &StepKey,
        index: StepIndex,
        answer: &Value,
        sources: &[String],
        labels: Labels,
        goal: &str,
    ) -> Result<(), ExecutorError> {
        if self.fruitless(index) {
            return self.fail(key.clone(), &fruitless()).await;
        }
        let mut known = Vec::new();
        for (member, id, effect) in self.calls_of(index) {
            let (named, status) = (sources.contains(&id), self.state.at(member).status);
            let found = match status {
                StepStatus::Completed if named => (effect, true, self.given(index, &id).await?),
                StepStatus::Completed => (effect, true, Value::Null),
                // What a failed call said may be told; it has changed nothing that anyone knows of.
                StepStatus::Failed if named => (Effect::Read, true, self.outcome(member).await?["error"].take()),
                _ => (effect, false, Value::Null),
            };
            known.push((id, found));
        }
        let found: Vec<Found<'_>> = known
            .iter()
            .map(|(id, (effect, completed, output))| Found { id, effect: *effect, completed: *completed, output })
            .collect();
        // Words that the answer's form offers, and the names of what was called, are no findings.
        let known = format!("{goal}\n{}", self.own_words(index).join("\n"));
        match verify(answer, sources, &found, &known) {
            Ok(()) => {
                let labels = labels.union(self.state.at(index).arg_labels);
                self.complete_goal(key, index, answer, labels).await
            }
            Err(unsupported) => {
                let message =
                    format!("the answer says what the results of this run do not show: {}", told(&unsupported));
                self.fail(key.clone(), &Failure::new("unverified", message)).await
            }
        }
    }

    /// The words that an answer may use without finding them: those that its form offers, the names of tools and the ids of calls.
    fn own_words(&self, index: StepIndex) -> Vec<String> {
        let Verb::Goal(goal) = &self.state.plan().graph.node(self.state.at(index).node).verb else {
            return Vec::new();
        };
        let mut words: Vec<String> = goal.tools.iter().chain(goal.workflows.keys()).cloned().collect();
        words.extend(self.calls_of(index).into_iter().map(|(_, id, _)| id));
        goal.schema.iter().for_each(|schema| choices(schema, &mut words));
        words
    }

    /// Records that a goal was reached.
    pub(super) async fn complete_goal(
        &mut self,
        key: &StepKey,
        index: StepIndex,
        answer: &Value,
        labels: Labels,
    ) -> Result<(), ExecutorError> {
        let mut draft = Draft::default();
        let output = Some(self.value(&mut draft, answer)?);
        let attempt = self.state.at(index).attempt;
        draft.event(EventKind::StepCompleted { key: key.clone(), attempt, output, labels });
        self.record(draft).await?;
        self.pursuits.remove(&index);
        Ok(())
    }

    /// A goal fails as its turn did.
    pub(super) async fn fail_like(&mut self, key: &StepKey, turn: StepIndex) -> Result<(), ExecutorError> {
        let step = self.state.at(turn);
        let (id, error) = (self.id_of(turn), step.error.clone());
        let Some(error) = error else { return Ok(()) };
        let message = self.values.value(error.message).await?;
        let message = format!("its turn `{id}` failed: {}", message.as_str().unwrap_or_default());
        self.fail(key.clone(), &Failure::new(&error.code, message)).await
    }
}

/// Why a goal has no answer, where nothing came of any call.
pub(super) fn fruitless() -> Failure {
    let message = "no call of this goal has completed, so that nothing shows an answer; its steps say why they failed";
    Failure::new("unverified", message)
}

/// The texts that a schema offers to choose from.
fn choices(schema: &Value, words: &mut Vec<String>) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::Array(all) if key == "enum" => {
                        words.extend(all.iter().filter_map(Value::as_str).map(str::to_owned));
                    }
                    Value::String(one) if key == "const" => words.push(one.clone()),
                    _ => choices(value, words),
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|value| choices(value, words)),
        _ => {}
    }
}

/// What nothing supports, each claim once, with all that is missing for it.
fn told(unsupported: &[Unsupported]) -> String {
    let mut claims: Vec<(&str, Vec<&str>)> = Vec::new();
    for one in unsupported {
        match claims.iter_mut().find(|(claim, _)| *claim == one.claim) {
            Some((_, whys)) => whys.push(&one.why),
            None => claims.push((&one.claim, vec![&one.why])),
        }
    }
    let claim = |(claim, whys): (&str, Vec<&str>)| {
        // `no result of s1 holds 7` and `no result of s1 holds ACME` in one.
        let begin = whys.first().and_then(|why| why.split_once(" holds ")).map(|(begin, _)| format!("{begin} holds "));
        let rest =
            |why: &&str| begin.as_ref().and_then(|begin| why.strip_prefix(begin.as_str())).unwrap_or(why).to_owned();
        let more = whys.iter().skip(1).map(rest);
        let whys = whys.first().map(|why| (*why).to_owned()).into_iter().chain(more).collect::<Vec<_>>();
        format!("\"{claim}\": {}", whys.join(", "))
    };
    claims.into_iter().map(claim).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_told_once_with_all_that_is_missing() {
        let one = |claim: &str, why: &str| Unsupported { claim: claim.into(), why: why.into() };
        let all = [
            one("Seven for ACME.", "no result of s1 holds 7"),
            one("Seven for ACME.", "no result of s1 holds ACME"),
            one("It was sent.", "no step among s1 changed anything"),
        ];
        let expected =
            "\"Seven for ACME.\": no result of s1 holds 7, ACME; \"It was sent.\": no step among s1 changed anything";
        assert_eq!(told(&all), expected);
    }
}
