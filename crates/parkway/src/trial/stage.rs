//! One test, played: a folder with its files, a store in memory, a clock that jumps, and a run on the engine.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Component, Path};
use std::sync::Arc;

use async_trait::async_trait;
use parkway_core::clock::Clock;
use parkway_core::engine::Services;
use parkway_core::id::{Seq, WorkerId};
use parkway_core::log::{Channel, Event, EventKind, Verdict, WaitFor};
use parkway_core::model::SharedModel;
use parkway_core::policy::DefaultPolicy;
use parkway_core::secret::{Secret, SecretError, Secrets};
use parkway_core::store::{Message, Store};
use parkway_core::testing::MemoryStore;
use parkway_core::tool::{SharedTool, Toolbox};
use parkway_core::workflow::{Diagnostic, Diagnostics};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::Semaphore;

use super::clock::JumpClock;
use super::doubles::{self, means};
use super::expect::{self, Mismatch, Seen};
use super::form::{FileSource, TrialForm, place_of};
use super::snapshot;
use super::{Outcome, Place, Trial};
use crate::binding::{ModelBinding, Models};
use crate::embed::{Parkway, RunOptions};
use crate::error::Error;
use crate::record::Record;
use crate::run::Run;
use crate::workflow::Workflow;

/// How often a test's clock may jump: more is a run that never ends.
const JUMPS: usize = 10_000;

pub(super) fn run(
    place: &Place,
    workflow: &Workflow,
    trial: &Trial,
    tools: &[SharedTool],
    update: bool,
) -> Result<Outcome, Error> {
    let folder = set_up(place, &trial.form)?;
    let mut builder = tokio::runtime::Builder::new_current_thread();
    // The clock stands still while anything can be done, so that nothing depends on how fast this machine is.
    let runtime = builder.enable_time().start_paused(true).build().map_err(|e| Error::Setup(e.to_string()))?;
    runtime.block_on(play(place, workflow, trial, tools, folder.path(), update))
}

/// The test's folder, with its files.
fn set_up(place: &Place, form: &TrialForm) -> Result<TempDir, Error> {
    let wrong = |e: std::io::Error| Error::Setup(format!("the test's folder cannot be made: {e}"));
    let folder = TempDir::new().map_err(wrong)?;
    for (name, source) in &form.files.0 {
        let refuse = |why: String| {
            let problem = Diagnostic::new("bad-file", place_of(name.referenced), format!("`{}` {why}", name.value));
            Error::from(Diagnostics::new(&place.file, &place.source(), vec![problem]))
        };
        if !Path::new(&name.value).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(refuse("is no path within the test's folder".into()));
        }
        let target = folder.path().join(&name.value);
        let parent = target.parent().unwrap_or(folder.path());
        let made = fs::create_dir_all(parent).and_then(|()| match source {
            FileSource::Text(text) => fs::write(&target, text),
            FileSource::File(from) => fs::copy(place.folder.join(from), &target).map(drop),
            FileSource::Folder(from) => copy(&place.folder.join(from), &target),
        });
        made.map_err(|e| refuse(format!("cannot be made: {e}")))?;
    }
    Ok(folder)
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

async fn play(
    place: &Place,
    workflow: &Workflow,
    trial: &Trial,
    tools: &[SharedTool],
    folder: &Path,
    update: bool,
) -> Result<Outcome, Error> {
    let clock = Arc::new(JumpClock::new());
    let parkway = engine(trial, tools, folder, &clock, workflow).map_err(Error::Setup)?;
    let started = parkway.start_with(workflow.clone(), trial.form.inputs.clone(), leave()).await?;
    let run = started.id();
    for signal in &trial.form.signals {
        let (name, payload) = (signal.name.clone(), signal.payload.clone());
        let message = Message::Signal { name, payload, by: "test".into(), via: Channel::Program };
        parkway.services().store.signal(run, message).await?;
    }
    let mut answered = Answered::default();
    let mut next = Some(started);
    for _ in 0..JUMPS {
        let Some(run) = next.take() else { break };
        let ended = follow(&run, &trial.form, &mut answered).await?;
        if ended.status.ended() {
            break;
        }
        let record = parkway.record(run.id()).await?;
        let unread = !parkway.services().store.inbox(run.id()).await?.is_empty();
        match record.state.wake() {
            _ if unread => {}
            Some(wake) if wake > clock.now() => clock.jump_to(wake),
            Some(_) => {}
            None => break,
        }
        next = Some(parkway.resume(run.id(), leave()).await?);
    }
    let record = parkway.record(run).await?;
    let texts = texts(&parkway, &record).await?;
    let seen = Seen { record: &record, texts: &texts, folder };
    let mut mismatches = expect::check(place, &trial.form.expect, &seen);
    let unasked = trial.form.answers.0.iter().filter(|(step, _)| !answered.used.contains(&step.value));
    mismatches.extend(unasked.map(|(step, _)| {
        Mismatch::new(
            place,
            step.referenced,
            format!("there is an answer for `{}`, and no step of that name asked", step.value),
        )
    }));
    let story = snapshot::story(&seen);
    let mut wrote_snapshot = false;
    if trial.form.expect.snapshot {
        match snapshot::compare(place, &trial.name, &story, update) {
            Ok(wrote) => wrote_snapshot = wrote,
            Err(difference) => mismatches.push(difference),
        }
    }
    Ok(Outcome { mismatches, story, wrote_snapshot })
}

