//! Expressions and templates (`${{ … }}`): which values they name and of what type they are, found without running them,
//! and their evaluation within limits. Templates apply once, never to the values that they produce.
//!
//! `marks` finds expressions in a text; `syntax` reads them into a `tree`; `inspect`, `infer` and `applied` say what is known
//! of a tree before a run; `library` is the table of filters; `compiled` and `evaluate` run what was read.

mod applied;
mod compiled;
mod convert;
mod evaluate;
mod habits;
mod infer;
mod inspect;
mod kind;
mod library;
mod marks;
mod span;
mod syntax;
mod tree;

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use compiled::{Compiled, Mode};
pub(crate) use habits::foreign_root;
pub(crate) use inspect::{Inspected, Use, field_of};
pub(crate) use kind::{Field, Fields, Type};
pub use library::library_page;
pub(crate) use marks::literal;
pub(crate) use span::{Problem, Span};

use crate::schema::check_depth;

/// How large a value or a text that a template makes may be.
const MAX_BYTES: usize = 16 << 20;

/// A value that an expression names: a root and what follows it (`steps.load.output` → `steps`, `load`, `output`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reference {
    pub(crate) root: String,
    pub(crate) path: Vec<String>,
}

impl Reference {
    /// The step that is named.
    pub(crate) fn step(&self) -> Option<&str> {
        self.path.first().filter(|_| self.root == "steps").map(String::as_str)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.root)?;
        self.path.iter().try_for_each(|name| write!(f, ".{name}"))
    }
}

/// An expression or template that cannot be read or evaluated: a lowercase fragment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct TemplateError {
    pub(crate) message: String,
    /// What is wrong with its text, where that is why.
    pub(crate) problem: Option<Box<Problem>>,
}

impl TemplateError {
    fn new(message: impl Into<String>) -> Self {
        TemplateError { message: message.into(), problem: None }
    }

    /// What is wrong with a text, told with the expression in it.
    fn wrong(problem: Problem, text: &str) -> Self {
        let before = text.get(..problem.span.start).unwrap_or(text);
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let short = evaluate::quoted(text, Span::new(start, end));
        TemplateError { message: format!("{}, in `{short}`", problem.message), problem: Some(Box::new(problem)) }
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
    /// All values that it names. Errors are those that can be seen without knowing what it names.
    pub(crate) fn references(&self) -> Result<BTreeSet<Reference>, TemplateError> {
        let mut found = BTreeSet::new();
        self.leaves(&mut |_, text, mode| {
            let compiled = Compiled::of(text, mode)?;
            compiled.sound(text)?;
            found.extend(compiled.uses().iter().map(|one| one.reference.clone()));
            Ok(())
        })?;
        Ok(found)
    }

    /// What it names and gives, and what is wrong with it. `lookup` says what is known of a root (`inputs`, `run`, `item`),
    /// and of a step (`steps.x`, as an object with `status`, `output` and the others); what it does not know is not
    /// complained of, that is the caller's part.
    pub(crate) fn inspect(&self, lookup: &mut dyn FnMut(&Reference) -> Option<Type>) -> Inspected {
        let mut found = Inspected { uses: Vec::new(), result: Type::Any, problems: Vec::new() };
        found.result = match self {
            Template::Value(value) => inspect_value(value, String::new(), lookup, &mut found),
            Template::Leaf(text) => inspect_text(text, Mode::Value, "", lookup, &mut found),
            Template::Text(text) => inspect_text(text, Mode::Text, "", lookup, &mut found),
            Template::Expression(text) => inspect_text(text, Mode::Expression, "", lookup, &mut found),
        };
        found
    }

    /// Its value over `context`, an object with a field for each root.
    pub(crate) fn evaluate(&self, context: &minijinja::Value) -> Result<Value, TemplateError> {
        let value = match self {
            Template::Value(value) => evaluate_value(value, context),
            Template::Leaf(text) => Compiled::of(text, Mode::Value)?.evaluate(text, context),
            Template::Text(text) => Compiled::of(text, Mode::Text)?.evaluate(text, context),
            Template::Expression(text) => Compiled::of(text, Mode::Expression)?.evaluate(text, context),
        }?;
        check_depth(&value).map_err(TemplateError::new)?;
        Ok(value)
    }

    /// Each text in it, with its place as a JSON pointer.
    fn leaves(&self, each: &mut dyn FnMut(&str, &str, Mode) -> Result<(), TemplateError>) -> Result<(), TemplateError> {
        fn walk(
            value: &Value,
            at: &str,
            each: &mut dyn FnMut(&str, &str, Mode) -> Result<(), TemplateError>,
        ) -> Result<(), TemplateError> {
            match value {
                Value::String(text) => each(at, text, Mode::Value),
                Value::Array(list) => {
                    list.iter().enumerate().try_for_each(|(i, item)| walk(item, &format!("{at}/{i}"), each))
                }
                Value::Object(map) => {
                    map.iter().try_for_each(|(name, item)| walk(item, &format!("{at}/{}", pointed(name)), each))
                }
                Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
            }
        }
        match self {
            Template::Value(value) => walk(value, "", each),
            Template::Leaf(text) => each("", text, Mode::Value),
            Template::Text(text) => each("", text, Mode::Text),
            Template::Expression(text) => each("", text, Mode::Expression),
        }
    }
}

/// A name in a JSON pointer.
fn pointed(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn inspect_value(
    value: &Value,
    at: String,
    lookup: &mut dyn FnMut(&Reference) -> Option<Type>,
    found: &mut Inspected,
) -> Type {
    match value {
        Value::String(text) => inspect_text(text, Mode::Value, &at, lookup, found),
        Value::Array(list) => {
            let items = list.iter().enumerate();
            let kinds: Vec<_> =
                items.map(|(i, item)| inspect_value(item, format!("{at}/{i}"), lookup, found)).collect();
            Type::list(Type::union(kinds))
        }
        Value::Object(map) => {
            let fields = map.iter().map(|(name, item)| {
                (name.as_str(), inspect_value(item, format!("{at}/{}", pointed(name)), lookup, found))
            });
            Type::object(fields.collect::<Vec<_>>())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Type::of_value(value),
    }
}

fn inspect_text(
    text: &str,
    mode: Mode,
    leaf: &str,
    lookup: &mut dyn FnMut(&Reference) -> Option<Type>,
    found: &mut Inspected,
) -> Type {
    let (uses, problems) = (found.uses.len(), found.problems.len());
    let kind = match Compiled::of(text, mode) {
        Ok(compiled) => compiled.inspect(text, lookup, found),
        Err(error) => {
            let unread = || Problem::new("template", Span::new(0, text.len()), error.message.clone());
            found.problems.push(error.problem.map_or_else(unread, |problem| *problem));
            Type::Any
        }
    };
    found.uses[uses..].iter_mut().for_each(|one| leaf.clone_into(&mut one.leaf));
    found.problems[problems..].iter_mut().for_each(|one| leaf.clone_into(&mut one.leaf));
    kind
}

fn evaluate_value(value: &Value, context: &minijinja::Value) -> Result<Value, TemplateError> {
    Ok(match value {
        Value::String(text) => Compiled::of(text, Mode::Value)?.evaluate(text, context)?,
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

#[cfg(test)]
mod tests;
