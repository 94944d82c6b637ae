//! Makes a workflow of what a model planned: of a plan that was only written, and of a run that reached its goal. The second time
//! nobody has to plan.

mod approval;
mod drafted;
mod evidence;
mod file;
mod frozen;
mod lift;
mod links;
mod literals;
mod order;
mod place;
mod played;
mod reached;
mod skipped;

use std::collections::{BTreeMap, BTreeSet};

use parkway_core::id::RunId;
use parkway_core::tool::Effect;
use parkway_core::workflow::{PlanExample, RunIf, Turn, Verb};
use serde_json::{Value, json};

use crate::embed::Parkway;
use crate::error::Error;
use crate::workflow::Workflow;

use approval::ask_first;
pub use drafted::{Drafted, drafted};
pub use evidence::{Evidence, evidence};
use file::{ANSWER, File, Step};
pub use frozen::Frozen;
use frozen::frozen;
use lift::Lift;
pub use lift::Lifted;
use links::Links;
use literals::{Turns, each_text, inlined, inlined_expression, referring, turns_in};
use order::keep_order;
use place::Place;
use played::Played;
use reached::{Call, Reached};
use skipped::{or_null, skippable};

/// A workflow that does what a run did to reach its goal, and a test of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Distilled {
    /// The workflow. Literals that stood in the goal are its inputs.
    pub workflow: Workflow,
    /// A file of tests beside it: the tools answer what they answered, and no model is needed.
    pub tests: String,
    /// The inputs that literals became.
    pub lifted: Vec<Lifted>,
    /// What stays as it was: what calls that change something are given, whatever a run finds.
    pub frozen: Vec<Frozen>,
    /// Whether a chat writes the answer. Nothing holds that one against what the calls gave.
    pub asks: bool,
    /// The plan as it was written, for other goals to learn from. An agent writes none, and one that was mended is no example.
    pub example: Option<PlanExample>,
}

/// Distils the first goal that a run reached into a workflow of that name.
///
/// Only the calls stay that the answer is made of, and those that change something.
pub async fn distil(parkway: &Parkway, run: RunId, name: &str) -> Result<Distilled, Error> {
    let record = parkway.record(run).await?;
    let reached = Reached::read(parkway, &record).await?;
    if reached.goal.plan.as_ref().is_some_and(|planning| planning.draft_only) {
        return Err(Error::OutOfPlace(format!(
            "run {run} only wrote a plan, and nothing of it was done; `parkway plan --save FILE` writes a plan as a workflow"
        )));
    }
    let mut lift = Lift::new(&reached.words);
    let (names, turns) = (names(&reached.calls), turns(&reached));
    let steps = steps(&reached, &names, &turns, &mut lift);
    let (answer, sources) = answer(&reached, &names);
    let needed = needed(&steps, &reached.calls, &names, &sources);
    let (calls, mut kept): (Vec<_>, Vec<_>) =
        reached.calls.iter().zip(steps).filter(|(_, step)| needed.contains(&step.node.id)).unzip();
    keep_order(&mut kept);
    let frozen = kept.iter().zip(&calls).flat_map(|(step, call)| frozen(step, call)).collect();
    let (skippable, mut played) = (skippable(&kept), Played::default());
    let called: BTreeMap<_, _> = kept.iter().map(|step| step.node.id.clone()).zip(calls).collect();
    let covered = match &reached.goal.plan {
        Some(planning) if planning.approve => ask_first(&mut kept),
        _ => BTreeSet::new(),
    };
    for step in &kept {
        match called.get(&step.node.id) {
            Some(call) => played.call(step, call, covered.contains(&step.node.id)),
            None => played.yes(&step.node.id),
        }
    }
    lift.keep_used_by(&kept);
    let asks = answer.is_none();
    let answer = match answer {
        Some(mut answer) => {
            lift.of(ANSWER, &mut answer);
            or_null(answer, &skippable)
        }
        None => {
            kept.push(Step::answering(&reached.goal, &lift.goal(), &sources, &skippable));
            played.answer(&reached.goal, &reached.answer);
            json!(format!("${{{{ steps.{ANSWER}.output }}}}"))
        }
    };
    let file =
        File { plan: &record.plan, name, description: &reached.words, inputs: lift.schema(), steps: kept, answer };
    let tests = played.file(&format!("Plays what run {run} did."), &json!({ ANSWER: reached.answer }));
    let (workflow, example) = (file.workflow()?, example_of(parkway, &reached));
    Ok(Distilled { workflow, tests, lifted: lift.inputs, frozen, asks, example })
}

/// What the first goal of a run is, in words.
pub async fn goal(parkway: &Parkway, run: RunId) -> Result<String, Error> {
    Ok(Reached::read(parkway, &parkway.record(run).await?).await?.words)
}

/// The plan of a run that reached its goal, for other goals to learn from; none, if it was mended, or not all of it was done.
pub async fn example(parkway: &Parkway, run: RunId) -> Result<Option<PlanExample>, Error> {
    Ok(example_of(parkway, &Reached::read(parkway, &parkway.record(run).await?).await?))
}

