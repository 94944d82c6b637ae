//! Workflows made in Rust: the same graphs as of files.

use std::time::Duration;

use parkway::definition::{Graph, OnError, OnItemError, Retry, RunIf};
use parkway::model::Role;
use parkway::{Field, Step, Workflow, WorkflowBuilder};
use serde_json::json;

/// Every verb, and every key beside one.
const FILE: &str = r#"
parkway: 1
name: built
description: All of it.
inputs:
  text: { type: string, description: a, enum: ["no", "1.10"], default: "no" }
  number: { type: number, min: 0.5, max: 2, optional: true }
  code: { type: string, pattern: "[a-z]+", max_length: 9, format: date, optional: true }
  whole: { type: integer }
  list: { type: array, items: { type: object, fields: { flag: { type: boolean } } } }
env: [HOME]
secrets: [TOKEN]
models: { main: { gguf: { path: m.gguf } } }
tools: { files: { read: [data] } }
policy: [{ match: { tool: "files.*" }, verdict: ask }]
budget: { tokens: 2k, tool_calls: 7, money: 0.25, wall: 90s }
deadline: 7d
defaults: { max_tokens: 99 }
steps:
  wait: { wait: 1500ms }
  until: { needs: [wait], wait: { until: "2030-01-01T00:00:00Z" } }
  signal: { wait: { signal: paid, timeout: 24h } }
  form:
    if: inputs.whole > 1
    input: { prompt: What?, output: { a: { type: string } }, timeout: 2h }
  ask:
    needs: [form, signal]
    run_if: always
    approve: { prompt: "Go?", timeout: 24h, show: ["${{ inputs.text }}", null] }
  each:
    description: each of them
    for_each: ${{ inputs.list }}
    as: one
    key: one.flag
    max_parallel: 3
    on_item_error: collect
    timeout: 1h
    on_error: continue
    steps:
      say:
        retry: { max: 3, initial: 1s, factor: 1.5, limit: 1m, on: [busy] }
        timeout: 20s
        chat:
          model: main
          system: "Be: brief"
          examples: [{ prompt: a, answer: { x: b } }]
          prompt: ${{ one.flag }}
          adapter: fr
          seed: 7
          temperature: 1.25
          max_tokens: 12
          output: { x: { type: string } }
      more:
        chat:
          model: main
          messages: [{ role: user, content: a }, { role: assistant, content: b }]
          tools: [files.list]
      form: { chat: { model: main, prompt: a, output_schema: { type: object } } }
    result: ${{ steps.say.output.x }}
  loop:
    repeat: { until: index > 3, max: 5, delay: 10s }
    steps: { values: { set: { n: "${{ index }}", "yes": "no" } } }
  list: { tool: files.list, with: { folder: data } }
  agent:
    agent: { model: main, goal: find, tools: [files.list, "text.*"], max_turns: 3, output: { x: { type: string } }, seed: 7 }
  plan:
    timeout: 1h
    plan:
      model: main
      goal: tidy
      tools: ["files.*"]
      max_turns: 3
      max_steps: 5
      max_replans: 1
      approve: true
      draft: true
      examples: [{ goal: a, lines: [{ done: true }] }]
outputs: { all: "${{ steps.list.output }}" }
ensure: ["steps.list.status == 'completed'"]
"#;

