//! Where a secret may stand: in the arguments of a tool, as a whole value or inside text, and never in an expression that
//! does something with it.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::template::Template;

/// What is wrong with the secrets that a template names; `None` if nothing is, or it names none.
pub(crate) fn misplaced_secret(template: Template<'_>, in_tool_arguments: bool) -> Option<&'static str> {
    let names_one = |template: Template<'_>| {
        template.references().is_ok_and(|references| references.iter().any(|reference| reference.root == "secrets"))
    };
    if !names_one(template) {
        return None;
    }
    if !in_tool_arguments {
        return Some(
            "a secret may stand in the arguments of a `tool` only: nothing else can be kept from logs and prompts",
        );
    }
    let rest = match template {
        Template::Value(value) => without_bare(value),
        Template::Text(text) | Template::Leaf(text) => without_bare(&Value::String(text.to_owned())),
        Template::Expression(_) => return Some(BARE),
    };
    names_one(Template::Value(&rest)).then_some(BARE)
}

const BARE: &str = "a secret stands by itself, as `${{ secrets.NAME }}`: nothing can be done with it in an expression";

/// A template without the places where a secret stands by itself.
fn without_bare(template: &Value) -> Value {
    static PLACE: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\$\{\{\s*secrets\.[A-Za-z_][A-Za-z0-9_]*\s*\}\}").ok());
    match (template, &*PLACE) {
        (Value::String(text), Some(place)) => Value::String(place.replace_all(text, "").into_owned()),
        (Value::Array(list), _) => list.iter().map(without_bare).collect(),
        (Value::Object(map), _) => map.iter().map(|(key, value)| (key.clone(), without_bare(value))).collect(),
        _ => template.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(value: &Value, fits: bool) {
        assert_eq!(misplaced_secret(Template::Value(value), true).is_none(), fits, "{value}");
        let names_none = misplaced_secret(Template::Value(value), false).is_none();
        assert_eq!(names_none, !value.to_string().contains("secrets."), "{value}");
    }

    #[test]
    fn a_secret_stands_by_itself_in_arguments_only() {
        check(&json!("${{ secrets.TOKEN }}"), true);
        check(&json!({"headers": [{"auth": "Bearer ${{secrets.TOKEN}} of ${{ inputs.user }}"}]}), true);
        check(&json!("${{ inputs.x }}"), true);
        for text in [
            "${{ secrets.TOKEN | upper }}",
            "${{ 'a' ~ secrets.TOKEN }}",
            "${{ [secrets.TOKEN] }}",
            "{% if secrets.TOKEN %}x{% endif %}",
            "{% set a = secrets.TOKEN %}${{ a }}",
            "${{ secrets.TOKEN }} ${{ secrets.OTHER | length }}",
        ] {
            check(&json!(text), false);
        }
        assert!(misplaced_secret(Template::Expression("secrets.TOKEN"), true).is_some());
        assert!(misplaced_secret(Template::Text("key: ${{ secrets.TOKEN }}"), false).is_some());
    }
}
