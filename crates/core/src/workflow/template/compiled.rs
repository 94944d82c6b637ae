//! A text that was read once, with what is known of it: kept, since a template is evaluated for each item and each retry.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use minijinja::{AutoEscape, Environment, Expression, UndefinedBehavior};
use serde_json::Value;

use super::inspect::{Inspected, Inspector, ROOTS, Use};
use super::kind::Type;
use super::marks::{self, Part, Prepared};
use super::span::{Problem, Span};
use super::tree::{Expr, Piece};
use super::{Reference, TemplateError, convert, evaluate, library, syntax};

/// Instructions that one evaluation may take before it is stopped; 64 bytes that it makes count as one.
const FUEL: u64 = 2_000_000;
/// How deep expressions may nest.
const RECURSION: usize = 100;
/// How many texts are kept, twice: of those used lately, and of those used before.
const KEPT: usize = 512;
/// How many bytes of text are kept, twice.
const KEPT_BYTES: usize = 4 << 20;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    library::furnish(&mut environment);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(RECURSION);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_formatter(convert::print);
    if let Some(marks) = syntax::marks() {
        environment.set_syntax(marks);
    }
    environment
});

/// How a text is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// One expression keeps its type; anything else is text.
    Value,
    /// Text, whatever it says.
    Text,
    /// One expression, wrapped or bare.
    Expression,
}

/// A text that was read.
pub(super) struct Compiled {
    tree: Tree,
    uses: Vec<Use>,
    problems: Vec<Problem>,
    pub(super) program: Program,
}

enum Tree {
    One(Expr),
    Text(Vec<Piece>, Vec<Part>),
}

/// What minijinja runs.
pub(super) enum Program {
    /// There is nothing to run.
    Plain,
    /// One expression, and where it begins in the text.
    One(Expression<'static, 'static>, Span),
    /// A text: the only template of an environment.
    Text(Box<Environment<'static>>, Prepared, Vec<Part>),
}

impl Compiled {
    /// Reads a text, or finds it as it was read before.
    pub(super) fn of(text: &str, mode: Mode) -> Result<Arc<Compiled>, TemplateError> {
        static KNOWN: LazyLock<Mutex<[Known; 3]>> = LazyLock::new(Mutex::default);
        let lock = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock()[mode as usize].get(text) {
            return Ok(known);
        }
        let compiled = Arc::new(Compiled::read(text, mode).map_err(|problem| TemplateError::wrong(problem, text))?);
        lock()[mode as usize].keep(text.into(), compiled.clone());
        Ok(compiled)
    }

    fn read(text: &str, mode: Mode) -> Result<Compiled, Problem> {
        let whole = Span::new(0, text.len());
        if mode == Mode::Expression && !text.contains("${{") {
            return Compiled::one(text, trimmed(text));
        }
        let parts = marks::parts(text)?;
        match (sole(text, &parts), mode) {
            (Some(inner), Mode::Value | Mode::Expression) => return Compiled::one(text, inner),
            (None, Mode::Expression) => {
                let span = trimmed(text);
                let short: String = text[span.start..span.end].chars().take(80).collect();
                let message = format!("one expression is expected here, with no text around it: `{short}`");
                return Err(Problem::new("text-around", span, message)
                    .help("write one `${{ … }}` around all of it, or none; `~` joins texts"));
            }
            _ => {}
        }
        if parts.iter().all(|part| matches!(part, Part::Text(_))) {
            let tree = Tree::Text(Vec::new(), parts);
            return Ok(Compiled { tree, uses: Vec::new(), problems: Vec::new(), program: Program::Plain });
        }
        let prepared = Prepared::new(text, &parts);
        let pieces = syntax::pieces(text, &parts, &prepared)?;
        let mut nothing = |_: &Reference| None;
        let mut inspector = Inspector::new(&mut nothing);
        inspector.pieces(&pieces);
        let (uses, problems) = (inspector.uses, inspector.problems);
        let mut environment = ENVIRONMENT.clone();
        let added = environment.add_template_owned("text", prepared.source.clone());
        added.map_err(|error| Problem::new("template", whole, evaluate::words(&error)))?;
        let program = Program::Text(Box::new(environment), prepared, parts.clone());
        Ok(Compiled { tree: Tree::Text(pieces, parts), uses, problems, program })
    }

    fn one(text: &str, inner: Span) -> Result<Compiled, Problem> {
        let expr = syntax::expression(text, inner)?;
        let mut nothing = |_: &Reference| None;
        let mut inspector = Inspector::new(&mut nothing);
        inspector.whole(&expr);
        let (uses, problems) = (inspector.uses, inspector.problems);
        let program = ENVIRONMENT
            .compile_expression_owned(text[inner.start..inner.end].to_owned())
            .map_err(|error| Problem::new("template", inner, evaluate::words(&error)))?;
        Ok(Compiled { tree: Tree::One(expr), uses, problems, program: Program::One(program, inner) })
    }

