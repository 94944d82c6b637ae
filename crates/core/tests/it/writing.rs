//! Workflows written back as files: what is read again is the same.

use parkway_core::workflow::{Definition, Graph, Plan};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::check::World;

fn no_files(path: &str) -> Result<String, String> {
    Err(format!("no file {path}"))
}

fn parse(source: &str) -> Definition {
    Definition::parse("test.yaml", source, no_files).unwrap_or_else(|problems| panic!("{problems}\n\n{source}"))
}

/// The graph without the names of files, whose texts stand in a written file.
fn graph(definition: &Definition) -> Graph {
    definition.graph().0
}

/// Reads a value as a file, and what is written of that: the graph is the same, and the second writing, too.
#[track_caller]
fn check(value: &Value) -> Definition {
    check_definition(
        Definition::from_value("test.yaml", value, no_files).unwrap_or_else(|p| panic!("{p}\n\n{value:#}")),
    )
}

#[track_caller]
fn check_definition(definition: Definition) -> Definition {
    let written = definition.to_yaml();
    let again = parse(&written);
    assert_eq!(graph(&again), graph(&definition), "{written}");
    assert_eq!(again.to_yaml(), written);
    definition
}

/// A file that has every key that a plan keeps.
const EVERYTHING: &str = r#"
parkway: 1
name: 'every thing: #1'
description: 'two

  lines

  '
inputs:
  text: {type: string, description: a, pattern: '[0-9]+', min: 1, max_length: 9, format: date, default: 012}
  number: {type: number, min: 0.5, max: 2, optional: true}
  whole:
    type: integer
    enum: [1, 2]
  flag: {type: boolean, default: false}
  list:
    type: array
    min: 1
    max: 3
    items:
      type: object
      fields:
        'no': {type: string, optional: true}
env: [HOME]
secrets: [TOKEN]
models:
  main:
    gguf: {path: m.gguf}
    context: 4096
    gpu_layers: 3
    gpus: [CUDA0, CUDA1]
    gpu_split: rows
    isolation: process
    deterministic: true
    adapters: {fr: fr.gguf, de: {path: de.gguf, scale: 0.5}}
  far:
    openai: {url: 'https://example.com/v1', model: x, key: '${{ secrets.TOKEN }}', server: ray-serve, tools: true, timeouts: {connect: 5s, first_byte: 15m, next_byte: 500ms}}
    adapters: {fr: far.gguf}
policy:
- match:
    tool: t.*
    effect: pure
    args: {text: no.*}
    labels: [untrusted]
  verdict: ask
  examples:
  - tool: t.echo
    args: {text: 'no'}
    labels: [untrusted]
    matches: true
budget: {tokens: 200k, tool_calls: 7, money: 0.25, wall: 90s}
deadline: 7d
tools: {t: {}}
defaults: {retry: 1, timeout: 3m, model: main, max_parallel: 2, temperature: 0.5, max_tokens: 99}
steps:
  wait: {wait: 1500ms}
  until:
    needs: [wait]
    wait: {until: '2030-01-01T00:00:00Z'}
  signal:
    wait: {signal: paid, timeout: 24h}
  form:
    if: ${{ inputs.flag }}
    input:
      prompt: What?
      output:
        a: {type: string}
      timeout: 2h
  ask:
    run_if: always
    needs: [form]
    approve:
      prompt: Go?
      timeout: 24h
      show:
        list: [1, '${{ inputs.text }}', null]
  each:
    description: each of them
    for_each: ${{ inputs.list }}
    as: one
    key: one.no
    max_parallel: 3
    on_item_error: collect
    timeout: 1h
    on_error: continue
    steps:
      say:
        retry:
          max: 3
          initial: 1s
          factor: 1.5
          limit: 1m
          'on': [busy, 'no']
        timeout: 20s
        chat:
          model: far
          system: 'Be: brief'
          prompt: '${{ one.no }} and ${{ steps.signal.output }}

            '
          adapter: fr
          seed: 7
          temperature: 1.25
          max_tokens: 12
          output_schema:
            type: object
            properties:
              x: {type: string}
      more:
        chat:
          messages:
          - {role: user, content: a}
          - {role: assistant, content: b}
          - {role: user, content: '${{ steps.say.output.x }}'}
          tools: [t.echo]
    result:
      x: ${{ steps.say.output.x }}
      y: ['${{ steps.more.output }}', 1.5, true]
  loop:
    repeat: {until: index > 3, max: 5, delay: 10s}
    steps:
      set:
        set: {n: '${{ index }}', 'yes': 'no'}
  agent:
    needs: [loop]
    agent:
      model: far
      goal: 'Find: ${{ inputs.text }}'
      tools: [t.echo, t.letter]
      max_turns: 3
      output:
        x: {type: string}
      temperature: 0.5
      max_tokens: 88
      seed: 7
  plan:
    needs: [agent]
    timeout: 20m
    plan:
      model: main
      goal: Tidy up
      tools: [t.fail]
      max_steps: 5
      max_replans: 0
      approve: true
      draft: true
      examples:
      - goal: echo
        lines:
        - {id: s1, tool: t.echo, args: {value: 'no'}}
        - {done: true}
      output_schema:
        type: object
        properties:
          x: {type: string}
  none:
    needs: [loop]
    retry: 0
    tool: t.echo
    with: {value: '1.10'}