/// What the calls are called in the file: as in the plan; an agent's are counted as those of a plan are.
fn names(calls: &[Call]) -> BTreeMap<String, String> {
    let planned =
        |id: &str| id.strip_prefix('s').is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()));
    let taken: BTreeSet<_> = calls.iter().map(|call| call.id.clone()).filter(|id| planned(id)).collect();
    let mut free = (1_u32..).map(|n| format!("s{n}")).filter(|id| !taken.contains(id));
    let name = |call: &Call| {
        let name = if planned(&call.id) { None } else { free.next() };
        (call.id.clone(), name.unwrap_or_else(|| call.id.clone()))
    };
    calls.iter().map(name).collect()
}

/// What the turns gave, by their ids.
fn turns(reached: &Reached) -> Turns {
    reached.turns.iter().map(|turn| (turn.id.clone(), turn.output.clone())).collect()
}

/// The calls as steps of a file, in order: without a word of the turns that wrote them.
fn steps(reached: &Reached, names: &BTreeMap<String, String>, turns: &Turns, lift: &mut Lift<'_>) -> Vec<Step> {
    let mut links = Links::default();
    let mut steps = Vec::new();
    for call in &reached.calls {
        let mut node = call.node.clone();
        node.id = renamed(&call.id, names);
        let mut free = false;
        if let Verb::Tool { with, .. } = &mut node.verb {
            let mut named = Vec::new();
            turns_in(with, turns, &mut named);
            free = named.iter().any(|turn| reached.is_free(turn));
            *with = inlined(with, turns);
            lift.of("value", with);
            if free {
                links.follow(with);
            }
        }
        node.condition = node.condition.as_ref().map(|condition| inlined_expression(condition, turns));
        if let Some(each) = &mut node.for_each {
            each.list = inlined_expression(&each.list, turns);
        }
        node.description = why(&call.id, reached).filter(|_| !free);
        // A group's place in the run's graph is none in the file.
        (node.parent, node.after, node.run_if) = (None, Vec::new(), RunIf::Completed);
        let after = call.after.iter().filter(|id| names.contains_key(*id)).map(|id| renamed(id, names)).collect();
        if let [(_, output)] = call.made.as_slice()
            && call.node.for_each.is_none()
        {
            links.add(&node.id, output);
        }
        let changes = changes(call);
        steps.push(Step { node, after, changes, stretch: call.stretch });
    }
    steps
}

fn changes(call: &Call) -> bool {
    !matches!(call.effect, Effect::Pure | Effect::Read)
}

fn renamed(id: &str, names: &BTreeMap<String, String>) -> String {
    names.get(id).cloned().unwrap_or_else(|| id.to_owned())
}

/// Why a step was planned, in the planner's words.
fn why(id: &str, reached: &Reached) -> Option<String> {
    let line = reached.turns.iter().rfind(|turn| turn.output.get("id").and_then(Value::as_str) == Some(id))?;
    line.output.get("why").and_then(Value::as_str).filter(|why| !why.is_empty()).map(str::to_owned)
}

/// The answer as the plan says that it is made, and the steps that it is made of; a model writes it from them if there is none.
fn answer(reached: &Reached, names: &BTreeMap<String, String>) -> (Option<Value>, Vec<String>) {
    let said = reached.turns.iter().rev().find(|turn| turn.output.get(ANSWER).is_some());
    let Some(said) = said else { return (None, names.values().cloned().collect()) };
    if said.output.get("done").is_some() {
        let answer = referring(&said.output[ANSWER]);
        let mut sources = Vec::new();
        each_text(&answer, &mut |text| sources.extend(Place::whole(text).map(|place| place.step)));
        return (Some(answer), sources);
    }
    let sources = said.output.get("sources").and_then(Value::as_array).into_iter().flatten();
    (None, sources.filter_map(Value::as_str).map(|id| renamed(id, names)).collect())
}

/// The steps that the answer is made of, those that change something, and all that these look at.
fn needed(steps: &[Step], calls: &[Call], names: &BTreeMap<String, String>, sources: &[String]) -> BTreeSet<String> {
    let changing = calls.iter().filter(|call| changes(call));
    let mut open: Vec<_> = sources.iter().cloned().chain(changing.map(|call| renamed(&call.id, names))).collect();
    let mut needed = BTreeSet::new();
    while let Some(id) = open.pop() {
        let Some(step) = steps.iter().find(|step| step.node.id == id) else { continue };
        if needed.insert(id) {
            open.extend(step.needs());
        }
    }
    needed
}

fn example_of(parkway: &Parkway, reached: &Reached) -> Option<PlanExample> {
    let mended = reached.turns.iter().any(|turn| matches!(turn.turn, Turn::Line { patch: 1.. } | Turn::Act { .. }));
    let lines = (!mended && !reached.lost).then(|| reached.lines(parkway)).flatten()?;
    Some(PlanExample { goal: reached.words.clone(), lines })
}
