use serde_json::json;

use super::*;
use crate::label::Labels;
use crate::tool::Effect;

fn tool(name: &str, description: &str, input_schema: Value) -> ToolSpec {
    ToolSpec {
        name: name.to_owned(),
        description: description.to_owned(),
        input_schema,
        output_schema: json!({}),
        effect: Effect::Read,
        labels: Labels::NONE,
    }
}

/// 300 tools: what can be done × with what.
fn catalogue() -> Vec<ToolSpec> {
    let verbs = [
        ("list", "Lists all"),
        ("get", "Gives one of the"),
        ("create", "Makes a new one of the"),
        ("delete", "Removes one of the"),
        ("update", "Changes one of the"),
        ("search", "Finds by words among the"),
        ("export", "Writes a table of the"),
        ("archive", "Puts away old"),
        ("assign", "Gives a person one of the"),
        ("comment", "Adds a remark to one of the"),
    ];
    let nouns = [
        "invoice",
        "customer",
        "ticket",
        "order",
        "payment",
        "shipment",
        "contract",
        "employee",
        "meeting",
        "email",
        "branch",
        "commit",
        "release",
        "server",
        "backup",
        "sensor",
        "camera",
        "vehicle",
        "route",
        "warehouse",
        "product",
        "price",
        "discount",
        "supplier",
        "survey",
        "lead",
        "campaign",
        "budget",
        "holiday",
        "document",
    ];
    let schema = json!({"type": "object", "properties": {"id": {"type": "string", "description": "Which one."}}});
    let named = |noun: &str, (verb, what): &(&str, &str)| {
        tool(&format!("{noun}s.{verb}"), &format!("{what} {noun}s of the company."), schema.clone())
    };
    nouns.iter().flat_map(|noun| verbs.iter().map(move |verb| named(noun, verb))).collect()
}

#[track_caller]
fn check(goal: &str, wanted: &str) {
    let catalogue = catalogue();
    let tools: Vec<&ToolSpec> = catalogue.iter().collect();
    assert_eq!(tools.len(), 300);
    let names: Vec<&str> = search(&tools, goal, 10).iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names.len(), 10);
    assert!(names.contains(&wanted), "{goal}: {names:?}");
}

#[test]
fn the_tool_that_is_needed_is_not_lost_among_300() {
    check("delete invoice 47", "invoices.delete");
    check("Which customers are there? List them.", "customers.list");
    check("Search the tickets for a broken printer", "tickets.search");
    check("assigning the order to Anna", "orders.assign");
    check("export of payments", "payments.export");
    check("create_release", "releases.create");
    check("updateSensor", "sensors.update");
    check("archive the surveys of last year, please", "surveys.archive");
}

#[track_caller]
fn same(one: &str, other: &str) {
    assert_eq!(words(one), words(other));
}

#[test]
fn forms_of_one_word_do_not_miss_each_other() {
    same("files", "file");
    same("searches searching", "search searched");
    same("copies copied", "copy copying");
    same("renamed", "rename");
    same("stopped", "stop");
    same("read_all.fileNames", "Read all file name");
    same("processes", "process");
    same("Größe", "größe");
}

#[test]
fn arguments_are_not_overlooked() {
    let plain = tool("a", "Does something.", json!({}));
    let nested = tool(
        "b",
        "Does something.",
        json!({"properties": {"rows": {"items": {"properties": {"iban": {"description": "Where the money goes."}}}}}}),
    );
    let tools = [&plain, &plain, &nested];
    assert_eq!(search(&tools, "money", 1), [&nested]);
    assert_eq!(search(&tools, "IBAN", 1), [&nested]);
}

#[test]
fn a_tie_does_not_change_the_order_of_the_catalogue() {
    let tools = ["c", "a", "b", "d"].map(|name| tool(name, "Reads a file.", json!({})));
    let tools: Vec<&ToolSpec> = tools.iter().collect();
    assert_eq!(search(&tools, "read", 2), tools[..2]);
    assert_eq!(search(&tools, "nothing of this", 3), tools[..3]);
}

#[test]
fn the_result_is_in_the_order_of_the_catalogue() {
    let tools = ["x", "mail", "y", "mail.send"].map(|name| tool(name, "", json!({})));
    let tools: Vec<&ToolSpec> = tools.iter().collect();
    assert_eq!(search(&tools, "send mail", 2), [tools[1], tools[3]]);
}

#[test]
fn nothing_to_look_in_or_for_is_no_panic() {
    let bare = tool("", "", Value::Null);
    let odd = tool("…", "ÄÖÜ 汉字 ing éed", json!([1]));
    assert!(search(&[], "goal", 3).is_empty());
    assert!(search(&[&bare], "goal", 0).is_empty());
    assert_eq!(search(&[&bare, &bare], "", 1).len(), 1);
    assert_eq!(search(&[&bare, &odd], "汉字 éed àing", 1), [&odd]);
    for word in ["", "s", "ing", "aaing", "ééing", "sss", "eeee", "ÿÿÿyed"] {
        stem(word);
    }
}
