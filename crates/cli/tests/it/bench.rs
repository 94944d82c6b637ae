//! A project in a temporary folder, and the built binary in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use regex::Regex;
use serde_json::Value;
use tempfile::TempDir;

/// A step that asks, between one before and one after.
pub(crate) const ASK: &str = include_str!("../cmd/run.in/flow.yaml");

/// Many small effects, one after the other or a few at once: long enough to be interrupted.
pub(crate) const MANY: &str = r#"
parkway: 1
name: many
tools: { files: { write: [out] } }
inputs: { items: { type: integer, default: 300 } }
steps:
  each:
    for_each: ${{ range(inputs.items) | list }}
    as: n
    max_parallel: 2
    steps:
      write:
        tool: files.write_text
        with: { path: "out/${{ n }}.txt", text: "number ${{ n }}" }
    result: ${{ steps.write.output.sha256 }}
outputs: { sums: "${{ steps.each.output }}" }
"#;

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// That it ended with this code.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// That stderr holds a text.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.err.contains(text), "{text:?} is not in\n{}", self.err);
        self
    }

    /// Stdout as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

/// A project.
pub(crate) struct Bench {
    folder: TempDir,
}

impl Bench {
    /// A project with this workflow as `flow.yaml`.
    pub(crate) fn new(workflow: &str) -> Self {
        let folder = crate::kept::folder().unwrap();
        fs::write(folder.path().join("parkway.toml"), "").unwrap();
        let bench = Bench { folder };
        bench.write("flow.yaml", workflow);
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The project's folder as the command sees it.
    pub(crate) fn root(&self) -> String {
        self.folder.path().canonicalize().unwrap().display().to_string()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// The command, with nothing of the developer's own environment that matters.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parkway"));
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null());
        for (name, value) in environment(self.folder.path()) {
            if value.is_empty() {
                command.env_remove(name)
            } else {
                command.env(name, value)
            };
        }
        command
    }

    pub(crate) fn parkway(&self, args: &[&str]) -> Ended {
        let output = self.command(args).output().unwrap();
        crate::kept::said(self.folder.path(), &[&output.stdout, &output.stderr]);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Ids of the runs, newest first.
    pub(crate) fn runs(&self) -> Vec<String> {
        let listed = self.parkway(&["runs", "--json"]).code(0).out;
        listed
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["run"].as_str().unwrap().into())
            .collect()
    }

    /// How many events of a kind the last run has.
    pub(crate) fn count(&self, kind: &str) -> usize {
        let events = self.parkway(&["show", "--json"]).out;
        let is = |line: &&str| serde_json::from_str::<Value>(line).unwrap()["kind"]["type"] == kind;
        events.lines().filter(is).count()
    }

    /// Waits until the last run has at least this many events of a kind.
    #[track_caller]
    pub(crate) fn wait_for(&self, kind: &str, number: usize) {
        let start = Instant::now();
        while self.count(kind) < number {
            assert!(start.elapsed() < Duration::from_secs(60), "no {number} events {kind}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Variables in whose place nothing of the developer's own environment matters; an empty one is as good as none.
pub(crate) fn environment(home: &Path) -> Vec<(&'static str, String)> {
    let folder = |name| home.join(name).display().to_string();
    let nothing = ["PARKWAY_STORE", "PARKWAY_PROFILE", "NO_COLOR", "LC_ALL", "LC_CTYPE", "CLICOLOR_FORCE"]
        .map(|name| (name, String::new()));
    let said = [("USER", "ada"), ("LANG", "C.UTF-8"), ("TZ", "UTC"), ("COLUMNS", "80")];
    let said = said.map(|(name, value)| (name, value.to_owned()));
    let folders = [("XDG_CONFIG_HOME", folder("config")), ("PARKWAY_CACHE", folder("cache"))];
    nothing.into_iter().chain(said).chain(folders).collect()
}

/// The text with what differs from run to run replaced.
pub(crate) fn redacted(bench: &Bench, text: &str) -> String {
    let folder = regex::escape(&bench.path("").display().to_string());
    let patterns = [
        (folder.as_str(), "PROJECT/"),
        ("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "00000000-0000-7000-0000-000000000000"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "2026-01-01 00:00:00"),
        (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "2026-01-01T00:00:00.000000Z"),
        (r"\b\d\.\ds", "0.0s"),
        (r"\d+ KiB|\d+\.\d MiB", "0 KiB"),
        (r"\b\d+ (events|references|texts)\b", "0 $1"),
        (r"\d{8}T\d{6}\.\d{6}Z", "20260101T000000.000000Z"),
        (r"\b[0-9a-f]{64}\b", "00000000"),
        (r"\b[0-9a-f]{32}\b", "00000000"),
        ("[█░·]{8,}", "████████"),
    ];
    patterns.iter().fold(text.to_owned(), |text, (pattern, with)| {
        Regex::new(pattern).unwrap().replace_all(&text, *with).into_owned()
    })
}
