//! Erasing texts of runs that have ended. The log stays as it is, and with it every proof: an event holds a salted hash where the text was, and
//! who erased it, when and why is an event itself.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use parkway_core::engine::{Author, Outside, record_outside};
use parkway_core::id::{RunId, Seq, Time};
use parkway_core::log::{Actor, Commitment, Event, EventKind, Payload};
use parkway_core::memory::MemoryFilter;
use parkway_core::store::{RunFilter, RunSummary, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::AuditLog;
use super::family::family;
use crate::error::Error;

/// Texts that are read at once, and named by one event.
const PART: usize = 256;

/// What a text is to its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Class {
    /// The plan. Without it nobody can tell any more whether the run's events could follow each other.
    Plan,
    /// Inputs, and values of environment variables.
    Inputs,
    /// Arguments of calls, lists and their names, planned steps.
    Arguments,
    /// Outputs of steps and runs, signals, filled forms.
    Outputs,
    /// What models and people were asked, and what answers were held to.
    Prompts,
    /// What models answered, also as token ids.
    Answers,
    /// What went wrong, in words.
    Errors,
    /// Names of people.
    Names,
    /// Remarks of people.
    Notes,
}

impl Class {
    /// All classes.
    pub const ALL: [Class; 9] = [
        Class::Plan,
        Class::Inputs,
        Class::Arguments,
        Class::Outputs,
        Class::Prompts,
        Class::Answers,
        Class::Errors,
        Class::Names,
        Class::Notes,
    ];

    /// Its name: `plan`, `inputs`, …
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Plan => "plan",
            Class::Inputs => "inputs",
            Class::Arguments => "arguments",
            Class::Outputs => "outputs",
            Class::Prompts => "prompts",
            Class::Answers => "answers",
            Class::Errors => "errors",
            Class::Names => "names",
            Class::Notes => "notes",
        }
    }

    /// The class with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Class::ALL.into_iter().find(|class| class.as_str() == name)
    }

    /// The class of what stands under a key of an event; none of what a memory says, which is forgotten and not erased.
    fn of_field(kind: &EventKind, field: &str) -> Option<Self> {
        Some(match (kind, field) {
            (
                EventKind::MemoryWritten { .. } | EventKind::MemoryForgotten { .. } | EventKind::PayloadErased { .. },
                _,
            ) if field != "note" => {
                return None;
            }
            (EventKind::RunCreated { .. }, "plan") => Class::Plan,
            (_, "inputs" | "env") => Class::Inputs,
            (_, "output" | "outputs" | "payload" | "values") => Class::Outputs,
            (EventKind::ModelCalled { .. }, "form") | (_, "messages" | "prompt" | "shown") => Class::Prompts,
            (_, "answer" | "thinking" | "tool_calls" | "tokens") => Class::Answers,
            (_, "message") => Class::Errors,
            (_, "note") => Class::Notes,
            _ => Class::Arguments,
        })
    }
}

/// What is to be erased.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Erase {
    /// Only of this run, and of the runs that its steps had for themselves.
    pub run: Option<RunId>,
    /// Only of runs that have ended before this time.
    pub before: Option<Time>,
    /// Only texts that have this in them; memories of these runs that do are forgotten.
    pub text: Option<String>,
    /// Only of these classes.
    pub classes: BTreeSet<Class>,
}

impl Erase {
    /// All texts of a run but its plan.
    pub fn run(run: RunId) -> Self {
        Erase { run: Some(run), before: None, text: None, classes: Erase::but_the_plan() }
    }

    /// All texts, but the plans, of runs that have ended before this time.
    pub fn before(time: Time) -> Self {
        Erase { run: None, before: Some(time), text: None, classes: Erase::but_the_plan() }
    }

    /// Every text that has this in it, also plans, and every memory.
    pub fn text(text: impl Into<String>) -> Self {
        Erase { run: None, before: None, text: Some(text.into()), classes: Class::ALL.into() }
    }