    pub(super) fn uses(&self) -> &[Use] {
        &self.uses
    }

    /// Refuses what cannot be run whatever it names. A step that is not written out is told with its own words.
    pub(super) fn sound(&self, text: &str) -> Result<(), TemplateError> {
        let wrong = self.problems.iter().find(|problem| !problem.warning && problem.code != "dynamic-step");
        wrong.map_or(Ok(()), |problem| Err(TemplateError::wrong(problem.clone(), text)))
    }

    /// What is known of it when it is known what it names.
    pub(super) fn inspect(
        &self,
        text: &str,
        lookup: &mut dyn FnMut(&Reference) -> Option<Type>,
        found: &mut Inspected,
    ) -> Type {
        let plain = |text: &str| Type::of_value(&Value::String(text.to_owned()));
        let (kind, parts) = match &self.tree {
            Tree::One(expr) => {
                let mut inspector = Inspector::new(lookup);
                let kind = inspector.whole(expr);
                found.uses.append(&mut inspector.uses);
                found.problems.append(&mut inspector.problems);
                return kind;
            }
            Tree::Text(pieces, parts) => {
                let mut inspector = Inspector::new(lookup);
                inspector.pieces(pieces);
                found.uses.append(&mut inspector.uses);
                found.problems.append(&mut inspector.problems);
                (if matches!(self.program, Program::Plain) { plain(text) } else { Type::TEXT }, parts)
            }
        };
        for part in parts {
            if let Part::Text(span) = part {
                found.problems.extend(missing_sign(text, *span, lookup));
            }
        }
        kind
    }
}

/// `{{ inputs.x }}`, as Jinja and Ansible have it: here it is plain text.
fn missing_sign(text: &str, span: Span, lookup: &mut dyn FnMut(&Reference) -> Option<Type>) -> Vec<Problem> {
    let part = &text[span.start..span.end];
    let mut found = Vec::new();
    for (at, _) in part.match_indices("{{") {
        let inside = part[at + 2..].trim_start();
        let end = inside.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(inside.len());
        let root = Reference { root: inside[..end].to_owned(), path: Vec::new() };
        let named =
            ROOTS.contains(&root.root.as_str()) && inside[end..].starts_with(['.', '[']) || lookup(&root).is_some();
        if named && part[at..].contains("}}") {
            let span = Span::new(span.start + at, span.start + at + 2);
            let problem = Problem::new("missing-sign", span, "`{{` is plain text here, and is printed as it is");
            found.push(problem.help(format!("write `${{{{ {} … }}}}`", root.root)).warning());
        }
    }
    found
}

/// The one expression that a text is, with nothing but spaces around it.
fn sole(text: &str, parts: &[Part]) -> Option<Span> {
    let blank = |part: &&Part| !matches!(part, Part::Text(span) if text[span.start..span.end].trim().is_empty());
    let mut written = parts.iter().filter(blank);
    match (written.next(), written.next()) {
        (Some(Part::Expression(_, inner)), None) => Some(*inner),
        _ => None,
    }
}

fn trimmed(text: &str) -> Span {
    let start = text.len() - text.trim_start().len();
    Span::new(start, start.max(text.trim_end().len()))
}

/// Texts that were read lately, and those that were before.
#[derive(Default)]
struct Known {
    recent: HashMap<Box<str>, Arc<Compiled>>,
    older: HashMap<Box<str>, Arc<Compiled>>,
    bytes: usize,
}

impl Known {
    fn get(&mut self, text: &str) -> Option<Arc<Compiled>> {
        if let Some(known) = self.recent.get(text) {
            return Some(known.clone());
        }
        let (text, known) = self.older.remove_entry(text)?;
        self.keep(text, known.clone());
        Some(known)
    }

    fn keep(&mut self, text: Box<str>, compiled: Arc<Compiled>) {
        if self.recent.len() >= KEPT || self.bytes > KEPT_BYTES {
            self.older = std::mem::take(&mut self.recent);
            self.bytes = 0;
        }
        self.bytes += text.len();
        self.recent.insert(text, compiled);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_every_text_is_kept_for_ever() {
        let mut known = Known::default();
        let compiled = Compiled::of("a", Mode::Text).unwrap();
        for i in 0..KEPT * 3 {
            known.keep(i.to_string().into(), compiled.clone());
            // What is used stays.
            assert!(known.get("0").is_some());
        }
        assert!(known.recent.len() + known.older.len() <= 2 * KEPT);
        assert!(known.get("1").is_none());
    }
}
