//! The texts of an export, held against what events say of them.

use std::collections::HashSet;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::export::digits;
use crate::tree::Hash;

/// What is known of texts so far.
#[derive(Default)]
pub(crate) struct Texts {
    /// Those that events point to, and those of them that came.
    pointed: HashSet<Hash>,
    seen: HashSet<Hash>,
    /// Those that were erased, by what events say.
    erased: HashSet<Hash>,
    /// What the newest event points to, and has not come yet.
    here: HashSet<Hash>,
}

impl Texts {
    /// Takes in what an event says.
    pub(crate) fn event(&mut self, event: &Value) {
        let kind = &event["kind"];
        self.here.clear();
        pointed(kind, true, &mut self.here);
        taken(&event["by"]["name"], &mut self.here);
        self.pointed.extend(&self.here);
        match kind["type"].as_str() {
            Some("payload_erased") => taken(&kind["payloads"], &mut self.erased),
            Some("memory_forgotten") => taken(&kind["content"], &mut self.erased),
            _ => {}
        }
    }

    /// Takes a text of the newest event. Gives whether it is a new one.
    pub(crate) fn text(&mut self, commitment: Hash, salt: &[u8; 16], bytes: &str) -> Result<bool, String> {
        let name = hex::encode(commitment);
        if !self.here.remove(&commitment) {
            return Err(format!("the event before does not point to the text {name}, or it is there twice"));
        }
        let hash = Sha256::new().chain_update(b"parkway-payload-1\0").chain_update(salt).chain_update(bytes).finalize();
        if hash[..] != commitment {
            return Err(format!("the text {name} was altered: it is not what its event says"));
        }
        Ok(self.seen.insert(commitment))
    }

    /// What is not known of them at the end. Where all events are there, each text is, or one of them says that it was erased.
    pub(crate) fn end(&self, whole: bool) -> Result<Vec<String>, String> {
        if let Some(text) = self.seen.intersection(&self.erased).min() {
            return Err(format!("the text {} is there, and the log says that it was erased", hex::encode(text)));
        }
        let (erased, missing): (Vec<&Hash>, Vec<&Hash>) =
            self.pointed.difference(&self.seen).partition(|text| self.erased.contains(*text));
        let (erased, all, mut open) = (erased.len(), self.pointed.len(), Vec::new());
        if erased > 0 {
            open.push(format!("what {erased} of {all} texts said: the log says that they were erased"));
        }
        match missing.iter().min() {
            Some(first) if whole => Err(format!(
                "{} of {all} texts are not there, the first of them {}, and no event says that they were erased: they were left out or \
                 lost, or erased behind the newest head (then sign the log, and export it again)",
                missing.len(),
                hex::encode(first)
            )),
            Some(_) => {
                let missing = missing.len();
                open.push(format!(
                    "what {missing} texts said that events point to: left out, or erased elsewhere in the log"
                ));
                Ok(open)
            }
            None => Ok(open),
        }
    }
}

/// The salted hashes that what happened points to: what fields say that are there for it. What else has the form of one is none: a step may
/// be called so, and a model, whose `name` is not meant.
fn pointed(part: &Value, named: bool, found: &mut HashSet<Hash>) {
    for (field, value) in part.as_object().into_iter().flatten() {
        match field.as_str() {
            "for" | "outcome" | "reason" => pointed(value, true, found),
            "call" => pointed(value, false, found),
            "name" if named => taken(value, found),
            "answer" | "args" | "content" | "env" | "filled" | "form" | "inputs" | "list" | "message" | "messages"
            | "names" | "note" | "output" | "outputs" | "payload" | "payloads" | "plan" | "prompt" | "secrets"
            | "shown" | "texts" | "thinking" | "tokens" | "tool_calls" | "values" => taken(value, found),
            _ => {}
        }
    }
}

/// A salted hash, or several.
fn taken(value: &Value, found: &mut HashSet<Hash>) {
    match value {
        Value::String(text) => found.extend(digits(text)),
        Value::Array(items) => items.iter().for_each(|item| taken(item, found)),
        _ => {}
    }
}
