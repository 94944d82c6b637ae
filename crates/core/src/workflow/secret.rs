//! Where a secret may stand: in the arguments of a tool, as a whole value or inside text, and never in an expression that
//! does something with it.

use super::template::Template;

/// What is wrong with the secrets that a template names; `None` if nothing is, or it names none.
pub(crate) fn misplaced_secret(template: Template<'_>, in_tool_arguments: bool) -> Option<&'static str> {
    let uses = template.inspect(&mut |_| None).uses;
    let mut secrets = uses.iter().filter(|one| one.reference.root == "secrets").peekable();
    secrets.peek()?;
    if !in_tool_arguments {
        return Some(
            "a secret may stand in the arguments of a `tool` only: nothing else can be kept from logs and prompts",
        );
    }
    let is_value = !matches!(template, Template::Expression(_));
    let by_itself = is_value && secrets.all(|one| one.bare && one.reference.path.len() == 1);
    (!by_itself)
        .then_some("a secret stands by itself, as `${{ secrets.NAME }}`: nothing can be done with it in an expression")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

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
