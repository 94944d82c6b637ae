//! Expressions and templates (`${{ … }}`): which values they name, found without running them, and their evaluation with
//! limited fuel. Templates apply once, never to the values that they produce.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior};
use regex::Regex;
use serde_json::Value;

use super::diagnostic::nearest;
use crate::schema::check_depth;

/// Instructions that one evaluation may take before it is stopped.
const FUEL: u64 = 5_000_000;
/// How deep expressions may nest.
const RECURSION: usize = 100;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    // These are for HTML and for templates that load others.
    for name in ["safe", "escape", "e"] {
        environment.remove_filter(name);
    }
    environment.remove_global("debug");
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(RECURSION);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_formatter(format_value);
    let syntax = SyntaxConfig::builder()
        .variable_delimiters("${{", "}}")
        // There is no comment form: a zero byte cannot stand in a workflow file.
        .comment_delimiters("{\0", "\0}")
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build();
    if let Ok(syntax) = syntax {
        environment.set_syntax(syntax);
    }
    environment
});

/// Inside text, lists, objects, booleans and null print as JSON.
fn format_value(out: &mut Output, state: &mut State, value: &minijinja::Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Seq | ValueKind::Map | ValueKind::Bool | ValueKind::None | ValueKind::Iterable => {
            let json = serde_json::to_string(value)
                .map_err(|e| Error::new(ErrorKind::BadSerialization, "cannot print as JSON").with_source(e))?;
            out.write_str(&json).map_err(Error::from)
        }
        _ => minijinja::escape_formatter(out, state, value),
    }
}

/// A value that an expression names: a root and what follows it (`steps.load.output` → `steps`, `load`, `output`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reference {
    pub(crate) root: String,
    pub(crate) path: Vec<String>,
}

/// An expression or template that cannot be read or evaluated: a lowercase fragment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct TemplateError {
    pub(crate) message: String,
}

impl TemplateError {
    fn new(message: impl Into<String>) -> Self {
        TemplateError { message: message.into() }
    }

    fn of(error: &Error, source: &str) -> Self {
        let mut message = error.to_string();
        // minijinja appends "(in <string>:1)", which names no file of the author's.
        if let Some(at) = message.rfind(" (in ") {
            message.truncate(at);
        }
        let mut cause = std::error::Error::source(error);
        while let Some(inner) = cause {
            message.push_str(": ");
            message.push_str(&inner.to_string());
            cause = inner.source();
        }
        let source = source.trim();
        let short: String = source.chars().take(80).collect();
        let dots = if short.len() < source.len() { "…" } else { "" };
        TemplateError { message: format!("{message}, in `{short}{dots}`") }
    }
}

