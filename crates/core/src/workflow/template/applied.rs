//! Filters and tests as they are applied: whether there are such, what their arguments reach for, and what they give.

use serde_json::Value;

use super::habits;
use super::infer::Class;
use super::inspect::{Inspector, field_of};
use super::kind::Type;
use super::library::{self, FILTERS, Given, Row, TESTS};
use super::span::{Problem, Span};
use super::tree::{Applied, Argument, Binary, Expr, ExprKind};
use crate::workflow::diagnostic::did_you_mean;
use crate::workflow::unit::parse_duration;

/// Filters that walk over a list.
const WALKING: [&str; 20] = [
    "batch",
    "first",
    "flatten",
    "groupby",
    "join",
    "last",
    "length",
    "count",
    "list",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "select",
    "selectattr",
    "slice",
    "sort",
    "sum",
    "unique",
];
/// Filters that are given a text and nothing else.
const OF_TEXTS: [&str; 10] = [
    "add_time",
    "format_time",
    "from_json",
    "parse_time",
    "regex_find",
    "regex_match",
    "regex_replace",
    "seconds_since",
    "subtract_time",
    "truncate",
];

pub(super) fn filter(inspector: &mut Inspector<'_>, filter: &Applied) -> Type {
    let input = operand(inspector, &filter.input, matches!(filter.name.as_str(), "default" | "get"));
    let kinds = inspector.arguments(&filter.arguments);
    let Some(row) = library::find(FILTERS, &filter.name) else {
        inspector.problem(unknown_filter(&filter.name, filter.name_span));
        return Type::Any;
    };
    check_input(inspector, filter, &input);
    check_constants(inspector, &filter.name, &filter.arguments);
    let reached = reached(inspector, filter, &input, &kinds);
    (row.gives)(&Given { input: &input, arguments: &kinds, reached: reached.as_ref() })
}

pub(super) fn test(inspector: &mut Inspector<'_>, test: &Applied) -> Type {
    let input = operand(inspector, &test.input, matches!(test.name.as_str(), "defined" | "undefined"));
    let kinds = inspector.arguments(&test.arguments);
    if library::find(TESTS, &test.name).is_none() {
        inspector.problem(unknown_test(&test.name, test.name_span));
        return Type::Bool;
    }
    check_constants(inspector, &test.name, &test.arguments);
    if let (Some(argument), Some(kind)) = (test.arguments.first(), kinds.first()) {
        compare(inspector, &test.name, (&test.input, &input), (&argument.value, kind));
    }
    Type::Bool
}

/// What a filter or a test is applied to; whether it is there at all may be what is asked.
fn operand(inspector: &mut Inspector<'_>, expr: &Expr, may_be_missing: bool) -> Type {
    let before = inspector.problems.len();
    let kind = inspector.expr(expr);
    if may_be_missing {
        let late = inspector.problems.split_off(before);
        inspector.problems.extend(late.into_iter().filter(|problem| problem.code != "unknown-field"));
    }
    kind
}

fn compare(inspector: &mut Inspector<'_>, test: &str, left: (&Expr, &Type), right: (&Expr, &Type)) {
    match test {
        "eq" | "equalto" | "==" => inspector.compared(Binary::Equal, left, right),
        "ne" | "!=" => inspector.compared(Binary::NotEqual, left, right),
        "lt" | "<" => drop(inspector.binary(Binary::Less, left, right)),
        "le" | "<=" => drop(inspector.binary(Binary::LessOrEqual, left, right)),
        "gt" | ">" => drop(inspector.binary(Binary::Greater, left, right)),
        "ge" | ">=" => drop(inspector.binary(Binary::GreaterOrEqual, left, right)),
        "in" => inspector.contained(Binary::In, left, right),
        _ => {}
    }
}

