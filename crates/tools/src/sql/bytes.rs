//! Bytes as JSON holds them: `{"base64": "AAEC"}`, in what comes back as in the values for parameters.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

const KEY: &str = "base64";

/// The form of these bytes.
pub(super) fn shown(bytes: &[u8]) -> Value {
    json!({ KEY: STANDARD.encode(bytes) })
}

/// The bytes that an object is the form of, if it is one; `None` inside where its text is no base64.
pub(super) fn read(object: &Map<String, Value>) -> Option<Option<Vec<u8>>> {
    let text = object.get(KEY).filter(|_| object.len() == 1)?.as_str()?;
    Some(STANDARD.decode(text).ok())
}
