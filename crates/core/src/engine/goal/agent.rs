//! An agent: the model says which calls it wants, they are made at once, and it is told what came of them, until it answers.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::extend::Extension;
use crate::engine::executor::{Executor, ExecutorError};
use crate::engine::step::Failure;
use crate::id::{Digest, StepKey};
use crate::log::{StepIndex, StepStatus};
use crate::planning::Draft;
use crate::tool::Effect;
use crate::workflow::{Goal, Node, Retry, Turn, Verb};

/// How often the same call may give the same, before an agent is told that it goes in circles.
const SAME: usize = 3;
/// How many turns in a row may bring nothing new.
const IDLE: usize = 4;
/// How many failed calls a message names.
const SHOWN: usize = 12;
/// How long a call may take, in milliseconds.
const CALL_MS: u64 = 120_000;

impl Executor {
    pub(super) async fn go_on_with_turns(
        &mut self,
        key: StepKey,
        index: StepIndex,
        goal: &Goal,
    ) -> Result<(), ExecutorError> {
        let Some(turn) = self.state.growth(index).and_then(|growth| growth.turn) else {
            return self.next_turn(&key, 1).await;
        };
        let Verb::Turn(Turn::Act { number }) = self.state.plan().graph.node(self.state.at(turn).node).verb else {
            return Ok(());
        };
        if self.untaken(index).is_none() {
            if self.state.at(index).open > 0 {
                return Ok(());
            }
            return match self.circle(index).await? {
                Some(words) => {
                    let message = format!("{words}; {}", self.tried(index));
                    self.fail(key, &Failure::new("no_progress", message)).await
                }
                None => self.next_turn(&key, number + 1).await,
            };
        }
        if self.state.at(turn).status != StepStatus::Completed {
            return self.fail_like(&key, turn).await;
        }
        let pursuit = match self.pursuit(index, goal).await? {
            Ok(pursuit) => pursuit,
            Err(failure) => return self.fail(key, &failure).await,
        };
        let said = self.said(turn).await?;
        let result = if let Some(calls) = said["calls"].as_array() {
            self.extend(&key, calls_of_turn(goal, &pursuit.draft, number, calls)).await
        } else if let Some(why) = said["give_up"].as_str() {
            let line = pursuit.complaint.as_ref().map(|why| format!("; a line of its plan could not stand: {why}"));
            let message = format!("the model gave up: {why}; {}{}", self.tried(index), line.unwrap_or_default());
            self.fail(key, &Failure::new("gave_up", message)).await
        } else {
            self.conclude(&key, index, turn, &pursuit.goal).await
        };
        self.keep_pursuit(index, pursuit);
        result
    }

    pub(super) async fn next_turn(&mut self, key: &StepKey, number: u32) -> Result<(), ExecutorError> {
        let mut extension = Extension::default();
        extension.turn(&format!("turn_{number}"), Vec::new(), Turn::Act { number }, Value::Null);
        self.extend(key, extension).await
    }

    /// What a turn gave.
    pub(super) async fn said(&mut self, turn: StepIndex) -> Result<Value, ExecutorError> {
        Ok(match self.state.at(turn).output {
            Some(output) => self.values.value(output).await?,
            None => Value::Null,
        })
    }

    /// What was tried for a goal, in words.
    pub(super) fn tried(&self, index: StepIndex) -> String {
        let counted = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let graph = &self.state.plan().graph;
        let planned = self
            .state
            .at(index)
            .members
            .iter()
            .any(|member| matches!(graph.node(self.state.at(*member).node).verb, Verb::Turn(Turn::Line { .. })));
        let mut tried = Vec::new();
        if planned {
            let patches = self.state.growth(index).map_or(0, |growth| growth.patch);
            tried.push(format!("a plan with {}", counted(patches as usize, "patch").replace("patchs", "patches")));
        }
        let turns = self.acts(index).len();
        if turns > 0 {
            tried.push(counted(turns, "turn"));
        }
        let failed = self.calls_of(index).into_iter().filter_map(|(call, id, _)| {
            let step = self.state.at(call);
            let error = step.error.as_ref().filter(|_| step.status == StepStatus::Failed)?;
            Some(format!("{id} {}", error.code))
        });
        let failed: Vec<String> = failed.collect();
        let more = failed.len().saturating_sub(SHOWN);
        let mut failed = failed.into_iter().take(SHOWN).collect::<Vec<_>>().join(", ");
        if more > 0 {
            failed.push_str(&format!(" and {more} more"));
        }
        let tried = format!("tried: {}", tried.join(" and "));
        if failed.is_empty() { tried } else { format!("{tried}; what failed: {failed}") }
    }