    fn but_the_plan() -> BTreeSet<Class> {
        Class::ALL.into_iter().filter(|class| *class != Class::Plan).collect()
    }
}

/// What would be erased.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// The texts, by the run that they belong to.
    pub texts: BTreeMap<RunId, BTreeSet<Commitment>>,
    /// How many there are of each class.
    pub classes: BTreeMap<Class, u64>,
    /// Memories that have the text in them.
    pub memories: Vec<(parkway_core::id::MemoryId, Commitment)>,
    /// Runs that have such texts and have not ended: they keep them.
    pub open: Vec<RunId>,
    /// Runs that have such texts and are held: they keep them.
    pub held: Vec<RunId>,
}

impl Found {
    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.texts.values().map(BTreeSet::len).sum()
    }

    /// Whether there is nothing to erase.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.memories.is_empty()
    }
}

/// What was erased.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Erased {
    /// What was found, and is gone.
    pub found: Found,
    /// Whether it is gone from the store's files as well. `false` where somebody reads them: then it is when nobody does.
    pub purged: bool,
}

impl AuditLog {
    /// What would be erased, and what would not.
    pub async fn erasable(&self, what: &Erase) -> Result<Found, Error> {
        if what.text.as_ref().is_some_and(|text| text.trim().is_empty()) {
            return Err(Error::Audit("every text has an empty one in it; say what is to be erased".into()));
        }
        let holds = self.holds().await?;
        let mut found = Found::default();
        let runs = self.runs(what).await?;
        for run in &runs {
            let texts = self.texts_of(run, what).await?;
            if texts.is_empty() {
                continue;
            }
            if !run.status.ended() {
                found.open.push(run.run);
            } else if holds.cover(run.run) {
                found.held.push(run.run);
            } else {
                for class in texts.values() {
                    *found.classes.entry(*class).or_default() += 1;
                }
                found.texts.insert(run.run, texts.into_keys().collect());
            }
        }
        if let Some(text) = what.text.as_ref().filter(|_| holds.all.is_none()) {
            // Those of other runs are not meant.
            let meant: HashSet<RunId> = runs.iter().map(|run| run.run).collect();
            let mut filter = MemoryFilter::default();
            (filter.all, filter.limit) = (true, 1_000);
            loop {
                let page = self.store.memory().list(&filter).await?;
                let Some(last) = page.last() else { break };
                filter.after = last.number;
                for memory in page.into_iter().filter(|memory| meant.contains(&memory.run)) {
                    let has = |said: &String| said.contains(text.as_str());
                    let content = memory.content.as_ref();
                    let said = content.is_some_and(|content| {
                        has(&content.text) || has(&content.namespace) || content.subject.as_ref().is_some_and(has)
                    });
                    if said && holds.cover(memory.run) {
                        found.held.push(memory.run);
                    } else if said {
                        found.memories.push((memory.id, memory.commitment));
                    }
                }
            }
            found.held.sort_unstable();
            found.held.dedup();
        }
        Ok(found)
    }

    /// Erases texts of runs that have ended and are not held. Each erasure is an event with who, when and why; the events that pointed to the
    /// texts stay, and are proven as before. Copies of the store, as backups are, keep what they have.
    ///
    /// # Errors
    ///
    /// The store fails: what was erased by then stays erased.
    pub async fn erase(&self, by: &Author, what: &Erase, note: &str) -> Result<Erased, Error> {
        let found = self.erasable(what).await?;
        let texts: Vec<Commitment> = found.texts.values().flatten().copied().collect();
        for part in texts.chunks(PART) {
            let erased = Outside::Erase { payloads: part.to_vec(), note: note.into() };
            record_outside(&self.services, by, &[erased]).await?;
        }
        for part in found.memories.chunks(PART) {
            let forget =
                |(id, content): &(_, _)| Outside::Forget { id: *id, content: *content, note: Some(note.into()) };
            let forgotten: Vec<Outside> = part.iter().map(forget).collect();
            record_outside(&self.services, by, &forgotten).await?;
        }
        let purged = self.store.purge().await?;
        Ok(Erased { found, purged })
    }

