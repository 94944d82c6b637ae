//! Every free text of a run — arguments, outputs, prompts, errors, names, token ids — is a payload row that events point
//! to by a salted commitment, so that a text can be erased everywhere and nothing can be guessed from what stays.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

use crate::id::{Digest, IdError};

/// SHA-256 over a payload's salt and bytes: what an event holds in place of the text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Commitment(Digest);

impl Commitment {
    /// The commitment to `bytes` under `salt`: SHA-256 of `parkway-payload-1`, a zero byte, the 16 bytes of salt, the bytes.
    pub fn of(salt: &[u8; 16], bytes: &[u8]) -> Self {
        Commitment(Digest::of(&[b"parkway-payload-1\0", salt, bytes]))
    }

    /// A commitment from its 32 bytes, as a store keeps them.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Commitment(Digest::from_bytes(bytes))
    }

    /// Its 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl fmt::Display for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Commitment {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse().map(Commitment)
    }
}

impl Serialize for Commitment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Commitment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Digest::deserialize(deserializer).map(Commitment)
    }
}

/// How a payload's bytes are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Codec {
    /// UTF-8 JSON, as it was first written: kept byte for byte.
    Json,
}

impl Codec {
    /// Its name in a store.
    pub fn as_str(self) -> &'static str {
        match self {
            Codec::Json => "json",
        }
    }

    /// The codec with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        (name == "json").then_some(Codec::Json)
    }
}

/// One text of a run, apart from the events that point to it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Payload {
    /// What events call it.
    pub commitment: Commitment,
    /// Makes the commitment unguessable.
    pub salt: [u8; 16],
    /// How to read the bytes.
    pub codec: Codec,
    /// The text.
    pub bytes: Vec<u8>,
}

impl Payload {
    /// The payload of a JSON value.
    pub fn json<T: Serialize + ?Sized>(value: &T, salt: [u8; 16]) -> Result<Self, PayloadError> {
        let bytes = serde_json::to_vec(value).map_err(|e| PayloadError::Unwritable(e.to_string()))?;
        Ok(Payload { commitment: Commitment::of(&salt, &bytes), salt, codec: Codec::Json, bytes })
    }

    /// A payload as a store kept it. Refused if the bytes are not what the commitment says.
    pub fn stored(commitment: Commitment, salt: [u8; 16], codec: Codec, bytes: Vec<u8>) -> Result<Self, PayloadError> {
        if Commitment::of(&salt, &bytes) != commitment {
            return Err(PayloadError::Altered(commitment));
        }
        Ok(Payload { commitment, salt, codec, bytes })
    }

    /// The value in it.
    pub fn value<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        match self.codec {
            Codec::Json => serde_json::from_slice(&self.bytes)
                .map_err(|e| PayloadError::Unreadable(self.commitment, e.to_string())),
        }
    }
}

/// A payload that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The value has no JSON form.
    #[error("the value cannot be written as JSON: {0}")]
    Unwritable(String),
    /// The bytes are not the ones that were committed to.
    #[error("payload {0} was altered: its bytes do not match its commitment")]
    Altered(Commitment),
    /// The bytes are not what the codec says.
    #[error("payload {0} cannot be read: {1}")]
    Unreadable(Commitment, String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn equal_texts_have_unequal_commitments() {
        let (a, b) = (Payload::json("yes", [1; 16]).unwrap(), Payload::json("yes", [2; 16]).unwrap());
        assert_ne!(a.commitment, b.commitment);
        assert_eq!(a.value::<String>().unwrap(), "yes");
    }

    #[test]
    fn altered_bytes_are_refused() {
        let payload = Payload::json(&json!({"a": 1}), [1; 16]).unwrap();
        let stored = Payload::stored(payload.commitment, payload.salt, payload.codec, b"{\"a\":2}".to_vec());
        assert_eq!(stored, Err(PayloadError::Altered(payload.commitment)));
    }

    #[test]
    fn numbers_are_read_back_as_they_were() {
        let exact =
            [51.248_178_375_505_404, 31.245_270_191_439_438, 0.1 + 0.2, 1e-7, 5e-324, 1.797_693_134_862_315_7e308];
        for value in exact.map(Value::from).into_iter().chain([json!(9_007_199_254_740_993_u64)]) {
            assert_eq!(Payload::json(&value, [0; 16]).unwrap().value::<Value>().unwrap(), value);
        }
    }
}
