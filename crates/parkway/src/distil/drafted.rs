//! A plan that was only written, and what it is as a workflow file.

use std::collections::BTreeSet;
use std::sync::Arc;

use parkway_core::id::RunId;
use parkway_core::planning::{Draft, Literals, PlannedStep};
use parkway_core::tool::Effect;
use parkway_core::workflow::{Goal, Plan, Turn, Verb, literal};
use serde_json::{Map, Value, json};

use super::approval::ask_first;
use super::file::{ANSWER, File, Step, question};
use super::reached::{Reached, empty_draft, taken};
use super::skipped::{or_null, skippable};
use crate::embed::Parkway;
use crate::error::Error;
use crate::workflow::Workflow;

/// A plan that was only written.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Drafted {
    /// The goal, in words.
    pub goal: String,
    /// Its lines, as the model wrote them.
    pub lines: Vec<Value>,
    /// The plan that they make.
    pub draft: Draft,
    /// The plan of the run that wrote it.
    plan: Arc<Plan>,
    asked: Goal,
}

/// The plan that a run wrote for its goal.
pub async fn drafted(parkway: &Parkway, run: RunId) -> Result<Drafted, Error> {
    let record = parkway.record(run).await?;
    let reached = Reached::read(parkway, &record).await?;
    let goal = reached.goal;
    let mut draft = empty_draft(parkway, &goal);
    let lines = reached.answer.get("lines").and_then(Value::as_array).cloned().unwrap_or_default();
    for line in &lines {
        taken(&mut draft, line).map_err(|errors| {
            let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
            Error::OutOfPlace(format!("a line of run {run} cannot stand any more: {}; plan anew", errors.join("; ")))
        })?;
    }
    Ok(Drafted { goal: reached.words, lines, draft, plan: record.plan, asked: goal })
}

impl Drafted {
    /// It as a workflow of that name, with the models and grants that it needs.
    pub fn workflow(&self, name: &str) -> Result<Workflow, Error> {
        let mut steps: Vec<Step> = Vec::new();
        for planned in self.draft.steps() {
            for lowered in self.draft.lower(planned, Literals::Inline) {
                let after = lowered.after.into_iter().collect();
                let mut node = lowered.node;
                match &mut node.verb {
                    // Its arguments are decided by a model, in the file as in the plan.
                    Verb::Turn(Turn::Decide { .. }) => {
                        let mut asked =
                            Step::asking(&node.id, &self.asked, self.decision(planned), self.arguments(planned));
                        asked.node.condition = node.condition;
                        steps.push(Step { after, ..asked });
                        continue;
                    }
                    Verb::Tool { with, .. } if with.is_string() => *with = self.field_by_field(planned, with),
                    _ => {}
                }
                steps.push(Step { node, after, changes: self.changes(planned), stretch: 0 });
            }
        }
        let skippable = skippable(&steps);
        // What only a step looks at that may be skipped is said as well.
        let looks = steps.iter().filter(|step| !skippable.contains(&step.node.id));
        let used: BTreeSet<_> = looks.flat_map(Step::needs).collect();
        let calls = steps.iter().filter(|step| matches!(step.node.verb, Verb::Tool { .. }));
        let last: Vec<_> = calls.map(|step| step.node.id.clone()).filter(|id| !used.contains(id)).collect();
        if self.asked.plan.as_ref().is_some_and(|planning| planning.approve) {
            ask_first(&mut steps);
        }
        let answer = match self.draft.lower_answer(Literals::Inline, "") {
            Some(answer) => or_null(answer, &skippable),
            None => {
                steps.push(Step::answering(&self.asked, &literal(&self.goal), &last, &skippable));
                json!(format!("${{{{ steps.{ANSWER}.output }}}}"))
            }
        };
        let inputs = json!({ "type": "object", "properties": {}, "required": [], "additionalProperties": false });
        File { plan: &self.plan, name, description: &self.goal, inputs, steps, answer }.workflow()
    }

    fn changes(&self, step: &PlannedStep) -> bool {
        let effect = self.draft.tool(&step.tool).map(|tool| tool.effect);
        !matches!(effect, Some(Effect::Pure | Effect::Read))
    }

    /// What a model is asked, where the arguments of a step are decided late.
    fn decision(&self, step: &PlannedStep) -> String {
        let by = step.late.as_deref().unwrap_or_default();
        let asked = format!("Decide the arguments of a call of {}: {by}", step.tool);
        question(&literal(&format!("{}\n\n{asked}", self.goal)), &step.uses, &BTreeSet::new())
    }

    fn arguments(&self, step: &PlannedStep) -> Option<Value> {
        self.draft.decide_form(&step.id)
    }

    /// A file names each argument: those that the tool must have.
    fn field_by_field(&self, step: &PlannedStep, whole: &Value) -> Value {
        let output = whole.as_str().unwrap_or_default().trim_end_matches("}}").trim_end();
        let schema = self.draft.tool(&step.tool).map(|tool| &tool.input_schema);
        let names = schema.and_then(|schema| schema.get("required")).and_then(Value::as_array).into_iter().flatten();
        let names = names.filter_map(Value::as_str);
        let field = |name: &str| (name.to_owned(), json!(format!("{output}['{name}'] }}}}")));
        Value::Object(names.map(field).collect::<Map<_, _>>())
    }
}
