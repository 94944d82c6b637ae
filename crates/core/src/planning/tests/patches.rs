//! Mending plans.

use super::*;

fn failed(standing: &[(&str, Standing)]) -> Draft {
    let mut draft = written(&[
        json!({ "id": "s1", "tool": "list", "args": { "folder": "in" }, "why": "" }),
        json!({ "id": "s2", "tool": "list", "args": { "folder": { "$ref": "s1.files[0].path" } }, "why": "" }),
        json!({ "id": "s3", "tool": "sum", "args": { "numbers": [{ "$ref": "s2.count" }, 7] }, "why": "" }),
        json!({ "id": "s4", "tool": "send", "late": "x", "uses": ["s3"], "after": ["s1"], "why": "" }),
        json!({ "id": "s5", "tool": "read", "args": { "path": "a" }, "why": "" }),
        json!({ "done": true }),
    ]);
    draft.begin_patch(&standing.iter().map(|(id, stands)| ((*id).to_owned(), *stands)).collect());
    draft
}

fn usual() -> Draft {
    failed(&[
        ("s1", Standing::Completed),
        ("s2", Standing::Lost),
        ("s3", Standing::Lost),
        ("s4", Standing::Open),
        ("s5", Standing::Open),
    ])
}

fn take(draft: &mut Draft, line: Value) -> super::super::Change {
    let read = draft.read(&line).unwrap_or_else(|errors| panic!("{line}: {errors:?}"));
    draft.take(read, "line_9")
}

#[test]
fn what_waited_for_a_lost_step_waits_for_the_one_in_its_place() {
    let mut draft = usual();
    let line = json!({ "id": "s6", "replaces": "s2", "tool": "list", "args": { "folder": "other" }, "why": "" });
    let change = take(&mut draft, line);
    assert_eq!(change.steps.iter().map(|step| step.id.as_str()).collect::<Vec<_>>(), ["s6", "s7", "s8"]);
    assert_eq!(change.dropped, ["s4"]);
    let [new, sum, send] = &change.steps[..] else { panic!() };
    assert_eq!((new.source.as_str(), sum.source.as_str(), send.source.as_str()), ("line_9", "line_3", "line_4"));
    assert_eq!(sum.args["numbers"], json!([{ "$ref": "s6.count" }, 7]));
    assert_eq!((send.uses.clone(), send.after.clone()), (vec!["s7".to_owned()], vec!["s1".to_owned()]));
    let sum = draft.lower(sum, Literals::FromTurn).remove(0);
    let numbers = ["${{ steps.s6.output.count }}", "${{ steps.line_3.output.args.numbers[1] }}"];
    assert!(matches!(sum.node.verb, Verb::Tool { with, .. } if with == json!({ "numbers": numbers })));
    assert_eq!(draft.next_id(), "s9");
}

#[test]
fn a_step_that_gives_something_else_does_not_take_the_place_of_one_that_others_read() {
    let draft = usual();
    let line = json!({ "id": "s6", "replaces": "s2", "tool": "read", "args": { "path": "a" }, "why": "" });
    let errors = draft.read(&line).unwrap_err();
    assert_eq!(codes(&errors), [("unknown_field", "replaces")]);
    assert!(errors[0].message.contains("drop `s3` before"), "{}", errors[0]);
    let mut draft = usual();
    draft.states[2] = super::super::patch::State::Dropped;
    assert_eq!(draft.read(&line).err(), None);
}

#[test]
fn what_has_started_stays_and_what_is_lost_is_not_read() {
    let draft = usual();
    let codes_of = |line: Value| draft.read(&line).unwrap_err().into_iter().map(|error| error.code).collect::<Vec<_>>();
    assert_eq!(codes_of(json!({ "drop": "s1" })), ["standing"]);
    assert_eq!(codes_of(json!({ "drop": "s2" })), ["standing"]);
    assert_eq!(codes_of(json!({ "drop": "s12" })), ["unknown_step"]);
    let step = |more: Value| {
        let mut line = json!({ "id": "s6", "tool": "read", "args": { "path": "a" }, "why": "" });
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line
    };
    assert_eq!(codes_of(step(json!({ "replaces": "s1" }))), ["standing"]);
    assert_eq!(codes_of(step(json!({ "after": ["s2"] }))), ["standing"]);
    assert_eq!(codes_of(step(json!({ "after": ["s4"] }))), ["standing"]);
    assert_eq!(codes_of(step(json!({ "args": { "path": { "$ref": "s5" } }, "replaces": "s5" }))), ["cycle"]);
    assert_eq!(draft.read(&step(json!({ "after": ["s1", "s5"] }))).err(), None);
}

#[test]
fn what_waits_for_nothing_any_more_does_not_keep_a_plan_open() {
    let mut draft = usual();
    assert_eq!(take(&mut draft, json!({ "drop": "s5" })).dropped, ["s5"]);
    assert_eq!(take(&mut draft, json!({ "done": true })).dropped, ["s4"]);
    let mut draft = failed(&[("s1", Standing::Completed), ("s2", Standing::Open), ("s5", Standing::Completed)]);
    assert_eq!(take(&mut draft, json!({ "drop": "s2" })).dropped, ["s2", "s3", "s4"]);
    let line = json!({ "id": "s6", "replaces": "s2", "tool": "list", "args": { "folder": "other" }, "why": "" });
    assert_eq!(take(&mut draft, line).steps.len(), 3);
}

#[test]
fn a_plan_with_as_many_steps_as_it_may_have_can_still_be_closed() {
    let mut draft = Draft::new(office(), None, 1);
    take(&mut draft, json!({ "id": "s1", "tool": "read", "args": { "path": "a" }, "why": "" }));
    assert_eq!(draft.form()["anyOf"].as_array().map(Vec::len), Some(1));
    take(&mut draft, json!({ "done": true }));
    draft.begin_patch(&[("s1".to_owned(), Standing::Open)].into());
    let validator = jsonschema::validator_for(&draft.form()).unwrap();
    assert!(validator.is_valid(&json!({ "drop": "s1" })) && validator.is_valid(&json!({ "done": true })));
}
