//! The language of lines as a whole: what the form allows is taken, what is wrong is refused, and what is taken can be run.

mod chance;
mod lines;
mod patches;

use serde_json::{Value, json};

use super::{Draft, Line, LineError, Literals, Reference, Standing};
use crate::label::Labels;
use crate::planning::reference::{each_reference, holds_reference};
use crate::testing::dice::Dice;
use crate::tool::{Effect, ToolSpec};
use crate::workflow::{Template, Verb};
use chance::Chance;

/// How many catalogues of tools are tried.
const SEEDS: u64 = 50;

/// A tool with these schemas.
fn tool(name: &str, effect: Effect, input: Value, output: Value) -> ToolSpec {
    ToolSpec {
        name: name.into(),
        description: "About it.".into(),
        input_schema: input,
        output_schema: output,
        effect,
        labels: Labels::NONE,
    }
}

/// Lists files, reads one, adds numbers, sends a message.
fn office() -> Vec<ToolSpec> {
    let object =
        |fields: Value, required: Value| json!({ "type": "object", "properties": fields, "required": required });
    let text = || json!({ "type": "string" });
    let file = object(json!({ "path": text(), "size": { "type": "integer" } }), json!(["path", "size"]));
    vec![
        tool(
            "list",
            Effect::Read,
            object(json!({ "folder": text(), "most": { "type": "integer", "minimum": 1 } }), json!(["folder"])),
            object(
                json!({ "files": { "type": "array", "items": file }, "count": { "type": "integer" }, "whole": { "type": "boolean" } }),
                json!(["files", "count", "whole"]),
            ),
        ),
        tool("read", Effect::Read, object(json!({ "path": text() }), json!(["path"])), text()),
        tool(
            "sum",
            Effect::Pure,
            object(
                json!({ "numbers": { "type": "array", "items": { "type": "number" }, "maxItems": 9 } }),
                json!(["numbers"]),
            ),
            object(json!({ "total": { "type": "number" }, "max-size": { "type": "integer" } }), json!(["total"])),
        ),
        tool(
            "send",
            Effect::AtMostOnce,
            object(
                json!({ "to": { "enum": ["ada", "bob"] }, "body": text(), "parts": { "type": "array", "items": text() } }),
                json!(["to", "body"]),
            ),
            json!({ "type": "null" }),
        ),
    ]
}

/// A draft with these lines taken in.
fn written(lines: &[Value]) -> Draft {
    let mut draft = Draft::new(office(), None, 12);
    for (i, line) in lines.iter().enumerate() {
        let read = draft.read(line).unwrap_or_else(|errors| panic!("{line}: {errors:?}"));
        draft.take(read, &format!("line_{}", i + 1));
    }
    draft
}

fn codes(errors: &[LineError]) -> Vec<(&str, &str)> {
    errors.iter().map(|error| (error.code, error.place.as_str())).collect()
}

/// How steps may stand when a plan is to be mended.
fn stands(draft: &Draft, dice: &mut Dice) -> std::collections::BTreeMap<String, Standing> {
    let mut standing = std::collections::BTreeMap::new();
    for step in draft.steps() {
        let of = |need: &String| standing.get(need).copied().unwrap_or(Standing::Completed);
        let needs: Vec<_> = step.needs().iter().map(of).collect();
        let stands = if needs.contains(&Standing::Lost) {
            if dice.one_in(2) { Standing::Lost } else { Standing::Open }
        } else if needs.iter().any(|one| *one != Standing::Completed) {
            Standing::Open
        } else {
            [Standing::Completed, Standing::Started, Standing::Open, Standing::Lost][dice.below(4) as usize]
        };
        standing.insert(step.id.clone(), stands);
    }
    standing
}

/// What a taken line comes to must be a graph that can be run.
fn can_be_run(draft: &Draft, steps: &[super::PlannedStep]) {
    for (step, literals) in steps.iter().flat_map(|step| [(step, Literals::Inline), (step, Literals::FromTurn)]) {
        for lowered in draft.lower(step, literals) {
            let node = &lowered.node;
            let with = if let Verb::Tool { with, .. } = &node.verb { with.clone() } else { Value::Null };
            let texts = node.condition.iter().chain(node.for_each.iter().map(|one| &one.list));
            let expressions: Vec<_> = texts.map(|text| Template::Expression(text.as_str().unwrap())).collect();
            for template in expressions.into_iter().chain([Template::Value(&with)]) {
                let named = template.references().unwrap_or_else(|error| panic!("{error} in {template:?}"));
                for one in named.iter().filter_map(|one| one.step()) {
                    assert!(lowered.after.iter().any(|id| id == one) || one == step.source, "{one} in {template:?}");
                }
            }
            let known = |id: &String| draft.steps().iter().any(|step| step.id == *id) || id.ends_with("_args");
            assert!(lowered.after.iter().all(known), "{:?}", lowered.after);
        }
    }
}

