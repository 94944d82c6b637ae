//! A plan that was only written, as a workflow file.

use std::collections::BTreeSet;

use parkway_core::planning::{Draft, Literals, PlannedStep};
use parkway_core::workflow::{Goal, Plan, Turn, Verb, literal};
use serde_json::{Map, Value, json};

use super::file::{ANSWER, File, Step, question};
use crate::error::Error;
use crate::workflow::Workflow;

/// The workflow of a plan that was only written, under that name. `plan` is the one of the run that wrote it, whose models and grants
/// it takes; `goal` stands in it, and `words` say what is to be reached.
pub fn of_draft(plan: &Plan, goal: &Goal, words: &str, name: &str, draft: &Draft) -> Result<Workflow, Error> {
    let mut steps: Vec<Step> = Vec::new();
    for planned in draft.steps() {
        for lowered in draft.lower(planned, Literals::Inline) {
            let mut node = lowered.node;
            match &mut node.verb {
                // Its arguments are decided by a model, in the file as in the plan.
                Verb::Turn(Turn::Decide { .. }) => {
                    let asked = Step::asking(&node.id, goal, decision(planned, words), form(draft, planned));
                    steps.push(Step { after: lowered.after.into_iter().collect(), ..asked });
                    continue;
                }
                Verb::Tool { with, .. } if with.is_string() => *with = field_by_field(draft, planned, with),
                _ => {}
            }
            steps.push(Step { node, after: lowered.after.into_iter().collect() });
        }
    }
    let answer = draft.lower_answer(Literals::Inline, "").unwrap_or_else(|| {
        let used: BTreeSet<_> =
            steps.iter().flat_map(|step| step.named().into_iter().chain(step.after.clone())).collect();
        let last: Vec<_> = steps.iter().map(|step| step.node.id.clone()).filter(|id| !used.contains(id)).collect();
        steps.push(Step::asking(ANSWER, goal, question(&literal(words), &last), goal.schema.clone()));
        json!(format!("${{{{ steps.{ANSWER}.output }}}}"))
    });
    let inputs = json!({ "type": "object", "properties": {}, "additionalProperties": false });
    File { plan, name, description: words, inputs, steps, answer }.workflow()
}

/// What a model is asked, where the arguments of a step are decided late.
fn decision(step: &PlannedStep, words: &str) -> String {
    let by = step.late.as_deref().unwrap_or_default();
    let asked = format!("{}\n\nDecide the arguments of a call of {}: {}", literal(words), step.tool, literal(by));
    question(&asked, &step.uses)
}

fn form(draft: &Draft, step: &PlannedStep) -> Option<Value> {
    draft.tool(&step.tool).map(|tool| tool.input_schema.clone())
}

/// A file names each argument: those that the tool must have.
fn field_by_field(draft: &Draft, step: &PlannedStep, whole: &Value) -> Value {
    let output = whole.as_str().unwrap_or_default().trim_end_matches("}}").trim_end();
    let schema = draft.tool(&step.tool).map(|tool| &tool.input_schema);
    let names = schema.and_then(|schema| schema.get("required")).and_then(Value::as_array).into_iter().flatten();
    let names = names.filter_map(Value::as_str);
    let field = |name: &str| (name.to_owned(), json!(format!("{output}['{name}'] }}}}")));
    Value::Object(names.map(field).collect::<Map<_, _>>())
}
