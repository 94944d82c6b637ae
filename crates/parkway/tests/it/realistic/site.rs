//! A machine on which a workflow of examples/ runs: its folder, its secrets, and people who answer.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use parkway::secret::{Secret, SecretError, Secrets};
use parkway::{Builder, Ended, Inputs, Parkway, RunOptions, Workflow};
use parkway_core::id::{RunId, Time};
use parkway_core::log::{Channel, EventKind, RunStatus, Verdict};
use parkway_core::policy::{Decision, DefaultPolicy, Policy, PolicyRequest};
use parkway_core::store::{Message, Queue};
use parkway_core::testing::{FakeClock, MemoryStore};
use serde_json::Value;
use tempfile::TempDir;

use crate::house::workspace;

/// The machine. Its time is the runtime's, which jumps to whatever is waited for when it is paused.
pub(super) struct Site {
    pub(super) folder: TempDir,
    store: Arc<MemoryStore>,
    clock: Arc<FakeClock>,
}

impl Site {
    pub(super) fn new() -> Site {
        let folder = crate::kept::folder().unwrap();
        copy(&workspace().join("examples/data"), &folder.path().join("examples/data"));
        // 2026-11-23T06:00:00Z, a Monday.
        let clock = Arc::new(FakeClock::new(Time::from_micros(1_795_413_600_000_000)).paced());
        Site { folder, store: Arc::new(MemoryStore::new(clock.clone())), clock }
    }

    /// An engine in this place, to which a test adds models, tools and secrets.
    pub(super) fn builder(&self) -> Builder {
        Parkway::builder().store_with(self.store.clone()).root(self.folder.path()).clock(self.clock.clone())
    }

    pub(super) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.folder.path().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// Starts a workflow of examples/, and follows it until it has ended or waits for a person.
    pub(super) async fn run(&self, parkway: &Parkway, file: &str, inputs: Inputs) -> (RunId, Ended) {
        let workflow = Workflow::from_path(workspace().join("examples/workflows").join(file));
        self.follow(parkway, workflow.unwrap_or_else(|problems| panic!("{problems}")), inputs).await
    }

    /// The same of a workflow that was read.
    pub(super) async fn follow(&self, parkway: &Parkway, workflow: Workflow, inputs: Inputs) -> (RunId, Ended) {
        let run = parkway.start_with(workflow, inputs, leaving()).await.unwrap_or_else(|problems| panic!("{problems}"));
        (run.id(), run.wait().await.unwrap())
    }

    /// Says something to a run that waits, and follows it on.
    pub(super) async fn tell(&self, parkway: &Parkway, run: RunId, message: Message) -> Ended {
        self.store.signal(run, message).await.unwrap();
        parkway.resume(run, leaving()).await.unwrap().wait().await.unwrap()
    }

    pub(super) async fn outputs(&self, parkway: &Parkway, run: RunId) -> Value {
        let record = parkway.record(run).await.unwrap();
        for event in &record.events {
            if let EventKind::RunCompleted { outputs } = event.kind {
                return parkway.text(outputs).await.unwrap();
            }
        }
        panic!("the run has no outputs: {:?}", self.log(parkway, run).await)
    }

    /// What happened: the names of the events about steps, with the step.
    pub(super) async fn log(&self, parkway: &Parkway, run: RunId) -> Vec<String> {
        let record = parkway.record(run).await.unwrap();
        let mut lines = Vec::new();
        for event in &record.events {
            let name = event.kind.name();
            let key = event.kind.key().map(|key| format!(" {key}")).unwrap_or_default();
            let more = match &event.kind {
                EventKind::StepFailed { code, message, .. } => {
                    format!(" {code}: {}", parkway.text(*message).await.unwrap())
                }
                EventKind::RunFailed { reason } => match reason.message {
                    Some(message) => format!(" {}: {}", reason.code, parkway.text(message).await.unwrap()),
                    None => format!(" {}", reason.code),
                },
                _ => String::new(),
            };
            lines.push(format!("{name}{key}{more}"));
        }
        lines
    }

    /// The run has completed; what it says otherwise.
    pub(super) async fn assert_completed(&self, parkway: &Parkway, run: RunId, ended: &Ended) {
        assert_eq!(ended.status, RunStatus::Completed, "{:#?}", self.log(parkway, run).await);
    }
}

fn leaving() -> RunOptions {
    let mut options = RunOptions::default();
    options.stay = false;
    options
}

/// A yes or a no to an approval.
pub(super) fn verdict(step: &str, verdict: Verdict, note: Option<&str>) -> Message {
    let note = note.map(str::to_owned);
    Message::Approval { step: step.parse().unwrap(), verdict, note, by: "ada".into(), via: Channel::Command }
}

/// A filled form.
pub(super) fn form(step: &str, values: Value) -> Message {
    Message::Input { step: step.parse().unwrap(), values, by: "ada".into(), via: Channel::Command }
}

/// Secrets by name.
pub(super) struct Vault(pub(super) BTreeMap<&'static str, &'static str>);

#[async_trait::async_trait]
impl Secrets for Vault {
    async fn get(&self, name: &str) -> Result<Option<Secret>, SecretError> {
        Ok(self.0.get(name).map(|value| Secret::new(*value)))
    }
}

/// Sends messages without asking, as a site that runs unattended allows.
pub(super) struct MayNotify;

impl Policy for MayNotify {
    fn decide(&self, request: &PolicyRequest<'_>) -> Decision {
        let decision = DefaultPolicy.decide(request);
        match request.spec.name.as_str() {
            "notify.webhook" => Decision { verdict: parkway::policy::Verdict::Allow, rule: "site".into(), ..decision },
            _ => decision,
        }
    }

    fn fingerprint(&self) -> String {
        "may notify".into()
    }
}

pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