fn built() -> WorkflowBuilder {
    let hours = |hours: u64| Duration::from_secs(3_600 * hours);
    let mut retry = Retry::times(3);
    (retry.initial_ms, retry.factor_percent, retry.limit_ms, retry.on) = (1_000, 150, 60_000, vec!["busy".into()]);
    let say = Step::chat("main")
        .system("Be: brief")
        .example("a", json!({ "x": "b" }))
        .prompt("${{ one.flag }}")
        .adapter("fr")
        .seed(7)
        .temperature(1.25)
        .max_tokens(12)
        .output("x", Field::string())
        .retry(&retry)
        .timeout(Duration::from_secs(20));
    let more = Step::chat("main").message(Role::User, "a").message(Role::Assistant, "b").offer("files.list");
    let each = Step::group()
        .description("each of them")
        .for_each("${{ inputs.list }}")
        .item("one")
        .key("one.flag")
        .max_parallel(3)
        .on_item_error(OnItemError::Collect)
        .timeout(hours(1))
        .on_error(OnError::Continue)
        .step("say", say)
        .step("more", more)
        .step("form", Step::chat("main").prompt("a").output_schema(json!({ "type": "object" })))
        .result("${{ steps.say.output.x }}");
    let rule = serde_json::from_value(json!({ "match": { "tool": "files.*" }, "verdict": "ask" })).unwrap();
    Workflow::builder("built")
        .description("All of it.")
        .input("text", Field::string().description("a").one_of(["no", "1.10"]).default("no"))
        .input("number", Field::number().min(0.5).max(2).optional())
        .input("code", Field::string().pattern("[a-z]+").max_length(9).format("date").optional())
        .input("whole", Field::integer())
        .input("list", Field::array(Field::object().field("flag", Field::boolean())))
        .env("HOME")
        .secret("TOKEN")
        .model("main", json!({ "gguf": { "path": "m.gguf" } }))
        .tools("files", json!({ "read": ["data"] }))
        .rule(&rule)
        .most_tokens(2_000)
        .most_tool_calls(7)
        .most_money(0.25)
        .most_wall(Duration::from_secs(90))
        .deadline(hours(7 * 24))
        .default("max_tokens", 99)
        .step("wait", Step::wait(Duration::from_millis(1_500)))
        .step("until", Step::wait_until("2030-01-01T00:00:00Z").needs("wait"))
        .step("signal", Step::wait_for("paid").timeout(hours(24)))
        .step("form", Step::input("What?").when("inputs.whole > 1").output("a", Field::string()).timeout(hours(2)))
        .step(
            "ask",
            Step::approve("Go?")
                .needs("form")
                .needs("signal")
                .run_if(RunIf::Always)
                .timeout(hours(24))
                .show(json!(["${{ inputs.text }}", null])),
        )
        .step("each", each)
        .step(
            "loop",
            Step::group()
                .repeat("index > 3", 5, Duration::from_secs(10))
                .step("values", Step::set().with("n", "${{ index }}").with("yes", "no")),
        )
        .step("list", Step::tool("files.list").with("folder", "data"))
        .step(
            "agent",
            Step::agent("main", "find")
                .offer("files.list")
                .tools(["text.*"])
                .max_turns(3)
                .output("x", Field::string())
                .seed(7),
        )
        .step(
            "plan",
            Step::plan("main", "tidy")
                .tools(["files.*"])
                .max_turns(3)
                .max_steps(5)
                .max_replans(1)
                .approve_plan()
                .draft()
                .plan_example("a", [json!({ "done": true })])
                .timeout(hours(1)),
        )
        .output("all", "${{ steps.list.output }}")
        .ensure("steps.list.status == 'completed'")
}

fn graph(workflow: &Workflow) -> Graph {
    workflow.graph().0
}

#[test]
fn a_workflow_made_in_rust_is_the_one_in_the_file() {
    let (file, built) = (Workflow::from_source("built", FILE).unwrap(), built().build().unwrap());
    assert_eq!(graph(&built), graph(&file));
    assert_eq!(built.to_yaml(), file.to_yaml());
    assert_eq!(graph(&Workflow::from_source("built", &built.to_yaml()).unwrap()), graph(&built));
}

#[test]
fn a_key_that_does_not_go_with_the_verb_is_told() {
    let wrong = [
        ("no key of a step", Step::tool("text.find").prompt("x")),
        ("belongs to steps", Step::chat("main").prompt("x").result(1)),
        ("no key of `chat`", Step::chat("main").prompt("x").step("a", Step::set())),
        ("no value", Step::approve("x").raw("on_error", json!(null))),
        ("belongs to `for_each`", Step::set().item("x")),
    ];
    for (message, step) in wrong {
        let error = Workflow::builder("wrong").step("a", step).build().unwrap_err().to_string();
        assert!(error.contains(message) && error.contains("--> wrong:"), "{error}");
    }
    assert!(Workflow::builder("wrong").build().is_ok_and(|workflow| !workflow.graph().1.list.is_empty()));
}

#[test]
fn a_name_given_twice_is_no_name_lost() {
    let twice = [
        Workflow::builder("twice").step("a", Step::set()).step("a", Step::set()),
        Workflow::builder("twice").input("a", Field::string()).input("a", Field::string()),
        Workflow::builder("twice").step("a", Step::group().step("b", Step::set()).step("b", Step::set())),
        Workflow::builder("twice").step("a", Step::set().with("b", 1).with("b", 2)),
        Workflow::builder("twice").step("a", Step::tool("x").with("b", 1).with("b", 2)),
    ];
    for builder in twice {
        let error = builder.build().unwrap_err().to_string();
        assert!(error.contains("duplicate-key") && error.contains("is there twice"), "{error}");
    }
}

#[test]
fn files_are_looked_up_in_the_folder_and_nowhere_else() {
    let folder = crate::kept::folder().unwrap();
    std::fs::write(folder.path().join("child.yaml"), "parkway: 1\nsteps: { b: { set: { x: 1 } } }\n").unwrap();
    std::fs::write(folder.path().join("ask.md"), "Who?").unwrap();
    let builder = Workflow::builder("parent")
        .model("main", json!({}))
        .step("a", Step::workflow("child.yaml"))
        .step("c", Step::chat("main").prompt(json!({ "file": "ask.md" })));
    let graph = graph(&builder.clone().folder(folder.path()).build().unwrap());
    assert_eq!(graph.nodes.iter().map(|node| node.id.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    let error = builder.build().unwrap_err().to_string();
    assert!(error.contains("error[missing-file]: cannot read `child.yaml`"), "{error}");
}

#[test]
fn a_time_too_short_for_the_format_is_not_no_time() {
    let workflow = Workflow::builder("short").step("a", Step::wait(Duration::from_nanos(1))).build().unwrap();
    assert!(workflow.to_yaml().contains("wait: 1ms"), "{}", workflow.to_yaml());
}