    /// The runs that are looked at, and what happened outside of them where a text is looked for.
    async fn runs(&self, what: &Erase) -> Result<Vec<RunSummary>, Error> {
        let mut runs = self.store.runs(&RunFilter::default()).await?;
        if let Some(run) = what.run {
            if !runs.iter().any(|found| found.run == run) {
                return Err(StoreError::NoRun(run).into());
            }
            let family = family(&runs, run);
            runs.retain(|found| family.contains(&found.run));
        } else if what.text.is_some() {
            let filter = RunFilter { run: Some(RunId::SYSTEM), ..RunFilter::default() };
            runs.extend(self.store.runs(&filter).await?);
        }
        if let Some(before) = what.before {
            runs.retain(|run| run.status.ended() && run.updated < before);
        }
        Ok(runs)
    }

    /// The texts of a run that are to be erased and are there.
    async fn texts_of(&self, run: &RunSummary, what: &Erase) -> Result<BTreeMap<Commitment, Class>, Error> {
        let events = self.store.events(run.run, Seq(0)).await?;
        let mut all = BTreeMap::new();
        for event in &events {
            all.extend(classified(event).into_iter().filter(|(_, class)| what.classes.contains(class)));
        }
        let commitments: Vec<Commitment> = all.keys().copied().collect();
        let mut kept = HashSet::new();
        for part in commitments.chunks(PART) {
            for payload in self.store.payloads(part).await?.into_iter().flatten() {
                if what.text.as_ref().is_none_or(|text| says(&payload, text)) {
                    kept.insert(payload.commitment);
                }
            }
        }
        if what.text.is_some() {
            // What a model answered stands there as token ids, too.
            for event in &events {
                let EventKind::ModelCalled { call, .. } = &event.kind else { continue };
                let said = [Some(call.answer), call.thinking, call.tool_calls];
                if said.into_iter().flatten().any(|said| kept.contains(&said)) {
                    kept.extend(call.tokens);
                }
            }
        }
        all.retain(|commitment, _| kept.contains(commitment));
        Ok(all)
    }
}

/// The texts that an event points to, each with its class.
fn classified(event: &Event) -> Vec<(Commitment, Class)> {
    let mut found = Vec::new();
    let value = serde_json::to_value(&event.kind).unwrap_or_default();
    walk(&value, "", &mut |field, text| {
        if let (Ok(commitment), Some(class)) = (text.parse(), Class::of_field(&event.kind, field)) {
            found.push((commitment, class));
        }
    });
    if let Actor::Person { name, .. } = &event.by {
        found.push((*name, Class::Names));
    }
    found
}

/// Calls `take` with each text and the key that it stands under; what is called a hash is none that is kept.
fn walk(value: &Value, field: &str, take: &mut impl FnMut(&str, &str)) {
    match value {
        Value::String(text) => take(field, text),
        Value::Array(items) => items.iter().for_each(|item| walk(item, field, take)),
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(name, _)| !name.ends_with("_hash"));
            fields.for_each(|(name, value)| walk(value, name, take));
        }
        _ => {}
    }
}

/// Whether a payload has a text in it: in a string, or in the name of a field.
fn says(payload: &Payload, text: &str) -> bool {
    fn within(value: &Value, text: &str) -> bool {
        match value {
            Value::String(said) => said.contains(text),
            Value::Array(items) => items.iter().any(|item| within(item, text)),
            Value::Object(fields) => fields.iter().any(|(name, value)| name.contains(text) || within(value, text)),
            Value::Number(said) => said.to_string() == text,
            Value::Bool(_) | Value::Null => false,
        }
    }
    // What is no JSON cannot be searched, and is not taken for clean.
    payload.value::<Value>().map_or(true, |value| within(&value, text))
}
