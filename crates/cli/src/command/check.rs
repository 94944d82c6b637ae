//! `parkway check FILE`.

use parkway::definition::{ModelSpec, Node, NodeIndex, Verb};
use parkway::models::{Catalog, Presence};
use parkway::{Diagnostics, Error, Plan, Workflow};
use serde_json::{Value, json};

use crate::args::{CheckArgs, Global};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::{Out, columns, say};
use crate::project::Project;
use crate::render::{Symbols, clean, counted, harmless, span, waves, wrap};

/// What this version leaves to the run.
const NOT_CHECKED: &str = "whether files and folders are there, the types of what steps hand on, and whether prompts \
                           fit into a model's context";

/// Says what is wrong with a workflow, or what it would do.
pub(crate) async fn check(global: &Global, args: CheckArgs, out: &mut Out) -> Result<Exit, Failure> {
    let parkway = Project::find(global)?.without_store().await?;
    let file = args.file.display().to_string();
    let workflow = match Workflow::from_path(&args.file) {
        Ok(workflow) => workflow,
        Err(Error::Invalid(problems)) => return wrong(&problems, args.json, out),
        Err(error) => return Err(error.into()),
    };
    let plan = match parkway.check(&workflow) {
        Ok(plan) => plan,
        Err(Error::Invalid(problems)) => return wrong(&problems, args.json, out),
        Err(error) => return Err(error.into()),
    };
    if args.json {
        out.pretty(&json!({ "ok": true, "file": file, "waves": ids(&plan, None), "plan": plan }))?;
    } else {
        for line in describe(&plan, &file, workflow.description()) {
            out.text(&line)?;
        }
    }
    Ok(Exit::Done)
}

fn wrong(problems: &Diagnostics, as_json: bool, out: &mut Out) -> Result<Exit, Failure> {
    if as_json {
        let list: Vec<_> = problems
            .list
            .iter()
            .map(|problem| {
                let (line, column) = (problem.place.map(|p| p.line), problem.place.map(|p| p.column));
                let (code, message) = (problem.code, &problem.message);
                json!({ "code": code, "line": line, "column": column, "message": message, "help": problem.help })
            })
            .collect();
        out.pretty(&json!({ "ok": false, "file": problems.file, "problems": list }))?;
    } else {
        out.text(&problems.to_string())?;
        out.flush()?;
        let number = u64::try_from(problems.list.len()).unwrap_or(u64::MAX);
        say(&format!("\n{} in {}", counted(number, "problem"), problems.file));
    }
    Ok(Exit::Invalid)
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
fn describe(plan: &Plan, file: &str, description: Option<&str>) -> Vec<String> {
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
    part("inputs", inputs(plan));
    part("steps, in waves", waves(plan));
    part("approvals", approvals(plan));
    part("models", plan.models.iter().map(|(name, spec)| format!("  {name}  {}", model(spec))).collect());
    part(
        "grants",
        plan.grants.iter().map(|(family, grant)| format!("  {family}  {}", harmless(&grant.to_string()))).collect(),
    );
    part("budget", budget(plan));
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

fn approvals(plan: &Plan) -> Vec<String> {
    let asks = |node: &Node| match &node.verb {
        Verb::Approve { prompt, .. } => Some(format!("  {}  {}", path(plan, node), clean(prompt))),
        Verb::Tool { name, .. } => {
            let effect = plan.tools.get(name)?.effect;
            (effect == parkway::Effect::AtMostOnce)
                .then(|| format!("  {}  calls {name}, which must not be repeated", path(plan, node)))
        }
        _ => None,
    };
    plan.graph.iter().filter_map(|(_, node)| asks(node)).collect()
}

/// `group.step`.
fn path(plan: &Plan, node: &Node) -> String {
    match node.parent {
        Some(parent) => format!("{}.{}", path(plan, plan.graph.node(parent)), node.id),
        None => node.id.clone(),
    }
}

fn model(spec: &ModelSpec) -> String {
    let context = spec.context.map(|context| format!(", context {context}")).unwrap_or_default();
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

fn budget(plan: &Plan) -> Vec<String> {
    let limits = &plan.limits;
    let parts = [
        limits.tokens.map(|n| format!("  {n} tokens")),
        limits.tool_calls.map(|n| format!("  {n} tool calls")),
        limits.wall_ms.map(|ms| format!("  {} with steps running", span(ms))),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    if parts.is_empty() { vec!["  no limit".into()] } else { parts }
}
