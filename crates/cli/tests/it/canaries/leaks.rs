//! What might tell a secret, each with everything that is left of it afterwards.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::echo::forms;
use super::site::{FREE, HOOK, KEY, Site, TOKEN, scan};

/// Every way in which a server gives back what it was told, by tools that read and tools that send.
const ECHOES: &str = r#"
parkway: 1
name: echoes
secrets: [TOKEN, HOOK]
tools:
  http: { get: ["ORIGIN"], send: ["ORIGIN"], private: [127.0.0.1/32] }
  notify: { send: ["ORIGIN"], private: [127.0.0.1/32] }
  memory: { namespaces: [default] }
  files: { read: [data] }
steps:
  asked:
    for_each: [json, text, page, bad, failed, long, there, elsewhere, around, nowhere, tagged, packed, charset, image, none]
    as: place
    key: place
    on_item_error: collect
    steps:
      get:
        tool: http.get
        with:
          url: "ORIGIN/${{ place }}"
          headers: { authorization: "Bearer ${{ secrets.TOKEN }}" }
          query: { token: "${{ secrets.TOKEN }}" }
        retry: 0
      told: { set: { text: "it said ${{ steps.get.output }}" } }
  sent:
    for_each: [json, bad, failed, there, lost]
    as: place
    key: place
    on_item_error: collect
    steps:
      put:
        tool: http.put
        with: { url: "ORIGIN/${{ place }}", headers: { authorization: "${{ secrets.TOKEN }}" }, json: { token: "${{ secrets.TOKEN }}" } }
        retry: 1
  fits_no_schema: { tool: http.get, with: { url: "ORIGIN/json", as: "${{ secrets.TOKEN }}" }, on_error: continue }
  fits_no_address: { tool: http.get, with: { url: "ORIGIN/${{ secrets.TOKEN }}" }, on_error: continue, retry: 0 }
  fits_no_grant: { tool: http.get, with: { url: "http://${{ secrets.HOOK }}.example/" }, on_error: continue, retry: 0 }
  fits_no_header: { tool: http.get, with: { url: "ORIGIN/json", headers: { "x-a": "a\n${{ secrets.TOKEN }}" } }, on_error: continue, retry: 0 }
  hooked: { tool: notify.webhook, with: { url: "ORIGIN/${{ secrets.HOOK }}/json", text: hello }, needs: [asked, sent] }
  lost: { tool: http.send, with: { url: "ORIGIN/lost", headers: { authorization: "${{ secrets.TOKEN }}" }, text: "${{ secrets.TOKEN }}" }, needs: [hooked], on_error: continue }
  remembered: { tool: memory.remember, with: { text: "the token of the canary is ${{ secrets.TOKEN }}" } }
  found: { tool: files.read_text, with: { path: data/dump.txt }, needs: [remembered] }
  searched: { tool: text.find, with: { text: "${{ steps.found.output.text }} ${{ secrets.TOKEN }}", values: ["${{ secrets.TOKEN }}", "${{ secrets.HOOK }}"] } }
outputs:
  asked: ${{ steps.asked.output }}
  found: ${{ steps.found.output.text }}
"#;

/// A project in which a file lies about that holds the secrets in all forms.
fn echoes() -> Site {
    let site = Site::new(ECHOES);
    fs::create_dir_all(site.bench.path("data")).unwrap();
    site.bench.write("data/dump.txt", &[forms(TOKEN), forms(HOOK)].concat().join("\n"));
    site
}

