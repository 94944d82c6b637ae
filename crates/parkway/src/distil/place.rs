//! A place in what a step gives, as templates name it: `steps.s1.output.files[0].path`.

use serde_json::Value;

/// A place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The step.
    pub(super) step: String,
    /// The way from its output.
    pub(super) path: Vec<Part>,
}

/// One step of the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Name(String),
    At(usize),
}

impl Place {
    /// The place that a text begins with, and how long it is there.
    fn read(text: &str) -> Option<(Place, usize)> {
        let mut rest = text.strip_prefix("steps")?;
        let step = match part(&mut rest)? {
            Part::Name(step) => step,
            Part::At(_) => return None,
        };
        if part(&mut rest)? != Part::Name("output".into()) {
            return None;
        }
        let path = std::iter::from_fn(|| part(&mut rest)).collect();
        Some((Place { step, path }, text.len() - rest.len()))
    }

    /// The place that a template stands for, if it is nothing else.
    pub(super) fn whole(template: &str) -> Option<Place> {
        let inner = template.strip_prefix("${{")?.strip_suffix("}}")?.trim();
        Place::read(inner).filter(|(_, length)| *length == inner.len()).map(|(place, _)| place)
    }

    /// The template that stands for it.
    pub(super) fn template(&self) -> String {
        format!("${{{{ {} }}}}", self.expression())
    }

    /// It as an expression.
    pub(super) fn expression(&self) -> String {
        let path: String = self.path.iter().map(Part::written).collect();
        format!("steps.{}.output{path}", self.step)
    }

    /// What stands there in an output.
    pub(super) fn find<'a>(&self, output: &'a Value) -> Option<&'a Value> {
        self.path.iter().try_fold(output, |value, part| match part {
            Part::Name(name) => value.get(name),
            Part::At(at) => value.get(at),
        })
    }
}

impl Part {
    fn written(&self) -> String {
        match self {
            Part::At(at) => format!("[{at}]"),
            Part::Name(name) if is_name(name) => format!(".{name}"),
            Part::Name(name) => format!("['{}']", name.replace('\\', r"\\").replace('\'', r"\'")),
        }
    }
}

/// Whether a text is a name that expressions take as it is.
pub(super) fn is_name(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !text.starts_with(|c: char| c.is_ascii_digit() || c == '_')
}

/// Takes the next part off a text.
fn part(text: &mut &str) -> Option<Part> {
    if let Some(rest) = text.strip_prefix('.') {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        *text = if name.is_empty() { return None } else { rest };
        return Some(Part::Name(name.into()));
    }
    let inner = text.strip_prefix('[')?;
    let Some(quote) = inner.chars().next().filter(|c| ['\'', '"'].contains(c)) else {
        let (at, rest) = inner.split_once(']')?;
        *text = rest;
        return at.parse().ok().map(Part::At);
    };
    let (mut name, mut escaped) = (String::new(), false);
    for (at, c) in inner.char_indices().skip(1) {
        match c {
            _ if escaped => {
                name.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            c if c == quote => {
                *text = inner.get(at + 1..)?.strip_prefix(']')?;
                return Some(Part::Name(name));
            }
            c => name.push(c),
        }
    }
    None
}

/// An expression with each place in it that `known` has a value for replaced by that value.
pub(super) fn put_in(expression: &str, known: &mut dyn FnMut(&Place) -> Option<Value>) -> String {
    let mut out = String::with_capacity(expression.len());
    let mut rest = expression;
    while let Some(c) = rest.chars().next() {
        let begins = !out.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.');
        let found = Place::read(rest).filter(|_| begins);
        let found = found.and_then(|(place, length)| Some((known(&place)?, length)));
        match found {
            Some((value, length)) => {
                out.push_str(&value.to_string());
                rest = rest.get(length..).unwrap_or_default();
            }
            None => {
                out.push(c);
                rest = rest.get(c.len_utf8()..).unwrap_or_default();
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_place_is_written_as_it_was_read() {
        for text in [
            "${{ steps.s1.output }}",
            "${{ steps.s1.output.files[0].path }}",
            "${{ steps.s1.output['max-size'] }}",
            r"${{ steps.s1.output['it\'s'][2] }}",
        ] {
            assert_eq!(Place::whole(text).map(|place| place.template()).as_deref(), Some(text));
        }
        for text in
            ["steps.s1.output", "${{ steps.s1.output | length }}", "${{ steps.s1 }}", "${{ inputs.a }}", "${{ }}"]
        {
            assert_eq!(Place::whole(text), None, "{text}");
        }
    }

    #[test]
    fn a_condition_keeps_what_is_no_turn() {
        let mut known = |place: &Place| (place.step == "line_2").then(|| json!("a'b"));
        assert_eq!(
            put_in("steps.s1.output.count > steps.line_2.output.if.right and xsteps.line_2.output", &mut known),
            r#"steps.s1.output.count > "a'b" and xsteps.line_2.output"#
        );
    }
}
