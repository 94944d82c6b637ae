//! Runs what was read, and tells what went wrong with the words of the author.

use std::io;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind};
use serde_json::Value;

use super::compiled::{Compiled, Program};
use super::inspect::Use;
use super::marks::Part;
use super::span::Span;
use super::{MAX_BYTES, TemplateError, convert};
use crate::workflow::diagnostic::nearest;

impl Compiled {
    /// The value of the text over the roots.
    pub(super) fn evaluate(&self, text: &str, roots: &minijinja::Value) -> Result<Value, TemplateError> {
        self.sound(text)?;
        match &self.program {
            Program::Plain => Ok(Value::String(text.to_owned())),
            Program::One(expression, inner) => {
                let place = |at: usize| inner.start + at;
                let value = expression.eval(roots.clone()).and_then(|value| {
                    if value.is_undefined() { Err(ErrorKind::UndefinedError.into()) } else { convert::json(&value) }
                });
                value.map_err(|error| told(&error, text, *inner, &place, self.uses(), roots))
            }
            Program::Text(environment, prepared, parts) => {
                let mut out = Limited(Vec::new());
                let place = |at: usize| prepared.written(at);
                let template = environment.get_template("text");
                let done = template.and_then(|template| template.render_captured_to(roots.clone(), &mut out));
                match done {
                    Ok(_) => Ok(Value::String(String::from_utf8_lossy(&out.0).into_owned())),
                    Err(error) => {
                        let at = error.range().map_or(0, |range| place(range.start));
                        let part = parts.iter().find(|part| part.span().start <= at && at < part.span().end);
                        let inner = match part {
                            Some(Part::Expression(_, inner) | Part::Block(_, inner)) => *inner,
                            _ => Span::new(0, text.len()),
                        };
                        Err(told(&error, text, inner, &place, self.uses(), roots))
                    }
                }
            }
        }
    }
}

/// A text that does not grow for ever.
struct Limited(Vec<u8>);

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_BYTES {
            return Err(io::Error::other(format!("the text is larger than {} MiB", MAX_BYTES >> 20)));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What went wrong, in which expression, and in which line of a text that has several.
fn told(
    error: &Error,
    text: &str,
    inner: Span,
    place: &dyn Fn(usize) -> usize,
    uses: &[Use],
    roots: &minijinja::Value,
) -> TemplateError {
    let range = error.range().map(|range| Span::new(place(range.start), place(range.end)));
    let undefined = error.kind() == ErrorKind::UndefinedError;
    let missing = undefined.then(|| missing(uses, range.unwrap_or(inner), error.detail().unwrap_or_default(), roots));
    let message = missing.flatten().unwrap_or_else(|| words(error));
    let line = if text.trim().contains('\n') {
        let at = range.filter(|range| inner.start <= range.start && range.start < inner.end).unwrap_or(inner);
        format!(" (line {})", at.line_column(text).0)
    } else {
        String::new()
    };
    TemplateError::new(format!("{message}, in `{}`{line}", quoted(text, inner)))
}

/// The part of a text that a message quotes.
pub(super) fn quoted(text: &str, span: Span) -> String {
    let part = text.get(span.start..span.end).filter(|part| !part.trim().is_empty()).unwrap_or(text).trim();
    let short: String = part.chars().take(80).collect();
    if short.len() < part.len() { format!("{short}…") } else { short }
}

/// minijinja's words, without its names for places.
pub(super) fn words(error: &Error) -> String {
    let mut message = match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => {
            return "this takes more work than is allowed, and was stopped (out of fuel)".into();
        }
        (ErrorKind::InvalidOperation | ErrorKind::BadSerialization, Some(detail)) => detail.to_owned(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    };
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let inner_words = inner.downcast_ref::<Error>().map_or_else(
            || inner.to_string(),
            |inner| inner.detail().map_or_else(|| inner.kind().to_string(), str::to_owned),
        );
        if !message.contains(&inner_words) {
            message.push_str(": ");
            message.push_str(&inner_words);
        }
        cause = inner.source();
    }
    message
}

/// The first name that leads nowhere, and what there is in its place.
fn missing(uses: &[Use], range: Span, detail: &str, roots: &minijinja::Value) -> Option<String> {
    // The place may be that of a filter, while the words tell what it was applied to.
    let said = |one: &Use| detail.contains(&format!("`{}`", one.reference));
    let near = |one: &&Use| one.span.start < range.end && range.start < one.span.end || said(one);
    uses.iter().filter(near).find_map(|one| {
        let mut owner = one.reference.root.as_str();
        let mut at = roots.get_attr(owner).unwrap_or_default();
        if at.is_undefined() {
            return Some(format!("nothing is called `{owner}` here"));
        }
        for name in &one.reference.path {
            let next = at.get_attr(name).unwrap_or_default();
            if next.is_undefined() {
                return Some(no_field(owner, name, &at));
            }
            (owner, at) = (name, next);
        }
        None
    })
}

fn no_field(owner: &str, name: &str, value: &minijinja::Value) -> String {
    let what = match value.kind() {
        ValueKind::Map => {
            let keys = value.try_iter().into_iter().flatten().take(100);
            let keys: Vec<String> = keys.filter_map(|key| key.as_str().map(str::to_owned)).collect();
            if owner == "steps" {
                return format!("no step is called `{name}` here");
            }
            if keys.is_empty() {
                return format!("`{owner}` has no field `{name}`; it is empty");
            }
            let few = keys.len() <= 8;
            let near = nearest(name, keys.iter().map(String::as_str)).filter(|_| !few);
            let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            let dots = if few { "" } else { ", …" };
            let shown = keys[..keys.len().min(8)].join(", ");
            return format!("`{owner}` has no field `{name}`; it has {shown}{dots}{near}");
        }
        ValueKind::None => "null",
        ValueKind::Seq | ValueKind::Iterable => "a list",
        ValueKind::String => "a text",
        ValueKind::Number => "a number",
        ValueKind::Bool => "true or false",
        _ => "no object",
    };
    format!("`{owner}` is {what}, and has no field `{name}`")
}
