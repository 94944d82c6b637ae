//! Putting a [`Parkway`] together.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use parkway_core::clock::{Clock, SystemClock};
use parkway_core::embedder::{Embedder, SharedEmbedder};
use parkway_core::energy::{EnergyMeter, Metering};
use parkway_core::engine::Services;
use parkway_core::id::WorkerId;
use parkway_core::memory::Meaning;
use parkway_core::policy::{DefaultPolicy, Policy};
use parkway_core::secret::Secrets;
use parkway_core::store::Store;
use parkway_core::tool::{SharedTool, Tool, Toolbox};
use tokio::sync::Semaphore;

use crate::binding::{LoadProgress, ModelBinding, Models};
use crate::embed::Parkway;
use crate::embedding::Named;
use crate::energy;
use crate::error::Error;
use crate::settings::Settings;

/// Puts a [`Parkway`] together; made by [`Parkway::builder`].
#[derive(Default)]
pub struct Builder {
    store: Option<StoreChoice>,
    root: Option<PathBuf>,
    models: HashMap<String, ModelBinding>,
    tools: Vec<SharedTool>,
    policy: Option<Arc<dyn Policy>>,
    clock: Option<Arc<dyn Clock>>,
    secrets: Option<Arc<dyn Secrets>>,
    env: Option<Lookup>,
    progress: Option<LoadProgress>,
    require_gpu: bool,
    settings: Option<Settings>,
    parallel_runs: Option<usize>,
    parallel_calls: Option<usize>,
    tool_search: Option<SharedEmbedder>,
    metering: Option<Metering>,
}

type Lookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

enum StoreChoice {
    Url(String),
    Ready(Arc<dyn Store>),
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("models", &self.models).field("root", &self.root).finish_non_exhaustive()
    }
}

impl Builder {
    /// Keeps runs here: `sqlite:runs.db`, or `sqlite::memory:` for the life of the program. Default: `sqlite:parkway.db`.
    #[must_use]
    pub fn store(mut self, url: impl Into<String>) -> Self {
        self.store = Some(StoreChoice::Url(url.into()));
        self
    }

    /// Keeps runs in a store of your own.
    #[must_use]
    pub fn store_with(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(StoreChoice::Ready(store));
        self
    }

    /// The folder that paths in grants, tool arguments and model paths are relative to. Default: the working directory.
    #[must_use]
    pub fn root(mut self, folder: impl Into<PathBuf>) -> Self {
        self.root = Some(folder.into());
        self
    }

