//! `parkway diff RUN RUN`: in what two runs part. Compared is what was given, how each step ended, and what it gave.

use std::collections::HashMap;

use parkway::id::StepKey;
use parkway::log::{Commitment, EventKind};
use parkway::{Parkway, Record};
use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};

use crate::args::{DiffArgs, Global};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::{Out, columns};
use crate::project::Project;
use crate::render::{Symbols, clean, counted, cut, harmless, local};

/// The most lines that are shown of what changed in one place.
const MOST: usize = 24;

/// Compares two runs.
pub(crate) async fn diff(global: &Global, args: DiffArgs, out: &mut Out) -> Result<Exit, Failure> {
    let parkway = Project::find(global)?.need().await?;
    let before = Side::read(&parkway, &args.before).await?;
    let after = Side::read(&parkway, &args.after).await?;
    let parted = Parted::find(&before, &after);
    if args.json {
        out.json(&parted.as_json(&before, &after))?;
        return Ok(Exit::Done);
    }
    for line in parted.lines(&before, &after) {
        out.line(&line)?;
    }
    Ok(Exit::Done)
}

/// One of the two runs.
struct Side {
    record: Record,
    texts: HashMap<Commitment, Value>,
}

/// What a step came to.
#[derive(Clone, Debug, PartialEq)]
struct End {
    status: &'static str,
    output: Value,
    error: Value,
}

/// A step that is not the same in both; `None` where a run has none.
struct Step {
    key: StepKey,
    before: Option<End>,
    after: Option<End>,
}

/// All in which two runs part.
struct Parted {
    same_plan: bool,
    inputs: (Value, Value),
    outputs: (Value, Value),
    steps: Vec<Step>,
    alike: usize,
}

impl Side {
    async fn read(parkway: &Parkway, text: &str) -> Result<Side, Failure> {
        let run = parkway.find_run(text).await?;
        let record = parkway.record(run.run).await?;
        let mut wanted: Vec<_> = record.state.steps().iter().filter_map(|step| step.output).collect();
        wanted.extend(record.state.steps().iter().filter_map(|step| Some(step.error.as_ref()?.message)));
        wanted.extend(record.events.iter().flat_map(|event| match &event.kind {
            EventKind::RunCreated { inputs, .. } => vec![*inputs],
            EventKind::RunCompleted { outputs } => vec![*outputs],
            _ => Vec::new(),
        }));
        let texts = wanted.iter().copied().zip(parkway.texts(&wanted).await?).collect();
        Ok(Side { record, texts })
    }

    fn text(&self, commitment: Option<Commitment>) -> Value {
        commitment.and_then(|commitment| self.texts.get(&commitment).cloned()).unwrap_or_default()
    }

    fn end(&self, key: &StepKey) -> Option<End> {
        let step = self.record.state.step(key)?;
        let error = match &step.error {
            Some(error) => json!({ "code": error.code, "message": self.text(Some(error.message)) }),
            None => Value::Null,
        };
        Some(End { status: step.status.as_str(), output: self.text(step.output), error })
    }

    /// What was given, and what came out.
    fn edges(&self) -> (Value, Value) {
        let (mut inputs, mut outputs) = (None, None);
        for event in &self.record.events {
            match &event.kind {
                EventKind::RunCreated { inputs: given, .. } => inputs = Some(*given),
                EventKind::RunCompleted { outputs: given } => outputs = Some(*given),
                _ => {}
            }
        }
        (self.text(inputs), self.text(outputs))
    }

    fn plan_hash(&self) -> Option<String> {
        self.record.events.iter().find_map(|event| match &event.kind {
            EventKind::RunCreated { plan_hash, .. } => Some(plan_hash.to_string()),
            _ => None,
        })
    }

    fn head(&self, name: &str) -> String {
        let state = &self.record.state;
        let at = self.record.events.first().map(|event| local(event.at)).unwrap_or_default();
        format!("{name}  {}  {}  {}  {at}", state.run(), clean(&self.record.plan.workflow), state.status().as_str())
    }
}

