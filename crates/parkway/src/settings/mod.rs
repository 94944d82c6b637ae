//! Site settings: what a machine, a person and a project say about every workflow that runs there. They bind models by
//! name, name the store and the sources of secrets, and set bounds that no workflow leaves. Nothing here is read unless a
//! program asks for it: the command line does, and an embedder may.

#[cfg(feature = "anchors")]
mod anchors;
mod bound;
mod file;
mod layers;
mod secret;
mod sources;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use parkway_core::host::HostPattern;
use parkway_core::id::Digest;
use parkway_core::memory::Weights;
use parkway_core::policy::{Rule, RulePolicy, Verdict};
use parkway_core::workflow::ModelSpec;
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::models::Catalog;
use layers::{BOUNDS, PROJECT_RULES, RULES, is_rule};
pub use secret::SecretSource;
pub use sources::Sources;
pub(crate) use sources::own_folder;

/// The name of the file of each layer.
pub const FILE: &str = "parkway.toml";
/// Where a project keeps its runs unless something else is said.
const STORE: &str = ".parkway/runs.db";

/// Settings that apply, with where each of them was said.
///
/// ```
/// # let folder = std::env::temp_dir().join(format!("parkway-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// use parkway::settings::{Settings, Sources};
///
/// std::fs::write(folder.join("parkway.toml"), "[models.main]\ngguf = { name = \"smollm2-135m-instruct\" }\n").unwrap();
/// let settings = Settings::load(Sources::none(&folder).project(&folder)).unwrap();
/// let main = settings.list().iter().find(|setting| setting.key == "models.main.gguf").unwrap();
/// assert_eq!(main.value["name"], "smollm2-135m-instruct");
/// assert!(main.origin.to_string().ends_with("parkway.toml:2"));
/// # std::fs::remove_dir_all(&folder).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    root: PathBuf,
    profile: Option<String>,
    list: Vec<Setting>,
}

/// One setting that applies.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Setting {
    /// Its name, for example `models.main.context`. Rules are called as decisions call them: `site[0]`,
    /// and `project[0]` those of the project's file.
    pub key: String,
    /// What is said.
    pub value: Value,
    /// Where it is said.
    pub origin: Origin,
    /// What is said elsewhere and does not apply, nearest first. Bounds, rules and places of heads all apply, and override nothing.
    pub over: Vec<(Value, Origin)>,
}

/// Where something is said.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nowhere: what holds if nothing is said.
    Default,
    /// In a file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u32,
    },
    /// In an environment variable.
    Environment(String),
    /// On the command line.
    Flag(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Environment(name) => write!(f, "${name}"),
            Origin::Flag(name) => f.write_str(name),
        }
    }
}

impl Settings {
    /// Reads settings, and tells all that is wrong with them at once.
    pub fn load(sources: Sources) -> Result<Settings, Error> {
        let (root, profile) = (sources.root().to_path_buf(), sources.profile_name());
        let layered = layers::read(&sources, profile.as_deref())?;
        let mut list = layered.settled();
        if !list.iter().any(|setting| setting.key == "store") {
            let value = json!(format!("sqlite:{}", root.join(STORE).display()));
            let store = Setting { key: "store".into(), value, origin: Origin::Default, over: Vec::new() };
            list.insert(0, store);
        }
        Ok(Settings { root, profile, list })
    }

    /// All settings that apply, by their kinds.
    pub fn list(&self) -> &[Setting] {
        &self.list
    }

