//! What a run did to reach a goal, read from its log.

use std::collections::HashMap;

use parkway_core::id::StepKey;
use parkway_core::log::{Commitment, Does, EventKind, Planned, Step, StepStatus};
use parkway_core::planning::{Done, Draft, Line, LineError};
use parkway_core::store::StoreError;
use parkway_core::tool::Effect;
use parkway_core::workflow::{Goal, Node, Turn, Verb};
use serde_json::{Value, json};

use crate::embed::Parkway;
use crate::error::Error;
use crate::record::Record;

/// A goal that was reached, and the way there.
#[derive(Clone, Debug)]
pub(super) struct Reached {
    /// The step that pursued it.
    pub(super) key: StepKey,
    /// What was asked for, without the words.
    pub(super) goal: Goal,
    /// What was to be reached.
    pub(super) words: String,
    /// The answer.
    pub(super) answer: Value,
    /// What the model wrote, in order.
    pub(super) turns: Vec<Written>,
    /// The calls that completed, in the order in which they were planned.
    pub(super) calls: Vec<Call>,
    /// Whether a call did not complete.
    pub(super) lost: bool,
}

/// What a turn of the model gave.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) id: String,
    pub(super) turn: Turn,
    pub(super) output: Value,
}

/// A call that completed.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) node: Node,
    pub(super) after: Vec<String>,
    pub(super) effect: Effect,
    /// On which stretch of the way it was planned.
    pub(super) stretch: u32,
    /// Arguments and output, of each item where it fans out.
    pub(super) made: Vec<(Value, Value)>,
}

impl Reached {
    /// The first goal of a run that was reached.
    pub(super) async fn read(parkway: &Parkway, record: &Record) -> Result<Reached, Error> {
        let run = record.state.run();
        let goals = record.state.steps().iter().filter_map(|step| Some((step, goal_of(record, step)?)));
        let goals: Vec<_> = goals.collect();
        let Some((step, goal)) = goals.iter().find(|(step, _)| step.status == StepStatus::Completed) else {
            return Err(Error::OutOfPlace(match goals.first() {
                Some((step, _)) => {
                    let status = step.status.as_str();
                    format!(
                        "the goal `{}` of run {run} is {status}; only one that was reached can be distilled",
                        step.key
                    )
                }
                None => format!("run {run} pursues no goal: no step of it is a `plan` or an `agent`"),
            }));
        };
        if !record.state.unread_texts().is_empty() {
            return Err(erased(&run.to_string()));
        }
        let members = members(record, &step.key);
        let mut wanted: Vec<_> = step.args.iter().chain(&step.output).copied().collect();
        let steps: HashMap<_, _> =
            members.iter().map(|(_, member)| (&member.id, made_of(record, &step.key, member))).collect();
        wanted.extend(steps.values().flatten().flat_map(|step| step.args.iter().chain(&step.output)));
        let known = Texts::read(parkway, record, &wanted).await?;
        let (mut turns, mut calls, mut lost) = (Vec::new(), Vec::new(), false);
        for (stretch, member) in members {
            let made = steps.get(&member.id).map(Vec::as_slice).unwrap_or_default();
            let whole = record.state.step(&step.key.child(&member.id));
            let Some(whole) = whole.filter(|whole| whole.status == StepStatus::Completed) else {
                lost |= !matches!(member.does, Does::Turn { .. } | Does::Approve);
                continue;
            };
            let pairs = made.iter().map(|step| Ok((known.maybe(step.args)?, known.maybe(step.output)?)));
            let pairs: Vec<_> = pairs.collect::<Result<_, Error>>()?;
            match &member.does {
                Does::Turn { turn } => {
                    let output = pairs.into_iter().next().map(|(_, output)| output).unwrap_or_default();
                    turns.push(Written { id: member.id.clone(), turn: turn.clone(), output });
                }
                Does::Tool { effect, .. } => {
                    calls.push(Call {
                        id: member.id.clone(),
                        node: record.state.plan().graph.node(whole.node).clone(),
                        after: member.after.clone(),
                        effect: *effect,
                        stretch,
                        made: pairs,
                    });
                }
                Does::Workflow { name } => {
                    return Err(Error::OutOfPlace(format!(
                        "`{}` of run {run} called the workflow `{name}`, and only calls of tools can be distilled",
                        member.id
                    )));
                }
                _ => {}
            }
        }
        let words = words(goal, &known.maybe(step.args)?);
        let answer = match step.output {
            Some(output) => known.of(output)?,
            None => turns.last().and_then(|turn| turn.output.get("answer")).cloned().unwrap_or_default(),
        };
        Ok(Reached { key: step.key.clone(), goal: (*goal).clone(), words, answer, turns, calls, lost })
    }

