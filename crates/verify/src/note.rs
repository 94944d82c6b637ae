//! Signed notes, and the heads of logs in them, as C2SP specifies both (`signed-note`, `tlog-checkpoint`).
//!
//! A note is a text that ends in a newline, an empty line, and a line for each signature: an em dash, the key's name, and in base64 the
//! key's id and the signature. The text of a head has the log's origin, its size and its root in base64, a line each.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};

use crate::tree;

/// The kind of key that Ed25519 is, in front of its bytes.
const ED25519: u8 = 1;

/// The most signatures of a note.
const MOST: usize = 100;
/// The longest note, in bytes.
const LONGEST: usize = 64 * 1024;

/// A key that signatures are checked with, written as `NAME+ID+KEY`: the id in hexadecimal, the key in base64.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    name: String,
    id: [u8; 4],
    key: VerifyingKey,
}

impl Key {
    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Without the text: it may be the other half, or a part of it.
        let bad = |why: &str| format!("this is no key of the form NAME+ID+KEY: {why}");
        if text.trim().starts_with("PRIVATE+KEY+") {
            return Err(bad("it is the private half, which stays where it is; the command that signs tells the other"));
        }
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad("a part is missing"));
        };
        if name.is_empty() || name.chars().any(char::is_whitespace) {
            return Err(bad("its name is empty or has spaces"));
        }
        let bytes = BASE64_STANDARD.decode(key).map_err(|_| bad("its last part is not base64"))?;
        let public = match bytes.split_first() {
            Some((&ED25519, public)) => <[u8; 32]>::try_from(public).map_err(|_| bad("it has not 32 bytes"))?,
            _ => return Err(bad("it is not one of Ed25519")),
        };
        let known = Sha256::new().chain_update(name).chain_update([b'\n']).chain_update(&bytes).finalize();
        let known = [known[0], known[1], known[2], known[3]];
        if id != hex::encode(known) {
            return Err(bad("its id is not that of its name and key"));
        }
        let key = VerifyingKey::from_bytes(&public).map_err(|_| bad("no point of the curve"))?;
        Ok(Key { name: name.to_owned(), id: known, key })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![ED25519];
        bytes.extend(self.key.as_bytes());
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id), BASE64_STANDARD.encode(bytes))
    }
}

/// A text that somebody has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<(String, [u8; 4], Vec<u8>)>,
}

impl Note {
    /// What was signed, with the newline at its end.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether this key has signed it. A signature that is under this key and wrong is an error; those of other keys say nothing.
    pub fn is_signed_by(&self, key: &Key) -> Result<bool, String> {
        let mut signed = false;
        for (name, id, bytes) in self.signatures.iter().filter(|(name, id, _)| *name == key.name && *id == key.id) {
            let by = format!("the signature of {name} ({})", hex::encode(id));
            let signature =
                Signature::from_slice(bytes).map_err(|_| format!("{by} has {} bytes in place of 64", bytes.len()))?;
            let right = key.key.verify_strict(self.text.as_bytes(), &signature);
            right.map_err(|_| format!("{by} is wrong"))?;
            signed = true;
        }
        Ok(signed)
    }
}

impl FromStr for Note {
    type Err = String;

    fn from_str(note: &str) -> Result<Self, String> {
        let bad = |why: &str| format!("this is no signed note: {why}");
        if note.len() > LONGEST {
            return Err(bad("it has more than 64 KiB"));
        }
        if note.chars().any(|c| c.is_control() && c != '\n') {
            return Err(bad("it has control characters"));
        }
        let split = note.rfind("\n\n").ok_or_else(|| bad("an empty line between text and signatures is missing"))?;
        let (text, signatures) = (&note[..=split], &note[split + 2..]);
        if !signatures.ends_with('\n') {
            return Err(bad("nobody has signed it, or its last line does not end"));
        }
        if signatures.lines().count() > MOST {
            return Err(bad("it has more than 100 signatures"));
        }
        let signatures: Option<_> = signatures.lines().map(signature).collect();
        let signatures = signatures.ok_or_else(|| bad("a line behind the text is no signature"))?;
        Ok(Note { text: text.to_owned(), signatures })
    }
}

/// The head of a log that somebody has signed: so many events, and the hash that stands for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Which log.
    pub origin: String,
    /// How many events it has.
    pub size: u64,
    /// The root of the tree over them.
    pub root: tree::Hash,
    /// The note that it is written in.
    pub note: Note,
}

impl FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let note: Note = text.parse()?;
        let bad = |why: &str| format!("this is no head of a log: {why}");
        let mut lines = note.text.lines();
        let origin =
            lines.next().filter(|line| !line.is_empty()).ok_or_else(|| bad("its origin is missing"))?.to_owned();
        let size = lines.next().and_then(decimal).ok_or_else(|| bad("its second line is no size"))?;
        let root = lines.next().and_then(hash).ok_or_else(|| bad("its third line is no hash"))?;
        if lines.any(str::is_empty) {
            return Err(bad("there is an empty line in its text"));
        }
        Ok(Head { origin, size, root, note })
    }
}

/// A hash in base64.
pub(crate) fn hash(text: &str) -> Option<tree::Hash> {
    BASE64_STANDARD.decode(text).ok()?.try_into().ok()
}

/// A number as a head has it: without a sign, and without zeros before it.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// Whether it begins as the line of a signature does.
pub(crate) fn is_signature(line: &str) -> bool {
    line.starts_with("\u{2014} ")
}

pub(crate) fn signature(line: &str) -> Option<(String, [u8; 4], Vec<u8>)> {
    let (name, signature) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let bytes = BASE64_STANDARD.decode(signature).ok()?;
    let (id, signature) = bytes.split_at_checked(4)?;
    let named = !name.is_empty() && !name.contains('+') && !name.contains(char::is_whitespace);
    (named && !signature.is_empty()).then(|| (name.to_owned(), [id[0], id[1], id[2], id[3]], signature.to_vec()))
}
