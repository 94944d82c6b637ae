//! What the checker knows of values before a run, and that it says nothing where it does not know.

use parkway_core::policy::{DefaultPolicy, Policy};
use parkway_core::tool::{Effect, ToolError, tool_fn};
use parkway_core::workflow::{Definition, Diagnostics, Plan, Requirements};

use crate::check::World;

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Add {
    #[expect(dead_code, reason = "the schema is what counts")]
    a: i64,
    #[expect(dead_code, reason = "the schema is what counts")]
    words: Option<Vec<String>>,
    #[expect(dead_code, reason = "the schema is what counts")]
    mode: Option<Mode>,
    #[expect(dead_code, reason = "the schema is what counts")]
    header: Option<std::collections::BTreeMap<String, String>>,
}

#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Fast,
    Slow,
}

#[derive(serde::Serialize, schemars::JsonSchema)]
struct Sum {
    total: i64,
    note: Option<String>,
    mode: Mode,
    parts: Vec<Part>,
}

#[derive(serde::Serialize, schemars::JsonSchema)]
struct Part {
    name: String,
}

/// The codes and places, and the first message.
fn problems(yaml: &str, files: &[(&str, &str)]) -> (Vec<String>, Diagnostics) {
    let add = tool_fn("t.add", Effect::Pure, |_: Add| async move {
        Err::<Sum, _>(ToolError::invalid("none", "this tool is only checked"))
    });
    let world = World::new().tool(add);
    let read = |path: &str| {
        let found = files.iter().find(|(name, _)| *name == path);
        found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| "no such file".to_owned())
    };
    let found = match Definition::parse("test.yaml", yaml, read) {
        Err(problems) => problems,
        Ok(definition) => Plan::check_all(&definition, &Requirements::new(&world.tools, DefaultPolicy.fingerprint())).1,
    };
    let line = |problem: &parkway_core::workflow::Diagnostic| {
        let file = problem.file.as_ref().map(|file| format!("{file}:")).unwrap_or_default();
        let place = problem.place.map(|place| format!("{}:{}", place.line, place.column)).unwrap_or_default();
        format!("{} {file}{place}", problem.code)
    };
    (found.list.iter().map(line).collect(), found)
}

#[track_caller]
pub(crate) fn check(steps: &str, expected: &[&str]) -> String {
    check_file(&format!("parkway: 1\nsteps:\n{steps}"), &[], expected)
}

#[track_caller]
pub(crate) fn check_file(yaml: &str, files: &[(&str, &str)], expected: &[&str]) -> String {
    let (found, said) = problems(yaml, files);
    assert!(found == expected, "{found:?} is not {expected:?}:\n{said}");
    said.to_string()
}

#[test]
fn a_field_that_an_output_does_not_have() {
    let said = check(
        "  sum: { tool: t.add, with: { a: 1 } }\n  show: { set: { n: \"${{ steps.sum.output.totl }}\" } }\n",
        &["unknown-field 4:43"],
    );
    assert!(said.contains("did you mean `total`?"), "{said}");
}

#[test]
fn a_field_is_followed_through_lists_and_filters() {
    let sum = "  sum: { tool: t.add, with: { a: 1 } }\n";
    check(
        &format!("{sum}  a: {{ set: {{ n: \"${{{{ steps.sum.output.parts[0].nam }}}}\" }} }}\n"),
        &["unknown-field 4:49"],
    );
    check(
        &format!("{sum}  a: {{ set: {{ n: \"${{{{ (steps.sum.output.parts | first).nam }}}}\" }} }}\n"),
        &["unknown-field 4:56"],
    );
    check(
        &format!(
            "{sum}  a: {{ set: {{ n: \"${{{{ steps.sum.output.parts | map(attribute='name') | list }}}}\" }} }}\n"
        ),
        &[],
    );
}

#[test]
fn an_argument_of_another_type() {
    let said = check(
        "  words: { set: { list: [a, b], text: \"x ${{ run.id }}\" } }\n  sum:\n    tool: t.add\n    with:\n      a: ${{ steps.words.output.text }}\n      words: ${{ steps.words.output.text }}\n",
        &["wrong-type 7:10", "wrong-type 8:14"],
    );
    assert!(said.contains("the argument `a` of `t.add` must be a whole number, and this is a text"), "{said}");
    assert!(said.contains("| int"), "{said}");
}

