//! What the checker says of a file that could run and would surprise.

use crate::checking_types::{check, check_file};

#[test]
fn what_is_declared_is_used() {
    check_file(
        "parkway: 1
inputs: { used: { type: string }, idle: { type: string } }
env: [HOME, IDLE]
secrets: [TOKEN, KEY, REST]
models:
  main: { openai: { url: \"http://localhost:1\", model: m, key: \"${{ secrets.KEY }}\" } }
  idle: { gguf: { name: x } }
tools: { t: {} }
steps:
  a: { set: { n: \"${{ inputs.used }}${{ env.HOME }}\" } }
  b: { chat: { model: main, prompt: hi } }
",
        &[],
        &[
            "unused-input 2:35",
            "unused-env 3:13",
            "unused-secret 4:11",
            "unused-secret 4:23",
            "unused-model 7:3",
            "unused-grant 8:10",
        ],
    );
    check_file(
        "parkway: 1
inputs: { a: { type: string } }
models: { main: { gguf: { name: x } } }
tools: { t: {} }
defaults: { model: main }
steps:
  a: { tool: t.letter, with: { value: \"${{ inputs }}\" } }
  b: { chat: { prompt: hi } }
",
        &[],
        &[],
    );
}

#[test]
fn a_number_that_is_read_otherwise_than_it_is_written() {
    let said = check(
        "  a: { set: { version: 1.10, code: 012, fine: 1.5, text: \"1.10\" } }\n  b: { tool: t.add, with: { a: 1, words: [1.10, 012] } }\n",
        &["odd-scalar 3:24", "odd-scalar 3:36"],
    );
    assert!(said.contains("write \"1.10\" for a text, 1.1 for the number"), "{said}");
}

#[test]
fn a_step_that_never_runs() {
    let said = check(
        "  a: { if: false, set: { n: 1 } }\n  b: { needs: [a], set: { n: 1 } }\n  c: { needs: [b], set: { n: 1 } }\n  d: { run_if: failed, set: { n: 1 } }\n  e: { run_if: failed, needs: [b], set: { n: 1 } }\n  f: { if: \"${{ false }}\", set: { n: 1 } }\n",
        &["never-runs 3:12", "never-runs 6:16", "never-runs 8:12"],
    );
    assert!(said.contains("`a` never runs, nor do the 2 steps that depend on it"), "{said}");
}

#[test]
fn an_item_that_hides_another() {
    check(
        "  a:
    for_each: [[1], [2]]
    steps:
      b: { for_each: \"${{ item }}\", set: { n: \"${{ item }}\" } }
      c: { for_each: \"${{ item }}\", as: inner, set: { n: \"${{ inner }}\" } }
",
        &["shadowed-item 6:22"],
    );
}

#[test]
fn a_prompt_that_cannot_fit() {
    let file = |context: u32, prompt: &str| {
        format!(
            "parkway: 1\nmodels: {{ main: {{ gguf: {{ name: x }}, context: {context} }} }}\nsteps:\n  a: {{ chat: {{ model: main, max_tokens: 512, prompt: \"{prompt}\" }} }}\n"
        )
    };
    let long = "word ".repeat(400);
    check_file(&file(512, "hi"), &[], &["prompt-too-long 4:41"]);
    // Without a tokenizer the size of a prompt is no more than a guess.
    check_file(&file(1000, &long), &[], &["prompt-near-limit 4:41"]);
    check_file(&file(2000, &long), &[], &[]);
    check_file(&file(700, "${{ run.id }}"), &[], &[]);
}

#[test]
fn an_adapter_that_the_model_does_not_have() {
    check_file(
        "parkway: 1
models: { main: { gguf: { name: x }, adapters: { polite: a.gguf } } }
steps:
  a: { chat: { model: main, adapter: polit, prompt: hi } }
  b: { chat: { model: main, adapter: polite, prompt: hi } }
",
        &[],
        &["unknown-adapter 4:38"],
    );
}

#[test]
fn limits_that_cannot_hold() {
    check_file(
        "parkway: 1
models: { main: { gguf: { name: x } } }
budget: { tokens: 900, tool_calls: 1 }
deadline: 1h
defaults: { model: main }
steps:
  a: { chat: { prompt: hi } }
  b: { chat: { prompt: hi } }
  maybe: { if: \"run.id == 'x'\", chat: { prompt: hi } }
  c: { tool: t.echo, retry: { max: 2, initial: 5s, limit: 1s } }
  d: { tool: t.echo }
  e: { wait: 2h }
  f: { timeout: 10m, steps: { g: { approve: { prompt: ok, timeout: 20m } }, h: { wait: { signal: s, timeout: 5m } } } }
",
        &[],
        &["small-budget 3:19", "small-budget 3:36", "odd-retry 10:29", "short-deadline 12:14", "short-deadline 13:68"],
    );
}

#[test]
fn an_output_that_may_be_missing_is_found_whatever_the_order_of_the_file() {
    let steps = "  z: { run_if: always, set: { n: \"${{ steps.b.output.n }} ${{ steps.b.output.n if steps.b.status == 'completed' else 0 }}\" } }
  b: { needs: [a], set: { n: 1 } }
  a: { if: \"run.id == 'x'\", set: { n: 1 } }
";
    check(steps, &["maybe-skipped 3:39"]);
}

#[test]
fn the_key_of_a_server_is_declared() {
    let file = |secrets: &str| {
        format!(
            "parkway: 1
{secrets}models:
  main: {{ openai: {{ url: \"http://localhost:1\", model: m, key: \"${{{{ secrets.KEY }}}}\" }} }}
steps:
  b: {{ chat: {{ model: main, prompt: hi }} }}
"
        )
    };
    check_file(&file(""), &[], &["undeclared 3:3"]);
    check_file(&file("secrets: [KEY]\n"), &[], &[]);
}