outputs: {all: '${{ steps.wait.status }}'}
ensure: [steps.wait.status == 'completed']
"#;

#[test]
fn every_key_of_a_file_is_written_back() {
    let definition = check_definition(parse(EVERYTHING));
    insta::assert_snapshot!(definition.to_yaml());
}

#[test]
fn a_plan_is_written_as_the_file_that_makes_it() {
    let world = World::new();
    let plan = |source: &str| -> Plan { world.plan(source).unwrap_or_else(|problems| panic!("{problems}")) };
    let first = plan(EVERYTHING);
    assert_eq!(plan(&first.to_yaml()), first);
}

#[test]
fn what_a_form_begins_with_is_written_back() {
    let definition = parse(
        "parkway: 1
steps:
  got: { set: { total: 12 } }
  edit:
    input:
      prompt: Is this right?
      output:
        total: { type: integer, min: 1, default: '${{ steps.got.output.total }}' }
        note: { type: string, optional: true, default: 'was ${{ steps.got.output.total }}' }
        paid: { type: boolean, default: false }
",
    );
    let written = check_definition(definition).to_yaml();
    assert!(written.contains("default: ${{ steps.got.output.total }}"), "{written}");
}

#[test]
fn needs_that_templates_imply_are_not_written() {
    let value = json!({
        "parkway": 1,
        "name": "test",
        "steps": {
            "a": { "set": { "x": 1 } },
            "b": { "needs": ["a"], "set": { "x": "${{ steps.a.output.x }}" } },
            "c": { "needs": ["a", "b"], "steps": { "a2": { "set": { "x": "${{ steps.b.output.x }}" } } } },
        },
    });
    let written = check(&value).to_yaml();
    assert_eq!(written.matches("needs").count(), 1, "{written}");
    assert!(written.contains("  c:\n    needs:\n      - a\n    steps:"), "{written}");
}

#[test]
fn another_workflow_stays_a_path_and_its_steps_stay_its_own() {
    let child = "parkway: 1\ninputs: { n: { type: integer } }\nsteps:\n  a: { set: { x: \"${{ inputs.n }}\" } }\n  \
                 b: { set: { x: \"${{ steps.a.output.x }}\" } }\noutputs: { x: \"${{ steps.b.output.x }}\" }\n";
    let read = |path: &str| if path == "child.yaml" { Ok(child.to_owned()) } else { no_files(path) };
    let source = "parkway: 1\nname: parent\nsteps:\n  a: { set: { n: 1 } }\n  \
                  within: { workflow: child.yaml, with: { n: \"${{ steps.a.output.n }}\" }, timeout: 1h }\n  \
                  apart: { needs: [a], workflow: child.yaml, with: { n: 2 }, own_run: true }\n";
    let definition = Definition::parse("test.yaml", source, read).unwrap();
    let written = definition.to_yaml();
    let again = Definition::parse("test.yaml", &written, read).unwrap_or_else(|p| panic!("{p}\n\n{written}"));
    assert_eq!(graph(&again), graph(&definition), "{written}");
    insta::assert_snapshot!(written);
}