#[test]
fn a_part_of_an_argument_of_another_type() {
    check(
        "  sum:\n    tool: t.add\n    with:\n      a: ${{ 1 + 1 }}\n      words: [\"${{ run.id }}\", \"${{ 1 + 1 }}\"]\n      header: { x: \"${{ run.id }}\", y: \"${{ [1] }}\" }\n",
        &["wrong-type 7:32", "wrong-type 8:40"],
    );
}

#[test]
fn what_cannot_be_known_is_not_complained_of() {
    check(
        "  any: { tool: t.echo }
  each:
    for_each: ${{ steps.any.output }}
    if: ${{ steps.any.output.ready }}
    tool: t.add
    with: { a: \"${{ item.count }}\", mode: \"${{ item.mode }}\", words: \"${{ item.words | default([]) }}\" }
  sum: { tool: t.add, with: { a: 1 } }
  maybe: { set: { n: \"${{ steps.sum.output.note.anything if false else steps.any.output.x.y.z }}\" } }
",
        &["unknown-field 10:49"],
    );
    check(
        "  sum: { tool: t.add, with: { a: 1, mode: fast } }
  again: { tool: t.add, with: { a: \"${{ steps.sum.output.total / 2 }}\", mode: \"${{ steps.sum.output.mode }}\" } }
  text: { set: { t: \"${{ steps.sum.output.note }}\" } }
  use: { tool: t.add, with: { a: \"${{ steps.text.output.t | int }}\", words: \"${{ [steps.text.output.t] }}\" } }
",
        &[],
    );
}

#[test]
fn a_word_that_is_none_of_an_enum() {
    check(
        "  sum: { tool: t.add, with: { a: 1 } }\n  fast: { if: \"steps.sum.output.mode == 'fats'\", set: { n: 1 } }\n",
        &["not-in-enum 4:41"],
    );
    check("  sum: { tool: t.add, with: { a: 1, mode: \"${{ 'fats' }}\" } }\n", &["wrong-type 3:43"]);
    check(
        "  sum: { tool: t.add, with: { a: 1 } }\n  fast: { run_if: always, if: \"steps.sum.status == 'done'\", set: { n: 1 } }\n",
        &["not-in-enum 4:52"],
    );
}

#[test]
fn a_condition_that_is_no_truth_value() {
    let said = check(
        "  sum: { tool: t.add, with: { a: 1 } }\n  a: { if: steps.sum.output.parts, set: { n: 1 } }\n  b: { if: \"${{ 5 }}\", set: { n: 1 } }\n  c: { if: \"${{ steps.sum.output.total > 1 }}\", set: { n: 1 } }\n",
        &["not-boolean 4:12", "not-boolean 5:12"],
    );
    assert!(said.contains("`if` must be true or false, and this is a list"), "{said}");
    check(
        "  sum: { repeat: { until: steps.x, max: 2 }, tool: t.add, with: { a: 1 } }\n  b: { repeat: { until: previous.total, max: 2 }, tool: t.add, with: { a: 1 } }\n  c: { repeat: { until: previous.total > 2, max: 2 }, tool: t.add, with: { a: 1 } }\n",
        &["unknown-step 3:27", "not-boolean 4:25"],
    );
    check_file(
        "parkway: 1\nsteps: { a: { set: { n: [1] } } }\nensure: [ \"steps.a.output.n\", \"steps.a.output.n | length == 1\" ]\n",
        &[],
        &["not-boolean 3:11"],
    );
}

#[test]
fn a_fan_out_over_something_that_is_no_list() {
    let said = check(
        "  sum: { tool: t.add, with: { a: 1 } }\n  a: { for_each: \"${{ steps.sum.output }}\", set: { n: 1 } }\n  b: { for_each: \"${{ {'x': 1} }}\", set: { n: 1 } }\n  c: { for_each: [\"${{ steps.sum.output }}\"], set: { n: 1 } }\n  d: { for_each: \"${{ steps.sum.output.total }}\", set: { n: 1 } }\n",
        &["not-a-list 4:18", "not-a-list 5:18", "not-a-list 7:18"],
    );
    assert!(said.contains("| items"), "{said}");
}

#[test]
fn items_have_the_type_of_the_list() {
    check(
        "  sum: { tool: t.add, with: { a: 1 } }
  each:
    for_each: ${{ steps.sum.output.parts }}
    as: part
    key: part.name
    steps:
      one: { set: { n: \"${{ part.nam }}\" } }
      two: { set: { n: \"${{ part.name }}\", i: \"${{ index + 1 }}\" } }
    result: { name: \"${{ steps.two.output.n }}\" }
  after: { set: { all: \"${{ steps.each.output | map(attribute='nam') }}\", items: \"${{ steps.each.items[0].item.nme }}\" } }
",
        &["unknown-field 9:34", "unknown-field 12:63", "unknown-field 12:112"],
    );
}

#[test]
fn a_key_that_names_nothing() {
    check(
        "  a: { for_each: [[1], [2]], key: item, set: { n: 1 } }\n  b: { for_each: [1, 2], key: item, set: { n: 1 } }\n",
        &["bad-item-key 3:35"],
    );
}

#[test]
fn a_chat_gives_what_its_form_says() {
    check_file(
        "parkway: 1
models: { main: { gguf: { name: x } } }
steps:
  ask: { chat: { model: main, prompt: hi, output: { kind: { type: string, enum: [a, b] }, n: { type: integer, optional: true } } } }
  say: { chat: { model: main, prompt: \"${{ steps.ask.output.kind }}\" } }
  use: { tool: t.add, with: { a: \"${{ steps.say.output }}\" } }
  cmp: { if: \"steps.ask.output.kind == 'c'\", set: { n: \"${{ steps.ask.output.k }}\" } }
",
        &[],
        &["wrong-type 6:34", "not-in-enum 7:40", "unknown-field 7:78"],
    );
}

#[test]
fn a_mistake_in_a_block_text_and_in_a_file_has_its_place() {
    let yaml = "parkway: 1
models: { main: { gguf: { name: x } } }
steps:
  sum: { tool: t.add, with: { a: 1 } }
  ask:
    chat:
      model: main
      system: |
        You are brief.
        It is ${{ steps.sum.output.totl }}.
      prompt: { file: p.md }
";
    check_file(
        yaml,
        &[("p.md", "Hello\n\nall ${{ steps.sum.output.tota }}\n")],
        &["unknown-field 10:36", "unknown-field p.md:3:26"],
    );
}

#[test]
fn a_sub_workflow_is_known_by_its_inputs_and_outputs() {
    let child = "parkway: 1
inputs: { n: { type: integer }, note: { type: string, optional: true } }
steps: { a: { set: { n: \"${{ inputs.n + 1 }}\", note: \"${{ inputs.note.x }}\" } } }
outputs: { n: \"${{ steps.a.output.n }}\" }
";
    check_file(
        "parkway: 1
steps:
  text: { set: { t: \"a ${{ run.id }}\" } }
  call: { workflow: child.yaml, with: { n: \"${{ steps.text.output.t }}\" } }
  use: { set: { m: \"${{ steps.call.output.m }}\" } }
",
        &[("child.yaml", child)],
        &["wrong-type 4:44", "unknown-field 5:43", "unknown-field child.yaml:3:71"],
    );
}

#[test]
fn a_secret_stands_in_arguments_of_tools_only() {
    check_file(
        "parkway: 1
secrets: [TOKEN]
models: { main: { gguf: { name: x } } }
steps:
  a: { tool: t.echo, with: { value: \"Bearer ${{ secrets.TOKEN }}\" } }
  b: { tool: t.echo, with: { value: \"${{ secrets.TOKEN | upper }}\" } }
  c: { chat: { model: main, prompt: \"say ${{ secrets.TOKEN }}\" } }
  d: { set: { x: \"${{ secrets.TOKEN }}\" } }
  e: { if: secrets.TOKEN == 'x', set: { x: 1 } }
outputs: { t: \"${{ secrets.TOKEN }}\" }
",
        &[],
        &[
            "secret-misused 6:42",
            "secret-in-prompt 7:46",
            "secret-misused 8:23",
            "secret-misused 9:12",
            "secret-misused 10:20",
        ],
    );
}

#[test]
fn types_that_double_with_every_step_are_given_up() {
    let mut steps = "  s0: { set: { a: \"${{ inputs }}\" } }\n".to_owned();
    for i in 1..200 {
        let before = i - 1;
        steps += &format!(
            "  s{i}: {{ set: {{ a: \"${{{{ steps.s{before}.output }}}}\", b: \"${{{{ steps.s{before}.output }}}}\" }} }}\n"
        );
    }
    check(&steps, &[]);
}

#[test]
fn a_form_cannot_begin_with_what_its_fields_do_not_hold() {
    let yaml = "parkway: 1
steps:
  got: { set: { total: 12, currency: EUR, tags: [a] } }
  edit:
    input:
      prompt: Is this right?
      output:
        total: { type: integer, default: '${{ steps.got.output.currency }}' }
        currency: { type: string, default: '${{ steps.got.output.tags }}' }
        name: { type: string, default: '${{ steps.got.output.currency }}' }
        sure: { type: boolean, default: '${{ steps.got.output.total > 3 }}' }
        line: { type: string, default: 'about ${{ steps.got.output.total }}' }
";
    let (codes, said) = problems(yaml, &[]);
    assert_eq!(codes, ["wrong-type 8:42", "wrong-type 9:44"], "{said}");
    assert!(said.to_string().contains("the default of `currency` must be a text, and this is a list"), "{said}");
}

#[test]
fn schemas_that_say_more_than_fields_cause_no_false_alarm() {
    let child = "parkway: 1
input_schema:
  type: object
  properties:
    kind: { $ref: \"#/$defs/kind\" }
    size: { type: integer, default: 3 }
  required: [kind, size]
  anyOf: [{ required: [kind] }, { required: [other] }]
  patternProperties: { \"^x_\": { type: string } }
  additionalProperties: false
  $defs: { kind: { type: string, enum: [a, b] } }
steps: { one: { set: { kind: \"${{ inputs.kind }}\", size: \"${{ inputs.size + 1 }}\", x: \"${{ inputs.x_one }}\" } } }
outputs: { kind: \"${{ steps.one.output.kind }}\" }
";
    for own_run in [false, true] {
        let caller = format!(
            "parkway: 1
steps:
  sub: {{ workflow: child.yaml, own_run: {own_run}, with: {{ kind: a, x_one: \"1\" }} }}
outputs: {{ kind: \"${{{{ steps.sub.output.kind }}}}\" }}
"
        );
        check_file(&caller, &[("child.yaml", child)], &[]);
    }
}

#[test]
fn workflows_of_runs_of_their_own_do_not_multiply_without_end() {
    let calls = |times: usize, next: usize| {
        let call = |i: usize| format!("  s{i}: {{ workflow: w{next}.yaml, own_run: true }}\n");
        format!("parkway: 1\nsteps:\n{}", (0..times).map(call).collect::<String>())
    };
    let check = |times: usize, levels: usize, expected: &[&str]| {
        let mut files: Vec<_> = (1..levels).map(|i| (format!("w{i}.yaml"), calls(times, i + 1))).collect();
        files.push((format!("w{levels}.yaml"), "parkway: 1\nsteps: { last: { set: { x: 1 } } }\n".to_owned()));
        let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        check_file(&calls(times, 1), &files, expected);
    };
    check(2, 8, &[]);
    // Each level has three times the steps of the one below it.
    check(3, 10, &["too-many-steps 4:19", "too-many-steps w1.yaml:4:19"]);
}

#[test]
fn an_item_does_not_hide_a_function_or_a_word_of_expressions() {
    for name in ["get", "range", "in", "not", "none", "loop"] {
        let step = format!("  a: {{ for_each: [1], as: {name}, set: {{ x: 1 }} }}\n");
        check(&step, &["bad-id 3:27"]);
    }
}

#[test]
fn what_is_written_out_in_place_of_an_expression_is_looked_at() {
    check(
        "  a: { if: 1, set: { x: 1 } }
  b: { for_each: 3, set: { x: 1 } }
  c: { for_each: { a: 1 }, set: { x: 1 } }
  d: { repeat: { until: 1, max: 2 }, set: { x: 1 } }
  e: { wait: { until: \"tomorrow\" } }
  f: { if: true, wait: { until: \"2027-01-31T12:00:00Z\" } }
  g: { if: false, for_each: [], wait: { until: \"${{ run.started_at }}\" } }
ensure: [1, true]
",
        &[
            "not-boolean 3:12",
            "not-a-list 4:18",
            "not-a-list 5:18",
            "not-boolean 6:25",
            "bad-value 7:23",
            "never-runs 9:12",
            "not-boolean 10:10",
        ],
    );
}

#[test]
fn what_a_run_of_its_own_gives_has_types_too() {
    let child = "parkway: 1
steps:
  a: { set: { n: 1, list: [x] } }
outputs: { n: \"${{ steps.a.output.n }}\", words: \"${{ steps.a.output.list }}\" }
";
    let said = check_file(
        "parkway: 1
steps:
  child: { workflow: child.yaml, own_run: true }
  each:  { for_each: \"${{ steps.child.output.n }}\", set: { n: 1 } }
  fine:  { for_each: \"${{ steps.child.output.words }}\", set: { n: \"${{ item | upper }}\" } }
  none:  { set: { n: \"${{ steps.child.output.m }}\" } }
",
        &[("child.yaml", child)],
        &["not-a-list 4:22", "unknown-field 6:46"],
    );
    assert!(said.contains("this is a whole number"), "{said}");
}
