//! What `plan` and `do` share: a goal of the command line as a workflow.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::Path;

use parkway::{Effect, Goal, Parkway, ToolSpec, Workflow};
use serde_json::{Map, Value, json};

use crate::args::{Global, GoalArgs};
use crate::failure::Failure;
use crate::library::Library;
use crate::next::{Next, quoted};
use crate::project::Project;

/// The model that a goal is pursued with, where one of this name is bound.
const MODEL: &str = "main";
/// What is granted where nothing is said: to look at the project.
const GRANTS: [(&str, &str); 2] = [("files", "read"), ("git", "read")];
/// How many words of a goal make a name.
const WORDS: usize = 5;

/// The workflow that pursues the goal; `draft` is one that is only planned.
pub(super) async fn workflow(
    global: &Global,
    args: &GoalArgs,
    project: &Project,
    parkway: &Parkway,
    draft: bool,
) -> Result<Workflow, Failure> {
    if args.goal.trim().is_empty() {
        return Err(Failure::invalid("the goal is empty").help("say in words what is to be reached"));
    }
    let grants = grants(&args.grant)?;
    let tools = tools(&args.tools, &grants, &args.grant, parkway)?;
    let offered = offered(&tools, parkway);
    let examples = Library::of(project, parkway).nearest(&args.goal, &offered).await?;
    let mut goal = Goal::new(&args.goal).name(name(&args.goal)).model(model(global, project)?).tools(tools);
    for (family, grant) in grants {
        goal = goal.grant(family, Value::Object(grant));
    }
    goal = goal.examples(examples).approve(args.approve_plan);
    if let Some(most) = args.max_replans {
        goal = goal.max_replans(most);
    }
    if let Some(most) = args.max_steps {
        goal = goal.max_steps(most);
    }
    if let Some(most) = args.max_turns {
        goal = goal.max_turns(most);
    }
    let workflow = match args.output_schema.as_deref().map(schema).transpose()? {
        Some(schema) if draft => goal.output_schema(schema).draft().into_workflow(),
        Some(schema) => goal.output_schema(schema).into_workflow(),
        None if draft => goal.draft().into_workflow(),
        None => goal.into_workflow(),
    };
    Ok(workflow?)
}

/// The name of the model. One that nothing says a source of cannot be asked, which is told before anything is written.
fn model(global: &Global, project: &Project) -> Result<String, Failure> {
    let prefix = format!("models.{MODEL}.");
    if project.settings.list().iter().any(|setting| setting.key.starts_with(&prefix)) {
        return Ok(MODEL.into());
    }
    let bound: BTreeSet<_> = global.model.iter().filter_map(|bound| Some(bound.split_once('=')?.0)).collect();
    match bound.iter().collect::<Vec<_>>().as_slice() {
        [] => {}
        [name] => return Ok((**name).to_owned()),
        names => {
            let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            return Err(Failure::invalid(format!("which of the models plans: {}?", names.join(", ")))
                .help(format!("call it `{MODEL}`: `--model {MODEL}=SOURCE`")));
        }
    }
    Err(Failure::invalid("no model is there to plan with").help(format!(
        "bind one: `--model {MODEL}=smollm2-135m-instruct`, or under `[models.{MODEL}]` of parkway.toml; `parkway models list` shows \
         what there is"
    )))
}

/// What is granted to each family: what is said, and where nothing is said of a key, to look at the project.
fn grants(said: &[String]) -> Result<BTreeMap<String, Map<String, Value>>, Failure> {
    let mut grants: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for text in said {
        let wrong = || {
            Failure::invalid(format!("`--grant {text}` grants nothing"))
                .help("write `--grant FAMILY.KEY=VALUE`, for example `--grant files.write=out`; the value may be JSON")
        };
        let (key, value) = text.split_once('=').ok_or_else(wrong)?;
        let (family, key) = key.split_once('.').ok_or_else(wrong)?;
        if family.is_empty() || key.is_empty() || value.is_empty() {
            return Err(wrong());
        }
        let granted = grants.entry(family.into()).or_default();
        match serde_json::from_str(value) {
            Ok(value @ (Value::Object(_) | Value::Array(_) | Value::Bool(_) | Value::Number(_))) => {
                granted.insert(key.into(), value);
            }
            _ => match granted.entry(key).or_insert_with(|| json!([])) {
                Value::Array(list) => list.push(value.into()),
                _ => return Err(wrong()),
            },
        }
    }
    for (family, key) in GRANTS {
        grants.entry(family.into()).or_default().entry(key).or_insert_with(|| json!(["."]));
    }
    Ok(grants)
}