    /// The folder that grants and paths of workflows are relative to.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The profile that was chosen.
    pub fn profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }

    /// Where runs are kept, and where that is said.
    pub fn store(&self) -> (&str, &Origin) {
        let store = self.list.iter().find(|setting| setting.key == "store");
        store.map_or(("", &Origin::Default), |store| (store.value.as_str().unwrap_or_default(), &store.origin))
    }

    /// Rules of the policy, in the order of their names: those of the system and of the user, then the project's.
    pub fn rules(&self) -> Vec<Rule> {
        [RULES, PROJECT_RULES].into_iter().flat_map(|name| self.rules_called(name)).map(|(_, rule)| rule).collect()
    }

    fn rules_called(&self, name: &str) -> impl Iterator<Item = (&Setting, Rule)> {
        let rules = self.list.iter().filter(move |setting| is_rule(&setting.key) && setting.key.starts_with(name));
        rules.filter_map(|setting| Some((setting, serde_json::from_value(setting.value.clone()).ok()?)))
    }

    pub(crate) fn policy(&self) -> Result<RulePolicy, Error> {
        let rules = |name| self.rules_called(name).map(|(_, rule)| rule).collect::<Vec<_>>();
        RulePolicy::new(&rules(RULES))
            .and_then(|policy| policy.tightened(PROJECT_RULES, &rules(PROJECT_RULES)))
            .map_err(|problems| Error::Setup(problems.join("; ")))
    }

    /// What is said of a model beside, or in place of, what a workflow says of it; with `now`, by flags and variables only.
    pub(crate) fn model(&self, name: &str, spec: &ModelSpec, now: bool) -> Result<ModelSpec, Error> {
        let prefix = format!("models.{name}.");
        let counts = |origin: &Origin| !now || matches!(origin, Origin::Flag(_) | Origin::Environment(_));
        let list = self.list.iter().filter(|setting| counts(&setting.origin));
        let said = list.filter_map(|setting| Some((setting.key.strip_prefix(&prefix)?, &setting.value)));
        let mut parts = match serde_json::to_value(spec) {
            Ok(Value::Object(parts)) => parts,
            _ => Map::new(),
        };
        for (key, value) in said {
            layers::put_model_part(&mut parts, key, value.clone());
        }
        serde_json::from_value(Value::Object(parts)).map_err(|error| Error::Model {
            name: name.into(),
            cause: format!("what the settings say of it does not fit what the workflow says: {error}"),
        })
    }

    /// The model that makes vectors, with what is said of it.
    pub(crate) fn embedder(&self) -> Result<Option<(&str, ModelSpec)>, Error> {
        let Some(setting) = self.list.iter().find(|setting| setting.key == "embedder") else { return Ok(None) };
        let name = setting.value.as_str().unwrap_or_default();
        let spec = self.model(name, &ModelSpec::default(), false)?;
        if spec.gguf.is_none() && spec.openai.is_none() {
            let origin = &setting.origin;
            return Err(Error::Setup(format!(
                "the embedder `{name}` ({origin}) has no source; say it in {FILE}: `[models.{name}]`, `gguf = {{ path = \"…\" }}`"
            )));
        }
        Ok(Some((name, spec)))
    }

    /// How much words and meaning count where something is recalled.
    pub(crate) fn weights(&self) -> Weights {
        let said = self.list.iter().find(|setting| setting.key == "meaning");
        let weight = said.and_then(|setting| setting.value.as_f64());
        weight.map_or_else(Weights::default, |weight| Weights::new(1.0, weight))
    }

    /// Where a secret comes from; `None` if nothing is said of it.
    pub fn secret_source(&self, name: &str) -> Option<SecretSource> {
        let key = format!("secrets.{name}");
        let setting = self.list.iter().find(|setting| setting.key == key)?;
        SecretSource::from_value(&setting.value)
    }

    /// The value of a secret, or why it cannot be had.
    pub fn secret(&self, name: &str) -> Result<String, Error> {
        let Some(source) = self.secret_source(name) else {
            return Err(Error::Setup(format!(
                "no source is named for the secret `{name}`; add to {FILE}: `[secrets]`, `{name} = {{ env = \"{name}\" }}`"
            )));
        };
        source.read(&self.root).map_err(|why| Error::Setup(format!("the secret `{name}` cannot be had: {why}")))
    }

    /// Whether workflows may read this environment variable. All that they declare, if no layer says anything.
    pub fn may_read_env(&self, name: &str) -> bool {
        self.bounds("env").all(|names| names.contains(&name))
    }

    /// What each layer that says something about a bound allows; all of them must.
    fn bounds(&self, key: &str) -> impl Iterator<Item = Vec<&str>> {
        let said = self.list.iter().filter(move |setting| setting.key == key && BOUNDS.contains(&setting.key.as_str()));
        said.map(|setting| setting.value.as_array().into_iter().flatten().filter_map(Value::as_str).collect())
    }

    /// Why a folder or a file that a workflow wants is out of bounds; `None` if it is not.
    pub(crate) fn path_out_of_bounds(&self, path: &str) -> Option<String> {
        self.bounds("roots").find_map(|roots| bound::outside(&self.root, path, &roots))
    }

    /// Why hosts that a workflow wants to reach are out of bounds; `None` if they are not.
    pub(crate) fn host_out_of_bounds(&self, host: &HostPattern, private: bool) -> Option<String> {
        self.bounds("egress").find_map(|hosts| bound::beyond(host, private, &hosts))
    }

    /// Whether a head is to be signed, and kept in all the places that are named, whenever a program has executed a run.
    pub fn signs_after_runs(&self) -> bool {
        self.list.iter().any(|setting| setting.key == "audit.after_runs" && setting.value == true)
    }

    /// SHA-256 of what applies, but for the store, for prices and for what becomes of heads: no run does anything else for these.
    pub fn digest(&self) -> Digest {
        let beside = |key: &str| key == "store" || key.starts_with("cost.") || key.starts_with("audit.");
        let counts = |setting: &&Setting| !beside(&setting.key);
        let said: BTreeMap<&str, Vec<Value>> =
            self.list.iter().filter(counts).fold(BTreeMap::new(), |mut said, setting| {
                said.entry(setting.key.as_str()).or_default().push(sorted(&setting.value));
                said
            });
        let text = json!({ "profile": self.profile, "settings": said }).to_string();
        Digest::of(&[b"parkway-settings-1\0", text.as_bytes()])
    }

    /// Why the file of the embedder cannot be loaded, as far as that shows without loading it.
    fn lost_embedder(&self) -> Option<String> {
        let (name, spec) = match self.embedder() {
            Ok(said) => said?,
            Err(error) => return Some(error.to_string()),
        };
        let gguf = spec.gguf?;
        let why = match (gguf.name, gguf.path) {
            (Some(known), _) => Catalog::open().and_then(|catalog| catalog.resolve(&known)).err()?.to_string(),
            (None, Some(path)) if !self.root.join(&path).is_file() => format!("no file is called {path}"),
            _ => return None,
        };
        Some(format!(
            "the embedder `{name}` cannot be loaded, so that the tools for a goal are found by their words alone: {why}"
        ))
    }

    /// What should not be as it is, though it works: files of secrets that others can read, rules without effect, and an embedder whose
    /// file is not there.
    pub fn warnings(&self) -> Vec<String> {
        let secrets = self.list.iter().filter_map(|setting| Some((setting.key.strip_prefix("secrets.")?, setting)));
        let sources = secrets.filter_map(|(name, setting)| Some((name, SecretSource::from_value(&setting.value)?)));
        let exposed = sources.filter_map(|(name, source)| source.warning(name, &self.root));
        let idle = self.rules_called(PROJECT_RULES).filter(|(_, rule)| rule.verdict == Verdict::Allow);
        let idle = idle.map(|(setting, _)| {
            format!(
                "the rule {} ({}) says `allow` and changes nothing: the file of a project only tightens; a rule of your \
                 own ~/.config/parkway/{FILE} is heard",
                setting.key, setting.origin
            )
        });
        exposed.chain(idle).chain(self.lost_embedder()).collect()
    }
}

/// The value with the keys of its maps in order, so that equal values have equal texts.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<_, _> = map.iter().map(|(key, value)| (key.clone(), self::sorted(value))).collect();
            Value::Object(sorted.into_iter().collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(self::sorted).collect()),
        other => other.clone(),
    }
}
