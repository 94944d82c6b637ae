//! Which model a name in a workflow stands for: one that the program brought, or one that is loaded when a run needs it.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use parkway_core::model::{Model, SharedModel};
use parkway_core::secret::Secrets;
#[cfg(feature = "llama")]
use parkway_core::workflow::Isolation;
use parkway_core::workflow::ModelSpec;
use tokio::sync::Mutex;

use crate::error::Error;

/// Told how far the loading of a model is: its name, and a number from 0 to 1.
pub type LoadProgress = Arc<dyn Fn(&str, f32) + Send + Sync>;

/// A model that a program brings, or says how to load.
#[derive(Clone)]
pub struct ModelBinding {
    source: Source,
}

#[derive(Clone)]
enum Source {
    Ready(SharedModel),
    #[cfg(feature = "llama")]
    Llama(Box<crate::local::Local>),
    #[cfg(feature = "openai")]
    OpenAi(Box<parkway_openai::OpenAiConfig>),
}

impl ModelBinding {
    /// A model of any kind.
    pub fn new(model: impl Model + 'static) -> Self {
        ModelBinding { source: Source::Ready(Arc::new(model)) }
    }
}

impl fmt::Debug for ModelBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Ready(model) => f.debug_tuple("Ready").field(&model.capabilities().name).finish(),
            #[cfg(feature = "llama")]
            Source::Llama(config) => f.debug_tuple("Llama").field(config).finish(),
            #[cfg(feature = "openai")]
            Source::OpenAi(config) => f.debug_tuple("OpenAi").field(config).finish(),
        }
    }
}

impl From<SharedModel> for ModelBinding {
    fn from(model: SharedModel) -> Self {
        ModelBinding { source: Source::Ready(model) }
    }
}

#[cfg(feature = "testing")]
impl From<parkway_core::testing::ScriptedModel> for ModelBinding {
    fn from(model: parkway_core::testing::ScriptedModel) -> Self {
        ModelBinding::new(model)
    }
}

#[cfg(feature = "llama")]
impl From<parkway_llama::LlamaConfig> for ModelBinding {
    fn from(config: parkway_llama::LlamaConfig) -> Self {
        ModelBinding { source: Source::Llama(Box::new(config.into())) }
    }
}

#[cfg(feature = "llama")]
impl From<parkway_llama::IsolatedConfig> for ModelBinding {
    fn from(config: parkway_llama::IsolatedConfig) -> Self {
        ModelBinding { source: Source::Llama(Box::new(config.into())) }
    }
}

#[cfg(feature = "llama")]
impl From<parkway_llama::IsolatedLlama> for ModelBinding {
    fn from(model: parkway_llama::IsolatedLlama) -> Self {
        ModelBinding::new(model)
    }
}

#[cfg(feature = "llama")]
impl From<parkway_llama::Llama> for ModelBinding {
    fn from(model: parkway_llama::Llama) -> Self {
        ModelBinding::new(model)
    }
}

#[cfg(feature = "openai")]
impl From<parkway_openai::OpenAiConfig> for ModelBinding {
    fn from(config: parkway_openai::OpenAiConfig) -> Self {
        ModelBinding { source: Source::OpenAi(Box::new(config)) }
    }
}

#[cfg(feature = "openai")]
impl From<parkway_openai::OpenAi> for ModelBinding {
    fn from(model: parkway_openai::OpenAi) -> Self {
        ModelBinding::new(model)
    }
}

/// Why no model file can be used.
#[cfg(not(feature = "llama"))]
pub(crate) const WITHOUT_LLAMA: &str =
    "this program was built without llama.cpp; build it with the feature `llama`, or bind a model of your own";

/// What a workflow asks of a model that no adapter here can give: never passed over.
pub(crate) fn missing_support(spec: &ModelSpec) -> Option<&'static str> {
    if spec.openai.is_some() {
        return missing_at_a_server(spec);
    }
    if spec.gguf.as_ref().is_some_and(|gguf| gguf.repo.is_some()) {
        return Some(
            "files of a repository are not fetched in this version; fetch the file, and name it with `gguf: { path: … }`",
        );
    }
    None
}