#[test]
fn every_value_of_the_form_may_stand() {
    let mut kinds = std::collections::BTreeMap::new();
    for seed in 0..SEEDS / 2 {
        let mut chance = Chance::new(seed);
        let tools: Vec<_> = (0..1 + chance.dice.below(6)).map(|i| chance.tool(&format!("tool_{i}"))).collect();
        let answer = chance.dice.one_in(3).then(|| chance.schema(2));
        let mut draft = Draft::new(tools, answer, 4 + chance.dice.below(12) as u32);
        for turn in 0..18 {
            let form = draft.form();
            assert!(form.to_string().len() < 60_000, "seed {seed}: {} bytes", form.to_string().len());
            let validator = jsonschema::validator_for(&form).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            let mut taken = None;
            for _ in 0..6 {
                let line = chance.value(&form, &form, 0);
                assert!(validator.is_valid(&line), "seed {seed}: {line} is none of\n{form:#}");
                let read = draft.read(&line);
                let read =
                    read.unwrap_or_else(|errors| panic!("seed {seed}: {line}\n{errors:#?}\n{:#?}", draft.tools()));
                for key in line.as_object().unwrap().keys() {
                    *kinds.entry(key.clone()).or_insert(0) += 1;
                }
                if taken.is_none() || matches!(read, Line::Step(_)) {
                    taken = Some(read);
                }
            }
            let closing = Line::Done(super::Done::default());
            let change = draft.take(if turn % 6 == 5 { closing } else { taken.unwrap() }, &format!("line_{turn}"));
            can_be_run(&draft, &change.steps);
            if change.done.is_some() {
                draft.lower_answer(Literals::FromTurn, "line_9");
                let standing = stands(&draft, &mut chance.dice);
                draft.begin_patch(&standing);
            }
        }
    }
    let keys =
        ["after", "answer", "args", "done", "drop", "for_each", "id", "if", "late", "replaces", "tool", "uses", "why"];
    assert_eq!(kinds.keys().collect::<Vec<_>>(), keys);
    assert!(kinds.values().all(|count| *count > 5), "{kinds:?}");
}

#[test]
fn a_seeded_mistake_is_never_taken() {
    let mut counts = std::collections::BTreeMap::new();
    for seed in 0..SEEDS {
        let mut chance = Chance::new(seed);
        let tools: Vec<_> = (0..1 + chance.dice.below(6)).map(|i| chance.tool(&format!("tool_{i}"))).collect();
        let mut draft = Draft::new(tools, None, 10);
        for turn in 0..8 {
            let form = draft.form();
            let line = chance.value(&form, &form, 0);
            let Ok(Line::Step(step)) = draft.read(&line) else { continue };
            if step.late.is_none() {
                for (kind, wrong, expected) in chance.mistakes(&draft, &line, &step) {
                    let errors =
                        draft.read(&wrong).err().unwrap_or_else(|| panic!("seed {seed}, {kind}: {wrong} was taken"));
                    assert!(errors.iter().any(|error| expected.contains(&error.code)), "{kind}: {wrong}\n{errors:?}");
                    *counts.entry(kind).or_insert(0) += 1;
                }
            }
            draft.take(Line::Step(step), &format!("line_{turn}"));
        }
    }
    let kinds = ["argument", "cycle", "field", "forward", "missing", "reference type", "step", "tool", "type"];
    assert_eq!(counts.keys().copied().collect::<Vec<_>>(), kinds);
    assert!(counts.values().all(|count| *count > 10), "{counts:?}");
}

#[test]
fn a_large_catalogue_does_not_make_the_form_too_large_to_compile() {
    let mut chance = Chance::new(7);
    let tools: Vec<_> = (0..20).map(|i| chance.tool(&format!("family_{}.tool_{i}", i / 4))).collect();
    let mut draft = Draft::new(tools, None, 30);
    while draft.steps().len() < 10 {
        let form = draft.form();
        let line = chance.value(&form, &form, 0);
        let read = draft.read(&line).unwrap();
        if matches!(read, Line::Step(_)) {
            draft.take(read, "line_1");
        }
    }
    let bytes = draft.form().to_string().len();
    assert!(bytes < 60_000, "{bytes} bytes");
}

#[test]
fn references_are_found_wherever_they_stand() {
    let value = json!({ "a": [{ "$ref": "s1.x" }, { "b": { "$ref": "item" } }], "c": "s2" });
    let mut found = Vec::new();
    each_reference(&value, &mut |one: Reference| found.push(one.to_string()));
    assert_eq!(found, ["s1.x", "item"]);
    assert!(holds_reference(&value) && !holds_reference(&json!({ "c": ["$ref"] })));
}