    /// The lines of a plan that was not mended, without those that could not stand: the planner wrote them anew. None, if it was not
    /// closed.
    pub(super) fn lines(&self, parkway: &Parkway) -> Option<Vec<Value>> {
        let mut draft = empty_draft(parkway, &self.goal);
        let lines = self.turns.iter().filter(|turn| matches!(turn.turn, Turn::Line { .. })).map(|turn| &turn.output);
        let standing = lines.filter_map(|line| taken(&mut draft, line).ok()).collect();
        draft.done().is_some().then_some(standing)
    }

    /// Whether a turn decided arguments late, or acted: not the plan says these, but what was found out meanwhile.
    pub(super) fn is_free(&self, turn: &str) -> bool {
        let written = self.turns.iter().find(|written| written.id == turn);
        written.is_some_and(|written| !matches!(written.turn, Turn::Line { .. }))
    }
}

/// A plan of which nothing is written yet.
pub(super) fn empty_draft(parkway: &Parkway, goal: &Goal) -> Draft {
    let tools = goal.tools.iter().filter_map(|name| parkway.tools().get(name)).map(|tool| tool.spec().clone());
    let most = goal.plan.as_ref().map_or(0, |planning| planning.max_steps);
    Draft::new(tools.collect(), goal.schema.clone(), most)
}

/// Takes a line into a plan, if it can stand there: as it was written, but for one that repeats a step, which closes the plan.
pub(super) fn taken(draft: &mut Draft, line: &Value) -> Result<Value, Vec<LineError>> {
    let read = draft.read(line)?;
    let repeats = draft.repeats(&read);
    draft.take(if repeats { Line::Done(Done::default()) } else { read }, "");
    Ok(if repeats { json!({ "done": true }) } else { line.clone() })
}

/// What the state of the run knows of a step that pursues a goal.
fn goal_of<'r>(record: &'r Record, step: &Step) -> Option<&'r Goal> {
    let index = usize::try_from(step.node.0).ok()?;
    match &record.plan.graph.nodes.get(index)?.verb {
        Verb::Goal(goal) if step.key == step.key.fan_out() => Some(goal),
        _ => None,
    }
}

/// The goal in words: as it was filled in, where the log says so.
fn words(goal: &Goal, args: &Value) -> String {
    let filled = args.get("goal").unwrap_or(args).as_str();
    filled.unwrap_or(&goal.goal.text).to_owned()
}

/// The members of a goal in the order in which they came into being, with the stretches of the way on which they did.
fn members<'r>(record: &'r Record, goal: &StepKey) -> Vec<(u32, &'r Planned)> {
    let of = |kind: &'r EventKind| match kind {
        EventKind::PlanExtended { key, nodes, .. } if key == goal => nodes.as_slice(),
        _ => &[],
    };
    let (mut stretch, mut newest) = (0, None);
    let placed = |member: &'r Planned| {
        if let Does::Turn { turn: turn @ (Turn::Line { .. } | Turn::Act { .. }) } = &member.does {
            stretch += u32::from(newest.replace(turn).is_some_and(|before| before != turn));
        }
        (stretch, member)
    };
    record.events.iter().flat_map(|event| of(&event.kind)).map(placed).collect()
}

/// The steps that a member was made of: itself, or its items.
fn made_of<'r>(record: &'r Record, goal: &StepKey, member: &Planned) -> Vec<&'r Step> {
    let Some(step) = record.state.step(&goal.child(&member.id)) else { return Vec::new() };
    match &step.fan {
        Some(fan) => (0..fan.total).filter_map(|item| record.state.step(&step.key.item(item))).collect(),
        None => vec![step],
    }
}

fn erased(run: &str) -> Error {
    Error::OutOfPlace(format!("texts of run {run} were erased, so that it cannot be distilled; choose another run"))
}

/// Payloads of a run.
struct Texts {
    run: String,
    known: HashMap<Commitment, Value>,
}

impl Texts {
    async fn read(parkway: &Parkway, record: &Record, wanted: &[Commitment]) -> Result<Texts, Error> {
        let payloads = parkway.services().store.payloads(wanted).await?;
        let mut known = HashMap::new();
        for (commitment, payload) in wanted.iter().zip(payloads) {
            if let Some(payload) = payload {
                known.insert(*commitment, payload.value().map_err(StoreError::from)?);
            }
        }
        Ok(Texts { run: record.state.run().to_string(), known })
    }

    fn of(&self, commitment: Commitment) -> Result<Value, Error> {
        self.known.get(&commitment).cloned().ok_or_else(|| erased(&self.run))
    }

    fn maybe(&self, commitment: Option<Commitment>) -> Result<Value, Error> {
        commitment.map_or(Ok(Value::Null), |commitment| self.of(commitment))
    }
}
