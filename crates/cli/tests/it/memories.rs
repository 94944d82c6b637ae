//! What agents remember, as a person looks at it; and texts that are erased.

use std::fs;

use crate::bench::Bench;

const FLOW: &str = "parkway: 1
inputs: { who: { type: string, default: Ada } }
tools: { memory: { namespaces: [people] } }
steps:
  keep: { tool: memory.remember, with: { text: \"${{ inputs.who }} drinks tea\", subject: \"${{ inputs.who }}\" } }
  know: { needs: [keep], tool: memory.recall, with: { query: tea } }
outputs: { text: \"${{ steps.know.output.text }}\" }
";

#[test]
fn a_person_sees_what_a_run_remembers_and_has_it_forgotten() {
    let bench = Bench::new(FLOW);
    bench.parkway(&["memory", "list"]).code(2);
    bench.parkway(&["run", "flow.yaml"]).code(0);
    bench.parkway(&["run", "flow.yaml", "--input", "who=Bob"]).code(0);
    assert_eq!(bench.parkway(&["memory", "list"]).code(0).out, "people  2 memories\n");
    let listed = bench.parkway(&["memory", "list", "people", "--json"]).code(0).out;
    let first: serde_json::Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["text"], &first["subject"], &first["event"]),
        (&"Ada drinks tea".into(), &"Ada".into(), &4.into())
    );
    let id = first["id"].as_str().unwrap();
    let found = bench.parkway(&["memory", "search", "people", "What does Bob drink?"]).code(0).out;
    assert!(found.lines().next().unwrap().ends_with("Bob: Bob drinks tea"), "{found}");
    let past = ["memory", "search", "people", "tea", "--known-at", "2020-01-01T00:00:00Z"];
    assert_eq!(bench.parkway(&past).code(0).says("nothing fits").out, "");
    let shown = bench.parkway(&["memory", "show", &id[..8]]).code(0).out;
    assert!(shown.contains(&format!("memory {id}, semantic\n  namespace    people")), "{shown}");
    assert!(shown.contains("written by   run ") && shown.contains(", event 4"), "{shown}");
    bench.parkway(&["memory", "show", "zzzz"]).code(1).says("no memory is called `zzzz`");
    bench.parkway(&["memory", "forget", ""]).code(1).says("write at least 4 characters");
    bench.parkway(&["memory", "forget", &id[..8], "--note", "asked for"]).code(0).says("audit erase --text");
    bench.parkway(&["memory", "forget", &id[..8]]).code(2).says("was forgotten before");
    assert!(!bench.parkway(&["memory", "list", "people"]).code(0).out.contains("Ada"));
    let gone = bench.parkway(&["memory", "show", id, "--json"]).code(0).json();
    assert!(gone["text"].is_null() && gone["forgotten"].is_string(), "{gone}");
    // The system run is no run that anybody has started.
    assert_eq!(bench.parkway(&["runs", "--json"]).code(0).out.lines().count(), 2);
    bench.parkway(&["show", "last"]).code(0);
    // Where Ada was said, it is said still, until that is erased.
    let dry = bench.parkway(&["audit", "erase", "--text", "Ada", "--note", "asked for", "--dry-run"]).code(0).out;
    assert!(dry.contains("would be erased (") && dry.contains("inputs 1"), "{dry}");
    let done = bench
        .parkway(&["audit", "erase", "--text", "Ada", "--note", "asked for"])
        .code(0)
        .says("backups and exports")
        .out;
    assert_eq!(done, dry.replace("would be erased", "erased"));
    bench.parkway(&["audit", "head"]).code(0);
    let verified = bench.parkway(&["audit", "verify"]).code(0).out;
    assert!(verified.ends_with("it is as it was written\n"), "{verified}");
    bench.parkway(&["audit", "export", "all.jsonl"]).code(0);
    assert!(!fs::read_to_string(bench.path("all.jsonl")).unwrap().contains("Ada drinks"));
    let checked = bench.parkway(&["store", "check"]).code(0).out;
    assert!(checked.contains("2 memories") && checked.contains("erased"), "{checked}");
}

#[test]
fn texts_are_erased_by_age_and_class_unless_they_are_held() {
    let bench = Bench::new(FLOW);
    for who in ["Ada", "Bob"] {
        bench.parkway(&["run", "flow.yaml", "--input", &format!("who={who}")]).code(0);
    }
    bench.parkway(&["audit", "erase", "--note", "x"]).code(2);
    bench.parkway(&["audit", "erase", "--run", "last"]).code(2);
    bench
        .parkway(&["audit", "erase", "--run", "last", "--note", "x", "--only", "all"])
        .code(2)
        .says("the classes: plan, inputs");
    let young = bench.parkway(&["audit", "erase", "--older-than", "1", "--note", "retention"]).code(0).out;
    assert!(young.starts_with("0 texts of 0 runs erased"), "{young}");
    bench.parkway(&["audit", "hold", "last", "--note", "in dispute"]).code(0);
    let held =
        bench.parkway(&["audit", "erase", "--older-than", "0", "--only", "outputs", "--note", "retention"]).code(0).out;
    assert!(
        held.starts_with("4 texts of 1 run erased (outputs ") || held.starts_with("3 texts of 1 run erased (outputs "),
        "{held}"
    );
    assert!(held.contains("is held, and keeps its texts"), "{held}");
    bench.parkway(&["audit", "lift", "--note", "x"]).code(1).says("no hold of everything is in place");
    bench.parkway(&["audit", "lift", "last", "--note", "settled"]).code(0);
    let json = bench.parkway(&["audit", "erase", "--run", "last", "--note", "asked for", "--json"]).code(0).json();
    assert_eq!((&json["purged"], &json["held"]), (&true.into(), &serde_json::json!([])));
    assert!(json["texts"].as_u64().unwrap() > 3 && json["classes"].get("plan").is_none(), "{json}");
    bench.parkway(&["show", "last"]).code(0);
    bench.parkway(&["store", "check"]).code(0);
}

#[test]
fn memories_are_measured_on_questions_whose_answers_are_known() {
    let bench = Bench::new(FLOW);
    let memories: Vec<String> =
        (0..30).map(|i| format!("{{\"namespace\":\"n\",\"text\":\"Room {i} has the number {}\"}}", i * 7)).collect();
    bench.write("memories.jsonl", &memories.join("\n"));
    bench.parkway(&["memory", "import", "memories.jsonl"]).code(0);
    let again = bench.parkway(&["memory", "import", "memories.jsonl"]).code(0).out;
    assert_eq!(again, "0 memories written, 30 known already\n");
    let question = |i: usize| {
        format!(
            "{{\"namespaces\":[\"n\"],\"text\":\"Which number has room {i}?\",\"answers\":[\"Room {i} has the number {}\"]}}",
            i * 7
        )
    };
    bench.write("questions.jsonl", &(1..10).map(question).collect::<Vec<_>>().join("\n"));
    let said = bench.parkway(&["memory", "eval", "questions.jsonl"]).code(0).out;
    assert!(said.contains("words") && said.contains("100.0 %") && said.contains("over 6 questions"), "{said}");
    let json = bench.parkway(&["memory", "eval", "questions.jsonl", "--json"]).code(0).json();
    assert_eq!((&json["text"]["questions"], &json["vector"]), (&6.into(), &serde_json::Value::Null));
    bench.write("bad.jsonl", "{\"text\": 3}");
    bench.parkway(&["memory", "eval", "bad.jsonl"]).code(2).says("bad.jsonl, line 1: it is no question");
    let strange = question(11).replace("the number 77", "no number");
    bench.write("questions.jsonl", &(1..10).map(question).chain([strange]).collect::<Vec<_>>().join("\n"));
    bench.parkway(&["memory", "eval", "questions.jsonl"]).code(0).says("nothing can find 1 answer of the file");
    let none = "{\"namespaces\":[\"n\"],\"text\":\"Which?\",\"answers\":[]}";
    bench.write("none.jsonl", &[none; 3].join("\n"));
    bench.parkway(&["memory", "eval", "none.jsonl"]).code(1).says("has no answers");
    bench.write("few.jsonl", &question(1));
    bench.parkway(&["memory", "eval", "few.jsonl"]).code(1).says("at least 3");
    let out = bench.parkway(&["memory", "export", "n"]).code(0).says("30 memories").out;
    assert_eq!(out.lines().count(), 30);
}
