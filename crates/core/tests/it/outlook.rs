//! What is told of a workflow before it runs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use parkway_core::model::{ConstraintKind, SharedModel};
use parkway_core::policy::{DefaultPolicy, Policy, Rule, RulePolicy};
use parkway_core::testing::ScriptedModel;
use parkway_core::tool::{Effect, ToolError, tool_fn};
use parkway_core::workflow::{
    Definition, Diagnostics, Outlook, Plan, Requirements, StepOutlook, Surroundings, Times, WorstTime,
};
use serde_json::{Value, json};

use crate::check::{Echo, World};

const SEND: &str = "t.send";

fn world() -> World {
    let send = |_: Echo| async move { Ok::<Value, ToolError>(Value::Null) };
    World::new().tool(tool_fn(SEND, Effect::AtMostOnce, send))
}

fn policy(rules: &Value) -> RulePolicy {
    let rules: Vec<Rule> = serde_json::from_value(rules.clone()).unwrap();
    RulePolicy::new(&rules).unwrap()
}

/// What is said of a file, and what it would do if it is no error.
fn look_with(
    yaml: &str,
    files: &[(&str, &str)],
    policy: &dyn Policy,
    models: BTreeMap<String, SharedModel>,
) -> (Option<Outlook>, Diagnostics) {
    let world = world();
    let read = |path: &str| {
        let found = files.iter().find(|(name, _)| *name == path);
        found.map(|(_, text)| (*text).to_owned()).ok_or(format!("no file {path}"))
    };
    let definition = match Definition::parse("test.yaml", yaml, read) {
        Ok(definition) => definition,
        Err(problems) => panic!("{problems}"),
    };
    let mut requirements = Requirements::new(&world.tools, policy.fingerprint());
    requirements.rules = Some(policy);
    requirements.models = models;
    let (plan, said) = Plan::check_all(&definition, &requirements);
    (plan.map(|plan| plan.outlook(&Surroundings::new(&world.tools, policy, &requirements.models))), said)
}

fn look(yaml: &str) -> Outlook {
    let (outlook, said) = look_with(yaml, &[], &DefaultPolicy, BTreeMap::new());
    outlook.unwrap_or_else(|| panic!("{said}"))
}

fn models(model: ScriptedModel) -> BTreeMap<String, SharedModel> {
    BTreeMap::from([("main".to_owned(), Arc::new(model) as SharedModel)])
}

fn step<'o>(outlook: &'o Outlook, path: &str) -> &'o StepOutlook {
    outlook.steps.iter().find(|step| step.path == path).unwrap_or_else(|| panic!("no step {path}"))
}

/// `path times worst`, a line for each step.
fn lines(outlook: &Outlook) -> String {
    let mut text = String::new();
    for step in &outlook.steps {
        let Times { least, most } = step.times;
        let most = most.map_or("…".to_owned(), |most| most.to_string());
        let open = if step.worst.open { " and more" } else { "" };
        writeln!(text, "{} wave {} runs {least}-{most} takes {}{open}", step.path, step.wave, step.worst.ms).unwrap();
    }
    let open = if outlook.worst.open { " and more" } else { "" };
    writeln!(text, "longest {}: {}{open}", outlook.longest.join(" > "), outlook.worst.ms).unwrap();
    text
}

