//! The lines of an export. The page on the audit log in the book says what each means.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};

use crate::tree::Hash;

/// The version of the form that is read here.
pub(crate) const VERSION: u64 = 1;

/// A line.
#[derive(Debug)]
pub(crate) enum Line {
    /// The first one.
    Begin {
        origin: String,
        /// Whether all events of the log are there, from the first.
        whole: bool,
    },
    /// A signed head, with the proof that the export's first head begins with its tree.
    Head { note: String, proof: Option<Vec<Hash>> },
    /// An event, as it was hashed, with its place and the proof for it.
    Event { leaf: u64, bytes: String, proof: Option<Vec<Hash>> },
    /// A text of the event before it.
    Payload { commitment: Hash, salt: Vec<u8>, bytes: Vec<u8> },
    /// The last one.
    End { events: u64 },
}

impl Line {
    pub(crate) fn read(text: &str) -> Result<Line, String> {
        let value: Value = serde_json::from_str(text).map_err(|e| format!("no JSON: {e}"))?;
        let Value::Object(line) = value else { return Err("no JSON object".into()) };
        if let Some(version) = line.get("parkway_audit") {
            if version.as_u64() != Some(VERSION) {
                return Err(format!("the export has version {version}, and this program reads {VERSION}"));
            }
            let whole = line.get("whole").and_then(Value::as_bool).ok_or("`whole` is missing")?;
            return Ok(Line::Begin { origin: text_of(&line, "origin")?, whole });
        }
        if line.contains_key("head") {
            return Ok(Line::Head { note: text_of(&line, "head")?, proof: proof_of(&line)? });
        }
        if line.contains_key("event") {
            let leaf = number_of(&line, "leaf")?;
            return Ok(Line::Event { leaf, bytes: text_of(&line, "event")?, proof: proof_of(&line)? });
        }
        if line.contains_key("payload") {
            let commitment = hex_of(&line, "payload")?;
            let commitment = Hash::try_from(commitment).map_err(|_| "`payload` has not 32 bytes")?;
            let bytes = text_of(&line, "bytes")?.into_bytes();
            return Ok(Line::Payload { commitment, salt: hex_of(&line, "salt")?, bytes });
        }
        if line.contains_key("end") {
            return Ok(Line::End { events: number_of(&line, "end")? });
        }
        Err("no line of an audit export".into())
    }
}

fn text_of(line: &Map<String, Value>, key: &str) -> Result<String, String> {
    let text = line.get(key).and_then(Value::as_str).ok_or_else(|| format!("`{key}` is no text"))?;
    Ok(text.to_owned())
}

/// A number, which is written as a text so that no reader rounds it.
fn number_of(line: &Map<String, Value>, key: &str) -> Result<u64, String> {
    text_of(line, key)?.parse().map_err(|_| format!("`{key}` is no number"))
}

fn hex_of(line: &Map<String, Value>, key: &str) -> Result<Vec<u8>, String> {
    hex::decode(text_of(line, key)?).map_err(|_| format!("`{key}` is not hexadecimal"))
}

fn proof_of(line: &Map<String, Value>) -> Result<Option<Vec<Hash>>, String> {
    let Some(proof) = line.get("proof") else { return Ok(None) };
    let hash = |value: &Value| Hash::try_from(BASE64_STANDARD.decode(value.as_str()?).ok()?).ok();
    let proof = proof.as_array().and_then(|hashes| hashes.iter().map(hash).collect());
    proof.map(Some).ok_or_else(|| "`proof` is no list of hashes in base64".into())
}