/// A run that only waits is given back, so that the clock can jump.
fn leave() -> RunOptions {
    RunOptions { stay: false, ..RunOptions::default() }
}

fn engine(
    trial: &Trial,
    tools: &[SharedTool],
    folder: &Path,
    clock: &Arc<JumpClock>,
    workflow: &Workflow,
) -> Result<Parkway, String> {
    let clock: Arc<dyn Clock> = clock.clone();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(clock.clone()));
    let mut real = Toolbox::new();
    #[cfg(feature = "tools")]
    for tool in parkway_tools::all(folder).into_iter().chain(parkway_tools::memory(store.clone(), None)) {
        real.insert(tool);
    }
    let mut built_in: HashSet<String> = real.iter().map(|tool| tool.spec().name.clone()).collect();
    for tool in tools {
        built_in.remove(&tool.spec().name);
        real.insert(tool.clone());
    }
    let tools = doubles::tools(&real, &built_in, &trial.form.tools)?;
    let mut services = Services::new(store, Arc::new(tools), Arc::new(DefaultPolicy), clock, WorkerId::new("test"));
    let env = trial.form.env.clone();
    services.env = Arc::new(move |name| env.get(name).cloned());
    services.secrets = Arc::new(Played(trial.form.secrets.clone()));
    // One call after the other, so that the story is the same each time.
    services.concurrency = 1;
    let mut bound: HashMap<String, ModelBinding> = HashMap::new();
    let names = workflow.definition.models().into_keys().chain(trial.form.models.keys().cloned());
    for name in names.collect::<HashSet<_>>() {
        let rules = trial.form.models.get(&name).map(Vec::as_slice).unwrap_or_default();
        let model: SharedModel = Arc::new(doubles::model(&name, rules, trial.recording.as_ref()));
        bound.insert(name, model.into());
    }
    let models = Models::new(bound, services.secrets.clone(), None, false);
    Ok(Parkway::new(services, models, folder.to_path_buf(), None, Semaphore::new(Semaphore::MAX_PERMITS), None))
}

/// What was answered so far.
#[derive(Default)]
struct Answered {
    seen: Seq,
    used: HashSet<String>,
}

/// Follows a run and answers it, until the engine lets go of it.
async fn follow(run: &Run, form: &TrialForm, answered: &mut Answered) -> Result<parkway_core::engine::Ended, Error> {
    let mut events = run.events();
    while let Some(event) = events.next().await {
        let event = event?;
        if event.seq > answered.seen {
            answered.seen = event.seq;
            reply(run, form, &event, answered).await?;
        }
    }
    run.wait().await
}

/// What the test says to a question.
async fn reply(run: &Run, form: &TrialForm, event: &Event, answered: &mut Answered) -> Result<(), Error> {
    let Some(key) = event.kind.key() else { return Ok(()) };
    let whole = key.to_string();
    let replies = &form.answers.0;
    // The whole key goes before a name that means several steps.
    let reply = replies.iter().find(|(step, _)| step.value == whole);
    let Some((step, reply)) = reply.or_else(|| replies.iter().find(|(step, _)| means(&step.value, key))) else {
        return Ok(());
    };
    if let (EventKind::ApprovalRequested { .. }, Some(approve)) = (&event.kind, reply.approve) {
        let verdict = if approve { Verdict::Approved } else { Verdict::Rejected };
        run.answer(&whole, verdict, reply.note.clone(), "test", Channel::Program).await?;
        answered.used.insert(step.value.clone());
    }
    if let (EventKind::StepWaiting { what: WaitFor::Input { .. }, .. }, Some(fill)) = (&event.kind, &reply.fill) {
        run.fill(key.clone(), Value::Object(fill.clone()), "test", Channel::Program).await?;
        answered.used.insert(step.value.clone());
    }
    Ok(())
}

/// All texts of a run, by their commitments.
async fn texts(parkway: &Parkway, record: &Record) -> Result<snapshot::Texts, Error> {
    let wanted: Vec<_> = record.events.iter().flat_map(snapshot::pointed_to).collect();
    let values = parkway.texts(&wanted).await?;
    Ok(wanted.into_iter().zip(values).collect::<BTreeMap<_, _>>())
}

/// The secrets of a test.
struct Played(BTreeMap<String, String>);

#[async_trait]
impl Secrets for Played {
    async fn get(&self, name: &str) -> Result<Option<Secret>, SecretError> {
        Ok(self.0.get(name).map(Secret::new))
    }
}
