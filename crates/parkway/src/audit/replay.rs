//! Decoding the recorded calls of models again. Each request is made of what the log holds, what tools returned among it; nothing is
//! run, and nothing is written.

mod compare;
mod request;

use std::collections::BTreeMap;

use parkway_core::id::{RunId, Seq, StepKey};
use parkway_core::log::{Event, EventKind, ModelCall};
use parkway_core::model::{Capabilities, SharedModel};
use parkway_core::store::{RunFilter, StoreError};

pub use self::compare::{Difference, Excerpt};
use super::family::family;
use crate::embed::Parkway;
use crate::error::Error;
use crate::record::Record;

/// How calls are decoded again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replaying {
    /// Whether also by another model, template or adapter than the recorded one, as far as it can be.
    pub anyway: bool,
}

/// What became of one recorded call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replayed {
    /// The run that has made it.
    pub run: RunId,
    /// The event that tells of it.
    pub event: Seq,
    /// The step that asked.
    pub step: StepKey,
    /// Which attempt at the step.
    pub attempt: u32,
    /// Which of its answers: one that was not of the form asked for was asked for again.
    pub turn: u32,
    /// The model's name in the workflow.
    pub model: String,
    /// Where it was decoded then.
    pub device: String,
    /// Where it is decoded now; none where the model is not at hand.
    pub device_now: Option<String>,
    /// What is another thing now than the recorded one: the file of the model, its template, its adapter, what held the answer.
    pub others: Vec<String>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of decoding a call again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The answer is the recorded one.
    Same {
        /// How many token ids are equal; none where the texts were compared, since no ids are told.
        tokens: Option<usize>,
    },
    /// It is another one.
    Differs(Difference),
    /// It was not decoded, and why.
    NotDecoded(String),
}

/// What became of all calls of a run, and of the runs that its steps had for themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replay {
    /// The calls, those of each run in the order of its log.
    pub calls: Vec<Replayed>,
}

impl Replay {
    /// Whether every answer is the recorded one, given by what gave the recorded one.
    pub fn holds(&self) -> bool {
        self.calls.iter().all(|call| matches!(call.outcome, Outcome::Same { .. }) && call.others.is_empty())
    }

    /// How many answers are the recorded ones, how many are others, and how many were not decoded.
    pub fn counts(&self) -> (usize, usize, usize) {
        let of = |fits: fn(&Outcome) -> bool| self.calls.iter().filter(|call| fits(&call.outcome)).count();
        (
            of(|outcome| matches!(outcome, Outcome::Same { .. })),
            of(|outcome| matches!(outcome, Outcome::Differs(_))),
            of(|outcome| matches!(outcome, Outcome::NotDecoded(_))),
        )
    }
}

/// A call as the log has it.
#[derive(Clone, Copy)]
struct Recorded<'e> {
    event: Seq,
    step: &'e StepKey,
    attempt: u32,
    turn: u32,
    call: &'e ModelCall,
}

impl<'e> Recorded<'e> {
    fn of(event: &'e Event) -> Option<Self> {
        match &event.kind {
            EventKind::ModelCalled { key, attempt, turn, call } => {
                Some(Recorded { event: event.seq, step: key, attempt: *attempt, turn: *turn, call })
            }
            _ => None,
        }
    }
}

impl Parkway {
    /// Decodes the calls of models that a run has recorded once more, one after the other, also those of the runs that its steps had for
    /// themselves, and holds the answers against the recorded ones: by the ids of their tokens where these were recorded, else by their
    /// texts. `tell` is told of each as soon as it is known. A model that is at a server is asked there.
    ///
    /// No tool is called: what tools returned is read from the log. Nothing is written.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
    /// use parkway::audit::Replaying;
    /// use parkway::{Parkway, Workflow, inputs};
    ///
    /// let parkway = Parkway::builder().store("sqlite::memory:").build().await?;
    /// let source = "parkway: 1\nsteps:\n  one: { set: { n: 1 } }\n";
    /// let run = parkway.start(Workflow::from_source("one.yaml", source)?, inputs! {}).await?;
    /// run.output::<serde_json::Value>().await?;
    /// let replay = parkway.replay(run.id(), &Replaying::default(), |call| println!("{}: {:?}", call.step, call.outcome)).await?;
    /// assert!(replay.holds() && replay.calls.is_empty());
    /// # Ok::<_, parkway::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// There is no such run, or the store fails. What keeps a call from being decoded is no error: it is what came of it.
    pub async fn replay(&self, run: RunId, how: &Replaying, mut tell: impl FnMut(&Replayed)) -> Result<Replay, Error> {
        let mut runs = self.runs(&RunFilter::default()).await?;
        if !runs.iter().any(|found| found.run == run) {
            return Err(StoreError::NoRun(run).into());
        }
        let family = family(&runs, run);
        runs.retain(|found| family.contains(&found.run));
        // They come newest first, and a run is not younger than those that it has made.
        runs.reverse();
        runs.sort_by_key(|found| found.run != run);
        let mut replay = Replay::default();
        for found in runs {
            self.replay_run(found.run, how, &mut |replayed| {
                tell(&replayed);
                replay.calls.push(replayed);
            })
            .await?;
        }
        Ok(replay)
    }