/// The tools that are named; else all that something is granted to. What changes something is granted only by a flag of this very
/// command line that is about its family.
fn tools(
    named: &[String],
    grants: &BTreeMap<String, Map<String, Value>>,
    said: &[String],
    parkway: &Parkway,
) -> Result<Vec<String>, Failure> {
    let reads = |said: &String| GRANTS.iter().any(|(family, key)| said.starts_with(&format!("{family}.{key}=")));
    let widened: BTreeSet<_> =
        said.iter().filter(|said| !reads(said)).filter_map(|said| said.split('.').next()).collect();
    let granted = |spec: &ToolSpec| match spec.effect {
        Effect::Pure => true,
        Effect::Read => grants.contains_key(spec.family()),
        _ => widened.contains(spec.family()),
    };
    let specs: Vec<_> = parkway.tools().iter().map(|tool| tool.spec()).collect();
    if named.is_empty() {
        return Ok(specs.iter().filter(|spec| granted(spec)).map(|spec| spec.name.clone()).collect());
    }
    let mut meant = Vec::new();
    for name in named.iter().map(|name| name.trim()).filter(|name| !name.is_empty()) {
        let found: Vec<_> = specs.iter().filter(|spec| means(name, &spec.name)).collect();
        let usable: Vec<_> = found.iter().filter(|spec| granted(spec)).map(|spec| spec.name.clone()).collect();
        match found.first() {
            Some(spec) if usable.is_empty() => return Err(not_granted(name, spec)),
            Some(_) => meant.extend(usable),
            // The check knows what a name that no tool has may stand for.
            None => meant.push(name.to_owned()),
        }
    }
    Ok(meant)
}

fn not_granted(name: &str, spec: &ToolSpec) -> Failure {
    let (family, does) = (spec.family(), if spec.effect == Effect::Read { "looks at" } else { "changes" });
    Failure::invalid(format!("`--tools {name}` names what nothing is granted to: `{}` {does} something", spec.name))
        .help(format!("grant it: `--grant {family}.KEY=VALUE`; the page of `{family}` tells its keys"))
}

/// Whether a tool is meant by a name, or by one such as `files.*`.
fn means(name: &str, tool: &str) -> bool {
    match name.strip_suffix('*') {
        Some(family) => tool.starts_with(family),
        None => name == tool,
    }
}

/// The tools that these names mean.
fn offered(names: &[String], parkway: &Parkway) -> HashSet<String> {
    let tools = parkway.tools().iter().map(|tool| tool.spec().name.clone());
    tools.filter(|tool| names.iter().any(|name| means(name, tool))).collect()
}

fn schema(file: &Path) -> Result<Value, Failure> {
    let name = file.display();
    let text = fs::read_to_string(file).map_err(|e| Failure::invalid(format!("cannot read the schema {name}: {e}")))?;
    serde_json::from_str(&text).map_err(|e| Failure::invalid(format!("the schema {name} is no JSON: {e}")))
}

/// The command that says the same of the same goal.
pub(super) fn again(global: &Global, args: &GoalArgs, command: &str, next: &Next) -> String {
    let GoalArgs { goal, tools, grant, approve_plan, max_replans, max_steps, max_turns, output_schema } = args;
    let mut words = vec![format!("parkway {command} {}", quoted(goal))];
    if !tools.is_empty() {
        words.push(format!("--tools {}", quoted(&tools.join(","))));
    }
    words.extend(grant.iter().map(|grant| format!("--grant {}", quoted(grant))));
    if *approve_plan {
        words.push("--approve-plan".into());
    }
    let numbers = [("max-replans", max_replans), ("max-steps", max_steps), ("max-turns", max_turns)];
    words.extend(numbers.into_iter().filter_map(|(flag, number)| Some(format!("--{flag} {}", (*number)?))));
    words.extend(output_schema.iter().map(|file| format!("--output-schema {}", quoted(&file.display().to_string()))));
    words.extend(global.model.iter().map(|bound| format!("--model {}", quoted(bound))));
    words.join(" ") + next.store()
}

/// A name made of the first words of a goal.
pub(super) fn name(goal: &str) -> String {
    let words = goal.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let name = words.take(WORDS).map(str::to_lowercase).collect::<Vec<_>>().join("-");
    if name.is_empty() { "goal".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(said: &[&str]) -> Result<Value, String> {
        let said: Vec<_> = said.iter().map(|text| (*text).to_owned()).collect();
        grants(&said).map(|grants| json!(grants)).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_grant_to_write_leaves_what_may_be_read() {
        let usual = json!({ "files": { "read": ["."] }, "git": { "read": ["."] } });
        assert_eq!(granted(&[]), Ok(usual));
        assert_eq!(
            granted(&["files.read=docs", "files.read=src", "files.write=out", "http.private=true"]),
            Ok(json!({
                "files": { "read": ["docs", "src"], "write": ["out"] }, "git": { "read": ["."] }, "http": { "private": true },
            }))
        );
        for wrong in ["files", "files=x", ".read=x", "files.=x", "files.read="] {
            assert_eq!(granted(&[wrong]), Err(format!("`--grant {wrong}` grants nothing")));
        }
    }

    #[test]
    fn a_name_can_be_a_file() {
        assert_eq!(name("Which files under ../docs are longer?"), "which-files-under-docs-are");
        assert_eq!(name("…"), "goal");
    }
}
