//! Reads what stands at the top of a file.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::source::read_model;
use super::step::{read_retry, read_steps};
use super::{BudgetDef, DefaultsDef, InputsDef, SchemaDef, TextDef, Top};
use crate::policy::{Example, Match, Rule, Verdict};
use crate::tool::Effect;
use crate::workflow::diagnostic::Diagnostic;
use crate::workflow::field::{read_fields, refuse_filled};
use crate::workflow::reading::{Keys, Reader};
use crate::workflow::tree::{At, Kind, Tree};
use crate::workflow::yaml;

pub(super) fn top(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<Top> {
    if tree.kind == Kind::Null {
        let message = "the file says nothing";
        reader.problem(Diagnostic::new("yaml", None, message).help("a workflow begins with `parkway: 1`"));
        return None;
    }
    let mut keys = reader.keys(tree, "a workflow")?;
    if let Some(tree) = keys.required(reader, "parkway")
        && !matches!(&tree.kind, Kind::Number(number) if number.as_u64() == Some(1))
    {
        let message = match tree.as_text() {
            Some("1") => "the format version is a number, found a text".to_owned(),
            found => format!("format version `{}` is not known", found.unwrap_or(tree.what())),
        };
        reader.problem(Diagnostic::new("unknown-version", tree.place, message).help("write `parkway: 1`"));
    }
    let name = keys.get(reader, "name").and_then(|tree| reader.text(tree));
    let description = keys.get(reader, "description").and_then(|tree| reader.text(tree));
    let inputs = inputs(reader, &mut keys);
    let env = keys.get(reader, "env").map(|tree| names(reader, tree)).unwrap_or_default();
    let secrets = keys.get(reader, "secrets").map(|tree| secrets(reader, tree)).unwrap_or_default();
    let models = keys.get(reader, "models");
    let models = models.map(|tree| reader.entries(tree, |reader, _, tree| read_model(reader, tree)));
    let tools = keys.get(reader, "tools").map(|tree| reader.values(tree)).unwrap_or_default();
    let policy = keys.get(reader, "policy").map(|tree| reader.list(tree, rule)).unwrap_or_default();
    let budget = keys.get(reader, "budget").and_then(|tree| budget(reader, tree)).unwrap_or_default();
    let deadline = keys.get(reader, "deadline").and_then(|tree| reader.duration(tree));
    let defaults = keys.get(reader, "defaults").and_then(|tree| defaults(reader, tree)).unwrap_or_default();
    let steps = keys.required(reader, "steps").map(|tree| read_steps(reader, tree)).unwrap_or_default();
    let outputs = keys.get(reader, "outputs").map(|tree| At::new(reader.values(tree), tree.place));
    let ensure = keys.get(reader, "ensure");
    let ensure = ensure.map(|tree| reader.list(tree, |_, tree| Some(tree.clone()))).unwrap_or_default();
    keys.ignore("x-");
    keys.finish(reader);
    Some(Top {
        name: name.map(|name| name.value),
        description: description.map(|text| text.value),
        inputs,
        env,
        secrets,
        models: models.unwrap_or_default(),
        tools,
        policy,
        budget,
        deadline,
        defaults,
        steps,
        outputs,
        ensure,
    })
}

fn inputs(reader: &mut Reader<'_, '_>, keys: &mut Keys<'_>) -> InputsDef {
    let fields = keys.get(reader, "inputs");
    let schema = keys.get(reader, "input_schema");
    if let (Some(_), Some(schema)) = (fields, schema) {
        let message = "`inputs` and `input_schema` say the same thing twice";
        reader.problem(Diagnostic::new("many-schemas", schema.place, message).help("keep one of them"));
    }
    match (fields, schema.and_then(|tree| json_schema(reader, tree))) {
        (None, Some(schema)) => {
            if schema.value.get("type") != Some(&Value::String("object".into())) {
                let message = "inputs have names: their schema has `type: object`";
                reader.problem(Diagnostic::new("bad-schema", schema.place, message));
            }
            InputsDef::Schema(schema)
        }
        (Some(fields), _) => {
            let fields = read_fields(reader, fields);
            refuse_filled(reader, &fields, true);
            InputsDef::Fields(fields)
        }
        (None, None) => InputsDef::default(),
    }
}

/// `output` or `output_schema`, which exclude each other.
pub(super) fn output(reader: &mut Reader<'_, '_>, keys: &mut Keys<'_>) -> Option<SchemaDef> {
    let fields = keys.get(reader, "output");
    let schema = keys.get(reader, "output_schema");
    if let (Some(_), Some(schema)) = (fields, schema) {
        let message = "`output` and `output_schema` say the same thing twice";
        reader.problem(Diagnostic::new("many-schemas", schema.place, message).help("keep one of them"));
    }
    match (fields, schema) {
        (Some(tree), _) => Some(SchemaDef::Fields(At::new(read_fields(reader, tree), tree.place))),
        (None, Some(tree)) => json_schema(reader, tree).map(SchemaDef::Schema),
        (None, None) => None,
    }
}

/// A whole JSON Schema, here or in a file of its own.
fn json_schema(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<At<Value>> {
    let schema = match file_of(tree) {
        Some(path) => {
            let path = reader.text(path)?;
            let (file, text) = reader.file(&path)?;
            let (tree, problems) = yaml::parse(&text);
            for mut problem in problems {
                problem.file.get_or_insert_with(|| file.clone());
                reader.problem(problem);
            }
            tree?.to_value()
        }
        None => {
            reader.keys(tree, "a JSON Schema")?;
            tree.to_value()
        }
    };
    if let Err(error) = jsonschema::validator_for(&schema) {
        let message = format!("the schema is wrong: {error}");
        reader.problem(Diagnostic::new("bad-schema", tree.place, message));
        return None;
    }
    Some(At::new(schema, tree.place))
}

/// The path in `{ file: path }`.
fn file_of(tree: &Tree) -> Option<&Tree> {
    match &tree.kind {
        Kind::Map(map) => match map.as_slice() {
            [(key, path)] if key.value == "file" => Some(path),
            _ => None,
        },
        _ => None,
    }
}

/// A text, or `{ file: path }`.
pub(super) fn text(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<TextDef> {
    if let Kind::Map(_) = tree.kind {
        let mut keys = reader.keys(tree, "a text")?;
        let path = keys.required(reader, "file").and_then(|tree| reader.text(tree));
        keys.finish(reader);
        let (file, text) = reader.file(&path?)?;
        return Some(TextDef { tree: Tree::of_file(&text), file: Some(file) });
    }
    reader.text(tree)?;
    let mut tree = tree.clone();
    if let Some(text) = tree.as_text().map(str::to_owned) {
        tree.kind = Kind::Text(text);
    }
    Some(TextDef { tree, file: None })
}

/// Names of secrets. What is none may be the secret itself, and is not quoted.
fn secrets(reader: &mut Reader<'_, '_>, tree: &Tree) -> Vec<At<String>> {
    let before = reader.problems.len();
    let names = names(reader, tree);
    for problem in reader.problems[before..].iter_mut().filter(|problem| problem.code != "duplicate-key") {
        problem.message = "`secrets` lists names, and this is none".into();
        problem.help = Some("write `secrets: [TOKEN]`, and where it comes from in `parkway.toml`".into());
        problem.unquoted = true;
    }
    names
}

/// Names of environment variables or of secrets.
fn names(reader: &mut Reader<'_, '_>, tree: &Tree) -> Vec<At<String>> {
    let mut seen = BTreeSet::new();
    reader.list(tree, |reader, tree| {
        if let Kind::Map(_) = tree.kind {
            let message = "expected a name, found a map";
            let help = "the name alone: a value never stands in the file";
            reader.problem(Diagnostic::new("bad-value", tree.place, message).help(help));
            return None;
        }
        let name = reader.text(tree)?;
        let is_name = |text: &str| {
            !text.starts_with(|c: char| c.is_ascii_digit())
                && !text.is_empty()
                && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        if !is_name(&name.value) {
            let message = format!("`{}` is no name of a variable", name.value);
            let help = "letters, digits and `_`; a value never stands in the file";
            reader.problem(Diagnostic::new("bad-id", name.place, message).help(help));
            return None;
        }
        if !seen.insert(name.value.clone()) {
            let message = format!("`{}` is declared twice", name.value);
            reader.problem(Diagnostic::new("duplicate-key", name.place, message));
        }
        Some(name)
    })
}

fn budget(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<BudgetDef> {
    let mut keys = reader.keys(tree, "`budget`")?;
    let budget = BudgetDef {
        tokens: keys.get(reader, "tokens").and_then(|tree| reader.count(tree)),
        tool_calls: keys.get(reader, "tool_calls").and_then(|tree| reader.count(tree)),
        money: keys.get(reader, "money").and_then(|tree| money(reader, tree)),
        wall: keys.get(reader, "wall").and_then(|tree| reader.duration(tree)),
    };
    keys.finish(reader);
    Some(budget)
}

/// An amount of money, in millionths.
fn money(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<At<u64>> {
    let number = reader.number(tree)?;
    let micro = (number.value * 1e6).round();
    if !(0.0..=1e15).contains(&micro) {
        let message = format!("`{}` is no amount of money", tree.written);
        reader.problem(Diagnostic::new("bad-value", tree.place, message));
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be from 0 to 10^15")]
    Some(At::new(micro as u64, tree.place))
}

fn defaults(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<DefaultsDef> {
    let mut keys = reader.keys(tree, "`defaults`")?;
    let defaults = DefaultsDef {
        retry: keys.get(reader, "retry").and_then(|tree| read_retry(reader, tree)),
        timeout: keys.get(reader, "timeout").and_then(|tree| reader.duration(tree)),
        model: keys.get(reader, "model").and_then(|tree| reader.text(tree)),
        max_parallel: keys.get(reader, "max_parallel").and_then(|tree| reader.integer(tree)),
        temperature: keys.get(reader, "temperature").and_then(|tree| reader.number(tree)),
        max_tokens: keys.get(reader, "max_tokens").and_then(|tree| reader.count(tree)),
    };
    keys.finish(reader);
    Some(defaults)
}

const VERDICTS: [(&str, Verdict); 3] = [("allow", Verdict::Allow), ("ask", Verdict::Ask), ("deny", Verdict::Deny)];
const EFFECTS: [(&str, Effect); 5] = [
    ("pure", Effect::Pure),
    ("read", Effect::Read),
    ("idempotent", Effect::Idempotent),
    ("transactional", Effect::Transactional),
    ("at_most_once", Effect::AtMostOnce),
];
const LABELS: [(&str, &str); 2] = [("untrusted", "untrusted"), ("secret", "secret")];

/// One rule of `policy`.
fn rule(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<At<Rule>> {
    let mut keys = reader.keys(tree, "a rule of `policy`")?;
    let matches = keys.required(reader, "match").and_then(|tree| matching(reader, tree));
    let verdict = keys.required(reader, "verdict").and_then(|tree| reader.word(tree, &VERDICTS));
    let examples = keys.get(reader, "examples").map(|tree| reader.list(tree, example)).unwrap_or_default();
    keys.finish(reader);
    Some(At::new(Rule { matches: matches?, verdict: verdict?.value, examples }, tree.place))
}

fn matching(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<Match> {
    let mut keys = reader.keys(tree, "`match`")?;
    let tool = keys.get(reader, "tool").and_then(|tree| reader.text(tree));
    let effect = keys.get(reader, "effect").and_then(|tree| reader.word(tree, &EFFECTS));
    let args = keys.get(reader, "args").map(|tree| reader.entries(tree, |reader, _, tree| reader.text(tree)));
    let labels = keys.get(reader, "labels").map(|tree| labels(reader, tree)).unwrap_or_default();
    keys.finish(reader);
    let args: BTreeMap<_, _> = args
        .unwrap_or_default()
        .iter()
        .map(|(name, pattern)| {
            if let Err(error) = regex::Regex::new(&pattern.value) {
                let why = error.to_string();
                let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                let message = format!("the pattern cannot be read: {why}");
                reader.problem(Diagnostic::new("bad-pattern", pattern.place, message));
            }
            (name.value.clone(), pattern.value.clone())
        })
        .collect();
    Some(Match { tool: tool.map(|tool| tool.value), effect: effect.map(|effect| effect.value), args, labels })
}

fn labels(reader: &mut Reader<'_, '_>, tree: &Tree) -> Vec<String> {
    reader.list(tree, |reader, tree| reader.word(tree, &LABELS).map(|label| label.value.to_owned()))
}

fn example(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<Example> {
    let mut keys = reader.keys(tree, "an example of a rule")?;
    let tool = keys.required(reader, "tool").and_then(|tree| reader.text(tree));
    let args = keys.get(reader, "args").map(|tree| reader.values(tree).to_value()).unwrap_or_default();
    let labels = keys.get(reader, "labels").map(|tree| labels(reader, tree)).unwrap_or_default();
    let matches = keys.get(reader, "matches").and_then(|tree| reader.flag(tree));
    keys.finish(reader);
    Some(Example { tool: tool?.value, args, labels, matches })
}
