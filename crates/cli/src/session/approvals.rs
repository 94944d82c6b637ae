//! `--approve STEP` and `--yes`: answers given in advance, for the workflow's own `approve` steps.

use parkway::definition::Verb;
use parkway::id::StepKey;
use parkway::log::{Channel, Verdict};
use parkway::{Parkway, Plan, Preapproval, Record};

use super::person;
use crate::args::Following;
use crate::failure::Failure;

/// The answers given in advance; one for a step that does not ask is an error.
pub(crate) fn given(following: &Following, plan: &Plan) -> Result<Vec<Preapproval>, Failure> {
    if !following.yes && following.approve.is_empty() {
        return Ok(Vec::new());
    }
    let asking: Vec<_> = plan.graph.iter().filter(|(_, node)| asks(&node.verb)).map(|(_, node)| &node.id).collect();
    for step in &following.approve {
        let id = step.parse::<StepKey>().ok().and_then(|key| key.last().map(|segment| segment.id.clone()));
        if !asking.iter().any(|asking| id.as_ref() == Some(asking)) {
            let known: Vec<_> = asking.iter().map(|id| format!("`{id}`")).collect();
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
    Ok(following.approve.iter().map(|step| one(Some(step.clone()))).collect())
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

fn asks(verb: &Verb) -> bool {
    matches!(verb, Verb::Approve { .. })
}
