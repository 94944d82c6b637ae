//! What an executor works with: the ports, and how much it may do at once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::clock::Clock;
use crate::embedder::SharedEmbedder;
use crate::energy::Metering;
use crate::engine::executor::ExecutorError;
use crate::id::WorkerId;
use crate::policy::Policy;
use crate::secret::{Secret, SecretError, Secrets};
use crate::store::Store;
use crate::tool::Toolbox;
use crate::workflow::Plan;

/// Gives the value of an environment variable, where there is one.
pub type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What an executor works with.
#[derive(Clone)]
#[non_exhaustive]
pub struct Services {
    /// Where runs are kept.
    pub store: Arc<dyn Store>,
    /// The tools at hand.
    pub tools: Arc<Toolbox>,
    /// What may be called.
    pub policy: Arc<dyn Policy>,
    /// Time and chance.
    pub clock: Arc<dyn Clock>,
    /// This process.
    pub worker: WorkerId,
    /// How long a lease lasts without a renewal.
    pub lease: Duration,
    /// How many calls of one run may be under way at once.
    pub concurrency: usize,
    /// After how many events the state of a run is written down, so that its log need not be read from the beginning when it
    /// is taken up.
    pub snapshot_every: u64,
    /// Where secrets come from.
    pub secrets: Arc<dyn Secrets>,
    /// What tells, where a goal has more tools than a prompt lists, which of those that match its words mean the like of it.
    pub tool_search: Option<SharedEmbedder>,
    /// What meters the energy that answers of models take.
    pub metering: Option<Metering>,
    /// The value of an environment variable: asked when a run is created, for those that its plan declares.
    pub env: Environment,
}

impl Services {
    /// Services with a lease of 10 seconds and at most 64 calls of a run at once, without secrets or an environment.
    pub fn new(
        store: Arc<dyn Store>,
        tools: Arc<Toolbox>,
        policy: Arc<dyn Policy>,
        clock: Arc<dyn Clock>,
        worker: WorkerId,
    ) -> Self {
        Services {
            store,
            tools,
            policy,
            clock,
            worker,
            lease: Duration::from_secs(10),
            concurrency: 64,
            snapshot_every: 5_000,
            secrets: Arc::new(NoSecrets),
            tool_search: None,
            metering: None,
            env: Arc::new(|_| None),
        }
    }
}

struct NoSecrets;

#[async_trait]
impl Secrets for NoSecrets {
    async fn get(&self, _: &str) -> Result<Option<Secret>, SecretError> {
        Ok(None)
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services").field("worker", &self.worker).field("tools", &self.tools).finish_non_exhaustive()
    }
}

/// The values of the environment variables that a plan declares; all that are missing are told at once.
pub(super) fn environment(services: &Services, plan: &Plan) -> Result<Option<Value>, ExecutorError> {
    let mut values = Map::new();
    let mut missing = Vec::new();
    for name in &plan.env {
        match (services.env)(name) {
            Some(value) => drop(values.insert(name.clone(), Value::String(value))),
            None => {
                missing.push(format!("the environment variable `{name}` is not there; set it before the run starts"))
            }
        }
    }
    if !missing.is_empty() {
        return Err(ExecutorError::Missing(missing));
    }
    Ok((!values.is_empty()).then_some(Value::Object(values)))
}
