//! Calls of tools, which come in pieces.

use std::collections::BTreeMap;

use parkway_core::model::ToolCall;
use serde_json::{Map, Value};

use crate::names::Names;

/// The most calls of one answer.
const MOST: usize = 128;

/// The calls of an answer, as far as they have come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls {
    by_index: BTreeMap<u64, Call>,
}

#[derive(Clone, Debug, Default)]
struct Call {
    id: String,
    name: String,
    arguments: String,
}

impl Calls {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_index.is_empty()
    }

    /// Takes pieces in. `false` when there are too many calls.
    pub(crate) fn take(&mut self, pieces: &[Value]) -> bool {
        for (place, piece) in pieces.iter().enumerate() {
            let id = piece["id"].as_str().unwrap_or_default();
            let index = piece["index"].as_u64().unwrap_or_else(|| self.index_of(id, place, pieces.len()));
            let call = self.by_index.entry(index).or_default();
            if call.id.is_empty() {
                id.clone_into(&mut call.id);
            }
            let function = &piece["function"];
            let name = function["name"].as_str().unwrap_or_default();
            // Some repeat the name in each piece.
            if call.name != name {
                call.name.push_str(name);
            }
            match &function["arguments"] {
                Value::String(text) => call.arguments.push_str(text),
                Value::Null => {}
                whole => call.arguments = whole.to_string(),
            }
            if self.by_index.len() > MOST {
                return false;
            }
        }
        true
    }

    /// The place of a piece without one: by its id; without that it goes on with the last call, unless several came at once.
    fn index_of(&self, id: &str, place: usize, together: usize) -> u64 {
        let known = self.by_index.iter().find(|(_, call)| !id.is_empty() && call.id == id).map(|(index, _)| *index);
        let last = self.by_index.keys().next_back().copied();
        known.unwrap_or_else(|| match last {
            Some(_) if id.is_empty() && together > 1 => place as u64,
            Some(last) if id.is_empty() => last,
            Some(last) => last + 1,
            None => place as u64,
        })
    }

    /// The whole calls, in order; or the name of one whose arguments are no JSON, and why.
    pub(crate) fn end(self, names: &Names) -> Result<Vec<ToolCall>, (String, String)> {
        let whole = |(index, call): (u64, Call)| {
            let name = names.ours(&call.name).to_owned();
            let arguments = match call.arguments.trim() {
                "" => Ok(Value::Object(Map::new())),
                text => serde_json::from_str(text),
            };
            let id = if call.id.is_empty() { format!("call_{index}") } else { call.id };
            match arguments {
                Ok(arguments) => Ok(ToolCall { id, name, arguments }),
                Err(error) => Err((name, error.to_string())),
            }
        };
        self.by_index.into_iter().map(whole).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(pieces: &[Value], expect: &Value) {
        let mut calls = Calls::default();
        for piece in pieces {
            assert!(calls.take(piece.as_array().unwrap()));
        }
        let ended = calls.end(&Names::default()).unwrap();
        let found: Vec<_> = ended.iter().map(|call| json!([call.id, call.name, call.arguments])).collect();
        assert_eq!(Value::from(found), *expect);
    }

    #[test]
    fn calls_are_put_together_however_they_come() {
        let piece = |index: u64, id: Value, name: Value, arguments: &str| json!([{"index": index, "id": id, "function": {"name": name, "arguments": arguments}}]);
        check(
            &[
                piece(1, json!("b"), json!("g"), "{\"y\":"),
                piece(0, json!("a"), json!("f"), ""),
                piece(1, Value::Null, Value::Null, "2}"),
                piece(0, Value::Null, json!("f"), "{}"),
            ],
            &json!([["a", "f", {}], ["b", "g", {"y": 2}]]),
        );
        let whole = json!([{"id": "p", "function": {"name": "f", "arguments": {"x": 1}}}, {"id": "q", "function": {"name": "g"}}]);
        check(&[whole], &json!([["p", "f", {"x": 1}], ["q", "g", {}]]));
        check(
            &[json!([{"function": {"name": "f"}}]), json!([{"function": {"arguments": "[]"}}])],
            &json!([["call_0", "f", []]]),
        );
        let nameless = json!([{"function": {"name": "f"}}, {"function": {"name": "g"}}]);
        check(&[nameless], &json!([["call_0", "f", {}], ["call_1", "g", {}]]));
    }

    #[test]
    fn no_server_makes_calls_without_end() {
        let mut calls = Calls::default();
        let many: Vec<_> = (0..=MOST).map(|index| json!({"index": index, "function": {"name": "f"}})).collect();
        assert!(!calls.take(&many));
    }
}