/// A value with templates at its leaves, or one expression.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Template<'a> {
    /// Nested YAML: every text in it is a template.
    Value(&'a Value),
    /// One scalar of nested YAML: an expression that keeps its type, or a text.
    Leaf(&'a str),
    /// One text that is a template, whatever it says.
    Text(&'a str),
    /// One expression, wrapped in `${{ }}` or bare.
    Expression(&'a str),
}

impl Template<'_> {
    /// All values that it names. Errors are those of syntax.
    pub(crate) fn references(&self) -> Result<BTreeSet<Reference>, TemplateError> {
        let mut found = BTreeSet::new();
        match self {
            Template::Value(value) => references_in(value, &mut found)?,
            Template::Leaf(text) => references_in_leaf(text, &mut found)?,
            Template::Text(text) => references_in_text(text, &mut found)?,
            Template::Expression(text) => references_in_expression(unwrap_expression(text)?, &mut found)?,
        }
        Ok(found)
    }

    /// Its value over `context`, an object with a field for each root.
    pub(crate) fn evaluate(&self, context: &minijinja::Value) -> Result<Value, TemplateError> {
        let value = match self {
            Template::Value(value) => evaluate_value(value, context),
            Template::Leaf(text) => evaluate_leaf(text, context),
            Template::Text(text) => evaluate_text(text, context).map(Value::String),
            Template::Expression(text) => evaluate_expression(unwrap_expression(text)?, context),
        }?;
        check_depth(&value).map_err(TemplateError::new)?;
        Ok(value)
    }
}

fn references_in(value: &Value, found: &mut BTreeSet<Reference>) -> Result<(), TemplateError> {
    match value {
        Value::String(text) => references_in_leaf(text, found),
        Value::Array(list) => list.iter().try_for_each(|item| references_in(item, found)),
        Value::Object(map) => map.values().try_for_each(|item| references_in(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

fn references_in_leaf(text: &str, found: &mut BTreeSet<Reference>) -> Result<(), TemplateError> {
    match sole_expression(text) {
        Some(expression) => references_in_expression(expression, found),
        None => references_in_text(text, found),
    }
}

fn references_in_text(text: &str, found: &mut BTreeSet<Reference>) -> Result<(), TemplateError> {
    let source = prepare(text)?;
    let template = ENVIRONMENT.template_from_str(&source).map_err(|e| TemplateError::of(&e, text))?;
    for (open, close) in [("${{", "}}"), ("{%", "%}")] {
        for part in source.split(open).skip(1) {
            check_filters(part.split(close).next().unwrap_or(part))?;
        }
    }
    collect(template.undeclared_variables(true), found);
    Ok(())
}

fn references_in_expression(text: &str, found: &mut BTreeSet<Reference>) -> Result<(), TemplateError> {
    let expression = ENVIRONMENT.compile_expression(text).map_err(|e| TemplateError::of(&e, text))?;
    check_filters(text)?;
    collect(expression.undeclared_variables(true), found);
    Ok(())
}

/// Unknown filters are found when they are called; an author wants to know before the run. What stands between quotes is
/// passed over, and `|` stands for nothing else in an expression.
fn check_filters(expression: &str) -> Result<(), TemplateError> {
    static QUOTED: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'"#).ok());
    let Some(quoted) = &*QUOTED else { return Ok(()) };
    let bare = quoted.replace_all(expression, "''");
    for part in bare.split('|').skip(1) {
        let name: String = part.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let called = ENVIRONMENT.empty_state().apply_filter(&name, &[]);
        if !name.is_empty() && called.is_err_and(|error| error.kind() == ErrorKind::UnknownFilter) {
            let near = nearest(&name, FILTERS).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return Err(TemplateError::new(format!("no filter is called `{name}`{near}")));
        }
    }
    Ok(())
}

/// Filters that authors are led to when they misspell one.
const FILTERS: [&str; 30] = [
    "abs",
    "batch",
    "default",
    "dictsort",
    "first",
    "float",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "select",
    "selectattr",
    "sort",
    "sum",
    "title",
    "tojson",
    "unique",
];

fn collect(names: impl IntoIterator<Item = String>, found: &mut BTreeSet<Reference>) {
    for name in names {
        let mut parts = name.split('.').map(str::to_owned);
        let root = parts.next().unwrap_or_default();
        // Functions of the environment are roots too, where they are called.
        if matches!(root.as_str(), "range" | "dict" | "namespace" | "loop") {
            continue;
        }
        found.insert(Reference { root, path: parts.collect() });
    }
}

fn evaluate_value(value: &Value, context: &minijinja::Value) -> Result<Value, TemplateError> {
    Ok(match value {
        Value::String(text) => evaluate_leaf(text, context)?,
        Value::Array(list) => {
            Value::Array(list.iter().map(|item| evaluate_value(item, context)).collect::<Result<_, _>>()?)
        }
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, item)| Ok((key.clone(), evaluate_value(item, context)?)))
                .collect::<Result<_, TemplateError>>()?,
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

fn evaluate_leaf(text: &str, context: &minijinja::Value) -> Result<Value, TemplateError> {
    match sole_expression(text) {
        Some(expression) => evaluate_expression(expression, context),
        None => evaluate_text(text, context).map(Value::String),
    }
}

fn evaluate_text(text: &str, context: &minijinja::Value) -> Result<String, TemplateError> {
    if !text.contains("${{") && !text.contains("{%") {
        return Ok(text.to_owned());
    }
    let source = prepare(text)?;
    let template = ENVIRONMENT.template_from_str(&source).map_err(|e| TemplateError::of(&e, text))?;
    template.render(context.clone()).map_err(|e| TemplateError::of(&e, text))
}

fn evaluate_expression(text: &str, context: &minijinja::Value) -> Result<Value, TemplateError> {
    let expression = ENVIRONMENT.compile_expression(text).map_err(|e| TemplateError::of(&e, text))?;
    let value = expression.eval(context.clone()).map_err(|e| TemplateError::of(&e, text))?;
    if value.is_undefined() {
        return Err(TemplateError::new(format!("undefined value, in `{}`", text.trim())));
    }
    serde_json::to_value(&value).map_err(|e| TemplateError::new(format!("{e}, in `{}`", text.trim())))
}

/// The expression in a text that is exactly one `${{ … }}`; its value keeps its type.
fn sole_expression(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("${{")?.strip_suffix("}}")?;
    // `${{ a }} and ${{ b }}` begins and ends alike, but is not one expression.
    ENVIRONMENT.compile_expression(inner).ok().map(|_| inner)
}

/// The expression in a text that may hold one, wrapped or bare, and nothing beside it.
fn unwrap_expression(text: &str) -> Result<&str, TemplateError> {
    let text = text.trim();
    if let Some(inner) = sole_expression(text) {
        return Ok(inner);
    }
    if text.contains("${{") && text.strip_prefix("${{").is_none_or(|rest| !rest.ends_with("}}") || rest.contains("${{"))
    {
        return Err(TemplateError::new(format!("one expression is expected here, with no text around it: `{text}`")));
    }
    Ok(text.strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}")).unwrap_or(text))
}

/// Checks that every `${{` is closed, and writes `$${{` as an expression that prints it.
fn prepare(text: &str) -> Result<String, TemplateError> {
    let text = text.replace("$${{", "${{ \"$\" ~ \"{{\" }}");
    let mut rest = text.as_str();
    while let Some(start) = rest.find("${{") {
        let Some(end) = rest[start..].find("}}") else {
            let near: String = rest[start..].chars().take(40).collect();
            return Err(TemplateError::new(format!("`${{{{` is not closed by `}}}}`, near `{near}`")));
        };
        rest = &rest[start + end + 2..];
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn context() -> minijinja::Value {
        minijinja::Value::from(minijinja::value::Serde(json!({
            "steps": { "load": { "output": { "rows": [1, 2], "ok": true, "text": "a${{ 1 }}b" } } },
            "inputs": { "name": "x" },
        })))
    }

    #[track_caller]
    fn check(template: Template<'_>, expected: Result<Value, &str>) {
        let result = template.evaluate(&context());
        match (result, expected) {
            (Ok(value), Ok(expected)) => assert_eq!(value, expected),
            (Err(error), Err(expected)) => assert!(error.message.contains(expected), "{error}"),
            (result, expected) => panic!("{result:?} is not {expected:?}"),
        }
    }

    #[test]
    fn one_expression_keeps_its_type() {
        check(Template::Value(&json!("${{ steps.load.output.rows }}")), Ok(json!([1, 2])));
        check(Template::Value(&json!({"a": [" ${{ steps.load.output.ok }} "]})), Ok(json!({"a": [true]})));
    }

    #[test]
    fn text_prints_json() {
        check(Template::Value(&json!("rows ${{ steps.load.output.rows }}!")), Ok(json!("rows [1,2]!")));
        check(Template::Text("${{ steps.load.output.ok }} ${{ none }}"), Ok(json!("true null")));
        check(Template::Value(&json!("${{ inputs.name }} ${{ inputs.name }}")), Ok(json!("x x")));
    }

    #[test]
    fn values_are_not_templates() {
        check(Template::Text("${{ steps.load.output.text }}"), Ok(json!("a${{ 1 }}b")));
    }

    #[test]
    fn the_mark_itself_can_be_written() {
        check(Template::Text("$${{ 1 }}"), Ok(json!("${{ 1 }}")));
    }

    #[test]
    fn undefined_is_an_error_at_top_level_too() {
        check(Template::Value(&json!("${{ inputs.nam }}")), Err("undefined value"));
        check(Template::Text("a ${{ inputs.nam }}"), Err("undefined"));
        check(Template::Expression("nothing"), Err("undefined"));
    }

    #[test]
    fn expressions_may_be_wrapped_or_bare() {
        check(Template::Expression("steps.load.output.rows | length == 2"), Ok(json!(true)));
        check(Template::Expression(" ${{ steps.load.output.ok }} "), Ok(json!(true)));
        check(Template::Expression("x ${{ true }}"), Err("no text around it"));
        check(Template::Expression("${{ true }} and ${{ true }}"), Err("no text around it"));
    }

    #[test]
    fn mistakes_have_words() {
        check(Template::Text("${{ 1 "), Err("not closed"));
        check(Template::Value(&json!("${{ 1 | nofilter }}")), Err("nofilter"));
        check(Template::Value(&json!("${{ a && b }}")), Err("unexpected"));
    }

    #[test]
    fn endless_work_is_stopped() {
        let loops = "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}x{% endfor %}{% endfor %}{% endfor %}";
        check(Template::Text(loops), Err("fuel"));
        let deep = "(".repeat(5_000);
        assert!(Template::Expression(&deep).evaluate(&context()).is_err());
    }

    #[test]
    fn a_value_that_could_not_be_read_back_is_refused() {
        let deep = (0..100).fold(json!(1), |value, _| json!([value]));
        check(Template::Value(&deep), Err("nests deeper than 64 levels"));
    }

    #[test]
    fn a_filter_cannot_take_all_the_memory() {
        for hostile in ["'a' | indent(99999999999999999)", "'%.99999999999f' | format(1.0)", "'a' * 99999999999"] {
            assert!(Template::Expression(hostile).evaluate(&context()).is_err(), "{hostile}");
        }
    }

    #[test]
    fn references_are_whole_paths() {
        let value = json!({"a": "${{ steps.load.output.rows | map('upper') }}", "b": ["x ${{ item.path }}"]});
        let names: Vec<_> = Template::Value(&value)
            .references()
            .unwrap()
            .into_iter()
            .map(|r| format!("{}:{}", r.root, r.path.join(".")))
            .collect();
        assert_eq!(names, ["item:path", "steps:load.output.rows"]);
    }
}
