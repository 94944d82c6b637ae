//! `--approve STEP` and `--yes`: answers given in advance, for the workflow's own `approve` steps.

use parkway::definition::Verb;
use parkway::id::StepKey;
use parkway::log::{Channel, Verdict};
use parkway::{Parkway, Plan, Preapproval, Record};

use super::person;
use crate::args::Following;
use crate::failure::Failure;

/// The most members that a planned step brings: lines that cannot stand, the one that does, the step, and the turn that decides its
/// arguments.
const TURNS_A_STEP: u32 = 6;

/// The answers given in advance; one for a step that does not ask is an error.
pub(crate) fn given(following: &Following, plan: &Plan) -> Result<Vec<Preapproval>, Failure> {
    if !following.yes && following.approve.is_empty() {
        return Ok(Vec::new());
    }
    let asking: Vec<_> = plan.graph.iter().filter(|(_, node)| asks(&node.verb)).map(|(_, node)| &node.id).collect();
    let planning: Vec<_> = plan.graph.iter().filter_map(|(_, node)| Some((&node.id, questions(&node.verb)?))).collect();
    for step in &following.approve {
        let id = step.parse::<StepKey>().ok().and_then(|key| key.last().map(|segment| segment.id.clone()));
        let known = || asking.iter().copied().chain(planning.iter().map(|(id, _)| *id));
        if !known().any(|asking| id.as_ref() == Some(asking)) {
            let known: Vec<_> = known().map(|id| format!("`{id}`")).collect();
            let help = match known.len() {
                0 => "no step of it asks".to_owned(),
                _ => format!("these steps ask: {}", known.join(", ")),
            };
            return Err(Failure::invalid(format!("`{step}` is no `approve` step of {}", plan.workflow)).help(help));
        }
    }
    let one = |step: Option<String>| Preapproval { step, by: person(), via: Channel::Flag };
    if following.yes {
        return Ok(vec![one(None)]);
    }
    let plans = |step: &String| {
        let found = planning.iter().find(|(id, _)| *id == step).map_or(0, |(_, questions)| *questions);
        (1..=found).map(move |number| format!("{step}.approval_{number}")).collect::<Vec<_>>()
    };
    let steps = following.approve.iter().flat_map(|step| plans(step).into_iter().chain([step.clone()]));
    Ok(steps.map(|step| one(Some(step))).collect())
}

/// Gives these answers to steps that ask already.
pub(crate) async fn answer_waiting(parkway: &Parkway, record: &Record, given: &[Preapproval]) -> Result<(), Failure> {
    for step in record.state.asking() {
        if !asks(&record.state.plan().graph.node(step.node).verb) {
            continue;
        }
        if let Some(given) = given.iter().find(|given| given.covers(&step.key)) {
            let (key, by) = (step.key.clone(), given.by.clone());
            parkway.answer(record.state.run(), key, Verdict::Approved, None, by, given.via).await?;
        }
    }
    Ok(())
}

/// The highest number that the question about a plan can have, where a person approves it: it is counted with the steps and the turns
/// before it.
fn questions(verb: &Verb) -> Option<u32> {
    let Verb::Goal(goal) = verb else { return None };
    let planning = goal.plan.as_ref().filter(|planning| planning.approve)?;
    Some((planning.max_steps + planning.max_replans + 1) * TURNS_A_STEP)
}

fn asks(verb: &Verb) -> bool {
    matches!(verb, Verb::Approve { .. })
}
