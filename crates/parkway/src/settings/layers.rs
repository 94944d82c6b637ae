//! The layers of settings over one another: system, user, project, environment, flags.

use std::fs;
use std::path::Path;

use parkway_core::workflow::{Diagnostic, Diagnostics, did_you_mean};
use serde_json::{Map, Value, json};

use super::file::{self, File, Said};
use super::{Origin, Setting, Sources};
use crate::error::Error;

/// What bounds workflows: each layer that says something about it must allow a thing.
pub(super) const BOUNDS: [&str; 3] = ["env", "roots", "egress"];
/// Places where heads are kept: in those of each layer.
pub(super) const ANCHORS: [&str; 3] = ["audit.append", "audit.commit", "audit.post"];
/// How decisions call the site's rules.
pub(super) const RULES: &str = "site";
/// How decisions call the rules of the project's file, which only tighten.
pub(super) const PROJECT_RULES: &str = "project";
/// The most bytes of a file of settings.
const MAX_BYTES: u64 = 1024 * 1024;
const MODEL: &str = "PARKWAY_MODEL_";
/// Where a model comes from: one of these.
const ORIGINS: [&str; 2] = ["gguf", "openai"];

/// All that is said, farthest layer first.
#[derive(Debug, Default)]
pub(super) struct Layered {
    layers: Vec<Vec<(String, Value, Origin)>>,
}

/// Reads all layers, with the tables of a profile.
pub(super) fn read(sources: &Sources, profile: Option<&str>) -> Result<Layered, Error> {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    let paths = [(&sources.system, false), (&sources.user, false), (&sources.project, true)];
    for (path, of_project) in paths.into_iter().filter_map(|(path, project)| Some((path.as_ref()?, project))) {
        match text(path).and_then(|text| file::read(path, &text, of_project)) {
            Ok(file) => files.push(file),
            Err(wrong) => problems.push(wrong),
        }
    }
    if let Some(name) = profile
        && problems.is_empty()
        && !files.iter().any(|file| file.profiles.contains_key(name))
    {
        problems.push(no_profile(name, sources, &files));
    }
    let mut layers: Vec<_> = files.iter().map(|file| of_file(file, profile)).collect();
    for said in [environment(sources), flags(sources)] {
        let (said, wrong) = said;
        layers.push(said);
        problems.extend(wrong);
    }
    if problems.is_empty() { Ok(Layered { layers }) } else { Err(Error::Settings(problems)) }
}

fn text(path: &Path) -> Result<String, Diagnostics> {
    let cannot = |why: String| {
        let problem = Diagnostic::new("unreadable", None, format!("the settings cannot be read: {why}"));
        Diagnostics::new(&path.display().to_string(), "", vec![problem.help("mend the file, or move it away")])
    };
    let length = fs::metadata(path).map_err(|e| cannot(e.to_string()))?.len();
    if length > MAX_BYTES {
        return Err(cannot(format!("the file has {length} bytes, and {MAX_BYTES} is the most")));
    }
    let text = fs::read_to_string(path).map_err(|e| cannot(e.to_string()))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

fn no_profile(name: &str, sources: &Sources, files: &[File]) -> Diagnostics {
    let known: Vec<_> = files.iter().flat_map(|file| file.profiles.keys().map(String::as_str)).collect();
    let help =
        did_you_mean(name, known).unwrap_or_else(|| format!("no file of settings has a table `[profile.{name}]`"));
    let problem = Diagnostic::new("unknown-profile", None, format!("no profile is called `{name}`")).help(help);
    let origin = if sources.profile.is_some() { "--profile" } else { "$PARKWAY_PROFILE" };
    Diagnostics::new(origin, "", vec![problem])
}

/// What a file says: the profile's tables before the others.
fn of_file(file: &File, profile: Option<&str>) -> Vec<(String, Value, Origin)> {
    let profile = profile.and_then(|name| file.profiles.get(name));
    let said = file.base.iter().chain(profile.into_iter().flatten());
    said.map(|Said { key, value, line }| {
        // What comes with a project cannot loosen what the machine or its user says.
        let key = if file.of_project && key == RULES { PROJECT_RULES } else { key };
        (key.to_owned(), value.clone(), Origin::File { path: file.path.clone(), line: *line })
    })
    .collect()
}

type Outside = (Vec<(String, Value, Origin)>, Vec<Diagnostics>);

fn environment(sources: &Sources) -> Outside {
    let (mut said, mut problems) = (Vec::new(), Vec::new());
    if let Some(store) = sources.variable_of("PARKWAY_STORE") {
        said.push(("store".to_owned(), json!(store), Origin::Environment("PARKWAY_STORE".into())));
    }
    for (name, value) in &sources.environment {
        let Some(model) = name.strip_prefix(MODEL).filter(|_| !value.is_empty()) else { continue };
        match bound(&model.to_lowercase(), value) {
            Ok((key, value)) => said.push((key, value, Origin::Environment(name.clone()))),
            Err(problem) => problems.push(Diagnostics::new(&format!("${name}"), "", vec![problem])),
        }
    }
    (said, problems)
}

fn flags(sources: &Sources) -> Outside {
    let (mut said, mut problems) = (Vec::new(), Vec::new());
    if let Some(store) = &sources.store {
        said.push(("store".to_owned(), json!(store), Origin::Flag("--store".into())));
    }
    for (name, source) in &sources.models {
        match bound(name, source) {
            Ok((key, value)) => said.push((key, value, Origin::Flag("--model".into()))),
            Err(problem) => problems.push(Diagnostics::new("--model", "", vec![problem])),
        }
    }
    (said, problems)
}

/// A model that is said in one word: a file if it looks like one, else the name of a known model.
fn bound(model: &str, source: &str) -> Result<(String, Value), Diagnostic> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if model.is_empty() || source.is_empty() || !model.chars().all(is_name) {
        let problem = Diagnostic::new("bad-setting", None, format!("`{model}={source}` binds no model"));
        return Err(problem.help("write for example `main=smollm2-135m-instruct`, or `main=models/my.gguf`"));
    }
    let is_path = source.contains(['/', '\\']) || source.to_lowercase().ends_with(".gguf");
    let gguf = if is_path {
        // It is said in the folder where the command is given, which need not be the root.
        let path = std::path::absolute(source).unwrap_or_else(|_| source.into());
        json!({ "path": path.display().to_string() })
    } else {
        json!({ "name": source })
    };
    Ok((format!("models.{model}.gguf"), gguf))
}

