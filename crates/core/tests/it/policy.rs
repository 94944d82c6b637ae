//! Who has the last word about a call: the default of its effect, the site's rules, the workflow's.

use std::fmt::Write as _;
use std::sync::Arc;

use parkway_core::engine::Executor;
use parkway_core::label::Labels;
use parkway_core::log::EventKind;
use parkway_core::policy::{DefaultPolicy, Example, Match, Policy, PolicyRequest, Rule, RulePolicy, Unknown, Verdict};
use parkway_core::tool::{Effect, ToolSpec, tool_fn};
use serde_json::{Value, json};

use crate::check::World;
use crate::subworkflows::calling;

fn rules(value: Value) -> Vec<Rule> {
    serde_json::from_value(value).unwrap()
}

fn spec(name: &str, effect: Effect) -> ToolSpec {
    let (input_schema, output_schema) = (json!({}), json!({}));
    ToolSpec {
        name: name.into(),
        description: String::new(),
        input_schema,
        output_schema,
        effect,
        labels: Labels::NONE,
    }
}

/// The name of the rule that decides about `t.do`, and what it says.
fn decided(
    rules: &[Rule],
    name: &str,
    effect: Effect,
    args: &Value,
    labels: Labels,
    granted: bool,
) -> (Verdict, String) {
    let policy = RulePolicy::new(rules).unwrap();
    let spec = spec(name, effect);
    let decision = policy.decide(&PolicyRequest::new(&spec, args, labels, granted));
    (decision.verdict, decision.rule)
}

#[test]
fn rules_that_only_tighten_are_heard_and_foreseen_and_loosen_nothing() {
    let rule = |verdict: &str| rules(json!([{ "match": { "tool": "t.*" }, "verdict": verdict }]));
    let spec = spec("t.send", Effect::AtMostOnce);
    let request = PolicyRequest::new(&spec, &Value::Null, Labels::NONE, true);
    for (site, project, expected) in [
        ("", "allow", (Verdict::Ask, "default.at_most_once")),
        ("allow", "allow", (Verdict::Allow, "site[0]")),
        ("allow", "ask", (Verdict::Ask, "project[0]")),
        ("ask", "deny", (Verdict::Deny, "project[0]")),
        ("deny", "allow", (Verdict::Deny, "site[0]")),
    ] {
        let site = if site.is_empty() { Vec::new() } else { rule(site) };
        let policy = RulePolicy::new(&site).unwrap().tightened("project", &rule(project)).unwrap();
        let decision = policy.decide(&request);
        assert_eq!((decision.verdict, decision.rule.as_str()), expected);
        let foreseen = policy.foresee(&request, &Unknown::default());
        assert_eq!((foreseen.mildest.rule.as_str(), foreseen.strictest.rule.as_str()), (expected.1, expected.1));
        assert_ne!(policy.fingerprint(), RulePolicy::new(&site).unwrap().fingerprint());
    }
}