/// What a server cannot be asked for, since it was started by somebody else.
fn missing_at_a_server(spec: &ModelSpec) -> Option<&'static str> {
    if cfg!(not(feature = "openai")) {
        return Some(
            "this program was built without the adapter for servers; build it with the feature `openai`, name a file with `gguf`, or bind a model of your own",
        );
    }
    let placed = spec.gpu_layers.is_some() || !spec.gpus.is_empty() || spec.gpu_split.is_some();
    if placed || spec.isolation.is_some() {
        return Some(
            "where a model at a server computes is decided there; remove `gpu_layers`, `gpus`, `gpu_split` and `isolation`",
        );
    }
    if spec.deterministic {
        return Some("a server is not known to decode the same request alike each time; remove `deterministic`");
    }
    if !spec.adapters.is_empty() {
        return Some(
            "`adapters` cannot be put on a model at a server; where the server has one under a name of its own, write that name as `model`",
        );
    }
    None
}

/// What may be read to know a model better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Nothing: only what is in memory already.
    Loaded,
    /// The vocabularies of model files, which takes a moment.
    Vocabularies,
}

/// Finds models by name, and keeps those that were loaded.
pub(crate) struct Models {
    bound: HashMap<String, ModelBinding>,
    loaded: Mutex<HashMap<String, SharedModel>>,
    #[cfg(feature = "llama")]
    vocabularies: std::sync::Mutex<HashMap<String, Option<SharedModel>>>,
    /// Where the keys of servers are.
    #[cfg_attr(not(feature = "openai"), expect(dead_code, reason = "without the adapter for servers nobody asks"))]
    secrets: Arc<dyn Secrets>,
    progress: Option<LoadProgress>,
    require_gpu: bool,
}

impl Models {
    pub(crate) fn new(
        bound: HashMap<String, ModelBinding>,
        secrets: Arc<dyn Secrets>,
        progress: Option<LoadProgress>,
        require_gpu: bool,
    ) -> Self {
        Models {
            bound,
            secrets,
            loaded: Mutex::default(),
            #[cfg(feature = "llama")]
            vocabularies: std::sync::Mutex::default(),
            progress,
            require_gpu,
        }
    }

    /// The model that `name` stands for, to be asked what it can do and how long prompts are: one that is loaded, else the
    /// vocabulary of its file; `None` where neither is at hand.
    pub(crate) fn at_hand(&self, name: &str, spec: &ModelSpec, root: &Path, reading: Reading) -> Option<SharedModel> {
        if let Some(Source::Ready(model)) = self.bound.get(name).map(|binding| &binding.source) {
            return Some(model.clone());
        }
        // Another run may be loading one: then this does not wait for it.
        let loaded = self.loaded.try_lock().ok().and_then(|loaded| loaded.get(&key(name, spec)).cloned());
        loaded.or_else(|| self.vocabulary(name, spec, root, reading))
    }

    #[cfg(not(feature = "llama"))]
    #[expect(clippy::unused_self, reason = "with llama.cpp it keeps them")]
    fn vocabulary(&self, _: &str, _: &ModelSpec, _: &Path, _: Reading) -> Option<SharedModel> {
        None
    }

    #[cfg(feature = "llama")]
    fn vocabulary(&self, name: &str, spec: &ModelSpec, root: &Path, reading: Reading) -> Option<SharedModel> {
        if reading == Reading::Loaded {
            return None;
        }
        let mut known = self.vocabularies.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let read = || {
            let config = match self.bound.get(name).map(|binding| binding.source.clone()) {
                Some(Source::Llama(config)) => *config,
                Some(_) => return None,
                None if missing_support(spec).is_some() => return None,
                None => local_of(name, spec, root).ok()?,
            };
            // A file that is absent or broken is told when it is loaded.
            config.load_vocabulary().ok()
        };
        known.entry(key(name, spec)).or_insert_with(read).clone()
    }

