//! Settings of the site, as commands see them.

use std::fs;

use serde_json::json;

use crate::bench::{ASK, Bench, redacted};

const PROJECT: &str = r#"
roots = ["data", "out"]
[models.main]
gguf = { name = "smollm2-135m-instruct" }
context = 4096
[secrets]
HERE = { env = "USER" }
GONE = { env = "NOBODY_SETS_THIS" }
[[policy]]
match = { tool = "files.write*" }
verdict = "ask"
examples = [{ tool = "files.write_text" }]
[profile.prod]
store = "sqlite:prod.db"
[profile.prod.models.main]
context = 8192
"#;

fn bench(project: &str) -> Bench {
    let bench = Bench::new(ASK);
    bench.write("parkway.toml", project);
    bench
}

#[test]
fn config_says_where_each_value_comes_from() {
    let bench = bench(PROJECT);
    fs::create_dir_all(bench.path("config/parkway")).unwrap();
    bench.write("config/parkway/parkway.toml", "egress = [\"api.example.com\"]\n[models.main]\ncontext = 2048\n");
    let plain = bench.parkway(&["config", "show"]).code(0).out;
    let mut command = bench.command(&["config", "show", "--profile", "prod"]);
    let prod = command.env("PARKWAY_MODEL_MAIN", "models/my.gguf").output().unwrap();
    let prod = String::from_utf8(prod.stdout).unwrap();
    // How far to the right the places begin depends on the length of the folder's name.
    let text = redacted(&bench, &format!("{plain}\n{prod}").replace(&bench.root(), "PROJECT"));
    insta::assert_snapshot!(regex::Regex::new("(?m) +#").unwrap().replace_all(&text, "  #"));
}

#[test]
fn config_is_data_for_programs() {
    let bench = bench(PROJECT);
    let shown = bench.parkway(&["config", "show", "--json", "--store", "sqlite:x.db"]).code(0).json();
    let list = shown["settings"].as_array().unwrap();
    let find = |key: &str| list.iter().find(|setting| setting["key"] == key).unwrap();
    assert_eq!(find("store")["from"], json!({ "flag": "--store" }));
    assert_eq!(find("models.main.context")["from"]["line"], 5);
    assert_eq!((&find("secrets.HERE")["there"], &find("secrets.GONE")["there"]), (&json!(true), &json!(false)));
    assert_eq!(find("project[0]")["value"]["verdict"], "ask");
    assert!(!shown.to_string().contains("\"ada\""), "the value of a secret is shown");
}

#[test]
fn a_mistake_in_settings_stops_every_command_with_its_place() {
    let bench = bench("stor = \"sqlite:x.db\"\n");
    for args in [&["runs"][..], &["run", "flow.yaml"], &["check", "flow.yaml"], &["config", "show"]] {
        let ended = bench.parkway(args).code(2).says("parkway.toml:1:1").says("did you mean `store`?");
        assert_eq!(ended.out, "");
    }
    assert!(!bench.path(".parkway").exists());
}

#[test]
fn the_sites_rule_asks_where_the_workflow_would_just_write() {
    let bench = bench("[[policy]]\nmatch = { tool = \"files.write*\" }\nverdict = \"ask\"\n");
    // The step's approval showed the very call, so that it answers the rule too; a flag has not seen it.
    let ended = bench.parkway(&["run", "flow.yaml", "--yes"]).code(4);
    assert!(ended.err.contains("parkway approve"), "{}", ended.err);
    bench.parkway(&["approve", "last", "write"]).code(0);
    bench.parkway(&["resume"]).code(0);
    let events = bench.parkway(&["show", "--json"]).out;
    assert!(events.contains(r#""rule":"project[0]""#), "{events}");
}

#[test]
fn the_sites_roots_are_told_by_check() {
    let bench = bench("roots = [\"data\"]\n");
    let out = bench.parkway(&["check", "flow.yaml"]).code(2).out;
    assert!(out.contains("error[out-of-bounds]") && out.contains("flow.yaml:7:10"), "{out}");
    bench.parkway(&["run", "flow.yaml"]).code(2).says("roots");
}

#[test]
fn the_store_of_a_project_is_one_wherever_a_command_is_given() {
    let bench = bench("store = \"sqlite:deep/own.db\"\n");
    fs::create_dir(bench.path("sub")).unwrap();
    bench.write("sub/set.yaml", "parkway: 1\nsteps: { a: { set: { x: 1 } } }\n");
    let output = bench.command(&["run", "set.yaml"]).current_dir(bench.path("sub")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(bench.path("deep/own.db").exists() && !bench.path(".parkway").exists());
    assert_eq!(bench.runs().len(), 1);
}

#[test]
fn the_next_command_keeps_the_profile() {
    let bench = bench(PROJECT);
    let ended = bench.parkway(&["run", "flow.yaml", "--profile", "prod"]).code(4);
    let ended = ended.says(" confirm --profile prod");
    assert!(bench.path("prod.db").exists(), "{}", ended.err);
    bench.parkway(&["runs", "--profile", "prdo"]).code(2).says("did you mean `prod`?");
}

#[test]
fn a_binding_without_a_name_is_refused() {
    let bench = bench("");
    bench.parkway(&["check", "flow.yaml", "--model", "main"]).code(2).says("--model NAME=SOURCE");
    bench.parkway(&["check", "flow.yaml", "--model", "=x"]).code(2).says("binds no model");
}

#[test]
fn a_bound_model_stands_in_the_plan() {
    let bench = bench("");
    bench.write("ask.yaml", "parkway: 1\nmodels: { main: {} }\nsteps: { a: { chat: { model: main, prompt: hi } } }\n");
    let plan = bench.parkway(&["check", "ask.yaml", "--json", "--model", "main=models/my.gguf"]).code(0).json();
    assert!(plan["plan"]["models"]["main"]["gguf"]["path"].as_str().unwrap().ends_with("/models/my.gguf"), "{plan}");
}

#[cfg(unix)]
#[test]
fn a_secret_that_everybody_can_read_is_warned_of_before_a_run() {
    use std::os::unix::fs::PermissionsExt as _;

    let bench = bench("[secrets]\nTOKEN = { file = \"token\" }\n");
    bench.write("token", "hunter2");
    fs::set_permissions(bench.path("token"), fs::Permissions::from_mode(0o644)).unwrap();
    bench.parkway(&["run", "flow.yaml"]).code(4).says("everybody on this machine can read the secret `TOKEN`");
    fs::set_permissions(bench.path("token"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(!bench.parkway(&["config", "show"]).code(0).err.contains("TOKEN"));
}

#[test]
fn hostile_settings_do_not_steer_the_terminal() {
    let bench = bench("env = [\"\\u001b[2J\"]\n[secrets]\n\"a\\u001b[31m\" = { env = \"\\u009b31m\" }\n");
    let shown = bench.parkway(&["config", "show"]).code(0).out;
    assert!(!shown.contains('\u{1b}') && !shown.contains('\u{9b}'), "{shown:?}");
}