#[test]
fn the_longest_chain_is_that_of_time_and_goes_through_groups() {
    let outlook = look(
        "parkway: 1
steps:
  a: { set: { n: 1 } }
  b: { needs: [a], set: { n: 1 } }
  c: { needs: [b], set: { n: 1 } }
  work:
    steps:
      quick: { tool: t.echo, timeout: 1s, retry: 0, with: {} }
      slow:  { tool: t.echo, timeout: 10s, retry: { max: 2, initial: 4s, factor: 2, limit: 6s }, with: {} }
      after: { needs: [quick, slow], tool: t.echo, timeout: 5s, retry: 0, with: {} }
  rest: { needs: [work], approve: { prompt: ok?, timeout: 1m } }
",
    );
    insta::assert_snapshot!(lines(&outlook), @r"
    a wave 1 runs 1-1 takes 0
    b wave 2 runs 1-1 takes 0
    c wave 3 runs 1-1 takes 0
    work wave 1 runs 1-1 takes 47500
    work.quick wave 1 runs 1-1 takes 1000
    work.slow wave 1 runs 1-1 takes 42500
    work.after wave 2 runs 1-1 takes 5000
    rest wave 2 runs 1-1 takes 60000
    longest work.slow > work.after > rest: 107500
    ");
}

#[test]
fn what_is_not_bounded_is_not_said_to_be() {
    let outlook = look("parkway: 1
inputs: { list: { type: array, items: { type: string } } }
steps:
  all:    { for_each: \"${{ inputs.list }}\", tool: t.echo, timeout: 1s, retry: 1, with: {} }
  three:  { for_each: [1, 2, 3], max_parallel: 2, tool: t.echo, timeout: 1s, retry: 0, with: {} }
  rounds: { repeat: { until: \"${{ previous.n == 3 }}\", max: 4, delay: 2s }, steps: { one: { tool: t.echo, timeout: 1s, retry: 0, with: {} } }, result: { n: 3 } }
  limit:  { timeout: 9s, steps: { person: { input: { prompt: who?, output: { who: { type: string } } } } } }
  maybe:  { if: \"${{ inputs.list | length > 0 }}\", tool: t.echo, retry: 0, with: {} }
  then:   { needs: [maybe], steps: { deep: { tool: t.echo, retry: 0, with: {} } } }
  broken: { run_if: failed, needs: [all], tool: t.echo, retry: 0, with: {} }
");
    insta::assert_snapshot!(lines(&outlook), @r"
    all wave 1 runs 0-… takes 2625 and more
    three wave 1 runs 3-3 takes 2000
    rounds wave 1 runs 1-4 takes 10000
    rounds.one wave 1 runs 1-4 takes 1000
    limit wave 1 runs 1-1 takes 9000
    limit.person wave 1 runs 1-1 takes 0 and more
    maybe wave 1 runs 0-1 takes 120000
    then wave 2 runs 0-1 takes 120000
    then.deep wave 1 runs 0-1 takes 120000
    broken wave 2 runs 0-1 takes 120000
    longest all > broken: 122625 and more
    ");
    assert_eq!(outlook.tool_calls, Times { least: 4, most: None });
}

#[test]
fn a_policy_is_asked_about_what_is_known_and_what_may_come() {
    let rules = json!([
        { "match": { "tool": "t.send", "args": { "value": "office@.*" } }, "verdict": "allow" },
        { "match": { "tool": "t.send", "args": { "value": "boss@.*" } }, "verdict": "deny" },
        { "match": { "tool": "t.letter", "labels": ["untrusted"] }, "verdict": "ask" },
    ]);
    let yaml = "parkway: 1
inputs: { to: { type: string } }
tools: { t: {} }
policy: [{ match: { tool: t.echo, args: { value: \"[0-9]+\" } }, verdict: ask }]
steps:
  office:  { tool: t.send, with: { value: office@x } }
  other:   { tool: t.send, with: { value: other@x } }
  unknown: { tool: t.send, with: { value: \"${{ inputs.to }}\" } }
  letter:  { tool: t.letter, with: { value: \"${{ inputs.to }}\" } }
  again:   { tool: t.letter, with: { value: \"${{ steps.letter.output.text }}\" } }
  number:  { tool: t.echo, with: { value: 7 } }
  text:    { tool: t.echo, with: { value: seven } }
  any:     { tool: t.echo, with: { value: \"${{ steps.letter.output.text }}\" } }
  yes:     { approve: { prompt: ok? } }
  last:    { needs: [yes], tool: t.send, with: { value: other@x } }
";
    let (outlook, said) = look_with(yaml, &[], &policy(&rules), BTreeMap::new());
    let outlook = outlook.unwrap_or_else(|| panic!("{said}"));
    let mut text = String::new();
    for step in &outlook.steps {
        let Some(call) = &step.call else { continue };
        let (mild, strict) = (&call.policy.mildest, &call.policy.strictest);
        let by = call.approved_by.as_deref().unwrap_or("-");
        writeln!(
            text,
            "{}: {:?} by {} .. {:?} by {}, approved by {by}",
            step.path, mild.verdict, mild.rule, strict.verdict, strict.rule
        )
        .unwrap();
    }
    insta::assert_snapshot!(text, @r"
    office: Allow by site[0] .. Allow by site[0], approved by -
    other: Ask by default.at_most_once .. Ask by default.at_most_once, approved by -
    unknown: Allow by site[0] .. Deny by site[1], approved by -
    letter: Allow by default.read .. Allow by default.read, approved by -
    again: Allow by default.read .. Ask by site[2], approved by -
    number: Ask by file[0] .. Ask by file[0], approved by -
    text: Allow by default.pure .. Allow by default.pure, approved by -
    any: Allow by default.pure .. Ask by file[0], approved by -
    last: Ask by default.at_most_once .. Ask by default.at_most_once, approved by yes
    ");
    assert_eq!(step(&outlook, "office").worst, WorstTime { open: false, ms: 120_000 });
    assert!(step(&outlook, "other").worst.open, "nobody is given a time for an answer");
    assert!(!step(&outlook, "last").worst.open, "it was approved already");
}

#[test]
fn a_call_that_is_surely_forbidden_is_an_error_before_the_run() {
    let rules = json!([{ "match": { "tool": "t.send" }, "verdict": "deny" }]);
    let child = "parkway: 1\ntools: { t: {} }\nsteps:\n  inner: { tool: t.send, with: { value: 1 } }\n";
    let yaml = "parkway: 1
tools: { t: {} }
policy: [{ match: { tool: t.letter }, verdict: deny }]
steps:
  a: { tool: t.send, with: { value: 1 } }
  b: { workflow: child.yaml }
  c: { workflow: child.yaml, own_run: true }
  d: { workflow: read.yaml, own_run: true }
";
    let read = "parkway: 1\ntools: { t: {} }\nsteps:\n  letter: { tool: t.letter, with: {} }\n";
    let files = [("child.yaml", child), ("read.yaml", read)];
    let (outlook, said) = look_with(yaml, &files, &policy(&rules), BTreeMap::new());
    assert!(outlook.is_none());
    insta::assert_snapshot!(said.to_string(), @r"
    error[denied]: `t.send` cannot be called: the site's policy forbids it, rule site[0]
      --> test.yaml:5:14
       |
     5 |   a: { tool: t.send, with: { value: 1 } }
       |              ^
       = help: call another tool, or have the rule changed: `parkway config show` says where the site's rules stand

    error[denied]: its step `inner`: `t.send` cannot be called: the site's policy forbids it, rule site[0]
      --> test.yaml:7:18
       |
     7 |   c: { workflow: child.yaml, own_run: true }
       |                  ^
       = help: call another tool, or have the rule changed: `parkway config show` says where the site's rules stand

    error[denied]: its step `letter`: `t.letter` cannot be called: the workflow's `policy` forbids it, rule file[0]
      --> test.yaml:8:18
       |
     8 |   d: { workflow: read.yaml, own_run: true }
       |                  ^
       = help: call another tool, or have the rule changed: `parkway config show` says where the site's rules stand

    error[denied]: `t.send` cannot be called: the site's policy forbids it, rule site[0]
      --> child.yaml:4:18
       |
     4 |   inner: { tool: t.send, with: { value: 1 } }
       |                  ^
       = help: call another tool, or have the rule changed: `parkway config show` says where the site's rules stand
    ");
    // A condition may keep the step from running just there.
    let conditional = "parkway: 1\ninputs: { real: { type: boolean } }\ntools: { t: {} }\nsteps:\n  a: { if: inputs.real, tool: t.send, with: { value: 1 } }\n";
    let (outlook, said) = look_with(conditional, &[], &policy(&rules), BTreeMap::new());
    assert!(outlook.is_some() && said.to_string().starts_with("warning[denied]"), "{said}");
    // What may be allowed by its arguments is no error.
    let rules = json!([{ "match": { "tool": "t.send", "args": { "value": "[0-9]+" } }, "verdict": "deny" }]);
    let yaml = "parkway: 1\ninputs: { to: { type: string } }\ntools: { t: {} }\nsteps:\n  a: { tool: t.send, with: { value: \"${{ inputs.to }}\" } }\n";
    assert!(look_with(yaml, &[], &policy(&rules), BTreeMap::new()).0.is_some());
}

#[test]
fn a_prompt_is_counted_by_its_model_and_must_fit() {
    let file = |prompt: &str, max: u32| {
        format!(
            "parkway: 1\nmodels: {{ main: {{ gguf: {{ name: x }} }} }}\nsteps:\n  a: {{ chat: {{ model: main, max_tokens: {max}, prompt: \"{prompt}\" }} }}\n"
        )
    };
    let codes = |yaml: &str, model: ScriptedModel| {
        let (_, said) = look_with(yaml, &[], &DefaultPolicy, models(model));
        said.list.iter().map(|problem| problem.code).collect::<Vec<_>>()
    };
    // A token for each word, and a context of 8,192.
    let words = "word ".repeat(8_000);
    assert_eq!(codes(&file(words.trim(), 192), ScriptedModel::new()), ["prompt-near-limit"]);
    assert_eq!(codes(&file(words.trim(), 193), ScriptedModel::new()), ["prompt-too-long"]);
    assert!(codes(&file("hi", 193), ScriptedModel::new()).is_empty());
    let form = "parkway: 1\nmodels: { main: { gguf: { name: x } } }\nsteps:\n  a: { chat: { model: main, prompt: hi, output: { n: { type: integer } } } }\n";
    assert_eq!(codes(form, ScriptedModel::new().enforces([ConstraintKind::Choice])), ["unconstrained"]);
    assert!(codes(form, ScriptedModel::new()).is_empty());
    assert_eq!(codes(form, ScriptedModel::new().cannot_enforce("integer")), ["unenforceable"]);
    assert!(codes(form, ScriptedModel::new().cannot_enforce("uniqueItems")).is_empty());
}

#[test]
fn what_is_always_the_same_is_to_be_said_first() {
    let rules = "Read the letter with care. ".repeat(20);
    let codes = |around: &str, chat: &str| {
        let yaml = format!(
            "parkway: 1\nmodels: {{ main: {{ gguf: {{ name: x }} }} }}\ninputs: {{ letters: {{ type: array, items: {{ type: string }} }} }}\nsteps:\n  a: {{ {around} chat: {{ model: main, {chat} }} }}\n"
        );
        let (_, said) = look_with(&yaml, &[], &DefaultPolicy, models(ScriptedModel::new()));
        let codes = said.list.iter().map(|problem| problem.code);
        codes.filter(|code| *code != "unused-input").collect::<Vec<_>>()
    };
    let each = "for_each: '${{ inputs.letters }}', as: letter,";
    let late = format!("prompt: \"${{{{ letter }}}} {rules}\"");
    assert_eq!(codes(each, &late), ["prompt-layout"]);
    assert!(codes(each, &format!("prompt: \"{rules} ${{{{ letter }}}}\"")).is_empty());
    assert!(codes(each, &format!("system: \"{rules}\", prompt: \"${{{{ letter }}}}\"")).is_empty());
    // What is the same for all items may stand before it.
    assert!(
        codes(each, &format!("prompt: \"${{{{ inputs.letters | length }}}} {rules} ${{{{ letter }}}}\"")).is_empty()
    );
    assert!(codes(each, "prompt: \"${{ letter }} is the letter, and this is short.\"").is_empty());
    assert!(codes(each, &format!("prompt: \"{rules}{{% if letter %}}${{{{ letter }}}}{{% endif %}}\"")).is_empty());
    let clock = format!("system: \"It is ${{{{ run.started_at }}}}. {rules}\", prompt: hello");
    assert_eq!(codes("", &clock), ["prompt-layout"]);
    let rounds = "repeat: { until: index == 2, max: 3 },";
    assert_eq!(
        codes(rounds, &format!("system: \"Round ${{{{ index }}}}. {rules}\", prompt: hello")),
        ["prompt-layout"]
    );
}

#[test]
fn tokens_are_bounded_by_what_is_known_of_prompts_and_contexts() {
    let yaml = "parkway: 1
inputs: { text: { type: string } }
models: { main: { gguf: { name: x } }, other: { gguf: { name: y } } }
budget: { tokens: 100k }
steps:
  known:  { chat: { model: main, prompt: three words only, max_tokens: 100 }, retry: 0 }
  filled: { chat: { model: main, prompt: \"two words ${{ inputs.text }}\", max_tokens: 100 }, retry: 1 }
  three:  { for_each: [1, 2, 3], chat: { model: main, prompt: one, max_tokens: 10 }, retry: 0 }
";
    let (outlook, _) = look_with(yaml, &[], &DefaultPolicy, models(ScriptedModel::new()));
    let outlook = outlook.unwrap();
    assert_eq!(outlook.tokens, Times { least: 3 + 2 + 3, most: Some(103 + 2 * 8_192 + 3 * 11) });
    assert_eq!(outlook.limits.tokens, Some(100_000));
    let chat = step(&outlook, "filled").chat.clone().unwrap();
    assert_eq!((chat.prompt_tokens, chat.counted, chat.whole, chat.context), (2, true, false, Some(8_192)));
    // Without its tokenizer a prompt is estimated, and an estimate bounds nothing.
    let (outlook, _) = look_with(yaml, &[], &DefaultPolicy, BTreeMap::new());
    assert_eq!(outlook.unwrap().tokens.most, None);
    // A model that is not held to a form may be asked three times.
    let form = "parkway: 1\nmodels: { main: { gguf: { name: x } } }\nsteps:\n  a: { retry: 0, chat: { model: main, prompt: hi, output: { n: { type: integer } } } }\n";
    let loose = ScriptedModel::new().enforces([ConstraintKind::Choice]);
    let (outlook, _) = look_with(form, &[], &DefaultPolicy, models(loose));
    assert_eq!(outlook.unwrap().tokens.most, Some(3 * 8_192));
}

#[test]
fn a_run_of_its_own_is_looked_into_and_stays_within_its_budget() {
    let child = "parkway: 1
inputs: { list: { type: array, items: { type: string } } }
tools: { t: {} }
budget: { tool_calls: 7 }
deadline: 1h
steps:
  all: { for_each: \"${{ inputs.list }}\", tool: t.letter, with: { value: \"${{ item }}\" } }
  ask: { needs: [all], approve: { prompt: ok? } }
";
    let yaml = "parkway: 1
tools: { t: {} }
budget: { tool_calls: 20 }
steps:
  sub: { workflow: child.yaml, own_run: true, with: { list: [a] } }
";
    let rules = json!([{ "match": { "tool": "t.letter", "labels": ["untrusted"] }, "verdict": "ask" }]);
    let (outlook, said) = look_with(yaml, &[("child.yaml", child)], &policy(&rules), BTreeMap::new());
    let outlook = outlook.unwrap_or_else(|| panic!("{said}"));
    let sub = step(&outlook, "sub");
    assert_eq!(sub.worst, WorstTime { open: false, ms: 3_600_000 });
    assert_eq!(outlook.tool_calls, Times { least: 0, most: Some(7) });
    let inner = sub.own_run.as_deref().unwrap();
    assert_eq!(inner.longest, ["all", "ask"]);
    let call = step(inner, "all").call.as_ref().unwrap();
    assert_eq!(call.policy.strictest.rule, "site[0]");
}

#[test]
fn what_a_model_may_do_for_a_goal_is_told_before_it_does_it() {
    let yaml = "
parkway: 1
models: { main: { gguf: { name: x }, context: 1000 } }
tools: { t: {} }
steps:
  agent: { agent: { model: main, goal: Find the letter, tools: [t.letter, t.send], max_turns: 3, max_tokens: 99 } }
  plan:
    timeout: 1m
    plan: { model: main, goal: Find the letter, tools: [t.*], max_steps: 4, max_replans: 1, approve: true, max_tokens: 99 }
  alone: { agent: { model: main, goal: Say hello, max_turns: 1, max_tokens: 99 } }
";
    let outlook = look(yaml);
    let agent = step(&outlook, "agent").goal.as_deref().unwrap();
    assert_eq!((agent.turns, agent.approves), (3, false));
    let calls: Vec<_> = agent
        .calls
        .iter()
        .map(|call| (call.tool.as_str(), call.effect, call.policy.mildest.verdict, call.policy.strictest.verdict))
        .collect();
    insta::assert_debug_snapshot!(calls);
    let plan = step(&outlook, "plan");
    // Four steps, each decided late; four that are dropped; two closing lines; the answer; eight turns after that.
    assert_eq!(plan.goal.as_ref().map(|goal| (goal.turns, goal.approves)), Some((4 + 4 + 4 + 2 + 1 + 8, true)));
    assert_eq!(plan.worst, WorstTime { open: false, ms: 60_000 });
    assert_eq!(step(&outlook, "agent").worst, WorstTime { open: true, ms: 0 });
    assert_eq!(outlook.tokens.most, Some(1000 * (3 + 23 + 1)));
    assert_eq!(outlook.tool_calls, Times { least: 0, most: None });
}