#[test]
fn what_a_server_says_back_is_kept_or_shown() {
    let site = echoes();
    site.parkway(&["run", "flow.yaml", "--json-output", "out.json"]).code(4);
    let run = site.bench.runs().remove(0);
    // Calls wait for a person, who is shown their arguments.
    let waits = site.parkway(&["show", "--step", "hooked"]).code(0).out;
    assert!(waits.contains("[secret HOOK]"), "{waits}");
    site.parkway(&["approve", &run, "hooked", "--note", "fine"]).code(0);
    site.parkway(&["resume", "--json"]).code(4);
    site.parkway(&["approve", &run, "lost"]).code(0);
    site.parkway(&["resume"]);
    let shown = site.parkway(&["show", &run, "--step", "lost"]).code(0).out;
    assert!(shown.contains("in doubt") && shown.contains("[secret TOKEN]"), "{shown}");
    site.parkway(&["resolve", &run, "lost", "--not-done"]).code(0);
    site.parkway(&["resume", "--json"]);
    let outputs = site.parkway(&["show", &run, "--step", "found"]).code(0).out;
    assert!(outputs.contains("[secret TOKEN]") && outputs.contains("[secret HOOK]"), "{outputs}");
    let failed = site.parkway(&["show", &run, "--step", "asked[failed].get"]).code(0).out;
    assert!(failed.contains("answers 500") && failed.contains("[secret TOKEN]"), "{failed}");
    site.parkway(&["fork", &run, "--from", "asked", "--json"]);
    fs::remove_file(site.bench.path("data/dump.txt")).unwrap();
    site.holds_none();
}

const ASKS: &str = r#"
parkway: 1
name: asks
secrets: [KEY]
models: { main: { openai: { url: "ORIGIN/v1", model: m, key: "${{ secrets.KEY }}" } } }
steps:
  asked:
    for_each: [GOOD, BAD, DENIED, BROKEN, PLAIN, MOVED, STREAM, NONSENSE, REASON]
    as: word
    key: word
    on_item_error: collect
    steps:
      free: { chat: { model: main, prompt: "say ${{ word }}" }, retry: 0 }
  formed:
    chat: { model: main, prompt: "say GOOD as JSON", output: { key: { type: string } } }
    on_error: continue
    retry: 0
  told: { needs: [formed], set: { text: "the model said ${{ steps.asked.output }}" } }
outputs: { said: "${{ steps.asked.output }}" }
"#;

#[test]
fn what_a_model_says_of_the_key_of_its_server_is_kept_or_shown() {
    let site = Site::new(ASKS);
    let said = site.parkway(&["run", "flow.yaml", "--json-output", "out.json"]).code(0).json();
    assert!(said["said"][0]["free"].as_str().unwrap().contains("[secret KEY]"), "{said}");
    let failed = site.parkway(&["show", "--step", "asked[BAD].free"]).code(0).out;
    assert!(failed.contains("refuses it (400)") && failed.contains("[secret"), "{failed}");
    // The same, where the settings bind the model, and the workflow declares nothing.
    let origin = site.origin.clone();
    site.bench.write(
        "parkway.toml",
        &format!("[models.main]\nopenai = {{ url = \"{origin}/v1\", model = \"m\", key = \"KEY\" }}\n"),
    );
    site.bench.write(
        "bound.yaml",
        "parkway: 1\nmodels: { main: {} }\nsteps: { ask: { chat: { model: main, prompt: say GOOD } } }\noutputs: { said: \"${{ steps.ask.output }}\" }\n",
    );
    let said = site.parkway(&["run", "bound.yaml"]).code(0).json();
    assert!(said["said"].as_str().unwrap().contains("[secret KEY]"), "{said}");
    for args in [
        &["do", "What is the key?"][..],
        &["do", "Say BAD", "--json"],
        &["plan", "What is the key?"],
        &["plan", "Say BROKEN", "--format", "json"],
    ] {
        site.parkway(args);
    }
    site.holds_none();
}

const MANY: &str = r#"
parkway: 1
name: many
secrets: [TOKEN]
tools: { http: { get: ["ORIGIN"], private: [127.0.0.1/32] } }
steps:
  each:
    for_each: ${{ range(200) | list }}
    as: n
    max_parallel: 2
    on_item_error: collect
    steps:
      get:
        tool: http.get
        with: { url: "ORIGIN/${{ n }}/${{ 'json' if n % 2 == 0 else 'failed' }}", headers: { authorization: "Bearer ${{ secrets.TOKEN }}" } }
        retry: 0
