//! The engine in a program: starts runs, takes them up again, and looks at them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parkway_core::engine::{Control, Executor, ExecutorError, Preapproval, Services};
use parkway_core::id::{RunId, Seq, StepKey};
use parkway_core::log::{Channel, Commitment, Event, EventKind, Payload, Verdict};
use parkway_core::memory::Meaning;
use parkway_core::model::SharedModel;
use parkway_core::store::{Message, RunFilter, RunSummary, StoreError};
use parkway_core::tool::Toolbox;
use parkway_core::workflow::{Diagnostics, Inputs, ModelSpec, Outlook, Plan, Requirements, Surroundings};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::asked::{asked, asked_at_the_end};
use crate::audit::AuditLog;
use crate::binding::{Models, Reading};
use crate::bounds;
use crate::builder::Builder;
use crate::error::Error;
use crate::memory::Memories;
use crate::record::Record;
use crate::run::Run;
use crate::settings::Settings;
use crate::workflow::Workflow;

/// The engine in a program. Cheap to clone, and safe to share between threads.
///
/// ```
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
/// use parkway::{Parkway, Workflow, inputs};
///
/// let parkway = Parkway::builder().store("sqlite::memory:").build().await?;
/// let workflow = Workflow::from_source("greet.yaml", r#"
/// parkway: 1
/// inputs: { name: { type: string } }
/// steps:
///   greeting: { set: { text: "Hello, ${{ inputs.name }}!" } }
/// outputs: { text: "${{ steps.greeting.output.text }}" }
/// "#)?;
/// let run = parkway.start(workflow, inputs! { name: "Ada" }).await?;
/// let outputs: serde_json::Value = run.output().await?;
/// assert_eq!(outputs["text"], "Hello, Ada!");
/// # Ok::<_, parkway::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Parkway {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    services: Services,
    models: Models,
    root: PathBuf,
    settings: Option<Arc<Settings>>,
    /// A place for each run that may be executed at once.
    places: Arc<Semaphore>,
    /// What finds memories by their meaning.
    meaning: Option<Arc<Meaning>>,
}

/// How a run is started or resumed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RunOptions {
    /// Whether to stay with a run that only waits for a person. Otherwise it is given back, and resumed later.
    pub stay: bool,
    /// Approvals given in advance, for the workflow's own `approve` steps.
    pub preapprovals: Vec<Preapproval>,
}

impl RunOptions {
    pub(crate) fn control(self) -> Control {
        let mut control = Control::default();
        control.stay = self.stay;
        control.preapprovals = self.preapprovals;
        control
    }
}

impl Default for RunOptions {
    fn default() -> Self {
        RunOptions { stay: true, preapprovals: Vec::new() }
    }
}