    /// The model that `name` stands for: the program's, else the one that the plan says. Paths are relative to `root`.
    pub(crate) async fn find(&self, name: &str, spec: &ModelSpec, root: &Path) -> Result<SharedModel, Error> {
        let key = key(name, spec);
        // Held while loading, so that two runs do not load one model twice.
        let mut loaded = self.loaded.lock().await;
        if let Some(model) = loaded.get(&key) {
            return Ok(model.clone());
        }
        let (model, keep) = match self.bound.get(name).map(|binding| binding.source.clone()) {
            Some(Source::Ready(model)) => (model, true),
            #[cfg(feature = "llama")]
            Some(Source::Llama(config)) => (self.load(name, *config).await?, true),
            #[cfg(feature = "openai")]
            Some(Source::OpenAi(config)) => crate::server::load(name, *config).await?,
            None => match missing_support(spec) {
                Some(cause) => return Err(Error::Model { name: name.into(), cause: cause.into() }),
                #[cfg(feature = "openai")]
                None if spec.openai.is_some() => {
                    let config = crate::server::config_of(name, spec, self.secrets.as_ref()).await?;
                    crate::server::load(name, config).await?
                }
                None => (self.open(name, spec, root).await?, true),
            },
        };
        if keep {
            loaded.insert(key, model.clone());
        }
        Ok(model)
    }

    #[cfg(not(feature = "llama"))]
    async fn open(&self, name: &str, _: &ModelSpec, _: &Path) -> Result<SharedModel, Error> {
        // Kept for the shape of the struct: without a backend there is nothing to load.
        let _ = (&self.progress, self.require_gpu);
        Err(Error::Model { name: name.into(), cause: WITHOUT_LLAMA.into() })
    }

    #[cfg(feature = "llama")]
    async fn open(&self, name: &str, spec: &ModelSpec, root: &Path) -> Result<SharedModel, Error> {
        self.load(name, local_of(name, spec, root)?).await
    }

    #[cfg(feature = "llama")]
    async fn load(&self, name: &str, mut config: crate::local::Local) -> Result<SharedModel, Error> {
        if self.require_gpu {
            config = config.on_gpu();
        }
        let (progress, shown) = (self.progress.clone(), name.to_owned());
        let tell = move |done: f32| {
            if let Some(progress) = &progress {
                progress(&shown, done);
            }
        };
        config.load(tell).await.map_err(|error| Error::Model { name: name.into(), cause: error.to_string() })
    }
}

/// The name is part of the key, since it is what progress and errors call the model.
fn key(name: &str, spec: &ModelSpec) -> String {
    format!("{name} {}", serde_json::to_string(spec).unwrap_or_default())
}

/// The file that a workflow means, how it is to be loaded, and where.
#[cfg(feature = "llama")]
fn local_of(name: &str, spec: &ModelSpec, root: &Path) -> Result<crate::local::Local, Error> {
    let config = config_of(name, spec, root)?;
    Ok(if spec.isolation == Some(Isolation::Process) { config.isolated().into() } else { config.into() })
}

/// The file that a workflow means, and how it is to be loaded.
#[cfg(feature = "llama")]
pub(crate) fn config_of(name: &str, spec: &ModelSpec, root: &Path) -> Result<parkway_llama::LlamaConfig, Error> {
    use parkway_core::workflow::{GpuLayers, GpuSplit};

    let fail = |cause: String| Error::Model { name: name.into(), cause };
    let gguf = spec.gguf.as_ref();
    let path = match (gguf.and_then(|g| g.name.as_ref()), gguf.and_then(|g| g.path.as_ref())) {
        (Some(known), None) => {
            let catalog = crate::models::Catalog::open().map_err(|e| fail(e.to_string()))?;
            catalog.resolve(known).map_err(|e| fail(e.to_string()))?
        }
        (None, Some(path)) => root.join(path),
        _ => {
            let cause = "the workflow must say where it comes from: `gguf: { name: … }` or `gguf: { path: … }`";
            return Err(fail(cause.into()));
        }
    };
    let mut config = parkway_llama::Llama::gguf(path).deterministic(spec.deterministic);
    if let Some(known) = gguf.and_then(|g| g.name.as_ref()) {
        config = config.name(known);
    }
    if let Some(context) = spec.context {
        config = config.context_length(context);
    }
    for (name, adapter) in &spec.adapters {
        #[expect(clippy::cast_precision_loss, reason = "thousandths that a checked file may say are exact")]
        let scale = adapter.scale_milli as f32 / 1_000.0;
        config = config.adapter_scaled(name, root.join(&adapter.path), scale);
    }
    if let Some(GpuSplit::Rows) = spec.gpu_split {
        config = config.gpu_split(parkway_llama::GpuSplit::Rows);
    }
    Ok(config.gpus(&spec.gpus).gpu_layers(match spec.gpu_layers.unwrap_or_default() {
        GpuLayers::Auto => parkway_llama::GpuLayers::Auto,
        GpuLayers::All => parkway_llama::GpuLayers::All,
        GpuLayers::Count(count) => parkway_llama::GpuLayers::Count(count),
    }))
}