/// Puts a part into what is known of a model. A model has one source, so that a new one takes the place of any other.
pub(super) fn put_model_part(parts: &mut Map<String, Value>, key: &str, value: Value) {
    if ORIGINS.contains(&key) {
        ORIGINS.iter().for_each(|origin| drop(parts.remove(*origin)));
    }
    parts.insert(key.to_owned(), value);
}

impl Layered {
    /// What applies: of each setting the nearest, of bounds one a layer, of rules all.
    pub(super) fn settled(self) -> Vec<Setting> {
        let mut list: Vec<Setting> = Vec::new();
        let mut rules = [(RULES, 0), (PROJECT_RULES, 0)];
        for layer in self.layers {
            let before = list.len();
            for (key, value, origin) in layer {
                if let Some((name, count)) = rules.iter_mut().find(|(name, _)| key == *name) {
                    let key = format!("{name}[{count}]");
                    *count += 1;
                    list.push(Setting { key, value, origin, over: Vec::new() });
                    continue;
                }
                // A profile may say again within its own layer only what all layers say together.
                let adds = BOUNDS.iter().chain(&ANCHORS).any(|known| key == *known);
                let from = if adds { before } else { 0 };
                match list.iter_mut().skip(from).find(|setting| replaces(&key, &setting.key)) {
                    Some(setting) => {
                        let nearer = Setting { key, value, origin, over: std::mem::take(&mut setting.over) };
                        let farther = std::mem::replace(setting, nearer);
                        setting.over.insert(0, (farther.value, farther.origin));
                    }
                    None => list.push(Setting { key, value, origin, over: Vec::new() }),
                }
            }
        }
        // Rules and bounds stay in the order of their layers.
        list.sort_by(|a, b| (rank(&a.key), name_of(&a.key)).cmp(&(rank(&b.key), name_of(&b.key))));
        list
    }
}

/// Whether what is said under one key takes the place of what is said under another.
fn replaces(key: &str, other: &str) -> bool {
    let source_of = |key: &str| {
        let (model, part) = key.rsplit_once('.')?;
        ORIGINS.contains(&part).then(|| model.to_owned())
    };
    key == other || key.starts_with("models.") && source_of(key).is_some_and(|model| source_of(other) == Some(model))
}

fn name_of(key: &str) -> &str {
    if is_rule(key) { "" } else { key }
}

/// Whether it is the name of a rule.
pub(super) fn is_rule(key: &str) -> bool {
    [RULES, PROJECT_RULES].iter().any(|name| key.strip_prefix(name).is_some_and(|rest| rest.starts_with('[')))
}

fn rank(key: &str) -> usize {
    let kinds = [
        "store",
        "models",
        "embedder",
        "meaning",
        "secrets",
        "env",
        "roots",
        "egress",
        "cost",
        "audit",
        RULES,
        PROJECT_RULES,
    ];
    kinds.iter().position(|kind| key.starts_with(kind)).unwrap_or(kinds.len())
}