outputs: { all: "${{ steps.each.output }}" }
"#;

#[test]
fn a_killed_run_leaves_a_secret_behind() {
    let site = Site::new(MANY);
    let mut command = site.command(&["run", "flow.yaml", "--json", "--verbose"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while site.bench.runs().is_empty() {}
    site.bench.wait_for("step_completed", 10);
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    let left = child.wait_with_output().unwrap();
    assert_eq!(left.status.code(), None, "the run was over before it could be killed");
    site.said(&String::from_utf8_lossy(&[left.stdout, left.stderr].concat()));
    let values = [("TOKEN", TOKEN), ("FREE", FREE)];
    // As the kill left it, with its write-ahead log.
    assert!(site.bench.path(".parkway/runs.db-wal").exists());
    assert_eq!(scan(&[site.bench.path("")], &values), "");
    site.parkway(&["resume"]).code(0);
    site.holds_none();
}

/// Mistakes with a secret on the line that is wrong, in a file's name and its text.
fn mistakes() -> Vec<(&'static str, String)> {
    let settings = |text: &str| ("parkway.toml", text.to_owned());
    let flow = |text: &str| ("flow.yaml", format!("parkway: 1\n{text}\nsteps: {{ a: {{ set: {{ x: 1 }} }} }}\n"));
    vec![
        settings("[secrets]\nTOKEN = 'SECRET'\n"),
        settings("[secrets]\nTOKEN = 'SECRET\n"),
        settings("[secrets]\nTOKEN = SECRET\n"),
        settings("[secrets]\nTOKEN = { env = 'TOKEN', value = 'SECRET' }\n"),
        settings("[secrets]\nTOKEN = { value = 'SECRET' }\n"),
        settings("[secrets]\nTOKEN = ['SECRET']\n"),
        settings("[secrets]\nTOKEN = { file = '/SECRET' }\n"),
        settings("[secrets.TOKEN]\nvalue = 'SECRET'\n"),
        settings("secrets = { TOKEN = 'SECRET' }\n"),
        settings("secrets.TOKEN = 'SECRET'\n"),
        settings("secrets = 'SECRET'\n"),
        settings("secret = { TOKEN = 'SECRET' }\n"),
        settings("[secret]\nTOKEN = 'SECRET'\n"),
        settings("token = 'SECRET'\n"),
        settings("[models.main]\nopenai = { url = 'http://localhost:1/v1', model = 'm', key = 'SECRET' }\n"),
        settings(
            "[models.main]\nopenai = { url = 'http://localhost:1/v1', model = 'm', key = { value = 'SECRET' } }\n",
        ),
        settings("[models.main]\nopenai = { url = 'http://localhost:1/v1', model = 'm', api_key = 'SECRET' }\n"),
        settings("[models.main]\nkey = 'SECRET'\n"),
        flow("secrets: SECRET"),
        flow("secrets: { TOKEN: 'SECRET' }"),
        flow("secrets: [{ TOKEN: 'SECRET' }]"),
        flow("secrets: ['SECRET']"),
        flow("secrets: [TOKEN, 'SECRET']"),
        flow("models: { main: { openai: { url: 'http://localhost:1/v1', model: m, key: 'SECRET' } } }"),
        flow("models: { main: { openai: { url: 'localhost:8080', model: m, key: 'SECRET' } } }"),
        flow("models: { main: { openai: { url: 'http://localhost:1/v1', model: m, key: { value: 'SECRET' } } } }"),
    ]
}

#[test]
fn a_mistake_in_a_file_has_its_line_told_with_the_secret_on_it() {
    let fine = "parkway: 1\nsteps: { a: { set: { x: 1 } } }\n";
    for (file, text) in mistakes() {
        let site = Site::new(fine);
        site.bench.write(file, &text.replace("SECRET", FREE));
        let mut failed = 0;
        for args in [
            &["check", "flow.yaml"][..],
            &["check", "flow.yaml", "--json"],
            &["check", "flow.yaml", "--format", "sarif"],
            &["run", "flow.yaml"],
            &["config", "show"],
            &["config", "show", "--json"],
            &["doctor"],
            &["graph", "flow.yaml"],
            &["test"],
        ] {
            failed += u32::from(site.parkway(args).code != Some(0));
        }
        assert!(failed > 0, "{file} is no mistake:\n{text}");
        site.bench.write("parkway.toml", "");
        site.bench.write("flow.yaml", fine);
        let found = scan(&[site.bench.path("")], &[("FREE", FREE)]);
        assert!(found.is_empty(), "{text}\n{found}");
    }
}

#[test]
fn a_variable_is_no_secret_and_its_value_is_kept_where_the_book_says() {
    let site = Site::new("parkway: 1\nenv: [SITE_KEY]\nsteps: { a: { set: { x: \"${{ env.SITE_KEY }}\" } } }\n");
    site.parkway(&["run", "flow.yaml"]).code(0);
    let found = scan(&[site.bench.path("")], &[("KEY", KEY)]);
    // It is read once and kept with the run, so that a resumed run sees the same; and a step put it into its output.
    assert!(
        found.contains("table parkway_payload")
            && found.lines().all(|line| line.contains("runs.db") || line.starts_with("canaries:")),
        "{found}"
    );
    let exported: Value = site.parkway(&["export", "last"]).code(0).json();
    assert!(exported.to_string().contains("K1+"), "{exported}");
}

#[test]
fn a_variable_that_nothing_grants_is_read() {
    let site = Site::new("parkway: 1\nsteps: { a: { set: { x: \"${{ env.AWS_SECRET_ACCESS_KEY }}\" } } }\n");
    site.parkway(&["run", "flow.yaml"]).code(2).says("undeclared");
    site.bench.write("parkway.toml", "env = [\"LANG\"]\n");
    site.bench.write("flow.yaml", "parkway: 1\nenv: [AWS_SECRET_ACCESS_KEY]\nsteps: { a: { set: { x: \"${{ env.AWS_SECRET_ACCESS_KEY }}\" } } }\n");
    site.parkway(&["run", "flow.yaml"]).code(2);
    site.holds_none();
}

#[test]
fn a_secret_in_a_prompt_is_sent() {
    for (step, code) in [
        ("chat: { model: main, prompt: \"say ${{ secrets.TOKEN }}\" }", "secret-in-prompt"),
        ("approve: { prompt: \"is it ${{ secrets.TOKEN }}?\" }", "secret-misused"),
        ("set: { x: \"${{ secrets.TOKEN }}\" }", "secret-misused"),
    ] {
        let site = Site::new(&format!(
            "parkway: 1\nsecrets: [TOKEN]\nmodels: {{ main: {{ openai: {{ url: \"ORIGIN/v1\", model: m }} }} }}\nsteps:\n  a: {{ {step} }}\n"
        ));
        site.parkway(&["run", "flow.yaml"]).code(2).says(code);
        assert!(site.bench.runs().is_empty());
        site.holds_none();
    }
}

#[test]
fn a_form_is_missed_by_the_scan() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/canaries");
    let output = Command::new("python3").arg("-B").arg(script).arg("prove").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_planted_canary_is_missed_in_a_store() {
    // The same project with one canary that was left on purpose, in each form.
    for form in forms(TOKEN) {
        let site = Site::new(
            "parkway: 1\ninputs: { text: { type: string } }\nsteps: { a: { set: { x: \"${{ inputs.text }}\" } } }\n",
        );
        site.parkway(&["run", "flow.yaml", "--input", &format!("text={form}")]).code(0);
        let found = scan(&[site.bench.path(".parkway")], &[("TOKEN", TOKEN)]);
        assert!(found.contains("runs.db, table parkway_payload"), "{form}: {found}");
    }
}