impl fmt::Debug for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Models").field("bound", &self.bound).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use parkway_core::secret::{Secret, SecretError};
    use serde_json::{Value, json};

    use super::*;

    struct Safe;

    #[async_trait]
    impl Secrets for Safe {
        async fn get(&self, name: &str) -> Result<Option<Secret>, SecretError> {
            match name {
                "EMPTY" => Ok(Some(Secret::new(" "))),
                "BROKEN" => Err(SecretError("the safe does not open".into())),
                "LINES" => Ok(Some(Secret::new("sk-one\nsk-two"))),
                _ => Ok(None),
            }
        }
    }

    async fn refused(spec: Value) -> String {
        let models = Models::new(HashMap::new(), Arc::new(Safe), None, false);
        let spec: ModelSpec = serde_json::from_value(spec).unwrap();
        let error = models.find("main", &spec, Path::new(".")).await.err().unwrap().to_string();
        error.strip_prefix("the model `main` cannot be used: ").unwrap().to_owned()
    }

    #[tokio::test]
    async fn what_no_adapter_can_give_is_never_passed_over() {
        for (spec, named) in [(json!({"gguf": {"repo": "someone/something"}}), "repository")] {
            let cause = refused(spec).await;
            assert!(cause.contains(named), "{cause}");
        }
        let server = json!({"url": "http://localhost:1/v1", "model": "m"});
        for (key, value) in [
            ("gpu_layers", json!(3)),
            ("gpus", json!(["CUDA0"])),
            ("gpu_split", json!("rows")),
            ("isolation", json!("thread")),
            ("deterministic", json!(true)),
            ("adapters", json!({"legal": "legal.gguf"})),
        ] {
            let cause = refused(json!({ "openai": server, key: value })).await;
            let named = if cfg!(feature = "openai") { key } else { "openai" };
            assert!(cause.contains(&format!("`{named}`")), "{cause}");
        }
    }

    #[cfg(feature = "llama")]
    #[test]
    fn adapters_are_files_of_the_project() {
        let spec = json!({"gguf": {"path": "base.gguf"}, "adapters": {"legal": "models/legal.gguf", "far": {"path": "/far.gguf", "scale": -0.25}}});
        let config = config_of("main", &serde_json::from_value(spec).unwrap(), Path::new("/project")).unwrap();
        let said = format!("{config:?}");
        for part in [
            "/project/base.gguf",
            "/project/models/legal.gguf\", scale_milli: 1000",
            "\"/far.gguf\", scale_milli: -250",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }

    #[cfg(feature = "openai")]
    #[tokio::test]
    async fn a_key_that_cannot_be_had_is_named_with_the_way_to_give_it() {
        let spec = |key: &str| json!({"openai": {"url": "http://localhost:1/v1", "model": "m", "key": key}});
        for (key, cause) in [
            (
                "NONE",
                "its key, the secret `NONE`, has no source; say where it comes from in `parkway.toml`: `[secrets]`, `NONE = { env = \"NONE\" }`",
            ),
            ("EMPTY", "its key, the secret `EMPTY`, is empty"),
            ("BROKEN", "its key, the secret `BROKEN`, cannot be read: the safe does not open"),
            (
                "LINES",
                "the key cannot be sent to a server: it holds spaces, line breaks or characters beyond ASCII; check the value of its secret",
            ),
        ] {
            assert_eq!(refused(spec(key)).await, cause);
        }
        let url = json!({"openai": {"url": "http://me:hunter2@localhost:1/v1", "model": "m"}});
        let cause = refused(url).await;
        assert!(cause.contains("http://…@localhost:1/v1") && !cause.contains("hunter2"), "{cause}");
    }
}
