//! What the facade knows before a run: models that a program brings, and the policy at hand.

use parkway::policy::{Rule, RulePolicy, Verdict};
use parkway::{Diagnostics, Error, Parkway, Workflow};
use parkway_core::testing::ScriptedModel;
use serde_json::json;

const CHAT: &str = "
parkway: 1
models: { main: { gguf: { name: none } } }
steps:
  a: { chat: { model: main, prompt: PROMPT, max_tokens: 200 } }
";

fn said(parkway: &Parkway, yaml: &str) -> Diagnostics {
    match parkway.check_all(&Workflow::from_source("flow.yaml", yaml).unwrap()) {
        Ok((_, said)) | Err(Error::Invalid(said)) => said,
        Err(error) => panic!("{error}"),
    }
}

fn codes(said: &Diagnostics) -> Vec<&str> {
    said.list.iter().map(|problem| problem.code).collect()
}

#[tokio::test]
async fn a_prompt_is_counted_by_the_model_that_the_program_brings() {
    // A token for each word, and a context of 8,192.
    let parkway =
        Parkway::builder().store("sqlite::memory:").model("main", ScriptedModel::new()).build().await.unwrap();
    let filled = |words: usize| CHAT.replace("PROMPT", "word ".repeat(words).trim());
    assert_eq!(codes(&said(&parkway, &filled(7_993))), ["prompt-too-long"]);
    assert_eq!(codes(&said(&parkway, &filled(7_900))), ["prompt-near-limit"]);
    let workflow = Workflow::from_source("flow.yaml", &filled(100)).unwrap();
    let outlook = parkway.outlook(&parkway.check(&workflow).unwrap());
    let chat = outlook.steps[0].chat.as_ref().unwrap();
    assert_eq!((chat.prompt_tokens, chat.counted, chat.context), (100, true, Some(8_192)));
    // Nothing is at hand of a model that only its name is known of.
    let parkway = Parkway::builder().store("sqlite::memory:").build().await.unwrap();
    let outlook = parkway.outlook(&parkway.check(&workflow).unwrap());
    assert!(!outlook.steps[0].chat.as_ref().unwrap().counted);
}

#[tokio::test]
async fn a_call_that_the_policy_at_hand_forbids_does_not_pass_the_check() {
    let rules = json!([
        { "match": { "tool": "text.find", "args": { "text": "forbidden" } }, "verdict": "deny" },
        { "match": { "tool": "text.find", "args": { "text": "asked" } }, "verdict": "ask" },
    ]);
    let rules: Vec<Rule> = serde_json::from_value(rules).unwrap();
    let policy = RulePolicy::new(&rules).unwrap();
    let parkway = Parkway::builder().store("sqlite::memory:").policy(policy).build().await.unwrap();
    let call = |text: &str| {
        format!("parkway: 1\nsteps:\n  a: {{ tool: text.find, with: {{ text: \"{text}\", values: [x] }} }}\n")
    };
    assert_eq!(codes(&said(&parkway, &call("forbidden"))), ["denied"]);
    let workflow = Workflow::from_source("flow.yaml", &call("asked")).unwrap();
    let outlook = parkway.outlook(&parkway.check(&workflow).unwrap());
    assert_eq!(outlook.steps[0].call.as_ref().unwrap().policy.mildest.verdict, Verdict::Ask);
}