fn check_input(inspector: &mut Inspector<'_>, filter: &Applied, input: &Type) {
    let Some(class) = Class::only(&input.without_null()) else { return };
    let name = &filter.name;
    let needed = if WALKING.contains(&name.as_str()) && matches!(class, Class::Bool | Class::Number) {
        "a list"
    } else if OF_TEXTS.contains(&name.as_str()) && class != Class::Text {
        "a text"
    } else if matches!(name.as_str(), "items" | "dictsort") && class != Class::Object {
        "an object"
    } else {
        return;
    };
    let message = format!("`{name}` needs {needed}, not {}", class.word());
    inspector.problem(Problem::new("bad-operands", filter.input.span, message));
}

/// Patterns and durations that are written out.
fn check_constants(inspector: &mut Inspector<'_>, name: &str, arguments: &[Argument]) {
    let Some((text, span)) = arguments.first().and_then(constant) else { return };
    match name {
        "regex_find" | "regex_match" | "regex_replace" | "matching" => {
            if let Some(wrong) = library::wrong_pattern(text) {
                inspector.problem(Problem::new("bad-pattern", span, wrong));
            }
        }
        "add_time" | "subtract_time" if parse_duration(text.trim()).is_none() => {
            let problem = Problem::new("bad-duration", span, format!("`{text}` is not a duration"));
            inspector.problem(problem.help("write a whole number and a unit: 500ms, 2s, 10m, 24h, 7d"));
        }
        _ => {}
    }
}

fn constant(argument: &Argument) -> Option<(&str, Span)> {
    match &argument.value.kind {
        ExprKind::Constant(Value::String(text)) if argument.name.is_none() && !argument.spread => {
            Some((text, argument.value.span))
        }
        _ => None,
    }
}

/// A path that is written out.
pub(super) fn path(argument: Option<&Argument>) -> Option<&str> {
    constant(argument?).map(|(text, _)| text)
}

/// What is reached by the names of a path, or the name that leads nowhere and what there is.
pub(super) fn reach(kind: &Type, path: &str) -> Result<Type, (String, Vec<String>)> {
    let mut at = kind.clone();
    for name in path.split('.') {
        at = match (at.without_null(), name.parse::<usize>()) {
            (Type::List(of), Ok(_)) => (*of).clone(),
            (other, _) => field_of(&other, name).map_err(|known| (name.to_owned(), known))?,
        };
    }
    Ok(at)
}

/// What an argument of a filter reaches for in each element, and what `map` makes of it.
fn reached(inspector: &mut Inspector<'_>, filter: &Applied, input: &Type, kinds: &[Type]) -> Option<Type> {
    let name = filter.name.as_str();
    let arguments = &filter.arguments;
    let named = |name: &str| arguments.iter().find(|argument| argument.name.as_deref() == Some(name));
    let first = arguments.first();
    match name {
        "get" => path(first).and_then(|path| reach(input, path).ok()),
        "selectattr" | "rejectattr" => {
            let kind = reach_each(inspector, input, first?, false);
            if let Some((test, span)) = arguments.get(1).and_then(constant) {
                named_test(inspector, test, span);
                check_constants(inspector, test, arguments.get(2..).unwrap_or_default());
                if let (Some(other), Some(kind), Some(of)) = (arguments.get(2), &kind, kinds.get(2)) {
                    compare(inspector, test, (&first?.value_as_name(), kind), (&other.value, of));
                }
            } else if let Some(argument) = arguments.get(1) {
                inspector.problem(not_written(&argument.value, "test"));
            }
            kind
        }
        "select" | "reject" => {
            match first.map(|argument| (constant(argument), argument)) {
                Some((Some((test, span)), _)) => {
                    named_test(inspector, test, span);
                    check_constants(inspector, test, arguments.get(1..).unwrap_or_default());
                }
                Some((None, argument)) => inspector.problem(not_written(&argument.value, "test")),
                None => {}
            }
            None
        }
        "map" => match (named("attribute"), first) {
            (Some(attribute), _) => {
                let default = named("default").is_some();
                let kind = reach_each(inspector, input, attribute, default)?;
                if default { Some(Type::Any) } else { Some(kind) }
            }
            (None, Some(argument)) => match constant(argument) {
                Some((name, span)) => {
                    let row: Option<&'static Row> = library::find(FILTERS, name);
                    if row.is_none() {
                        inspector.problem(unknown_in_map(name, span, input));
                    }
                    check_constants(inspector, name, arguments.get(1..).unwrap_or_default());
                    let element = input.element();
                    let rest = kinds.get(1..).unwrap_or_default();
                    row.map(|row| (row.gives)(&Given { input: &element, arguments: rest, reached: None }))
                }
                None => {
                    inspector.problem(not_written(&argument.value, "filter"));
                    None
                }
            },
            (None, None) => None,
        },
        "groupby" => reach_each(inspector, input, named("attribute").or(first)?, named("default").is_some()),
        "sort" | "sum" | "min" | "max" | "unique" | "join" => reach_each(inspector, input, named("attribute")?, false),
        _ => None,
    }
}