    /// Keeps to site settings: their store, root, models, policy and bounds. What else is said here goes before them.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = Some(settings);
        self
    }

    /// Binds a model to a name; it goes before what a workflow says of that name.
    #[must_use]
    pub fn model(mut self, name: impl Into<String>, model: impl Into<ModelBinding>) -> Self {
        self.models.insert(name.into(), model.into());
        self
    }

    /// Adds a tool; it goes before a built-in one of the same name.
    #[must_use]
    pub fn tool(mut self, tool: impl Tool + 'static) -> Self {
        self.tools.push(Arc::new(tool));
        self
    }

    /// Decides about tool calls in place of the default policy.
    #[must_use]
    pub fn policy(mut self, policy: impl Policy + 'static) -> Self {
        self.policy = Some(Arc::new(policy));
        self
    }

    /// Takes time and chance from here.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Takes secrets from here. Without it there are none.
    #[must_use]
    pub fn secrets(mut self, secrets: impl Secrets + 'static) -> Self {
        self.secrets = Some(Arc::new(secrets));
        self
    }

    /// Looks environment variables up here, those that a workflow declares, when a run is created. Default: the process's
    /// environment.
    #[must_use]
    pub fn env(mut self, lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        self.env = Some(Arc::new(lookup));
        self
    }

    /// Is told how far the loading of a model is.
    #[must_use]
    pub fn on_load(mut self, progress: impl Fn(&str, f32) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(progress));
        self
    }

    /// Refuses to load a model where there is no GPU for all of its layers. Of a model at a server this says nothing.
    #[must_use]
    pub fn require_gpu(mut self, require: bool) -> Self {
        self.require_gpu = require;
        self
    }

    /// Executes at most so many runs at once: starting or resuming one more waits until one has ended or been given back. A run
    /// that waits for a person keeps its place while it [stays](crate::RunOptions::stay); a tool that starts a run on its own
    /// engine and waits for it needs two places. Default: no limit.
    #[must_use]
    pub fn max_parallel_runs(mut self, most: usize) -> Self {
        self.parallel_runs = Some(most);
        self
    }

    /// Has at most so many calls of tools and models of one run under way at once. Default: 64.
    #[must_use]
    pub fn max_parallel_calls(mut self, most: usize) -> Self {
        self.parallel_calls = Some(most);
        self
    }

    /// Has the tools for a goal, where there are more than a prompt lists, be found by their meaning as well as by their words: of 72 whose
    /// words match best, the 24 that lie closest to the goal. Default: the embedder that the settings name; without one their words decide
    /// alone.
    #[must_use]
    pub fn tool_search(mut self, embedder: impl Embedder + 'static) -> Self {
        self.tool_search = Some(Arc::new(embedder));
        self
    }

    /// Has this meter tell what answers of models take of the machine's energy, which is recorded with them. Default: the meters
    /// of this machine that this process may read ([`Powercap`](crate::energy::Powercap)).
    #[must_use]
    pub fn energy_meter(mut self, meter: impl EnergyMeter + 'static) -> Self {
        self.metering = Some(Metering::new(vec![Box::new(meter)]));
        self
    }

    /// Opens the store. Models are loaded when the first run needs them.
    pub async fn build(self) -> Result<Parkway, Error> {
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock));
        let settings = self.settings.map(Arc::new);
        let root_said = self.root.or_else(|| Some(settings.as_ref()?.root().to_path_buf()));
        let root = root_said.unwrap_or_else(|| PathBuf::from("."));
        let store = match (self.store, &settings) {
            (Some(StoreChoice::Ready(store)), _) => store,
            (Some(StoreChoice::Url(url)), _) => open_store(&url, &clock).await?,
            (None, Some(settings)) => open_store(settings.store().0, &clock).await?,
            (None, None) => open_store("sqlite:parkway.db", &clock).await?,
        };
        let mut tools = Toolbox::new();
        let policy: Arc<dyn Policy> = match (self.policy, &settings) {
            (Some(policy), _) => policy,
            (None, Some(settings)) => Arc::new(settings.policy()?),
            (None, None) => Arc::new(DefaultPolicy),
        };
        let random = hex::encode(&clock.random()[..6]);
        let worker = WorkerId::new(format!("w{}-{random}", std::process::id()));
        let mut services = Services::new(store, Arc::default(), policy, clock, worker);
        services.env = self.env.unwrap_or_else(|| Arc::new(|name| std::env::var(name).ok()));
        match (self.secrets, &settings) {
            (Some(secrets), _) => services.secrets = secrets,
            (None, Some(settings)) => services.secrets = settings.clone(),
            (None, None) => {}
        }
        if self.parallel_runs == Some(0) || self.parallel_calls == Some(0) {
            return Err(Error::Setup(
                "nothing can run with a limit of 0 runs or calls at once; allow at least 1".into(),
            ));
        }
        services.tool_search = match (self.tool_search, &settings) {
            (Some(embedder), _) => Some(embedder),
            (None, Some(settings)) => settings.embedder()?.map(|(name, spec)| -> SharedEmbedder {
                Arc::new(Named::new(name, spec, root.clone(), services.secrets.clone(), self.require_gpu))
            }),
            (None, None) => None,
        };
        services.metering = self.metering.or_else(energy::metering);
        let weights = settings.as_ref().map(|settings| settings.weights()).unwrap_or_default();
        let meaning = services.tool_search.clone().map(|embedder| Arc::new(Meaning::new(embedder, weights)));
        #[cfg(feature = "tools")]
        {
            let memory = parkway_tools::memory(services.store.clone(), meaning.clone());
            parkway_tools::all(&root).into_iter().chain(memory).for_each(|tool| drop(tools.insert(tool)));
        }
        self.tools.into_iter().for_each(|tool| drop(tools.insert(tool)));
        services.tools = Arc::new(tools);
        services.concurrency = self.parallel_calls.unwrap_or(services.concurrency);
        let places = self.parallel_runs.unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let models = Models::new(self.models, services.secrets.clone(), self.progress, self.require_gpu);
        Ok(Parkway::new(services, models, root, settings, Semaphore::new(places), meaning))
    }
}

#[cfg(feature = "sqlite")]
async fn open_store(url: &str, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Store>, Error> {
    let Some(path) = url.strip_prefix("sqlite:") else {
        return Err(Error::Setup(format!("`{url}` is no store; write `sqlite:PATH`, for example `sqlite:runs.db`")));
    };
    let store = if path == ":memory:" {
        parkway_store::SqliteStore::in_memory(clock.clone()).await?
    } else {
        parkway_store::SqliteStore::open(PathBuf::from(path), clock.clone()).await?
    };
    Ok(Arc::new(store))
}

#[cfg(not(feature = "sqlite"))]
async fn open_store(url: &str, _: &Arc<dyn Clock>) -> Result<Arc<dyn Store>, Error> {
    Err(Error::Setup(format!("`{url}` cannot be opened: this program was built without the feature `sqlite`")))
}
