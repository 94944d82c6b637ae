//! What the engine and a plan see of the tools.

use std::sync::Arc;

use parkway_core::clock::SystemClock;
use parkway_core::testing::MemoryStore;
use parkway_core::tool::Effect;
use serde_json::{Value, json};

use crate::project::Project;

#[test]
fn every_tool_says_what_it_does() {
    let project = Project::new();
    let (mut table, mut shown) = (String::new(), 0);
    let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
    for tool in parkway_tools::all(project.root()).into_iter().chain(parkway_tools::memory(store, None)) {
        let spec = tool.spec();
        assert!(spec.description.len() > 40, "{}", spec.name);
        for schema in [&spec.input_schema, &spec.output_schema] {
            jsonschema::meta::validate(schema).unwrap();
            assert_eq!(schema["type"], "object", "{}", spec.name);
            assert_eq!(schema["additionalProperties"], false, "{}", spec.name);
            assert!(schema.get("title").is_none(), "{}", spec.name);
            for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
                assert!(schema.get("description").is_some(), "{}.{field}", spec.name);
            }
        }
        for example in spec.input_schema["examples"].as_array().into_iter().flatten() {
            jsonschema::validate(&spec.input_schema, example).unwrap();
            shown += 1;
        }
        let untrusted = if spec.labels.untrusted { " untrusted" } else { "" };
        table.push_str(&format!("{} {}{untrusted}\n", spec.name, spec.effect.as_str()));
    }
    insta::assert_snapshot!(table, @r"
    files.list read
    files.read_text read untrusted
    files.write_text idempotent
    files.read_json read untrusted
    files.write_json idempotent
    files.read_jsonl read untrusted
    files.write_jsonl idempotent
    files.read_csv read untrusted
    files.write_csv idempotent
    files.read_markdown read untrusted
    files.patch idempotent
    files.move idempotent
    git.log read untrusted
    git.show read untrusted
    git.diff read untrusted
    http.get read untrusted
    http.send at_most_once untrusted
    http.put idempotent untrusted
    notify.webhook at_most_once
    sql.query read untrusted
    sql.execute idempotent
    text.find pure
    text.match pure
    text.replace pure
    text.diff pure
    text.split pure
    text.split_tokens read
    json.query pure
    time.now read
    time.parse pure
    time.format pure
    time.add pure
    time.between pure
    memory.remember transactional untrusted
    memory.recall read untrusted
    memory.list read untrusted
    memory.forget transactional
    ");
    assert_eq!(shown, 4, "examples of arguments");
}

#[test]
fn a_schema_that_changes_is_noticed() {
    let project = Project::new();
    insta::assert_snapshot!(serde_json::to_string_pretty(&project.tool("text.find").spec().input_schema).unwrap());
    insta::assert_snapshot!(
        serde_json::to_string_pretty(&project.tool("files.write_csv").spec().input_schema).unwrap()
    );
    insta::assert_snapshot!(serde_json::to_string_pretty(&parkway_tools::files_grants_schema()).unwrap());
    insta::assert_snapshot!(serde_json::to_string_pretty(&parkway_tools::git_grants_schema()).unwrap());
    insta::assert_snapshot!(serde_json::to_string_pretty(&parkway_tools::sql_grants_schema()).unwrap());
    insta::assert_snapshot!(serde_json::to_string_pretty(&parkway_tools::memory_grants_schema()).unwrap());
}

#[test]
fn the_time_is_the_recorded_one() {
    let project = Project::new();
    assert_eq!(project.tool("time.now").spec().effect, Effect::Read);
    assert_eq!(project.call("time.now", json!({})).unwrap(), json!({"now": "2026-11-18T11:06:40.123456Z"}));
}

#[test]
fn unknown_arguments_are_refused() {
    let project = Project::new();
    insta::assert_snapshot!(project.refused("time.now", json!({"zone": "UTC"})), @"invalid: the arguments do not fit the input of `time.now`: unknown field `zone`, there are no fields");
    insta::assert_snapshot!(project.refused("text.find", json!({"text": "a"})), @"invalid: the arguments do not fit the input of `text.find`: missing field `values`");
}

#[test]
fn an_answer_that_was_made_up_is_missing() {
    let project = Project::new();
    let find = |values: Value, fold_case: bool| {
        project.call(
            "text.find",
            json!({"text": "Order AB-12\nof  Müller GmbH", "values": values, "fold_case": fold_case}),
        )
    };
    assert_eq!(
        find(json!(["AB-12", "AB-1", null, "", "Müller GmbH", "AB-12", null, "of Müller"]), false).unwrap(),
        json!({"found": ["AB-12", "Müller GmbH", "of Müller"], "missing": ["AB-1", null, ""], "all": false})
    );
    assert_eq!(find(json!(["ab-12"]), false).unwrap()["all"], false);
    assert_eq!(find(json!(["ab-12", "MÜLLER gmbh"]), true).unwrap()["all"], true);
    assert_eq!(find(json!([]), false).unwrap()["all"], true);
}
