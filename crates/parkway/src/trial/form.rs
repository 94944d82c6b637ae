//! The file of tests as an author writes it.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use parkway_core::workflow::{Diagnostic, Diagnostics, Place, did_you_mean};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::{Location, Spanned};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileForm {
    /// The workflow's file.
    #[serde(default)]
    pub(super) workflow: Option<String>,
    pub(super) tests: Named<TrialForm>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrialForm {
    #[serde(default)]
    pub(super) description: Option<String>,
    #[serde(default)]
    pub(super) inputs: Map<String, Value>,
    /// Files of the test's folder, by their paths from the project root.
    #[serde(default)]
    pub(super) files: Named<FileSource>,
    /// What models answer, by their names.
    #[serde(default)]
    pub(super) models: BTreeMap<String, Vec<ModelRule>>,
    /// Answers of a run, which go before those.
    #[serde(default)]
    pub(super) recorded: Option<Spanned<String>>,
    /// What tools answer, by their names.
    #[serde(default)]
    pub(super) tools: BTreeMap<String, Vec<ToolRule>>,
    /// Environment variables.
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
    /// Secrets, played: the real ones are not read.
    #[serde(default)]
    pub(super) secrets: BTreeMap<String, String>,
    /// Signals, which are there from the beginning on.
    #[serde(default)]
    pub(super) signals: Vec<Signal>,
    /// What people answer, by the steps that ask.
    #[serde(default)]
    pub(super) answers: Named<Reply>,
    pub(super) expect: Expected,
}

/// A file: its text, or where it is copied from.
#[derive(Debug)]
pub(super) enum FileSource {
    Text(String),
    File(String),
    Folder(String),
}

impl<'de> Deserialize<'de> for FileSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case", deny_unknown_fields)]
        struct Copied {
            file: Option<String>,
            folder: Option<String>,
        }
        struct SourceVisitor;
        impl<'de> Visitor<'de> for SourceVisitor {
            type Value = FileSource;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, `{ file: path }`, or `{ folder: path }`")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<FileSource, E> {
                Ok(FileSource::Text(text.into()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FileSource, A::Error> {
                use serde::de::Error as _;
                let copied = Copied::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                match (copied.file, copied.folder) {
                    (Some(file), None) => Ok(FileSource::File(file)),
                    (None, Some(folder)) => Ok(FileSource::Folder(folder)),
                    _ => Err(A::Error::custom("a copy is of a `file` or of a `folder`")),
                }
            }
        }
        deserializer.deserialize_any(SourceVisitor)
    }
}

/// An answer of a model to requests that fit.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelRule {
    /// Requests of this step only.
    #[serde(default)]
    pub(super) step: Option<String>,
    /// Requests with this text in a message only.
    #[serde(default)]
    pub(super) when: Option<String>,
    /// The answer: text, or a value that is written as JSON.
    #[serde(default)]
    pub(super) answer: Option<Value>,
    /// A failure in place of an answer.
    #[serde(default)]
    pub(super) error: Option<Failing>,
    /// How many requests it answers; all if absent.
    #[serde(default)]
    pub(super) times: Option<u32>,
}

/// An answer of a tool to calls that fit.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ToolRule {
    /// Calls of this step only.
    #[serde(default)]
    pub(super) step: Option<String>,
    /// Calls with these arguments only.
    #[serde(default)]
    pub(super) with: Map<String, Value>,
    #[serde(default)]
    pub(super) output: Option<Value>,
    /// A failure in place of an output.
    #[serde(default)]
    pub(super) error: Option<Failing>,
    /// How many calls it answers; all if absent.
    #[serde(default)]
    pub(super) times: Option<u32>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Failing {
    #[serde(default = "broken")]
    pub(super) code: String,
    #[serde(default)]
    pub(super) message: String,
    /// Whether the same call may succeed later.
    #[serde(default)]
    pub(super) retryable: bool,
    /// Whether it is certain that the call had no effect.
    #[serde(default)]
    pub(super) not_done: bool,
}

fn broken() -> String {
    "broken".into()
}

/// What a person says to a step that asks.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reply {
    /// To an approval: yes or no.
    #[serde(default)]
    pub(super) approve: Option<bool>,
    #[serde(default)]
    pub(super) note: Option<String>,
    /// To a form: the values.
    #[serde(default)]
    pub(super) fill: Option<Map<String, Value>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Signal {
    pub(super) name: String,
    #[serde(default)]
    pub(super) payload: Value,
}

/// What is expected when the run does not go on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expected {
    #[serde(default)]
    pub(super) status: Option<Spanned<String>>,
    /// The code with which the run failed.
    #[serde(default)]
    pub(super) code: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) outputs: Option<Spanned<Value>>,
    #[serde(default)]
    pub(super) steps: Named<StepExpected>,
    /// Events that come in this order, perhaps with others between them: `step_skipped: confirm`, or a name alone.
    #[serde(default)]
    pub(super) events: Vec<Spanned<Value>>,
    /// Files of the test's folder, by their paths; null for one that must not be there.
    #[serde(default)]
    pub(super) files: Named<Value>,
    /// Whether the whole story is compared with one that was written before.
    #[serde(default)]
    pub(super) snapshot: bool,
}

