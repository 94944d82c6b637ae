//! `parkway check FILE`.

mod outlook;
mod sarif;

use parkway::definition::{Diagnostic, ModelSpec, NodeIndex, Verb};
use parkway::models::{Catalog, Presence};
use parkway::{Diagnostics, Error, Outlook, Plan, Workflow};
use serde_json::{Value, json};

use crate::args::{CheckArgs, CheckFormat, Global};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::{Out, columns, say};
use crate::project::Project;
use crate::render::{Symbols, clean, counted, harmless, waves, wrap};

/// What this version leaves to the run.
const NOT_CHECKED: &str = "whether files and folders are there, how long prompts become by what stands in them, and the types \
                           of what only a run brings: signals, and outputs of tools and workflows that declare none";

/// Says what is wrong with a workflow, or what it would do.
pub(crate) async fn check(global: &Global, args: CheckArgs, out: &mut Out) -> Result<Exit, Failure> {
    let parkway = Project::find(global)?.without_store().await?;
    let format = if args.json { CheckFormat::Json } else { args.format };
    let workflow = match Workflow::from_path(&args.file) {
        Ok(workflow) => workflow,
        Err(Error::Invalid(problems)) => return wrong(&problems, format, out),
        Err(error) => return Err(error.into()),
    };
    let (plan, doubts) = match parkway.check_all(&workflow) {
        Ok(checked) => checked,
        Err(Error::Invalid(problems)) => return wrong(&problems, format, out),
        Err(error) => return Err(error.into()),
    };
    if args.strict && !doubts.list.is_empty() {
        return wrong(&doubts, format, out);
    }
    let outlook = parkway.outlook(&plan);
    let file = args.file.display().to_string();
    match format {
        CheckFormat::Json => {
            let waves = ids(&plan, None);
            out.pretty(
                &json!({ "ok": true, "file": file, "problems": listed(&doubts), "waves": waves, "outlook": outlook, "plan": plan }),
            )?;
        }
        CheckFormat::Sarif => out.pretty(&sarif::report(&doubts))?,
        CheckFormat::Text => {
            for line in describe(&plan, &outlook, &file, workflow.description(), inputs(&plan)) {
                out.text(&line)?;
            }
            if !doubts.list.is_empty() {
                out.text(&format!("\n{doubts}"))?;
                out.flush()?;
                say(&format!("\n{} in {}", counted(number(&doubts), "warning"), doubts.file));
            }
        }
    }
    Ok(Exit::Done)
}

fn wrong(problems: &Diagnostics, format: CheckFormat, out: &mut Out) -> Result<Exit, Failure> {
    match format {
        CheckFormat::Json => {
            out.pretty(&json!({ "ok": false, "file": problems.file, "problems": listed(problems) }))?;
        }
        CheckFormat::Sarif => out.pretty(&sarif::report(problems))?,
        CheckFormat::Text => {
            out.text(&problems.to_string())?;
            out.flush()?;
            say(&format!("\n{} in {}", counted(number(problems), "problem"), problems.file));
            if let Some(first) = problems.list.first() {
                say(&format!("more about one: parkway explain {}", first.code));
            }
        }
    }
    Ok(Exit::Invalid)
}

fn number(problems: &Diagnostics) -> u64 {
    u64::try_from(problems.list.len()).unwrap_or(u64::MAX)
}

fn listed(problems: &Diagnostics) -> Vec<Value> {
    let one = |problem: &Diagnostic| {
        let (line, column) = (problem.place.map(|p| p.line), problem.place.map(|p| p.column));
        let severity = if problem.is_error() { "error" } else { "warning" };
        let (file, _) = problems.source_of(problem);
        json!({
            "severity": severity, "code": problem.code, "file": file, "line": line, "column": column,
            "message": problem.message, "help": problem.help,
        })
    };
    problems.list.iter().map(one).collect()
}

