//! A run's model calls, kept as a file so that a test can answer with them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use parkway_core::id::RunId;
use parkway_core::log::EventKind;
use parkway_core::model::{ChatMessage, ChatRequest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::embed::Parkway;
use crate::error::Error;

/// The version of the file.
const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recording {
    parkway_recording: u32,
    workflow: String,
    calls: Vec<Call>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    model: String,
    step: String,
    messages: Vec<ChatMessage>,
    answer: String,
}

impl Recording {
    pub(super) fn read(path: &Path) -> Result<Recording, String> {
        let text = super::read(path)?;
        let recording: Recording = serde_json::from_str(&text).map_err(|e| e.to_string())?;
        match recording.parkway_recording {
            VERSION => Ok(recording),
            other => Err(format!("it has version {other}, and this parkway reads {VERSION}")),
        }
    }

    pub(super) async fn of_run(parkway: &Parkway, run: RunId) -> Result<String, Error> {
        let record = parkway.record(run).await?;
        let mut calls = Vec::new();
        for event in &record.events {
            let EventKind::ModelCalled { key, call, .. } = &event.kind else { continue };
            let mut texts = parkway.texts(&[call.messages, call.answer]).await?.into_iter();
            let (messages, answer) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
            let (Ok(messages), Value::String(answer)) = (serde_json::from_value(messages), answer) else {
                let message = format!("the messages of `{key}` were erased, or are of another version");
                return Err(Error::Setup(message));
            };
            calls.push(Call { model: call.model.clone(), step: key.to_string(), messages, answer });
        }
        if calls.is_empty() {
            return Err(Error::Setup(format!("run {run} asked no model: there is nothing to record")));
        }
        let recording = Recording { parkway_recording: VERSION, workflow: record.plan.workflow.clone(), calls };
        let text = serde_json::to_string_pretty(&recording).map_err(|e| Error::Setup(e.to_string()))?;
        Ok(text + "\n")
    }

    /// What one model said.
    pub(super) fn replay(&self, model: &str) -> Replay {
        let mut answers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for call in self.calls.iter().filter(|call| call.model == model) {
            answers.entry(key(&call.messages)).or_default().push(call.answer.clone());
        }
        Replay { answers, used: Mutex::default() }
    }
}

/// The answers of one model, by the messages that they answer.
#[derive(Debug)]
pub(super) struct Replay {
    answers: BTreeMap<String, Vec<String>>,
    used: Mutex<BTreeMap<String, usize>>,
}

impl Replay {
    /// What was answered to the same messages: the first time, the second time, and the last one from then on.
    pub(super) fn answer(&self, request: &ChatRequest) -> Option<String> {
        let key = key(&request.messages);
        let answers = self.answers.get(&key)?;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let used = used.entry(key).or_default();
        let answer = answers.get(*used).or_else(|| answers.last());
        *used += 1;
        answer.cloned()
    }
}

fn key(messages: &[ChatMessage]) -> String {
    serde_json::to_string(messages).unwrap_or_default()
}