impl Parkway {
    /// Begins to put an engine together.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(
        services: Services,
        models: Models,
        root: PathBuf,
        settings: Option<Arc<Settings>>,
        places: Semaphore,
        meaning: Option<Arc<Meaning>>,
    ) -> Self {
        let places = Arc::new(places);
        Parkway { inner: Arc::new(Inner { services, models, root, settings, places, meaning }) }
    }

    /// A place for one more run, which may have to wait for one that ends.
    pub(crate) async fn place(&self) -> Result<OwnedSemaphorePermit, Error> {
        let place = self.inner.places.clone().acquire_owned().await;
        place.map_err(|_| Error::Setup("this engine has ended".into()))
    }

    /// The same for a run that there is: one that is executed already is not waited for.
    pub(crate) async fn place_of(&self, run: RunId) -> Result<OwnedSemaphorePermit, Error> {
        if let Ok(place) = self.inner.places.clone().try_acquire_owned() {
            return Ok(place);
        }
        let filter = RunFilter { run: Some(run), ..RunFilter::default() };
        if self.runs(&filter).await?.iter().any(|run| run.held) {
            return Err(ExecutorError::Held(run).into());
        }
        self.place().await
    }

    /// The settings that it keeps to.
    pub(crate) fn site(&self) -> Option<&Settings> {
        self.inner.settings.as_deref()
    }

    pub(crate) fn services(&self) -> &Services {
        &self.inner.services
    }

    /// The log of the store, to be signed, exported and checked.
    pub fn audit(&self) -> AuditLog {
        AuditLog::new(self.inner.services.clone())
    }

    /// Whether memories are found by their meaning as well as by their words.
    pub fn finds_by_meaning(&self) -> bool {
        self.inner.meaning.is_some()
    }

    /// What agents remember.
    pub fn memories(&self) -> Memories {
        Memories::new(self.inner.services.clone(), self.inner.meaning.clone())
    }

    /// The tools at hand.
    pub fn tools(&self) -> &Toolbox {
        &self.inner.services.tools
    }

    /// The site settings that it keeps to.
    pub fn settings(&self) -> Option<&Settings> {
        self.inner.settings.as_deref()
    }

    /// The folder that paths are relative to.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// Checks a workflow against the tools, the policy, the models and the settings at hand. Of a model in a file that is
    /// here, only the vocabulary is read.
    pub fn check(&self, workflow: &Workflow) -> Result<Plan, Error> {
        self.check_all(workflow).map(|(plan, _)| plan)
    }

    /// The same, with what is doubtful in a workflow that can be run.
    pub fn check_all(&self, workflow: &Workflow) -> Result<(Plan, Diagnostics), Error> {
        self.check_with(workflow, Reading::Vocabularies)
    }

    /// What a checked workflow would do, as far as it is known before it runs.
    pub fn outlook(&self, plan: &Plan) -> Outlook {
        let services = self.services();
        let models = self.at_hand(&plan.models, Reading::Vocabularies);
        plan.outlook(&Surroundings::new(&services.tools, services.policy.as_ref(), &models))
    }

    /// The models of these names that need no loading.
    fn at_hand(&self, specs: &BTreeMap<String, ModelSpec>, reading: Reading) -> BTreeMap<String, SharedModel> {
        let models = specs.iter().filter_map(|(name, spec)| {
            let settings = self.inner.settings.as_ref().map(|settings| settings.model(name, spec, false));
            // A binding that is wrong is told where it is used.
            let spec = settings.and_then(Result::ok).unwrap_or_else(|| spec.clone());
            let model = self.inner.models.at_hand(name, &spec, &self.inner.root, reading)?;
            Some((name.clone(), model))
        });
        models.collect()
    }

    fn check_with(&self, workflow: &Workflow, reading: Reading) -> Result<(Plan, Diagnostics), Error> {
        let services = self.services();
        let mut requirements = Requirements::new(&services.tools, services.policy.fingerprint());
        requirements.rules = Some(services.policy.as_ref());
        requirements.models = self.at_hand(&workflow.definition.models(), reading);
        requirements.settings = self.inner.settings.as_ref().map(|settings| settings.digest());
        let (plan, problems) = Plan::check_all(&workflow.definition, &requirements);
        let Some(mut plan) = plan else { return Err(problems.into()) };
        if let Some(settings) = &self.inner.settings {
            let grants = bounds::overstepped(settings, &services.tools, &plan);
            let env: Vec<_> = plan.env.iter().filter(|name| !settings.may_read_env(name)).cloned().collect();
            if !grants.is_empty() || !env.is_empty() {
                return Err(workflow.definition.refused(&grants, &env).into());
            }
        }
        if let Some(settings) = &self.inner.settings {
            for name in asked(&plan, &services.tools) {
                let declared = plan.models.get(&name).cloned().unwrap_or_default();
                let spec = settings.model(&name, &declared, false)?;
                if spec != declared {
                    plan.models.insert(name, spec);
                }
            }
        }
        Ok((plan, problems))
    }

    /// Starts a run. It is on disk when this returns, and goes on whether or not the [`Run`] is kept. Where as many runs are
    /// executed as [`Builder::max_parallel_runs`] allows, this waits until one ends.
    pub async fn start(&self, workflow: Workflow, inputs: Inputs) -> Result<Run, Error> {
        self.start_with(workflow, inputs, RunOptions::default()).await
    }

    /// Starts a run with options.
    pub async fn start_with(&self, workflow: Workflow, inputs: Inputs, options: RunOptions) -> Result<Run, Error> {
        // Its models are loaded next: what their vocabularies tell, they tell themselves.
        let plan = Arc::new(self.check_with(&workflow, Reading::Loaded)?.0);
        let inputs = plan.fill_inputs(inputs).map_err(Error::Inputs)?;
        let models = self.models_of(plan.models.clone(), asked(&plan, self.tools())).await?;
        let place = self.place().await?;
        let control = options.control();
        let executor = Executor::create(self.services().clone(), models, control.clone(), plan, &inputs).await?;
        Ok(Run::launch(self.clone(), executor, control, place))
    }

    /// Takes a run up where it stands: after a crash, a stop, or an approval. Of a run that is to be cancelled, only the models
    /// that its last steps ask are loaded.
    pub async fn resume(&self, run: RunId, options: RunOptions) -> Result<Run, Error> {
        let events = self.services().store.events(run, Seq(0)).await?;
        let plan = Arc::new(self.plan(run, &events).await?);
        self.allows(&plan)?;
        let ends = self.ends(run, &plan, &events).await?;
        let asked = if ends { asked_at_the_end(&plan, self.tools()) } else { asked(&plan, self.tools()) };
        let models = self.kept_models(&plan, asked).await?;
        let place = self.place_of(run).await?;
        let control = options.control();
        let executor = Executor::take_over(self.services().clone(), models, control.clone(), plan, run).await?;
        Ok(Run::launch(self.clone(), executor, control, place))
    }

    /// Whether the site still allows what a plan that was kept is granted.
    pub(crate) fn allows(&self, plan: &Plan) -> Result<(), Error> {
        let Some(settings) = &self.inner.settings else { return Ok(()) };
        let overstepped = bounds::overstepped(settings, self.tools(), plan);
        let why: Vec<_> = overstepped.into_iter().map(|(family, why)| format!("`{family}`: {why}")).collect();
        if why.is_empty() {
            return Ok(());
        }
        Err(Error::OutOfPlace(format!(
            "the site does not allow any more what this run is granted: {}; let it allow that again, or start a new run that asks \
             for less",
            why.join("; ")
        )))
    }

    /// The models that a plan that was kept asks.
    pub(crate) async fn models_for(&self, plan: &Plan) -> Result<BTreeMap<String, SharedModel>, Error> {
        self.kept_models(plan, asked(plan, self.tools())).await
    }

    /// The one of this name.
    pub(crate) async fn kept_model(&self, plan: &Plan, name: &str) -> Result<SharedModel, Error> {
        let found = self.kept_models(plan, BTreeSet::from([name.to_owned()])).await?.remove(name);
        found.ok_or_else(|| Error::Model { name: name.into(), cause: "the run's plan does not have it".into() })
    }

    /// Those of these names: a run keeps the models of its plan, unless others are named for this very command.
    async fn kept_models(&self, plan: &Plan, asked: BTreeSet<String>) -> Result<BTreeMap<String, SharedModel>, Error> {
        let mut specs = plan.models.clone();
        specs.retain(|name, _| asked.contains(name));
        if let Some(settings) = &self.inner.settings {
            for (name, spec) in &mut specs {
                *spec = settings.model(name, spec, true)?;
            }
        }
        self.models_of(specs, asked).await
    }

    /// The models of these names.
    async fn models_of(
        &self,
        specs: BTreeMap<String, ModelSpec>,
        asked: BTreeSet<String>,
    ) -> Result<BTreeMap<String, SharedModel>, Error> {
        let mut models = BTreeMap::new();
        for name in asked {
            let spec = specs.get(&name).cloned().unwrap_or_default();
            let model = self.inner.models.find(&name, &spec, &self.inner.root).await?;
            models.insert(name, model);
        }
        Ok(models)
    }

    /// Runs, newest first.
    pub async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, Error> {
        Ok(self.services().store.runs(filter).await?)
    }

    /// The run that a text means: an id, the beginning or the end of one, or `last`, the newest that somebody started.
    pub async fn find_run(&self, text: &str) -> Result<RunSummary, Error> {
        let all = self.runs(&RunFilter::default()).await?;
        if text == "last" {
            let mut last = all.first().ok_or_else(|| Error::NoRun("there are no runs yet".into()))?;
            // A run that a step has for itself is not what somebody has started.
            while let Some(found) = last.parent.and_then(|parent| all.iter().find(|run| run.run == parent)) {
                last = found;
            }
            return Ok(last.clone());
        }
        let fits = |run: &RunSummary| {
            let id = run.run.to_string();
            id.starts_with(text) || id.ends_with(text)
        };
        let mut found: Vec<_> = all.into_iter().filter(fits).collect();
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => Err(Error::NoRun(format!("no run is called `{text}`; `parkway runs` lists them"))),
            n => Err(Error::NoRun(format!("{n} runs are called `{text}…`; write more of the id"))),
        }
    }

    /// All that is known of a run.
    pub async fn record(&self, run: RunId) -> Result<Record, Error> {
        let events = self.services().store.events(run, Seq(0)).await?;
        let plan = self.plan(run, &events).await?;
        let mut record = Record::new(run, plan, events)?;
        let unread = record.state.unread_texts();
        let payloads = self.services().store.payloads(&unread).await?;
        let known: HashMap<_, _> = unread.into_iter().zip(payloads).collect();
        let read = |texts| known.get(&texts)?.as_ref()?.value().ok();
        let given = record.state.read_texts(read);
        given.map_err(|why| StoreError::Corrupt(format!("what was planned in run {run} cannot be read: {why}")))?;
        Ok(record)
    }

    /// The events of a run behind `after`, oldest first; `Seq(0)` is before the first.
    pub async fn events(&self, run: RunId, after: Seq) -> Result<Vec<Event>, Error> {
        Ok(self.services().store.events(run, after).await?)
    }

    /// The plan that a run's first event points to.
    pub(crate) async fn plan(&self, run: RunId, events: &[Event]) -> Result<Plan, Error> {
        let Some(EventKind::RunCreated { plan, .. }) = events.first().map(|event| &event.kind) else {
            return Err(StoreError::NoRun(run).into());
        };
        let value = self.text(*plan).await?;
        if value.is_null() {
            return Err(Error::OutOfPlace(format!(
                "the plan of run {run} was erased, and nobody can tell any more what its events are about; `parkway audit export FILE \
                 --run {run}` gives those that are signed"
            )));
        }
        let read = Plan::from_value(value);
        Ok(read.map_err(|why| StoreError::Corrupt(format!("the plan of run {run} cannot be read: {why}")))?)
    }

    /// The value of a payload; null if it was erased.
    pub async fn text(&self, commitment: Commitment) -> Result<Value, Error> {
        Ok(self.texts(&[commitment]).await?.pop().unwrap_or_default())
    }

    /// The values of payloads, in the order asked for; null for one that was erased.
    pub async fn texts(&self, commitments: &[Commitment]) -> Result<Vec<Value>, Error> {
        let payloads = self.services().store.payloads(commitments).await?;
        let value = |payload: Option<Payload>| payload.map_or(Ok(Value::Null), |payload| payload.value());
        let values: Result<_, _> = payloads.into_iter().map(value).collect();
        Ok(values.map_err(StoreError::from)?)
    }

    /// The answer to a step's question that was given, and that no executor has taken up yet.
    pub async fn pending_answer(&self, run: RunId, step: &StepKey) -> Result<Option<Verdict>, Error> {
        let inbox = self.services().store.inbox(run).await?;
        Ok(inbox.into_iter().find_map(|received| match received.message {
            Message::Approval { step: answered, verdict, .. } if answered == *step => Some(verdict),
            _ => None,
        }))
    }

    /// The values for a step's form that were given, and that no executor has taken up yet.
    pub async fn pending_values(&self, run: RunId, step: &StepKey) -> Result<Option<Value>, Error> {
        let inbox = self.services().store.inbox(run).await?;
        Ok(inbox.into_iter().find_map(|received| match received.message {
            Message::Input { step: filled, values, .. } if filled == *step => Some(values),
            _ => None,
        }))
    }

    /// Fills the form of a step of any run, whoever executes it. The run's executor checks the values, and takes them up
    /// when it sees them; values that do not fit are as if nobody had given any.
    pub async fn fill(&self, run: RunId, step: StepKey, values: Value, by: String, via: Channel) -> Result<(), Error> {
        self.services().store.signal(run, Message::Input { step, values, by, via }).await?;
        Ok(())
    }

    /// Answers an approval of any run, whoever executes it. The run's executor takes the answer up when it sees it.
    pub async fn answer(
        &self,
        run: RunId,
        step: StepKey,
        verdict: Verdict,
        note: Option<String>,
        by: String,
        via: Channel,
    ) -> Result<(), Error> {
        self.services().store.signal(run, Message::Approval { step, verdict, note, by, via }).await?;
        Ok(())
    }
}
