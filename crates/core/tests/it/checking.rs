//! What an author reads about a file that is wrong.

use std::time::{Duration, Instant};

use parkway_core::workflow::Definition;

use crate::check::World;

#[track_caller]
fn check(yaml: &str, expected: &str) {
    let said = World::new().plan(yaml).map(|_| "fine".to_owned()).unwrap_or_else(|problems| problems.to_string());
    let expected = expected.trim_matches('\n');
    assert!(said == expected, "the log is\n{said}\n\nand not\n{expected}\n");
}

/// A file with these steps.
#[track_caller]
fn check_steps(steps: &str, expected: &str) {
    check(&format!("parkway: 1\nsteps:\n{steps}"), expected);
}

#[test]
fn an_unknown_version() {
    check(
        "parkway: 2\nsteps: { a: { set: { n: 1 } } }",
        r##"
error[unknown-version]: format version 2 is not known
  --> test.yaml:1:10
   |
 1 | parkway: 2
   |          ^
   = help: write `parkway: 1`
"##,
    );
}
#[test]
fn a_missing_version() {
    check(
        "steps: { a: { set: { n: 1 } } }",
        r##"
error[missing-key]: the key `parkway` is missing
  --> test.yaml:1:1
   |
 1 | steps: { a: { set: { n: 1 } } }
   | ^
   = help: a workflow begins with `parkway: 1`
"##,
    );
}
#[test]
fn an_unknown_key_at_the_top() {
    check(
        "parkway: 1\nstep: { a: { set: { n: 1 } } }\nsteps: { a: { set: { n: 1 } } }",
        r##"
error[unknown-key]: `step` is no key here
  --> test.yaml:2:1
   |
 2 | step: { a: { set: { n: 1 } } }
   | ^
   = help: did you mean `steps`?
"##,
    );
}
#[test]
fn an_unknown_key_of_a_step() {
    check_steps(
        "  a:\n    tool: t.echo\n    wiht: { value: 1 }\n",
        r##"
error[unknown-key]: `wiht` is no key here
  --> test.yaml:5:5
   |
 5 |     wiht: { value: 1 }
   |     ^
   = help: did you mean `with`?
"##,
    );
}
#[test]
fn a_step_that_is_no_map() {
    check_steps(
        "  a: t.echo\n",
        r##"
error[yaml]: keys with values are expected here
  --> test.yaml:3:6
   |
 3 |   a: t.echo
   |      ^
"##,
    );
}
#[test]
fn a_duplicate_key() {
    check_steps(
        "  a: { set: { n: 1 } }\n  a: { set: { n: 2 } }\n",
        r##"
error[duplicate-key]: the key `a` stands here twice
  --> test.yaml:4:3
   |
 4 |   a: { set: { n: 2 } }
   |   ^
   = help: rename or remove one of them
"##,
    );
}
#[test]
fn an_unquoted_expression_in_braces() {
    check_steps(
        "  a: { set: { n: ${{ 1 }} } }\n",
        r##"
error[yaml]: while parsing a flow mapping, did not find expected ',' or '}'
  --> test.yaml:3:19
   |
 3 |   a: { set: { n: ${{ 1 }} } }
   |                   ^
   = help: an expression that holds `: ` or ` #`, or stands inside braces, must be quoted: "${{ … }}"
"##,
    );
}
#[test]
fn an_unquoted_expression_with_a_colon() {
    check_steps(
        "  a:\n    set:\n      n: ${{ {'a': 1}['a'] }}\n",
        r##"
error[yaml]: mapping values are not allowed in this context
  --> test.yaml:5:18
   |
 5 |       n: ${{ {'a': 1}['a'] }}
   |                  ^
   = help: an expression that holds `: ` or ` #`, or stands inside braces, must be quoted: "${{ … }}"
"##,
    );
}
#[test]
fn an_expression_that_is_not_closed() {
    check_steps(
        "  a: { set: { n: \"${{ 1 \" } }\n",
        r##"
error[unclosed]: `${{` is not closed by `}}`, near `${{ 1 `
  --> test.yaml:3:19
   |
 3 |   a: { set: { n: "${{ 1 " } }
   |                   ^
   = help: to print `${{` itself, write `$${{`
"##,
    );
}
#[test]
fn an_expression_with_foreign_operators() {
    check_steps(
        "  a: { if: 'true && false', set: { n: 1 } }\n",
        r##"
error[template]: `&&` means nothing in an expression
  --> test.yaml:3:13
   |
 3 |   a: { if: 'true && false', set: { n: 1 } }
   |             ^
   = help: write `and` in place of `&&`
"##,
    );
}
#[test]
fn an_unknown_filter() {
    check_steps(
        "  a: { set: { n: \"${{ 'a | b' ~ [1] | lenght }}\" } }\n",
        r##"
error[unknown-filter]: no filter is called `lenght`
  --> test.yaml:3:19
   |
 3 |   a: { set: { n: "${{ 'a | b' ~ [1] | lenght }}" } }
   |                   ^
   = help: did you mean `length`?
"##,
    );
}
#[test]
fn text_around_a_condition() {
    check_steps(
        "  a: { if: 'is ${{ true }}', set: { n: 1 } }\n",
        r##"
error[text-around]: one expression is expected here, with no text around it: `is ${{ true }}`
  --> test.yaml:3:13
   |
 3 |   a: { if: 'is ${{ true }}', set: { n: 1 } }
   |             ^
   = help: write one `${{ … }}` around all of it, or none; `~` joins texts
"##,
    );
}
#[test]
fn wrong_indentation() {
    check(
        "parkway: 1\nsteps:\n  a:\n    set: { n: 1 }\n   b:\n    set: { n: 1 }\n",
        r##"
error[yaml]: while parsing a block mapping, did not find expected key
  --> test.yaml:5:4
   |
 5 |    b:
   |    ^
   = help: the keys of one map begin in the same column
"##,
    );
}
#[test]
fn a_tab() {
    check(
        "parkway: 1\nsteps:\n\ta: { set: { n: 1 } }\n",
        r##"
error[yaml]: tabs disallowed within this context (block indentation)
  --> test.yaml:3:2
   |
 3 |  a: { set: { n: 1 } }
   |  ^
   = help: indent with spaces
"##,
    );
}
#[test]
fn an_empty_file() {
    check(
        "",
        r##"
error[yaml]: the file is empty
  --> test.yaml:1:1
   = help: a workflow begins with `parkway: 1`
"##,
    );
}
#[test]
fn a_list() {
    check(
        "- parkway: 1\n",
        r##"
error[yaml]: keys with values are expected here
  --> test.yaml:1:1
   |
 1 | - parkway: 1
   | ^
"##,
    );
}
#[test]
fn a_nul_byte() {
    check(
        "parkway: 1\nname: a\0b\nsteps: { a: { set: { n: 1 } } }",
        r##"
error[yaml]: unexpected character: `\u{0}'
  --> test.yaml:2:8
   |
 2 | name: a�b
   |        ^
"##,
    );
}
#[test]
fn no_steps() {
    check(
        "parkway: 1\nsteps: {}",
        r##"
error[no-steps]: the workflow has no steps
  --> test.yaml
"##,
    );
}
#[test]
fn a_wrong_duration() {
    check_steps(
        "  a: { tool: t.echo, timeout: 5 }\n",
        r##"
error[yaml]: `5` is not a duration; write a whole number and a unit: 500ms, 2s, 10m, 24h, 7d
  --> test.yaml:3:31
   |
 3 |   a: { tool: t.echo, timeout: 5 }
   |                               ^
"##,
    );
}
#[test]
fn a_merge_key() {
    check(
        "parkway: 1\nsteps:\n  a: &a { set: { n: 1 } }\n  b: { <<: *a }\n",
        r##"
error[yaml]: merge keys (`<<`) are no part of the format
  --> test.yaml:4:8
   |
 4 |   b: { <<: *a }
   |        ^
   = help: write the keys out
"##,
    );
}
#[test]
fn needs_of_an_unknown_step() {
    check_steps(
        "  load: { set: { n: 1 } }\n  b: { needs: [lod], set: { n: 1 } }\n",
        r##"
error[unknown-step]: no step beside this one is called `lod`
  --> test.yaml:4:16
   |
 4 |   b: { needs: [lod], set: { n: 1 } }
   |                ^
   = help: did you mean `load`?
"##,
    );
}
#[test]
fn a_reference_to_an_unknown_step() {
    check_steps(
        "  load: { set: { n: 1 } }\n  b:\n    set:\n      m: 1\n      n: ${{ steps.laod.output }}\n",
        r##"
error[unknown-step]: no step is called `laod` here
  --> test.yaml:7:14
   |
 7 |       n: ${{ steps.laod.output }}
   |              ^
   = help: did you mean `load`?
"##,
    );
}
#[test]
fn a_field_that_steps_do_not_have() {
    check_steps(
        "  a: { set: { n: 1 } }\n  b: { set: { n: \"${{ steps.a.n }}\" } }\n",
        r##"
error[unknown-field]: a step has no field `n`
  --> test.yaml:4:23
   |
 4 |   b: { set: { n: "${{ steps.a.n }}" } }
   |                       ^
   = help: did you mean `steps.a.output.n`? a step has status, output, error, attempts, items, confidence
"##,
    );
}
#[test]
fn an_unknown_input() {
    check(
        "parkway: 1\ninputs: { name: { type: string } }\nsteps: { a: { set: { n: \"${{ inputs.nam }}\" } } }",
        r##"
error[unknown-input]: no input is called `nam`
  --> test.yaml:3:30
   |
 3 | steps: { a: { set: { n: "${{ inputs.nam }}" } } }
   |                              ^
   = help: did you mean `name`?
"##,
    );
}
#[test]
fn an_unknown_root() {
    check_steps(
        "  a: { for_each: [1], as: file, set: { n: \"${{ fil }}\" } }\n  b: { set: { n: \"${{ index }}\" } }\n",
        r##"
error[unknown-root]: nothing is called `fil` here
  --> test.yaml:3:48
   |
 3 |   a: { for_each: [1], as: file, set: { n: "${{ fil }}" } }
   |                                                ^
   = help: did you mean `file`?

error[unknown-root]: nothing is called `index` here
  --> test.yaml:4:23
   |
 4 |   b: { set: { n: "${{ index }}" } }
   |                       ^
   = help: `index` exists only inside a `for_each`
"##,
    );
}
#[test]
fn an_unknown_tool_and_unknown_arguments() {
    check_steps(
        "  a: { tool: t.ehco }\n  b: { tool: t.echo, with: { valeu: 1 } }\n",
        r##"
error[unknown-tool]: no tool is called `t.ehco`
  --> test.yaml:3:3
   |
 3 |   a: { tool: t.ehco }
   |   ^
   = help: did you mean `t.echo`?

error[unknown-argument]: `t.echo` has no argument `valeu`
  --> test.yaml:4:3
   |
 4 |   b: { tool: t.echo, with: { valeu: 1 } }
   |   ^
   = help: did you mean `value`?
"##,
    );
}
#[test]
fn a_tool_that_is_not_granted() {
    check_steps(
        "  a: { tool: t.letter }\n",
        r##"
error[not-granted]: `t.letter` has the effect `read`, and nothing is granted to `t`
  --> test.yaml:3:3
   |
 3 |   a: { tool: t.letter }
   |   ^
   = help: say what it may use: `tools: { t: { … } }`
"##,
    );
}
#[test]
fn a_circle() {
    check_steps(
        "  a: { set: { n: \"${{ steps.b.output }}\" } }\n  b: { needs: [a], set: { n: 1 } }\n  c: { set: { n: \"${{ steps.c.output }}\" } }\n  d: { needs: [d], set: { n: 1 } }\n",
        r##"
error[cycle]: these steps wait for each other: b → a → b
  --> test.yaml:4:3
   |
 4 |   b: { needs: [a], set: { n: 1 } }
   |   ^
   = help: remove one of the references, or one of the `needs`

error[cycle]: a step cannot use its own output
  --> test.yaml:5:23
   |
 5 |   c: { set: { n: "${{ steps.c.output }}" } }
   |                       ^

error[cycle]: `d` cannot wait for itself
  --> test.yaml:6:16
   |
 6 |   d: { needs: [d], set: { n: 1 } }
   |                ^
"##,
    );
}
#[test]
fn an_output_that_may_be_missing() {
    check(
        "parkway: 1\nsteps:\n  a: { if: 'false', set: { n: 1 } }\n  b: { needs: [a], set: { n: 1 } }\noutputs: { n: \"${{ steps.b.output.n }}\" }\nensure: [ steps.b.output.n > 0 ]\n",
        r##"
error[maybe-skipped]: `steps.b.output` may be missing here, since `b` may be skipped or fail
  --> test.yaml:5:20
   |
 5 | outputs: { n: "${{ steps.b.output.n }}" }
   |                    ^
   = help: test it in the same expression: `… if steps.b.status == 'completed' else …`

error[maybe-skipped]: `steps.b.output` may be missing here, since `b` may be skipped or fail
  --> test.yaml:6:11
   |
 6 | ensure: [ steps.b.output.n > 0 ]
   |           ^
   = help: test it in the same expression: `… if steps.b.status == 'completed' else …`
"##,
    );
}
#[test]
fn several_verbs_and_none() {
    check_steps(
        "  a: { set: { n: 1 }, tool: t.echo }\n  b: { needs: [a] }\n  c: { set: { n: 1 }, with: {}, result: 1, key: x }\n",
        r##"
error[many-verbs]: a step does one thing, this one has tool and set
  --> test.yaml:3:3
   |
 3 |   a: { set: { n: 1 }, tool: t.echo }
   |   ^
   = help: make two steps of it

error[no-verb]: this step does nothing
  --> test.yaml:4:3
   |
 4 |   b: { needs: [a] }
   |   ^
   = help: give it one of tool, chat, set, approve, steps

error[stray-key]: `key` belongs to `for_each`
  --> test.yaml:5:3
   |
 5 |   c: { set: { n: 1 }, with: {}, result: 1, key: x }
   |   ^

error[stray-key]: `with` belongs to `tool`
  --> test.yaml:5:29
   |
 5 |   c: { set: { n: 1 }, with: {}, result: 1, key: x }
   |                             ^

error[stray-key]: `result` belongs to `steps`
  --> test.yaml:5:41
   |
 5 |   c: { set: { n: 1 }, with: {}, result: 1, key: x }
   |                                         ^

error[unknown-root]: nothing is called `x` here
  --> test.yaml:5:49
   |
 5 |   c: { set: { n: 1 }, with: {}, result: 1, key: x }
   |                                                 ^
   = help: known here: `inputs`, `steps`, `run`, `index`
"##,
    );
}
#[test]
fn wrong_values() {
    check_steps(
        "  A: { set: { n: 1 } }\n  b: { run_if: allways, on_error: ignore, set: { n: 1 } }\n  c: { for_each: [1], as: steps, max_parallel: 0, on_item_error: x, set: { n: 1 } }\n",
        r##"
error[bad-id]: `A` cannot name a step
  --> test.yaml:3:3
   |
 3 |   A: { set: { n: 1 } }
   |   ^
   = help: ids are lower-case: [a-z][a-z0-9_]*

error[bad-value]: `allways` is no value of `run_if`
  --> test.yaml:4:16
   |
 4 |   b: { run_if: allways, on_error: ignore, set: { n: 1 } }
   |                ^
   = help: did you mean `always`?

error[bad-value]: `ignore` is no value of `on_error`
  --> test.yaml:4:35
   |
 4 |   b: { run_if: allways, on_error: ignore, set: { n: 1 } }
   |                                   ^
   = help: known here: `fail`, `continue`

error[bad-id]: an item cannot be called `steps`
  --> test.yaml:5:3
   |
 5 |   c: { for_each: [1], as: steps, max_parallel: 0, on_item_error: x, set: { n: 1 } }
   |   ^
   = help: take another name: [a-z][a-z0-9_]*, not one of the roots

error[bad-value]: `max_parallel: 0` would never start an item
  --> test.yaml:5:3
   |
 5 |   c: { for_each: [1], as: steps, max_parallel: 0, on_item_error: x, set: { n: 1 } }
   |   ^
   = help: take 1 or more

error[bad-value]: `x` is no value of `on_item_error`
  --> test.yaml:5:66
   |
 5 |   c: { for_each: [1], as: steps, max_parallel: 0, on_item_error: x, set: { n: 1 } }
   |                                                                  ^
   = help: known here: `fail`, `collect`
"##,
    );
}
#[test]
fn what_belongs_elsewhere() {
    check_steps(
        "  a: { approve: { prompt: p }, timeout: 1h, retry: 2, on_error: continue }\n  b: { set: { n: 1 }, timeout: 1s, retry: 1 }\n  c: { steps: {} }\n",
        r##"
error[approve-continue]: `on_error: continue` on an `approve` would turn silence into consent
  --> test.yaml:3:3
   |
 3 |   a: { approve: { prompt: p }, timeout: 1h, retry: 2, on_error: continue }
   |   ^
   = help: remove it, and give what follows a `run_if`

error[bad-retry]: `retry` beside `approve` is not known
  --> test.yaml:3:3
   |
 3 |   a: { approve: { prompt: p }, timeout: 1h, retry: 2, on_error: continue }
   |   ^
   = help: write it beside the steps that call something

error[bad-timeout]: `timeout` beside `approve` is not known
  --> test.yaml:3:3
   |
 3 |   a: { approve: { prompt: p }, timeout: 1h, retry: 2, on_error: continue }
   |   ^
   = help: write it inside `approve`

error[bad-retry]: `retry` beside `set` is not known
  --> test.yaml:4:3
   |
 4 |   b: { set: { n: 1 }, timeout: 1s, retry: 1 }
   |   ^
   = help: write it beside the steps that call something

error[bad-timeout]: `timeout` beside `set` is not known
  --> test.yaml:4:3
   |
 4 |   b: { set: { n: 1 }, timeout: 1s, retry: 1 }
   |   ^
   = help: write it beside the steps that call something

error[no-steps]: this group has no steps
  --> test.yaml:5:3
   |
 5 |   c: { steps: {} }
   |   ^
"##,
    );
}
#[test]
fn a_group_around_its_own_id() {
    check_steps(
        "  a: { steps: { a: { set: { n: \"${{ steps.a.output }}\" } } } }\n",
        r##"
error[duplicate-id]: `a` is the id of a group that encloses this step
  --> test.yaml:3:17
   |
 3 |   a: { steps: { a: { set: { n: "${{ steps.a.output }}" } } } }
   |                 ^
   = help: rename one of them

error[cycle]: a step cannot use its own output
  --> test.yaml:3:37
   |
 3 |   a: { steps: { a: { set: { n: "${{ steps.a.output }}" } } } }
   |                                     ^
"##,
    );
}
#[test]
fn a_wrong_chat() {
    check(
        "parkway: 1\nmodels: { main: { gguf: { name: x } } }\nsteps:\n  a: { chat: { model: mian, temperature: 11 } }\n  b: { chat: { model: main, prompt: { file: x.md } } }\n  c: { chat: { model: main, prompt: p, output: { n: { type: string, pattern: '[' } } } }\n",
        r##"
error[missing-file]: cannot read `x.md`: no file x.md
  --> test.yaml:5:37
   |
 5 |   b: { chat: { model: main, prompt: { file: x.md } } }
   |                                     ^
   = help: the path is relative to the workflow file
"##,
    );
}
#[test]
fn a_wrong_chat_without_files() {
    check(
        "parkway: 1\nmodels: { main: { gguf: { name: x } } }\nsteps:\n  a: { chat: { model: mian, temperature: 11 } }\n  c: { chat: { model: main, prompt: p, output: { n: { type: string, pattern: '[' } } } }\n",
        r##"
error[no-prompt]: this chat asks nothing
  --> test.yaml:4:14
   |
 4 |   a: { chat: { model: mian, temperature: 11 } }
   |              ^
   = help: give it a `prompt`

error[unknown-model]: no model is called `mian`
  --> test.yaml:4:23
   |
 4 |   a: { chat: { model: mian, temperature: 11 } }
   |                       ^
   = help: did you mean `main`?

error[bad-schema]: the schema of the answer is wrong: "^(?:[)$" is not a "regex"
  --> test.yaml:5:14
   |
 5 |   c: { chat: { model: main, prompt: p, output: { n: { type: string, pattern: '[' } } } }
   |              ^
"##,
    );
}
#[test]
fn steps_as_a_whole() {
    check_steps(
        "  a: { set: { n: \"${{ steps }}\" } }\n",
        r##"
error[dynamic-step]: `steps` as a whole cannot be used, since the order of steps must be known before they run
  --> test.yaml:3:23
   |
 3 |   a: { set: { n: "${{ steps }}" } }
   |                       ^
   = help: write `steps.ID.output`
"##,
    );
}
#[test]
fn an_unknown_family() {
    check(
        "parkway: 1\ntools: { tt: {} }\nsteps: { a: { set: { n: 1 } } }",
        r##"
error[unknown-family]: no tools are called `tt.…`
  --> test.yaml:2:10
   |
 2 | tools: { tt: {} }
   |          ^
   = help: did you mean `t`?
"##,
    );
}
#[test]
fn a_wrong_default() {
    check(
        "parkway: 1\ninputs: { n: { type: integer, default: x }, m: { type: string, pattern: '[' } }\nsteps: { a: { set: { n: 1 } } }",
        r##"
error[bad-default]: the default of `n` does not fit: "x" is not of type "integer"
  --> test.yaml:2:11
   |
 2 | inputs: { n: { type: integer, default: x }, m: { type: string, pattern: '[' } }
   |           ^

error[bad-schema]: the input `m` is wrong: "^(?:[)$" is not a "regex"
  --> test.yaml:2:45
   |
 2 | inputs: { n: { type: integer, default: x }, m: { type: string, pattern: '[' } }
   |                                             ^
"##,
    );
}
#[test]
fn a_type_that_does_not_exist() {
    check(
        "parkway: 1\ninputs: { n: { type: text } }\nsteps: { a: { set: { n: 1 } } }",
        r##"
error[bad-value]: `text` is no value here
  --> test.yaml:2:22
   |
 2 | inputs: { n: { type: text } }
   |                      ^
   = help: known here: `string`, `integer`, `number`, `boolean`, `array`, `object`
"##,
    );
}

/// What nobody should write is refused at once, with words, and never ends the program.
#[test]
fn hostile_files_are_refused_at_once() {
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f]\n";
    let files = [
        ("alias bomb", bomb.to_owned()),
        (
            "alias bomb in values",
            format!(
                "parkway: 1\nsteps:\n  a:\n    set:\n{}",
                bomb.lines().map(|line| format!("      {line}\n")).collect::<String>()
            ),
        ),
        ("brackets", "[".repeat(100_000)),
        ("brackets in a value", format!("parkway: 1\nsteps: {{ a: {{ set: {{ n: {}", "[".repeat(100_000))),
        ("braces", format!("parkway: 1\nsteps: {}", "{a: ".repeat(100_000))),
        (
            "parentheses",
            format!("parkway: 1\nsteps: {{ a: {{ set: {{ n: \"${{{{ {} }}}}\" }} }} }}", "(".repeat(100_000)),
        ),
        ("zeros", "\0".repeat(1_000_000)),
        ("a long text", "x".repeat(1_000_000)),
        ("many lines", "- x\n".repeat(250_000)),
    ];
    for (name, file) in files {
        let start = Instant::now();
        let said = World::new().plan(&file).expect_err(name).to_string();
        assert!(start.elapsed() < Duration::from_secs(10), "{name} took {:?}", start.elapsed());
        assert!(said.len() < 2_000 && said.starts_with("error["), "{name}: {}", &said[..said.len().min(500)]);
    }
    assert!(Definition::parse("x", "parkway: 1", |_| Err(String::new())).is_err());
}
#[test]
fn a_default_that_is_an_expression_where_none_is_evaluated() {
    check(
        "parkway: 1\ninputs:\n  a: { type: string, default: '${{ run.id }}' }\nsteps: { b: { set: { n: 1 } } }",
        r##"
error[bad-default]: a default is a value, and this is an expression
  --> test.yaml:3:31
   |
 3 |   a: { type: string, default: '${{ run.id }}' }
   |                               ^
   = help: only the fields of a form, under `input`, may begin with what an expression gives
"##,
    );
}
