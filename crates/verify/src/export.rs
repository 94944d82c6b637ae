//! The lines of an export. The page on the audit log in the book says what each means.

use serde::Deserialize;

use crate::note::{decimal, hash};
use crate::tree::Hash;

/// The version of the form that is read here.
const VERSION: u64 = 1;
/// The longest event: its texts stand beside it.
const LONGEST_EVENT: usize = 16 * 1024 * 1024;

/// A line.
#[derive(Debug)]
pub(crate) enum Line {
    /// The first one.
    Begin {
        origin: String,
        /// Whether all events of the log are there, from the first.
        whole: bool,
    },
    /// A signed head.
    Head { note: String },
    /// An event, as it was hashed, with its place and the proof for it.
    Event { leaf: u64, bytes: String, proof: Option<Vec<Hash>> },
    /// A text of the event before it.
    Payload { commitment: Hash, salt: [u8; 16], bytes: String },
    /// The last one.
    End { events: u64 },
}

/// What any line may hold. Numbers are texts, so that no reader rounds them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    parkway_audit: Option<u64>,
    origin: Option<String>,
    whole: Option<bool>,
    head: Option<String>,
    leaf: Option<String>,
    event: Option<String>,
    proof: Option<Vec<String>>,
    payload: Option<String>,
    salt: Option<String>,
    bytes: Option<String>,
    end: Option<String>,
}

impl Line {
    pub(crate) fn read(text: &str) -> Result<Line, String> {
        let line: Fields = serde_json::from_str(text).map_err(|e| format!("no line of an audit export: {e}"))?;
        let Fields { parkway_audit, head, event, payload, end, .. } = &line;
        let kinds = [parkway_audit.is_some(), head.is_some(), event.is_some(), payload.is_some(), end.is_some()];
        if kinds.into_iter().filter(|is| *is).count() != 1 {
            return Err("no line of an audit export, or more than one".into());
        }
        if let Some(version) = line.parkway_audit {
            if version != VERSION {
                return Err(format!("the export has version {version}, and this program reads {VERSION}"));
            }
            let origin = line.origin.ok_or("`origin` is missing")?;
            return Ok(Line::Begin { origin, whole: line.whole.ok_or("`whole` is missing")? });
        }
        if let Some(note) = line.head {
            return Ok(Line::Head { note });
        }
        if let Some(bytes) = line.event {
            if bytes.len() > LONGEST_EVENT {
                return Err(format!("an event of {} bytes, and {LONGEST_EVENT} is the most", bytes.len()));
            }
            let proof = line.proof.map(|hashes| hashes.iter().map(|text| hash(text)).collect::<Option<_>>());
            let proof = proof.map(|proof| proof.ok_or("`proof` is no list of hashes in base64")).transpose()?;
            return Ok(Line::Event { leaf: number("leaf", line.leaf)?, bytes, proof });
        }
        if let Some(commitment) = line.payload {
            let commitment = bytes_of("payload", Some(commitment))?;
            let salt = bytes_of("salt", line.salt)?;
            return Ok(Line::Payload { commitment, salt, bytes: line.bytes.ok_or("`bytes` is missing")? });
        }
        Ok(Line::End { events: number("end", line.end)? })
    }
}

fn number(name: &str, text: Option<String>) -> Result<u64, String> {
    text.and_then(|text| decimal(&text)).ok_or_else(|| format!("`{name}` is no number in a text"))
}

fn bytes_of<const N: usize>(name: &str, text: Option<String>) -> Result<[u8; N], String> {
    text.and_then(|text| digits(&text)).ok_or_else(|| format!("`{name}` is not {N} bytes in hexadecimal"))
}

/// Bytes in hexadecimal, as they are written: in small letters.
pub(crate) fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    let bytes: [u8; N] = hex::decode(text).ok()?.try_into().ok()?;
    (hex::encode(bytes) == text).then_some(bytes)
}