    async fn replay_run(&self, run: RunId, how: &Replaying, take: &mut impl FnMut(Replayed)) -> Result<(), Error> {
        let events = self.events(run, Seq(0)).await?;
        let mut calls = events.iter().filter_map(Recorded::of).peekable();
        if calls.peek().is_none() {
            return Ok(());
        }
        let record = match self.record(run).await {
            Ok(record) => Ok(record),
            // The plan was erased.
            Err(Error::OutOfPlace(why)) => Err(why),
            Err(error) => return Err(error),
        };
        let mut models = BTreeMap::new();
        for recorded in calls {
            let mut replayed = Replayed {
                run,
                event: recorded.event,
                step: recorded.step.clone(),
                attempt: recorded.attempt,
                turn: recorded.turn,
                model: recorded.call.model.clone(),
                device: recorded.call.device.clone(),
                device_now: None,
                others: Vec::new(),
                outcome: Outcome::Same { tokens: None },
            };
            replayed.outcome = match &record {
                Err(why) => Outcome::NotDecoded(why.clone()),
                Ok(record) => match self.model_of(record, recorded.call, &mut models).await {
                    Err(why) => Outcome::NotDecoded(why),
                    Ok(model) => self.outcome(record, recorded, &model, how, &mut replayed).await?,
                },
            };
            take(replayed);
        }
        Ok(())
    }

    /// The model that a call would ask now.
    async fn model_of(
        &self,
        record: &Record,
        call: &ModelCall,
        known: &mut BTreeMap<String, Result<SharedModel, String>>,
    ) -> Result<SharedModel, String> {
        if let Some(known) = known.get(&call.model) {
            return known.clone();
        }
        let found = self.kept_model(&record.plan, &call.model).await.map_err(|error| error.to_string());
        known.insert(call.model.clone(), found.clone());
        found
    }

    async fn outcome(
        &self,
        record: &Record,
        recorded: Recorded<'_>,
        model: &SharedModel,
        how: &Replaying,
        replayed: &mut Replayed,
    ) -> Result<Outcome, Error> {
        let (call, now) = (recorded.call, model.capabilities());
        replayed.device_now = Some(now.device.clone());
        replayed.others = others(call, now);
        if !replayed.others.is_empty() && !how.anyway {
            return Ok(Outcome::NotDecoded(replayed.others.join("; ")));
        }
        let (request, answer) = match (self.request(record, recorded, now).await?, self.recorded_answer(call).await?) {
            (Ok(request), Ok(answer)) => (request, answer),
            (Err(why), _) | (_, Err(why)) => return Ok(Outcome::NotDecoded(why)),
        };
        let response = match model.chat(request).await {
            Ok(response) => response,
            Err(error) => return Ok(Outcome::NotDecoded(format!("the model gave no answer: {error}"))),
        };
        if call.grammar_hash != response.end.grammar {
            let (then, now) = (hash(call.grammar_hash.as_ref()), hash(response.end.grammar.as_ref()));
            replayed.others.push(format!("what held the answer to its form: {then} was recorded, here it is {now}"));
        }
        // A label is of all that a step was told.
        let hidden = record.state.step(recorded.step).is_none_or(|step| step.arg_labels.secret);
        Ok(answer.against(&response, hidden))
    }
}

/// What is something else than what was recorded, before anything is decoded.
fn others(call: &ModelCall, now: &Capabilities) -> Vec<String> {
    let mut others = Vec::new();
    let mut differs = |what: &str, then: Option<&String>, here: Option<&String>| {
        if then.is_some() && then != here {
            others.push(format!("{what}: {} was recorded, here it is {}", hash(then), hash(here)));
        }
    };
    differs("another model file", call.model_hash.as_ref(), now.model_hash.as_ref());
    differs("another chat template", call.template_hash.as_ref(), now.template_hash.as_ref());
    let adapter = call.adapter.as_ref().and_then(|name| now.adapter_files.get(name));
    differs("another adapter", call.adapter_hash.as_ref(), adapter.map(|file| &file.hash));
    if let (Some(then), Some(here)) = (call.adapter_scale_milli, adapter.map(|file| file.scale_milli))
        && then != here
    {
        let shown = |milli: i32| f64::from(milli) / 1_000.0;
        others.push(format!("the adapter acts by {}, and {} was recorded", shown(here), shown(then)));
    }
    // Without a file, the name is all that is known of a model.
    if call.model_hash.is_none() && call.name != now.name {
        others.push(format!("another model: `{}` was recorded, here it is `{}`", call.name, now.name));
    }
    others
}

/// The beginning of a hash: enough to tell two apart.
fn hash(hash: Option<&String>) -> String {
    match hash {
        Some(hash) => hash.chars().take(12).collect(),
        None => "none".into(),
    }
}