/// The ids of the steps, wave by wave.
fn ids(plan: &Plan, group: Option<NodeIndex>) -> Value {
    let waves = plan.graph.waves(group);
    let step = |index: &NodeIndex| {
        let node = plan.graph.node(*index);
        match &node.verb {
            Verb::Steps { .. } => json!({ "id": node.id, "waves": ids(plan, Some(*index)) }),
            _ => json!({ "id": node.id }),
        }
    };
    waves.iter().map(|wave| wave.iter().map(step).collect::<Value>()).collect()
}

/// The plan, for people.
pub(super) fn describe(
    plan: &Plan,
    outlook: &Outlook,
    file: &str,
    description: Option<&str>,
    inputs: Vec<String>,
) -> Vec<String> {
    let mut lines = vec![format!("{}  {}", clean(&plan.workflow), harmless(file))];
    let most = columns().min(100).saturating_sub(2);
    let description = description.map(|text| wrap(&clean(text), most, 6, Symbols::from_env())).unwrap_or_default();
    lines.extend(description.into_iter().map(|line| format!("  {line}")));
    let mut part = |title: &str, body: Vec<String>| {
        if !body.is_empty() {
            lines.push(String::new());
            lines.push(title.to_owned());
            lines.extend(body);
        }
    };
    part("inputs", inputs);
    part("steps, in waves", waves(plan, Some(outlook)));
    let lines_of = |text: &str| -> Vec<String> {
        wrap(text, most, 4, Symbols::from_env()).into_iter().map(|line| format!("  {line}")).collect()
    };
    part("longest chain", outlook::chain(outlook).map(|chain| lines_of(&chain)).unwrap_or_default());
    part("asks people", outlook::questions(plan, outlook));
    part("waits", outlook::waits(outlook));
    let models = plan.models.iter().flat_map(|(name, spec)| {
        let own = format!("  {name}  {}", model(spec));
        std::iter::once(own).chain(outlook::chats(outlook, name, spec.context))
    });
    part("models", models.collect());
    part(
        "grants",
        plan.grants.iter().map(|(family, grant)| format!("  {family}  {}", harmless(&grant.to_string()))).collect(),
    );
    part("secrets", outlook::secrets(outlook));
    part(
        "reads from the environment",
        (!outlook.env.is_empty()).then(|| format!("  {}", outlook.env.join(", "))).into_iter().collect(),
    );
    part("budget", outlook::budget(outlook));
    part("not checked", wrap(NOT_CHECKED, most, 4, Symbols::Ascii).into_iter().map(|l| format!("  {l}")).collect());
    lines
}

fn inputs(plan: &Plan) -> Vec<String> {
    let properties = plan.inputs.get("properties").and_then(Value::as_object);
    let line = |(name, schema): (&String, &Value)| {
        let text = |key| schema.get(key).and_then(Value::as_str).map(clean).unwrap_or_default();
        let default = schema.get("default").map(|default| format!(" = {}", harmless(&default.to_string())));
        let gap = if text("description").is_empty() { "" } else { "  " };
        format!("  {name}  {}{}{gap}{}", text("type"), default.unwrap_or_default(), text("description"))
    };
    properties.into_iter().flatten().map(line).collect()
}

fn model(spec: &ModelSpec) -> String {
    let context = spec.context.map(|context| format!(", context {context}")).unwrap_or_default();
    if let Some(openai) = &spec.openai {
        return format!("{} at {}{context}", harmless(&openai.model), harmless(&openai.url));
    }
    let gguf = spec.gguf.as_ref();
    match (gguf.and_then(|g| g.name.as_ref()), gguf.and_then(|g| g.path.as_ref())) {
        (Some(name), _) => format!("{}{context}{}", clean(name), presence(name)),
        (None, Some(path)) => format!("{}{context}", harmless(path)),
        (None, None) => format!("bound by the program{context}"),
    }
}

fn presence(name: &str) -> String {
    let entry = Catalog::open().ok().and_then(|catalog| catalog.list().ok()?.into_iter().find(|e| e.name == name));
    match entry.map(|entry| entry.presence) {
        Some(Presence::Present) => String::new(),
        Some(_) => format!(", not here: parkway models pull {name}"),
        None => ", not known here: parkway models list".into(),
    }
}