#[test]
fn the_strictest_of_the_sites_rules_wins_and_only_a_site_lowers_a_default() {
    let say = |verdict: &str| json!({ "match": { "tool": "t.*" }, "verdict": verdict });
    let sites = [
        ("no rule", vec![]),
        ("allow", vec![say("allow")]),
        ("ask", vec![say("ask")]),
        ("deny", vec![say("deny")]),
        ("allow, ask", vec![say("allow"), say("ask")]),
        ("deny, allow", vec![say("deny"), say("allow")]),
        ("ask, ask", vec![say("ask"), say("ask")]),
    ];
    let mut table = String::new();
    for (effect, granted) in [
        (Effect::Pure, false),
        (Effect::Read, false),
        (Effect::Read, true),
        (Effect::Idempotent, true),
        (Effect::Transactional, true),
        (Effect::AtMostOnce, false),
        (Effect::AtMostOnce, true),
    ] {
        let grant = if granted { "granted" } else { "not granted" };
        for (name, site) in &sites {
            let site = rules(json!(site));
            let (verdict, rule) = decided(&site, "t.do", effect, &json!({}), Labels::NONE, granted);
            writeln!(table, "{:<14}{grant:<12} {name:<12} {verdict:?} by {rule}", effect.as_str()).unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_rule_is_about_the_calls_that_it_names_and_no_others() {
    let is_about = |matches: Value, name: &str, args: Value, labels: Labels| {
        let rules = rules(json!([{ "match": matches, "verdict": "deny" }]));
        decided(&rules, name, Effect::Read, &args, labels, true).0 == Verdict::Deny
    };
    let (none, untrusted) = (Labels::NONE, Labels::UNTRUSTED);
    let path = |pattern: &str| json!({ "args": { "path": pattern } });
    for (matches, name, args, labels, about) in [
        (json!({}), "files.list", json!({}), none, true),
        (json!({ "tool": "files.*" }), "files.list", json!({}), none, true),
        (json!({ "tool": "files.*" }), "filesXlist", json!({}), none, false),
        (json!({ "tool": "*.list" }), "files.list", json!({}), none, true),
        (json!({ "tool": "files" }), "files.list", json!({}), none, false),
        (json!({ "effect": "read" }), "files.list", json!({}), none, true),
        (json!({ "effect": "idempotent" }), "files.list", json!({}), none, false),
        (path("out/.*"), "t", json!({ "path": "out/a" }), none, true),
        (path("out"), "t", json!({ "path": "out/a" }), none, false),
        (path("out"), "t", json!({ "path": "a/out" }), none, false),
        // An alternative must not lose its anchors, nor a second line a rule.
        (path("a|b"), "t", json!({ "path": "ac" }), none, false),
        (path("out/.*"), "t", json!({ "path": "out/a\nb" }), none, true),
        (path("out/.*"), "t", json!({}), none, false),
        (path("[0-9]+"), "t", json!({ "path": 12 }), none, true),
        (path(r#"\["a"\]"#), "t", json!({ "path": ["a"] }), none, true),
        (json!({ "labels": ["untrusted"] }), "t", json!({}), untrusted, true),
        (json!({ "labels": ["untrusted", "secret"] }), "t", json!({}), untrusted, true),
        (json!({ "labels": ["secret"] }), "t", json!({}), untrusted, false),
        (json!({ "labels": ["untrusted"] }), "t", json!({}), none, false),
    ] {
        assert_eq!(is_about(matches.clone(), name, args.clone(), labels), about, "{matches} {name} {args}");
    }
}

#[test]
fn a_rule_that_its_examples_contradict_is_not_loaded() {
    let problems = RulePolicy::new(&rules(json!([
        { "match": { "tool": "files.*" }, "verdict": "ask", "examples": [{ "tool": "files.list" }] },
        { "match": { "tool": "files.*", "args": { "path": "out/.*" } }, "verdict": "ask", "examples": [
            { "tool": "files.list", "args": { "path": "out/a" } },
            { "tool": "files.list", "args": { "path": "data/a" } },
            { "tool": "files.list", "args": { "path": "out/b" }, "matches": false },
            { "tool": "text.find", "args": { "path": "out/b" }, "matches": false },
            { "tool": "files.list", "labels": ["public"] },
        ] },
        { "match": { "args": { "path": "a)|(?:b", "name": "(" } }, "verdict": "deny" },
        { "match": { "labels": ["private"] }, "verdict": "deny" },
    ])))
    .unwrap_err();
    insta::assert_snapshot!(problems.join("\n"));
}

#[test]
fn a_changed_rule_is_not_taken_for_the_old_policy() {
    let policy = |rules: &[Rule]| RulePolicy::new(rules).unwrap().fingerprint();
    let ask = rules(json!([{ "match": { "tool": "a" }, "verdict": "ask" }]));
    let deny = rules(json!([{ "match": { "tool": "a" }, "verdict": "deny" }]));
    assert_ne!(policy(&ask), policy(&deny));
    assert_eq!(policy(&ask), policy(&ask.clone()));
    assert_eq!(policy(&[]), DefaultPolicy.fingerprint());
}

/// What is said about a call of `t.letter` by a site and a workflow with these rules, and how the run ends.
async fn ruled(site: Value, file: Value) -> String {
    let world = World::new().tool(tool_fn("t.post", Effect::AtMostOnce, |args: Value| async move { Ok(args) }));
    let yaml = "parkway: 1\ntools: { t: {} }\nsteps:\n  post: { tool: t.post, with: { to: ada } }\n";
    let mut plan = world.plan(yaml).unwrap();
    plan.rules = rules(file);
    let mut services = world.services();
    services.policy = Arc::new(RulePolicy::new(&rules(site)).unwrap());
    let executor =
        Executor::create(services, world.models(), world.control.clone(), Arc::new(plan), &json!({})).await.unwrap();
    let run = executor.run();
    let ended = executor.execute().await.unwrap();
    let decisions = world.events(run).await.into_iter().filter_map(|event| match event.kind {
        EventKind::PolicyDecided { verdict, rule, .. } => Some(format!("{verdict:?} by {rule}")),
        EventKind::StepStarted { rule, .. } => rule.map(|rule| format!("Allow by {rule}")),
        _ => None,
    });
    format!("{}, {}", decisions.collect::<Vec<_>>().join(" and "), ended.status.as_str())
}

#[tokio::test]
async fn a_workflow_cannot_allow_itself_what_the_site_asks_about() {
    let say = |verdict: &str| json!([{ "match": { "tool": "t.*" }, "verdict": verdict }]);
    let mut table = String::new();
    for site in [json!([]), say("allow"), say("ask"), say("deny")] {
        for file in [json!([]), say("allow"), say("ask"), say("deny")] {
            let verdict = |rules: &Value| rules[0]["verdict"].as_str().unwrap_or("none").to_owned();
            let (of_site, of_file) = (verdict(&site), verdict(&file));
            let outcome = ruled(site.clone(), file).await;
            writeln!(table, "site {of_site:<6} file {of_file:<6} {outcome}").unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

#[tokio::test]
async fn a_rule_of_a_file_that_cannot_be_read_does_not_open_the_door() {
    let broken = json!([{ "match": { "args": { "to": "(" } }, "verdict": "deny" }]);
    assert_eq!(ruled(json!([]), broken).await, "Deny by file[0], failed");
}

#[test]
fn a_rule_is_written_as_it_was_read() {
    let text = json!({
        "match": { "tool": "files.*", "effect": "read", "args": { "path": "a" }, "labels": ["secret"] },
        "verdict": "deny",
        "examples": [{ "tool": "files.list", "args": { "path": "a" }, "matches": true }],
    });
    let rule: Rule = serde_json::from_value(text.clone()).unwrap();
    assert_eq!(serde_json::to_value(&rule).unwrap(), text);
    let (Match { tool, .. }, Example { matches, .. }) = (&rule.matches, &rule.examples[0]);
    assert_eq!((tool.as_deref(), *matches), (Some("files.*"), Some(true)));
}

#[tokio::test]
async fn the_rules_of_a_called_workflow_and_of_its_caller_hold_together() {
    let deny = |tool: &str| format!("policy: [{{ match: {{ tool: {tool} }}, verdict: deny }}]\n");
    let world = World::new();
    for (of_caller, of_child, rule) in [
        (String::new(), String::new(), None),
        (deny("t.letter"), String::new(), Some("file[0]")),
        (String::new(), deny("t.letter"), Some("sub.file[0]")),
        (String::new(), deny("t.echo"), None),
    ] {
        let caller = format!("{of_caller}steps: {{ sub: {{ set: {{}} }} }}\n");
        let child = format!("{of_child}steps: {{ read: {{ tool: t.letter, with: {{}} }} }}\n");
        let plan = calling(&world, &caller, &child, false);
        let (run, ended) = world.drive(world.create_plan(plan, json!({})).await).await;
        let denied = world.events(run).await.into_iter().find_map(|event| match event.kind {
            EventKind::PolicyDecided { verdict: Verdict::Deny, rule, .. } => Some(rule),
            _ => None,
        });
        assert_eq!(denied.as_deref(), rule, "{}", ended.status.as_str());
    }
}

#[test]
fn a_files_rule_that_its_examples_contradict_is_told_by_check() {
    let yaml = "parkway: 1\npolicy:\n  - { match: { tool: t.* }, verdict: ask, examples: [{ tool: u.x }] }\nsteps: { a: { set: { x: 1 } } }\n";
    let problems = World::new().plan(yaml).unwrap_err().to_string();
    for part in ["error[bad-rule]", "the rule `policy[0]`: example 0", "test.yaml:3:"] {
        assert!(problems.contains(part), "{part} is not in\n{problems}");
    }
}
