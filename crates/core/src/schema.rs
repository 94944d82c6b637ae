//! Whether a value is of the form that a JSON Schema says; what is wrong, in few words.

use serde_json::Value;

/// Values up to this many bytes of JSON are quoted in a message.
const QUOTED: usize = 80;

/// Checks a value. The message names the place and quotes a short value; a long one would hide what is wrong with it.
pub(crate) fn check(schema: &Value, value: &Value) -> Result<(), String> {
    let Err(error) = jsonschema::validate(schema, value) else { return Ok(()) };
    let path = error.instance_path().to_string();
    let what = match error.instance().to_string().len() {
        0..=QUOTED => error.to_string(),
        _ => error.masked().to_string(),
    };
    Err(if path.is_empty() { what } else { format!("at `{path}`: {what}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_huge_value_does_not_hide_what_is_wrong_with_it() {
        let schema = json!({"type": "object", "properties": {"text": {"type": "string"}}});
        assert_eq!(check(&schema, &json!({"text": 5})), Err("at `/text`: 5 is not of type \"string\"".into()));
        let long = check(&schema, &json!({"text": vec![1; 1000]})).unwrap_err();
        assert_eq!(long, "at `/text`: value is not of type \"string\"");
    }
}