#[test]
fn a_schema_that_fields_cannot_say_stays_as_it_is() {
    let open = json!({ "type": "object", "properties": { "x": { "type": "string" } }, "required": ["x"] });
    let closed = json!({ "type": "object", "properties": { "x": { "type": "string" } }, "required": ["x"], "additionalProperties": false });
    for (schema, long) in [(&open, true), (&closed, false)] {
        let steps = json!({ "a": { "chat": { "model": "main", "prompt": "x", "output_schema": schema } } });
        let written = check(&json!({ "parkway": 1, "models": { "main": {} }, "steps": steps })).to_yaml();
        assert_eq!(written.contains("output_schema:"), long, "{written}");
    }
}

#[test]
fn a_wrong_value_is_told_with_the_line_that_it_would_be() {
    let steps = json!({ "a": { "tool": "echo", "whith": {} } });
    let problems = Definition::from_value("built", &json!({ "parkway": 1, "steps": steps }), no_files).unwrap_err();
    insta::assert_snapshot!(problems);
}

/// Texts that YAML would read as something else, or in another way.
const TRAPS: [&str; 24] = [
    "no",
    "1.10",
    "012",
    "null",
    "~",
    "",
    " x ",
    "a: b",
    "a #b",
    "- x",
    "'",
    "\"",
    "\\",
    "|",
    "a\nb\n",
    "\n\n x\n\n",
    "\tx",
    "1e3",
    "<<",
    "!x",
    "2030-01-01",
    "é東\u{85}\u{2028}",
    "$${{ x",
    "x\r\n\u{1b}",
];

fn text() -> impl Strategy<Value = String> {
    let free = "[ -~äé\n\t]{0,24}".prop_filter("is a template", |text| !text.contains("${{") && !text.contains("{%"));
    prop_oneof![proptest::sample::select(&TRAPS[..]).prop_map(str::to_owned), free]
}

/// A key: `<<` cannot be one, even in quotes, and no expression can.
fn key() -> impl Strategy<Value = String> {
    text().prop_filter("is no key", |key| key != "<<" && !key.contains("${{"))
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("is no number", |n| n.is_finite()).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((key(), inner), 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn span() -> impl Strategy<Value = Value> {
    (1..10_000_u32, proptest::sample::select(&["ms", "s", "m", "h", "d"][..]))
        .prop_map(|(n, unit)| json!(format!("{n}{unit}")))
}

fn put(map: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        map.insert(key.into(), value);
    }
}

fn field() -> impl Strategy<Value = Value> {
    let plain = prop_oneof![
        (proptest::option::of(text()), proptest::option::of(1..99_u32), any::<bool>()).prop_map(
            |(text, max, optional)| {
                let mut field = Map::from_iter([("type".to_owned(), json!("string"))]);
                put(&mut field, "description", text.map(Value::from));
                put(&mut field, "max_length", max.map(Value::from));
                put(&mut field, "optional", optional.then(|| json!(true)));
                Value::Object(field)
            }
        ),
        (proptest::option::of(-9..0_i32), proptest::option::of(1..9_i32)).prop_map(|(min, max)| {
            let mut field = Map::from_iter([("type".to_owned(), json!("number"))]);
            put(&mut field, "min", min.map(Value::from));
            put(&mut field, "max", max.map(Value::from));
            Value::Object(field)
        }),
        proptest::collection::vec(text(), 1..4).prop_map(|values| json!({ "type": "string", "enum": values })),
        key().prop_map(|text| json!({ "type": "string", "default": text })),
    ];
    plain.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|items| json!({ "type": "array", "items": items })),
            proptest::collection::btree_map("[a-z]{1,4}", inner, 1..4)
                .prop_map(|fields| json!({ "type": "object", "fields": fields })),
        ]
    })
}

fn fields() -> impl Strategy<Value = Value> {
    proptest::collection::btree_map("[a-z]{1,5}", field(), 1..4).prop_map(|fields| json!(fields))
}