    /// The turns of an agent, in order.
    pub(super) fn acts(&self, index: StepIndex) -> Vec<(StepIndex, u32)> {
        let graph = &self.state.plan().graph;
        let act = |member: &StepIndex| match graph.node(self.state.at(*member).node).verb {
            Verb::Turn(Turn::Act { number }) => Some((*member, number)),
            _ => None,
        };
        self.state.at(index).members.iter().filter_map(act).collect()
    }

    /// Why an agent goes in circles, in words, if it does.
    async fn circle(&mut self, index: StepIndex) -> Result<Option<String>, ExecutorError> {
        let mut seen: HashMap<Digest, usize> = HashMap::new();
        let mut idle = 0;
        // A person who has it go on gives it as many tries again.
        let since = self.state.at(index).reopened.map(|_| self.state.opened());
        for (turn, number) in self.acts(index) {
            if self.state.at(turn).ended.zip(since).is_some_and(|(ended, since)| ended <= since) {
                continue;
            }
            let said = self.said(turn).await?;
            let mut news = false;
            for (place, call) in said["calls"].as_array().into_iter().flatten().enumerate() {
                let id = call_id(number, place);
                let gave = match self.state.member(index, &id) {
                    Some(member) => self.outcome(member).await?,
                    None => Value::Null,
                };
                let digest = Digest::of(&[call.to_string().as_bytes(), b"\0", gave.to_string().as_bytes()]);
                let times = seen.entry(digest).or_default();
                *times += 1;
                news |= *times == 1;
                if *times >= SAME {
                    let tool = call["tool"].as_str().unwrap_or_default();
                    let words = format!(
                        "`{tool}` was called {SAME} times with the same arguments and gave the same each time (the last time in `{id}`)"
                    );
                    return Ok(Some(words));
                }
            }
            idle = if news { 0 } else { idle + 1 };
        }
        Ok((idle >= IDLE).then(|| format!("{IDLE} turns in a row made only calls that had given the same before")))
    }

    /// What came of a call: its output, or its error.
    pub(super) async fn outcome(&mut self, member: StepIndex) -> Result<Value, ExecutorError> {
        let step = self.state.at(member);
        let status = step.status.as_str();
        if let Some(error) = step.error.clone().filter(|_| step.status == StepStatus::Failed) {
            let message = self.values.value(error.message).await?;
            return Ok(json!({ "status": status, "error": { "code": error.code, "message": message } }));
        }
        if step.status != StepStatus::Completed {
            return Ok(json!({ "status": status }));
        }
        let (host, id) = (step.parent, self.id_of(member));
        let output = match host {
            Some(host) => self.given(host, &id).await?,
            None => Value::Null,
        };
        Ok(json!({ "status": status, "output": output }))
    }
}

/// The id of a call that a turn asks for.
pub(super) fn call_id(turn: u32, place: usize) -> String {
    format!("turn_{turn}_{}", place + 1)
}

/// The calls that a turn asks for: at once, but for those that change something, which follow one another.
fn calls_of_turn(goal: &Goal, draft: &Draft, turn: u32, calls: &[Value]) -> Extension {
    let mut extension = Extension::default();
    let mut changed: Option<String> = None;
    for (place, call) in calls.iter().enumerate() {
        let name = call["tool"].as_str().unwrap_or_default();
        let effect = draft.tool(name).map_or(Effect::AtMostOnce, |tool| tool.effect);
        let with = json!(format!("${{{{ steps.turn_{turn}.output.calls[{place}].args }}}}"));
        let mut node = Node::new(&call_id(turn, place), None, Verb::Tool { name: name.to_owned(), with });
        node.timeout_ms = Some(CALL_MS);
        // One that must not be made twice is tried again only if it is certain that nothing was done.
        node.retry = Some(Retry::times(2));
        let after = effect.changes().then(|| changed.replace(node.id.clone())).flatten().into_iter().collect();
        extension.call(goal, draft, node, after);
    }
    extension
}
