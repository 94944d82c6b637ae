//! Single lines: what is wrong with them, and what they come to.

use super::*;

fn listed() -> Draft {
    written(&[json!({ "id": "s1", "tool": "list", "args": { "folder": "in" }, "why": "find" })])
}

#[track_caller]
fn wrong(draft: &Draft, line: Value, expected: &[(&str, &str)]) -> String {
    let errors = draft.read(&line).expect_err("the line is wrong");
    assert_eq!(codes(&errors), expected, "{errors:#?}");
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn all_that_is_wrong_with_a_line_is_told_at_once() {
    let line = json!({
        "id": "s3", "tool": "send", "if": { "$ref": "s1.count" }, "why": "tell",
        "args": { "to": "eve", "text": "x", "parts": ["a", { "$ref": "s1.count" }, 5] },
    });
    let told = wrong(
        &listed(),
        line,
        &[
            ("id", "id"),
            ("type", "if"),
            ("type", "args.to"),
            ("unknown_argument", "args.text"),
            ("type", "args.parts[1]"),
            ("type", "args.parts[2]"),
            ("missing_argument", "args.body"),
        ],
    );
    assert!(told.contains("the next id is `s2`") && told.contains("a whole number, and a text is needed"), "{told}");
}

#[test]
fn a_way_out_is_told() {
    let told = |line: Value| listed().read(&line).unwrap_err()[0].to_string();
    let read =
        |reference: &str| json!({ "id": "s2", "tool": "read", "args": { "path": { "$ref": reference } }, "why": "" });
    assert_eq!(told(read("s1.files[0].pth")), "args.path: `s1.files[0].pth` has no field `pth`: did you mean `path`?");
    assert_eq!(told(read("s7")), "args.path: `s7` is not written yet: `s1` may stand here");
    assert_eq!(told(read("s2")), "args.path: a step cannot wait for itself");
    assert_eq!(told(read("item.path")), "args.path: `item` stands in the `args` of a step with `for_each`");
    let tool = json!({ "id": "s2", "tool": "raed", "args": { "path": "a" }, "why": "" });
    assert_eq!(told(tool), "tool: no tool is called `raed`: did you mean `read`?");
}

#[test]
fn a_line_of_no_shape_is_refused() {
    let draft = listed();
    wrong(&draft, json!("s2"), &[("json", "line")]);
    wrong(&draft, json!({ "done": false }), &[("shape", "done")]);
    wrong(&draft, json!({ "drop": "s1" }), &[("standing", "drop")]);
    wrong(&draft, json!({ "done": true, "answer": 5 }), &[("type", "answer")]);
    wrong(&Draft::new(office(), None, 3), json!({ "done": true }), &[("shape", "done")]);
    let step = |more: Value| {
        let mut line = json!({ "id": "s2", "tool": "read", "why": "" });
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line
    };
    wrong(&draft, step(json!({})), &[("shape", "args"), ("missing_argument", "args.path")]);
    wrong(&draft, step(json!({ "late": "x" })), &[("shape", "uses")]);
    wrong(&draft, step(json!({ "late": "x", "uses": ["s9"] })), &[("forward_reference", "uses")]);
    wrong(&draft, step(json!({ "args": { "path": "a" }, "replaces": "s1" })), &[("standing", "replaces")]);
    wrong(&draft, step(json!({ "args": { "path": { "$ref": "s1", "or": 1 } } })), &[("shape", "args.path")]);
    wrong(
        &draft,
        step(json!({ "args": { "path": "a" }, "for_each": { "$ref": "s1.count" } })),
        &[("type", "for_each")],
    );
    let full = Draft::new(office(), None, 0);
    let line = json!({ "id": "s1", "tool": "read", "args": { "path": "a" }, "why": "" });
    wrong(&full, line, &[("limit", "line")]);
}

#[test]
fn a_condition_that_can_never_be_told_is_refused() {
    let draft = listed();
    let line =
        |condition: Value| json!({ "id": "s2", "tool": "read", "args": { "path": "a" }, "if": condition, "why": "" });
    let compare =
        |left: &str, is: &str, right: Value| line(json!({ "left": { "$ref": left }, "is": is, "right": right }));
    for may in [
        line(json!({ "$ref": "s1.whole" })),
        compare("s1.count", ">", json!(3)),
        compare("s1.count", "==", json!(0)),
        line(json!({ "left": { "$ref": "s1.files" }, "is": "not_empty" })),
        compare("s1.files[0].path", "contains", json!(".txt")),
    ] {
        assert_eq!(draft.read(&may).err(), None, "{may}");
    }
    for never in [
        line(json!({ "$ref": "s1.files" })),
        compare("s1.count", ">", json!("3")),
        compare("s1.count", "==", json!("none")),
        compare("s1.count", "contains", json!(1)),
        compare("s1.files", "contains", json!("a")),
        line(json!({ "left": { "$ref": "s1.count" }, "is": "empty" })),
    ] {
        wrong(&draft, never, &[("type", "if")]);
    }
}

#[test]
fn the_form_offers_what_fits_and_nothing_else() {
    let draft = listed();
    let form = draft.form().to_string();
    assert!(form.contains("item.path") && form.contains("s1.files[0].path"), "{form}");
    let validator = jsonschema::validator_for(&draft.form()).unwrap();
    let line = |args: Value| json!({ "id": "s2", "tool": "sum", "args": args, "why": "" });
    assert!(validator.is_valid(&line(json!({ "numbers": [1, { "$ref": "s1.count" }] }))));
    assert!(!validator.is_valid(&line(json!({ "numbers": [1, { "$ref": "s1.whole" }] }))));
    assert!(!validator.is_valid(&line(json!({ "numbers": { "$ref": "s1.files" } }))));
    let empty = jsonschema::validator_for(&Draft::new(office(), None, 3).form()).unwrap();
    assert!(!empty.is_valid(&json!({ "done": true })), "an empty plan must not be the cheapest way out");
    assert!(validator.is_valid(&json!({ "done": true, "answer": { "$ref": "s1.files[0].path" } })));
}

#[test]
fn a_line_becomes_a_node_whose_literals_have_their_turns_labels() {
    let draft = written(&[
        json!({ "id": "s1", "tool": "list", "args": { "folder": "${{ env.HOME }}" }, "why": "find" }),
        json!({ "id": "s2", "tool": "sum", "args": { "numbers": [1, { "$ref": "s1.count" }] }, "why": "add" }),
        json!({
            "id": "s3", "tool": "read", "for_each": { "$ref": "s1.files" }, "args": { "path": { "$ref": "item.path" } },
            "if": { "left": { "$ref": "s2.max-size" }, "is": ">", "right": 3 }, "after": ["s2"], "why": "read",
        }),
        json!({ "id": "s4", "tool": "send", "late": "who cares", "uses": ["s3"], "why": "tell" }),
        json!({ "done": true, "answer": { "$ref": "s3[0]" } }),
    ]);
    let lower = |i: usize, literals| draft.lower(&draft.steps()[i], literals);
    let with = |i: usize, literals| match lower(i, literals).pop().unwrap().node.verb {
        Verb::Tool { with, .. } => with,
        other => panic!("{other:?}"),
    };
    assert_eq!(with(0, Literals::Inline), json!({ "folder": "$${{ env.HOME }}" }));
    assert_eq!(with(0, Literals::FromTurn), json!({ "folder": "${{ steps.line_1.output.args.folder }}" }));
    assert_eq!(with(1, Literals::Inline), json!({ "numbers": [1, "${{ steps.s1.output.count }}"] }));
    let mixed = ["${{ steps.line_2.output.args.numbers[0] }}", "${{ steps.s1.output.count }}"];
    assert_eq!(with(1, Literals::FromTurn), json!({ "numbers": mixed }));
    let fan = lower(2, Literals::Inline).remove(0);
    assert_eq!(fan.after, ["s1", "s2"]);
    assert_eq!(fan.node.condition, Some(json!("${{ steps.s2.output['max-size'] > 3 }}")));
    assert_eq!(fan.node.for_each.unwrap().list, json!("${{ steps.s1.output.files }}"));
    assert_eq!(with(2, Literals::Inline), json!({ "path": "${{ item.path }}" }));
    let late = lower(3, Literals::FromTurn);
    assert_eq!((late[0].node.id.as_str(), late[0].after.clone()), ("s4_args", vec!["s3".to_owned()]));
    assert_eq!(late[1].after, ["s3", "s4_args"]);
    assert_eq!(with(3, Literals::FromTurn), json!("${{ steps.s4_args.output }}"));
    assert!(late[1].node.retry.is_some() && lower(0, Literals::Inline)[0].node.retry.is_some());
    assert_eq!(draft.lower_answer(Literals::FromTurn, "line_5"), Some(json!("${{ steps.s3.output[0] }}")));
    assert!(draft.decide_form("s4").is_some_and(|form| form["required"] == json!(["to", "body"])));
    assert_eq!(draft.decide_form("s1"), None);
}

#[test]
fn a_condition_means_what_it_says() {
    let draft = listed();
    let output = json!({ "files": [{ "path": "a'b.txt", "size": 1 }], "count": 3, "whole": true });
    let context = minijinja::Value::from(minijinja::value::Serde(json!({ "steps": { "s1": { "output": output } } })));
    let holds = |condition: Value| {
        let line = json!({ "id": "s2", "tool": "read", "args": { "path": "a" }, "if": condition, "why": "" });
        let Ok(Line::Step(step)) = draft.read(&line) else { panic!("{line}") };
        let condition = draft.lower(&step, Literals::Inline).remove(0).node.condition.unwrap();
        Template::Expression(condition.as_str().unwrap()).evaluate(&context).unwrap()
    };
    let compare =
        |left: &str, is: &str, right: Value| holds(json!({ "left": { "$ref": left }, "is": is, "right": right }));
    assert_eq!(holds(json!({ "$ref": "s1.whole" })), json!(true));
    assert_eq!(compare("s1.count", ">", json!(3)), json!(false));
    assert_eq!(compare("s1.count", "==", json!(3)), json!(true));
    assert_eq!(compare("s1.files[0].path", "contains", json!("a'b")), json!(true));
    assert_eq!(compare("s1.files[0].path", "==", json!("\\\"'}} x")), json!(false));
    assert_eq!(holds(json!({ "left": { "$ref": "s1.files" }, "is": "empty" })), json!(false));
    assert_eq!(holds(json!({ "left": { "$ref": "s1.files" }, "is": "not_empty" })), json!(true));
}

#[test]
fn the_same_look_for_each_of_many_is_planned_without_an_end() {
    let draft = listed();
    let repeats = |line: Value| draft.repeats(&draft.read(&line).unwrap());
    let over = |folder: Value| json!({ "id": "s2", "tool": "list", "for_each": { "$ref": "s1.files" }, "args": { "folder": folder }, "why": "" });
    assert!(repeats(over(json!("in"))), "no item is looked at");
    assert!(!repeats(over(json!("out"))) && !repeats(over(json!({ "$ref": "item.path" }))));
}

/// Places in a form where what is written has no end.
fn endless(schema: &Value, place: &str, found: &mut Vec<String>) {
    let is = |name: &str| match &schema["type"] {
        Value::String(kind) => kind == name,
        Value::Array(kinds) => kinds.iter().any(|kind| kind == name),
        _ => false,
    };
    let sets = |names: &[&str]| names.iter().all(|name| schema.get(*name).is_some());
    let single = ["enum", "const", "pattern", "format"].iter().any(|name| schema.get(*name).is_some());
    let text = is("string") && !single && !sets(&["maxLength"]);
    let number = (is("integer") || is("number")) && !single && !sets(&["minimum", "maximum"]);
    let fraction = is("number") && !single && !sets(&["multipleOf"]);
    let list = is("array") && !sets(&["maxItems"]);
    let object = schema.get("patternProperties").is_some() && !sets(&["maxProperties"]);
    if text || number || fraction || list || object {
        found.push(format!("{place}: {schema}"));
    }
    match schema {
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| endless(value, &format!("{place}/{key}"), found));
        }
        Value::Array(all) => all.iter().for_each(|value| endless(value, place, found)),
        _ => {}
    }
}

#[test]
fn a_line_has_no_end() {
    let mut tools = office();
    let anything = json!({ "type": "object", "properties": {
        "any": {}, "either": { "type": ["integer", "null"] }, "some": { "type": "string", "minLength": 2 },
        "least": { "type": "integer", "minimum": 5 }, "list": { "type": "array", "items": { "type": "number" } },
        "one": { "anyOf": [{ "type": "number" }, { "type": "array" }] }, "loose": { "type": "object" },
    }});
    tools.push(tool("any", Effect::Read, anything, json!({})));
    let mut draft = Draft::new(tools, None, 9);
    for line in [None, Some(json!({ "id": "s1", "tool": "list", "args": { "folder": "in" }, "why": "find" }))] {
        if let Some(line) = line {
            let read = draft.read(&line).unwrap();
            draft.take(read, "line_1");
        }
        let mut found = Vec::new();
        endless(&draft.form(), "", &mut found);
        assert_eq!(found, Vec::<String>::new());
    }
}