/// A verb, and what stands beside it only there.
fn verb(depth: u32) -> BoxedStrategy<Map<String, Value>> {
    let map = |value: Value| value.as_object().cloned().unwrap_or_default();
    let values =
        || proptest::collection::vec((key(), value()), 0..4).prop_map(|map| Value::Object(map.into_iter().collect()));
    let retry = prop_oneof![
        (0..9_u32).prop_map(Value::from),
        (0..9_u32, span(), 100..900_u32, span(), proptest::collection::vec("[a-z_]{1,8}", 0..3)).prop_map(
            |(max, initial, factor, limit, on)| json!({ "max": max, "initial": initial, "factor": f64::from(factor) / 100.0, "limit": limit, "on": on })
        ),
    ];
    let calls = (proptest::option::of(retry), proptest::option::of(span()));
    let tool = ("[a-z]{1,6}\\.[a-z]{1,6}", values()).prop_map(|(name, with)| json!({ "tool": name, "with": with }));
    let said = (proptest::option::of(text()), text()).prop_map(|(system, prompt)| {
        let mut said = Map::from_iter([("prompt".to_owned(), json!(prompt))]);
        put(&mut said, "system", system.map(Value::from));
        said
    });
    let roles = proptest::sample::select(&["system", "user", "assistant"][..]);
    let messages = proptest::collection::vec(
        (roles, text()).prop_map(|(role, content)| json!({ "role": role, "content": content })),
        1..4,
    )
    .prop_map(|messages| Map::from_iter([("messages".to_owned(), Value::from(messages))]));
    let chat = (
        prop_oneof![said, messages],
        proptest::option::of(fields()),
        0..10_000_u32,
        1..9_999_u32,
        proptest::option::of(any::<u64>()),
    )
        .prop_map(|(mut chat, output, temperature, tokens, seed)| {
            chat.insert("model".into(), json!("main"));
            chat.insert("temperature".into(), json!(f64::from(temperature) / 1000.0));
            chat.insert("max_tokens".into(), json!(tokens));
            put(&mut chat, "output", output);
            put(&mut chat, "seed", seed.map(Value::from));
            json!({ "chat": chat })
        });
    let most = || proptest::option::of(1..=8_u32);
    let offered = proptest::collection::vec("[a-z]{1,6}\\.([a-z]{1,6}|\\*)", 1..4);
    let lines = proptest::collection::vec(values(), 0..3);
    let goal = (text(), offered, [most(), most(), most()], proptest::option::of(fields()), any::<[bool; 3]>(), lines)
        .prop_map(|(goal, tools, most, output, [plans, approve, draft], lines)| {
            let mut said = Map::from_iter([("model".to_owned(), json!("main")), ("goal".to_owned(), json!(goal))]);
            said.insert("tools".into(), json!(tools));
            put(&mut said, "max_turns", most[0].map(Value::from));
            put(&mut said, "output", output);
            if !plans {
                return json!({ "agent": said });
            }
            put(&mut said, "max_steps", most[1].map(Value::from));
            put(&mut said, "max_replans", most[2].map(Value::from));
            said.insert("approve".into(), json!(approve));
            said.insert("draft".into(), json!(draft));
            said.insert("examples".into(), json!([{ "goal": "a", "lines": lines }]));
            json!({ "plan": said })
        });
    let called = (prop_oneof![tool, chat], calls).prop_map(move |(verb, (retry, timeout))| {
        let mut step = map(verb);
        put(&mut step, "retry", retry);
        put(&mut step, "timeout", timeout);
        step
    });
    let approve =
        (text(), proptest::option::of(span()), proptest::option::of(value().prop_filter("no show", |v| !v.is_null())))
            .prop_map(|(prompt, timeout, show)| {
                let mut approve = Map::from_iter([("prompt".to_owned(), json!(prompt))]);
                put(&mut approve, "timeout", timeout);
                put(&mut approve, "show", show);
                json!({ "approve": approve })
            });
    let input =
        (text(), fields()).prop_map(|(prompt, output)| json!({ "input": { "prompt": prompt, "output": output } }));
    let wait = prop_oneof![
        span().prop_map(|span| json!({ "wait": span })),
        text().prop_map(|time| json!({ "wait": { "until": time } })),
        (text(), span()).prop_map(|(name, timeout)| json!({ "wait": { "signal": name, "timeout": timeout } })),
    ];
    let set = values().prop_map(|values| json!({ "set": values }));
    let others = prop_oneof![approve, input, wait, set, goal].prop_map(map);
    if depth == 0 {
        return prop_oneof![called, others].boxed();
    }
    let group = (
        steps(depth - 1),
        proptest::option::of(value().prop_filter("no result", |v| !v.is_null())),
        proptest::option::of(span()),
    )
        .prop_map(|(steps, result, timeout)| {
            let mut step = Map::from_iter([("steps".to_owned(), steps)]);
            put(&mut step, "result", result);
            put(&mut step, "timeout", timeout);
            step
        });
    prop_oneof![called, others, group].boxed()
}