fn reach_each(inspector: &mut Inspector<'_>, input: &Type, argument: &Argument, may_be_missing: bool) -> Option<Type> {
    let ExprKind::Constant(Value::String(path)) = &argument.value.kind else { return None };
    // `sort` takes several, with commas.
    if path.contains(',') {
        return None;
    }
    match reach(&input.element(), path) {
        Ok(kind) => Some(kind),
        Err((name, known)) => {
            if !may_be_missing {
                let message = format!("the elements have no field `{name}`");
                let help = did_you_mean(&name, known.iter().map(String::as_str).collect::<Vec<_>>());
                inspector.problem(Problem::new("unknown-field", argument.value.span, message).maybe_help(help));
            }
            None
        }
    }
}

fn named_test(inspector: &mut Inspector<'_>, name: &str, span: Span) {
    if library::find(TESTS, name).is_none() {
        inspector.problem(unknown_test(name, span));
    }
}

fn not_written(expr: &Expr, what: &str) -> Problem {
    let message = format!("the name of a {what} must be written out");
    Problem::new("dynamic-name", expr.span, message).help(format!("write '{what}' between quotes, not an expression"))
}

fn unknown_filter(name: &str, span: Span) -> Problem {
    let message = format!("no filter is called `{name}`");
    let help = match library::find(TESTS, name) {
        Some(row) => Some(format!("it is a test: write `{}`", row.form)),
        None => habits::foreign_filter(name).map(str::to_owned).or_else(|| did_you_mean(name, library::names(FILTERS))),
    };
    Problem::new("unknown-filter", span, message).maybe_help(help)
}

fn unknown_in_map(name: &str, span: Span, input: &Type) -> Problem {
    let is_field = reach(&input.element(), name).is_ok();
    let problem = unknown_filter(name, span);
    if is_field {
        problem.help(format!("for a field of each element, write `map(attribute='{name}')`"))
    } else {
        problem
    }
}

fn unknown_test(name: &str, span: Span) -> Problem {
    let message = format!("no test is called `{name}`");
    let help = match name {
        "null" | "nil" | "None" => Some("write `is none`".to_owned()),
        "empty" => Some("write `value | length == 0`".to_owned()),
        "list" | "array" => Some("write `is sequence`".to_owned()),
        "object" | "dict" => Some("write `is mapping`".to_owned()),
        "not" => Some("write `is not …`".to_owned()),
        "match" | "search" | "regex" => Some("write `is matching(pattern)`".to_owned()),
        _ => did_you_mean(name, library::names(TESTS)),
    };
    Problem::new("unknown-test", span, message).maybe_help(help)
}

impl Argument {
    /// `selectattr('status', …)` compares what the elements have there, which is no text that is written out.
    fn value_as_name(&self) -> Expr {
        Expr { span: self.value.span, kind: ExprKind::Name(String::new()) }
    }
}
