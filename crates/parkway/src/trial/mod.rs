//! Tests of workflows: `NAME.test.yaml` says what models, tools and people answer, and what is expected of the run. A trial
//! runs on the engine itself, in a folder and a store of its own, and its clock jumps over what would be waited for. Needs
//! the feature `testing`.

mod clock;
mod doubles;
mod expect;
mod form;
mod recording;
mod snapshot;
mod stage;

use std::fs;
use std::path::{Path, PathBuf};

use parkway_core::testing::ScriptedModel;
use parkway_core::tool::SharedTool;
use parkway_core::workflow::{Diagnostic, Diagnostics};

use crate::error::Error;
use crate::workflow::Workflow;
pub use expect::Mismatch;
use form::TrialForm;
use recording::Recording;

/// The most bytes of a file of tests, and of each file that one names.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// The tests of one file.
#[derive(Debug)]
pub struct Trials {
    place: Place,
    workflow: Workflow,
    list: Vec<Trial>,
}

/// Where a file of tests is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// As its author knows it.
    file: String,
    /// What paths in it are relative to.
    folder: PathBuf,
    /// Its name without `.test.yaml`.
    stem: String,
}

/// One test.
#[derive(Debug)]
pub struct Trial {
    name: String,
    form: TrialForm,
    recording: Option<Recording>,
}

/// How a test ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// What was not as expected; empty if all was.
    pub mismatches: Vec<Mismatch>,
    /// What happened in the run, for a person who looks for the cause.
    pub story: String,
    /// Whether a snapshot was written.
    pub wrote_snapshot: bool,
}

impl Place {
    /// The file's text, for quoting lines.
    fn source(&self) -> String {
        fs::read_to_string(&self.file).unwrap_or_default()
    }
}

impl Trials {
    /// Reads a file of tests, with the workflow that it is about.
    ///
    /// The workflow is `NAME.yaml` beside `NAME.test.yaml` unless the file names another.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Trials, Error> {
        let path = path.as_ref();
        let file = path.display().to_string();
        let unreadable = |cause| Error::Unreadable { path: file.clone(), cause };
        let source = read(path).map_err(unreadable)?;
        let form = form::parse(&file, &source)?;
        let folder = path.parent().unwrap_or_else(|| Path::new("")).to_path_buf();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let stem = name.trim_end_matches(".yaml").trim_end_matches(".yml").trim_end_matches(".test").to_owned();
        let workflow = match &form.workflow {
            Some(named) => folder.join(named),
            None => folder.join(format!("{stem}.yaml")),
        };
        let workflow = Workflow::from_path(workflow)?;
        let mut problems = Vec::new();
        let mut list = Vec::new();
        for (name, form) in form.tests.0 {
            let recording = form.recorded.as_ref().map(|recorded| {
                Recording::read(&folder.join(&recorded.value)).map_err(|why| {
                    let message = format!("the recording `{}` cannot be used: {why}", recorded.value);
                    Diagnostic::new("missing-file", form::place_of(recorded.referenced), message)
                        .help("make one of a run with `parkway test --record RUN FILE`")
                })
            });
            match recording.transpose() {
                Ok(recording) => list.push(Trial { name: name.value, form, recording }),
                Err(problem) => problems.push(problem),
            }
        }
        if !problems.is_empty() {
            return Err(Diagnostics::new(&file, &source, problems).into());
        }
        Ok(Trials { place: Place { file, folder, stem }, workflow, list })
    }

    /// The tests, in the order of the file.
    pub fn list(&self) -> &[Trial] {
        &self.list
    }

    /// Runs one of the tests, with the built-in tools and `tools` beside them. With `update`, its snapshot is written anew.
    /// This blocks until it is over.
    pub fn run(&self, trial: &Trial, tools: &[SharedTool], update: bool) -> Result<Outcome, Error> {
        let work = || stage::run(&self.place, &self.workflow, trial, tools, update);
        // A thread of its own, since the caller may be inside a runtime, where another cannot be entered.
        std::thread::scope(|scope| scope.spawn(work).join())
            .unwrap_or_else(|_| Err(Error::Setup(format!("the test `{}` broke off", trial.name))))
    }
}

impl Trial {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its author says about it.
    pub fn description(&self) -> Option<&str> {
        self.form.description.as_deref()
    }
}

/// The recording of a run's model calls, for `recorded` of a test: JSON.
pub async fn record(parkway: &crate::Parkway, run: parkway_core::id::RunId) -> Result<String, Error> {
    Recording::of_run(parkway, run).await
}

/// A model that answers what `model`, a name in the workflow, answered to the same messages in a recorded run. Of another question
/// it says so in its error. The file is one that [`record`] made, or `parkway test --record RUN FILE`.
///
/// ```no_run
/// # async fn doc() -> Result<(), parkway::Error> {
/// use parkway::{Parkway, trial};
///
/// let main = trial::recorded("tests/letter.json", "main")?;
/// let parkway = Parkway::builder().store("sqlite::memory:").model("main", main).build().await?;
/// # Ok(())
/// # }
/// ```
pub fn recorded(path: impl AsRef<Path>, model: &str) -> Result<ScriptedModel, Error> {
    let path = path.as_ref();
    let recording = Recording::read(path)
        .map_err(|why| Error::Setup(format!("the recording `{}` cannot be used: {why}", path.display())))?;
    Ok(doubles::model(model, &[], Some(&recording)))
}

fn read(path: &Path) -> Result<String, String> {
    let length = fs::metadata(path).map_err(|e| e.to_string())?.len();
    if length > MAX_BYTES {
        return Err(format!("it has {length} bytes, and {MAX_BYTES} is the most"));
    }
    fs::read_to_string(path).map_err(|e| e.to_string())
}
