//! A project with canaries in its environment, and everything that its commands said and left.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use super::echo;
use crate::bench::{Bench, Ended};

/// The secret TOKEN, out of a variable. Its characters are others in each form; a header can hold all of them.
pub(crate) const TOKEN: &str = "cnry+T0/\"q7Kd2 Zp%2F&<Rw9Xv4LmB8sJ=";
/// The secret KEY, that of the model's server, which takes no spaces.
pub(crate) const KEY: &str = "sk-cnry/K1+\"h5YtN3%25cD6jWf1GgK0z==";
/// The secret HOOK, out of a file: what an address ends with.
pub(crate) const HOOK: &str = "cnryH2oQe2VrM5xPi7TnJ3aHdL+%7E";
/// In the environment, and no secret that anybody declares: nothing may ask for it.
pub(crate) const FREE: &str = "cnryF3+/\"b9EyU6 kZw2CqFm1%s==";

const SETTINGS: &str = r#"
[secrets]
TOKEN = { env = "SITE_TOKEN" }
KEY = { env = "SITE_KEY" }
"#;

pub(crate) struct Site {
    pub(crate) bench: Bench,
    pub(crate) origin: String,
    /// Where the project's commands find the file of a secret: outside, so that it is not found by who looks for leaks.
    outside: TempDir,
    said: Cell<usize>,
}

impl Site {
    /// A project with this workflow, in which `ORIGIN` stands for a server that says what it is told.
    pub(crate) fn new(workflow: &str) -> Site {
        let (origin, outside) = (echo::serve(), tempfile::tempdir().unwrap());
        let bench = Bench::new(&workflow.replace("ORIGIN", &origin));
        let site = Site { bench, origin, outside, said: Cell::new(0) };
        fs::create_dir_all(site.bench.path("config/parkway")).unwrap();
        let hook = site.outside.path().join("hook");
        fs::write(&hook, format!("{HOOK}\n")).unwrap();
        site.bench
            .write("config/parkway/parkway.toml", &format!("{SETTINGS}HOOK = {{ file = \"{}\" }}\n", hook.display()));
        site
    }

    /// The command, told to tell all, with canaries in its environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.bench.command(args);
        command.env("SITE_TOKEN", TOKEN).env("SITE_KEY", KEY).env("AWS_SECRET_ACCESS_KEY", FREE);
        command
            .env("OPENAI_API_KEY", FREE)
            .env("PARKWAY_CANARY", FREE)
            .env("RUST_LOG", "trace")
            .env("RUST_BACKTRACE", "1");
        command
    }

    /// What the command says, which is kept with the project.
    pub(crate) fn parkway(&self, args: &[&str]) -> Ended {
        let output = self.command(args).arg("--verbose").output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let ended = Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
        self.said(&format!("parkway {}\n{}\n{}", args.join(" "), ended.out, ended.err));
        ended
    }

    /// Keeps what was said.
    pub(crate) fn said(&self, text: &str) {
        fs::create_dir_all(self.bench.path("said")).unwrap();
        self.bench.write(&format!("said/{:03}.txt", self.said.replace(self.said.get() + 1)), text);
    }

    /// Gives every command that writes or tells about runs, and finds a canary nowhere.
    #[track_caller]
    pub(crate) fn holds_none(self) {
        self.looks();
        let found = scan(&[self.bench.path("")], &[("TOKEN", TOKEN), ("KEY", KEY), ("HOOK", HOOK), ("FREE", FREE)]);
        assert!(found.is_empty(), "{found}");
    }

    fn looks(&self) {
        let runs = self.bench.runs();
        for (index, run) in runs.iter().enumerate() {
            let events = self.parkway(&["show", run, "--json"]).code(0).out;
            for step in steps(&events) {
                self.parkway(&["show", run, "--step", &step]).code(0);
                self.parkway(&["fork", run, "--from", &step, "--dry-run"]);
            }
            let (file, recorded) = (format!("run-{index}.json"), format!("fixtures/{index}.json"));
            fs::create_dir_all(self.bench.path("fixtures")).unwrap();
            for args in [
                &["show", run][..],
                &["logs", run],
                &["logs", run, "--json"],
                &["export", run],
                &["export", run, "--output", &file],
                &["diff", run, &runs[0]],
                &["diff", run, &runs[0], "--json"],
                &["audit", "prove", run, "1"],
                &["audit", "erase", "--run", run, "--note", "a trial", "--dry-run", "--json"],
                &["test", "--record", run, &recorded],
            ] {
                self.parkway(args);
            }
        }
        for args in [
            &["runs"][..],
            &["runs", "--json"],
            &["store", "check", "--json"],
            &["store", "check"],
            &["store", "backup", "backup.db"],
            &["audit", "head", "--append", "heads.txt"],
            &["audit", "verify", "--json"],
            &["audit", "verify", "--head", "heads.txt"],
            &["audit", "export", "audit.jsonl"],
            &["memory", "list", "--json"],
            &["memory", "list", "default"],
            &["memory", "search", "default", "what is the token of the canary"],
            &["memory", "export", "--all"],
            &["check", "flow.yaml"],
            &["check", "flow.yaml", "--json"],
            &["check", "flow.yaml", "--format", "sarif"],
            &["graph", "flow.yaml"],
            &["graph", "flow.yaml", "--output", "flow.svg"],
            &["graph", "flow.yaml", "--format", "dot"],
            &["graph", "flow.yaml", "--format", "yaml"],
            &["run", "flow.yaml", "--dry-run"],
            &["config", "show"],
            &["config", "show", "--json"],
            &["doctor"],
            &["models", "list", "--json"],
            &["resolve", "last", "nothing"],
            &["audit", "erase", "--text", "cnry", "--note", "a trial", "--dry-run"],
        ] {
            self.parkway(args);
        }
        assert!(runs.is_empty() || self.bench.path("audit.jsonl").exists() && self.bench.path("run-0.json").exists());
    }
}

/// The steps that events speak of.
fn steps(events: &str) -> Vec<String> {
    let key = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        event["kind"]["key"].as_str().map(str::to_owned)
    };
    let mut steps: Vec<String> = events.lines().filter_map(key).collect();
    steps.sort_unstable();
    steps.dedup();
    steps.truncate(40);
    steps
}

/// Where values stand in files and stores, in any form, one line a place; nothing where none does.
pub(crate) fn scan(places: &[PathBuf], values: &[(&str, &str)]) -> String {
    let values: serde_json::Map<_, _> = values.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/canaries");
    let mut command = Command::new("python3");
    command.arg("-B").arg(script).arg("scan").args(places).env("PARKWAY_CANARIES", json!(values).to_string());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => String::new(),
        code => {
            assert_eq!(code, Some(1), "{said}");
            said
        }
    }
}
