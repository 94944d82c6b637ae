//! What is wrong with a workflow file: a code, a place, the line quoted, and what to do.

mod screen;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A place in a source text; lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// How much a diagnostic matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The workflow cannot be run.
    Error,
    /// The workflow can be run, and may surprise.
    Warning,
}

/// One thing that is wrong with a workflow, or doubtful.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// How much it matters.
    pub severity: Severity,
    /// Stable code, for example `unknown-step`.
    pub code: &'static str,
    /// The file, relative to the workflow's folder; `None` for the workflow itself.
    pub file: Option<String>,
    /// Where; `None` if it concerns the whole file.
    pub place: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Whether its line is not quoted, since a secret may stand there.
    pub unquoted: bool,
}

impl Diagnostic {
    /// An error without help.
    pub fn new(code: &'static str, place: impl Into<Option<Place>>, message: impl Into<String>) -> Self {
        Diagnostic {
            severity: Severity::Error,
            code,
            file: None,
            place: place.into(),
            message: message.into(),
            help: None,
            unquoted: false,
        }
    }

    /// A warning without help.
    pub fn warning(code: &'static str, place: impl Into<Option<Place>>, message: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::new(code, place, message) }
    }

    /// Whether the workflow cannot be run because of it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The same about another file.
    #[must_use]
    pub(crate) fn in_file(mut self, file: impl Into<String>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// The same, without its line being quoted: a secret may stand there.
    #[must_use]
    pub fn unquoted(self) -> Self {
        Diagnostic { unquoted: true, ..self }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// All that is wrong with one file, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    /// The file's name, as the author knows it.
    pub file: String,
    /// Its text, for quoting lines.
    pub source: String,
    /// What is wrong.
    pub list: Vec<Diagnostic>,
    /// The texts of the other files that the list speaks of, by their paths relative to the workflow's folder.
    pub texts: Arc<BTreeMap<String, String>>,
}

impl Diagnostics {
    /// The diagnostics of a file, sorted by place.
    pub fn new(file: &str, source: &str, mut list: Vec<Diagnostic>) -> Self {
        list.sort_by(|a, b| {
            let order = |d: &Diagnostic| (d.place, d.code, d.severity == Severity::Warning);
            (&a.file, order(a), &a.message).cmp(&(&b.file, order(b), &b.message))
        });
        list.dedup();
        // What else is wrong with a line would quote it as well.
        let line = |d: &Diagnostic| (d.file.clone(), d.place.map(|place| place.line));
        let unquoted: BTreeSet<_> = list.iter().filter(|d| d.unquoted).map(line).collect();
        list.iter_mut().for_each(|d| d.unquoted = unquoted.contains(&line(d)));
        Diagnostics { file: file.into(), source: source.into(), list, texts: Arc::default() }
    }

    /// The same, with the texts of other files, for quoting lines.
    #[must_use]
    pub(crate) fn with_texts(mut self, texts: Arc<BTreeMap<String, String>>) -> Self {
        self.texts = texts;
        self
    }

    /// The name of the file that a diagnostic is about, and its text.
    pub fn source_of<'a>(&'a self, diagnostic: &'a Diagnostic) -> (String, &'a str) {
        match &diagnostic.file {
            None => (self.file.clone(), &self.source),
            Some(file) => {
                let folder = self.file.rfind('/').map_or("", |end| &self.file[..=end]);
                (format!("{folder}{file}"), self.texts.get(file).map_or("", String::as_str))
            }
        }
    }
}

impl std::error::Error for Diagnostics {}

/// The name in `known` that is nearest to `name`, if one is near.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Nobody misspells so long a name; and the time grows with its length.
    if name.len() > 100 {
        return None;
    }
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count().min(name.chars().count()) / 3)
        .min()
        .map(|(_, candidate)| candidate)
}

/// A help text that names the nearest of the known names, or lists them all.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    if let Some(near) = nearest(name, known.clone()) {
        return Some(format!("did you mean `{near}`?"));
    }
    let all: Vec<_> = known.into_iter().take(30).map(|name| format!("`{name}`")).collect();
    (!all.is_empty()).then(|| format!("known here: {}", all.join(", ")))
}