impl Parted {
    fn find(before: &Side, after: &Side) -> Parted {
        let keys = |side: &Side| side.record.state.steps().iter().map(|step| step.key.clone()).collect::<Vec<_>>();
        let mut all = keys(before);
        let known: std::collections::HashSet<_> = all.iter().cloned().collect();
        all.extend(keys(after).into_iter().filter(|key| !known.contains(key)));
        let total = all.len();
        // What is within a step stands behind it.
        let roots: Vec<_> = all.iter().filter_map(root).map(str::to_owned).collect();
        all.sort_by_key(|key| root(key).and_then(|id| roots.iter().position(|root| root == id)));
        let ends = all.into_iter().map(|key| Step { before: before.end(&key), after: after.end(&key), key });
        let steps: Vec<_> = ends.filter(|step| step.before != step.after).collect();
        let ((given, came), (given_after, came_after)) = (before.edges(), after.edges());
        Parted {
            same_plan: before.plan_hash() == after.plan_hash(),
            inputs: (given, given_after),
            outputs: (came, came_after),
            alike: total - steps.len(),
            steps,
        }
    }

    fn as_json(&self, before: &Side, after: &Side) -> Value {
        let end = |end: &Option<End>| match end {
            Some(End { status, output, error }) => json!({ "status": status, "output": output, "error": error }),
            None => Value::Null,
        };
        let step = |step: &Step| json!({ "step": step.key.to_string(), "before": end(&step.before), "after": end(&step.after) });
        let pair = |(before, after): &(Value, Value)| json!({ "before": before, "after": after });
        json!({
            "before": before.record.state.run().to_string(),
            "after": after.record.state.run().to_string(),
            "same_plan": self.same_plan,
            "inputs": pair(&self.inputs),
            "outputs": pair(&self.outputs),
            "steps": self.steps.iter().map(step).collect::<Vec<_>>(),
            "alike": self.alike,
        })
    }

    fn lines(&self, before: &Side, after: &Side) -> Vec<String> {
        let mut lines = vec![before.head("before"), after.head("after ")];
        lines.push(String::new());
        lines.push(if self.same_plan { "the plans are the same" } else { "the plans differ" }.into());
        for (title, (before, after)) in [("inputs", &self.inputs), ("outputs", &self.outputs)] {
            if before != after {
                lines.push(format!("\n{title}"));
                lines.extend(changed(before, after));
            }
        }
        for step in &self.steps {
            lines.push(format!("\n{}", step.key));
            match (&step.before, &step.after) {
                (Some(before), Some(after)) => {
                    if before.status != after.status {
                        lines.push(format!("  {}, and was {}", after.status, before.status));
                    }
                    for (before, after) in [(&before.error, &after.error), (&before.output, &after.output)] {
                        if before != after {
                            lines.extend(changed(before, after));
                        }
                    }
                }
                (Some(_), None) => lines.push("  only in the run before".into()),
                (None, _) => lines.push("  only in the run after".into()),
            }
        }
        let alike = counted(u64::try_from(self.alike).unwrap_or(u64::MAX), "step");
        lines.push(format!("\n{alike} alike, {} not", self.steps.len()));
        lines.iter().flat_map(|line| line.split('\n').map(str::to_owned).collect::<Vec<_>>()).collect()
    }
}

/// The id of the outermost step.
fn root(key: &StepKey) -> Option<&str> {
    key.path().first().map(|segment| segment.id.as_str())
}

/// The value with the keys of its objects in order: in which one they were given means nothing.
fn ordered(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<_> = map.iter().map(|(key, value)| (key.clone(), ordered(value))).collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => items.iter().map(ordered).collect(),
        value => value.clone(),
    }
}

/// The lines that changed between two values, with what stands next to them.
fn changed(before: &Value, after: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => format!("{}\n", text.trim_end()),
        value => format!("{:#}\n", ordered(value)),
    };
    let (before, after) = (text(before), text(after));
    let diff = TextDiff::from_lines(&before, &after);
    let (most, symbols) = (columns().saturating_sub(4), Symbols::from_env());
    let mut lines = Vec::new();
    for (number, group) in diff.grouped_ops(1).iter().enumerate() {
        if number > 0 {
            lines.push("    …".to_owned());
        }
        for change in group.iter().flat_map(|operation| diff.iter_changes(operation)) {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            let line = cut(&harmless(change.value().trim_end_matches('\n')), most.saturating_sub(2), symbols);
            lines.push(format!("  {sign} {line}"));
        }
    }
    if lines.len() > MOST {
        let more = lines.len() - MOST;
        lines.truncate(MOST);
        lines.push(format!("    … {} more; --json has all", counted(u64::try_from(more).unwrap_or(u64::MAX), "line")));
    }
    lines
}