fn step(depth: u32) -> impl Strategy<Value = Map<String, Value>> {
    let list =
        prop_oneof![Just(json!("${{ inputs.x }}")), proptest::collection::vec(value(), 0..4).prop_map(Value::from)];
    let loops = prop_oneof![
        4 => Just(Map::new()),
        1 => (list, 1..99_u32, any::<bool>()).prop_map(|(list, parallel, collect)| {
            let mut each = Map::from_iter([("for_each".to_owned(), list)]);
            each.insert("as".into(), json!("one"));
            each.insert("key".into(), json!("one.name"));
            each.insert("max_parallel".into(), json!(parallel));
            each.insert("on_item_error".into(), json!(if collect { "collect" } else { "fail" }));
            each
        }),
        1 => (1..99_u32, proptest::option::of(span())).prop_map(|(max, delay)| {
            let mut repeat = Map::from_iter([("until".to_owned(), json!("previous")), ("max".to_owned(), json!(max))]);
            put(&mut repeat, "delay", delay);
            Map::from_iter([("repeat".to_owned(), Value::Object(repeat))])
        }),
    ];
    let conditions = proptest::sample::select(&[None, None, Some("failed"), Some("not_rejected"), Some("always")][..]);
    (verb(depth), loops, conditions, proptest::option::of(text()), any::<bool>(), any::<bool>()).prop_map(
        |(mut step, loops, run_if, description, condition, on_error)| {
            step.extend(loops);
            put(&mut step, "run_if", run_if.map(Value::from));
            put(&mut step, "description", description.map(Value::from));
            put(&mut step, "if", condition.then(|| json!("${{ inputs.x }}")));
            put(&mut step, "on_error", on_error.then(|| json!("continue")));
            step
        },
    )
}

/// Steps that name and need earlier ones of their level, and those of the levels around by templates.
fn steps(depth: u32) -> impl Strategy<Value = Value> {
    proptest::collection::vec((step(depth), any::<[bool; 4]>(), any::<[bool; 4]>()), 1..5).prop_map(move |steps| {
        let id = |n: usize| format!("d{depth}_{n}");
        let mut linked = Map::new();
        for (n, (mut step, needs, names)) in steps.into_iter().enumerate() {
            let needs: Vec<_> = (0..n).filter(|other| needs[*other]).map(id).collect();
            let mut named: Vec<_> =
                (0..n).filter(|other| names[*other]).map(|n| format!("${{{{ steps.{}.output }}}}", id(n))).collect();
            if names[3] {
                named.push(format!("${{{{ steps.d{}_0.status }}}}", depth + 1));
            }
            if let Some(values) = step.get_mut("set").and_then(Value::as_object_mut) {
                values.insert("named".into(), json!(named));
            }
            if !needs.is_empty() {
                step.insert("needs".into(), json!(needs));
            }
            linked.insert(id(n), Value::Object(step));
        }
        Value::Object(linked)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn what_is_written_of_a_definition_reads_as_the_same_graph(
        steps in steps(2), inputs in fields(), outputs in proptest::collection::vec((key(), value()), 0..4), name in text(),
    ) {
        let outputs = Value::Object(outputs.into_iter().collect());
        check(&json!({ "parkway": 1, "name": name, "inputs": inputs, "models": { "main": {} }, "steps": steps, "outputs": outputs }));
    }
}