/// A status alone, or more.
#[derive(Debug, Default)]
pub(super) struct StepExpected {
    pub(super) status: Option<String>,
    pub(super) output: Option<Value>,
    pub(super) code: Option<String>,
    pub(super) attempts: Option<u32>,
}

impl<'de> Deserialize<'de> for StepExpected {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct All {
            #[serde(default)]
            status: Option<String>,
            #[serde(default)]
            output: Option<Value>,
            #[serde(default)]
            code: Option<String>,
            #[serde(default)]
            attempts: Option<u32>,
        }
        struct StepVisitor;
        impl<'de> Visitor<'de> for StepVisitor {
            type Value = StepExpected;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status, or `{ status, output, code, attempts }`")
            }
            fn visit_str<E: serde::de::Error>(self, status: &str) -> Result<StepExpected, E> {
                Ok(StepExpected { status: Some(status.into()), ..StepExpected::default() })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<StepExpected, A::Error> {
                let All { status, output, code, attempts } =
                    All::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(StepExpected { status, output, code, attempts })
            }
        }
        deserializer.deserialize_any(StepVisitor)
    }
}

/// A map in the order of its lines, with the places of its keys.
#[derive(Debug)]
pub(super) struct Named<T>(pub(super) Vec<(Spanned<String>, T)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Named(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamedVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for NamedVisitor<T> {
            type Value = Named<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Named(entries))
            }
        }
        deserializer.deserialize_map(NamedVisitor(PhantomData))
    }
}

/// Reads the text of a file of tests.
pub(super) fn parse(file: &str, source: &str) -> Result<FileForm, Diagnostics> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        merge_keys: serde_saphyr::MergeKeyPolicy::Error,
    };
    let form: FileForm = serde_saphyr::from_str_with_options(source, options).map_err(|error| {
        let problem = in_words(error.location().map(place_of), &error.to_string());
        Diagnostics::new(file, source, vec![problem])
    })?;
    let problems = meaning(&form);
    if problems.is_empty() { Ok(form) } else { Err(Diagnostics::new(file, source, problems)) }
}

/// What the form alone does not say.
fn meaning(form: &FileForm) -> Vec<Diagnostic> {
    const STATUS: [&str; 4] = ["completed", "failed", "waiting", "cancelled"];
    const STEP: [&str; 8] =
        ["pending", "running", "waiting", "completed", "failed", "skipped", "cancelled", "in_doubt"];
    let mut problems = Vec::new();
    let mut known = |word: &str, words: &[&str], location: Location| {
        if !words.contains(&word) {
            let mut problem =
                Diagnostic::new("bad-value", place_of(location), format!("`{word}` is no status that can be expected"));
            problem.help = did_you_mean(word, words.iter().copied());
            problems.push(problem);
        }
    };
    for (_, test) in &form.tests.0 {
        if let Some(status) = &test.expect.status {
            known(&status.value, &STATUS, status.referenced);
        }
        for (key, step) in &test.expect.steps.0 {
            if let Some(status) = &step.status {
                known(status, &STEP, key.referenced);
            }
        }
    }
    for (name, test) in &form.tests.0 {
        let both = test.models.values().flatten().any(|rule| rule.answer.is_some() == rule.error.is_some())
            || test.tools.values().flatten().any(|rule| rule.output.is_some() == rule.error.is_some());
        if both {
            let message =
                "each answer of a model has an `answer` or an `error`, each of a tool an `output` or an `error`";
            problems.push(Diagnostic::new("bad-value", place_of(name.referenced), message));
        }
    }
    problems
}

pub(super) fn place_of(location: Location) -> Place {
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).max(1);
    Place { line: number(location.line()), column: number(location.column()) }
}

fn in_words(place: Option<Place>, message: &str) -> Diagnostic {
    let message = message.split(" at line ").next().unwrap_or(message).trim_end_matches(',');
    if let Some(rest) = message.strip_prefix("unknown field `") {
        let (name, list) = rest.split_once('`').unwrap_or((rest, ""));
        let known: Vec<_> = list
            .split('`')
            .skip(1)
            .step_by(2)
            .chain(list.rsplit_once("one of ").into_iter().flat_map(|(_, list)| list.split(", ")))
            .collect();
        let mut problem = Diagnostic::new("unknown-key", place, format!("`{name}` is no key here"));
        problem.help = did_you_mean(name, known);
        return problem;
    }
    match message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
        Some(name) => Diagnostic::new("missing-key", place, format!("the key `{name}` is missing")),
        None => Diagnostic::new("yaml", place, message),
    }
}
