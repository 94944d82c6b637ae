//! What is wrong with a workflow file: a code, a place, the line quoted, and what to do.

use std::collections::BTreeMap;
use std::fmt;
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
    pub fn in_file(mut self, file: impl Into<String>) -> Self {
        self.file = Some(file.into());
        self
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
        list.sort_by(|a, b| (&a.file, a.place).cmp(&(&b.file, b.place)));
        list.dedup();
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

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.list.iter().enumerate() {
            if i > 0 {
                f.write_str("\n\n")?;
            }
            let severity = if diagnostic.is_error() { "error" } else { "warning" };
            write!(f, "{severity}[{}]: {}", diagnostic.code, diagnostic.message)?;
            let (file, source) = self.source_of(diagnostic);
            match diagnostic.place {
                Some(place) => {
                    write!(f, "\n  --> {file}:{}:{}", place.line, place.column)?;
                    quote(f, source, place)?;
                }
                None => write!(f, "\n  --> {file}")?,
            }
            if let Some(help) = &diagnostic.help {
                write!(f, "\n   = help: {help}")?;
            }
        }
        Ok(())
    }
}

fn quote(f: &mut fmt::Formatter<'_>, source: &str, place: Place) -> fmt::Result {
    let Some(line) = source.lines().nth(place.line.saturating_sub(1) as usize) else { return Ok(()) };
    let number = place.line.to_string();
    let indent = " ".repeat(number.len());
    // Tabs would move the caret, a very long line would hide it, and other signs could drive a terminal.
    let shown = |c: char| if c == '\t' { ' ' } else { c };
    let line = line.chars().map(shown).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c });
    let line: String = line.take(200).collect();
    let caret = " ".repeat((place.column.saturating_sub(1) as usize).min(200));
    write!(f, "\n {indent} |\n {number} | {line}\n {indent} | {caret}^")
}

impl std::error::Error for Diagnostics {}

/// Where `text` stands as a word of its own at or after a place; the place itself if it does not.
pub(crate) fn pinpoint(lines: &[&str], place: Place, text: &str) -> Place {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let from = place.line.saturating_sub(1) as usize;
    for (i, line) in lines.iter().enumerate().skip(from) {
        let skipped = if i == from { place.column.saturating_sub(1) as usize } else { 0 };
        let start = line.char_indices().nth(skipped).map_or(line.len(), |(at, _)| at);
        for (at, _) in line[start..].match_indices(text) {
            let (before, after) = (&line[..start + at], &line[start + at + text.len()..]);
            let inside = before.ends_with(is_word) && text.starts_with(is_word)
                || after.starts_with(is_word) && text.ends_with(is_word);
            if !inside {
                let number = |n: usize| u32::try_from(n + 1).unwrap_or(u32::MAX);
                return Place { line: number(i), column: number(before.chars().count()) };
            }
        }
    }
    place
}

/// The name in `known` that is nearest to `name`, if one is near.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
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
    let all: Vec<_> = known.into_iter().take(12).map(|name| format!("`{name}`")).collect();
    (!all.is_empty()).then(|| format!("known here: {}", all.join(", ")))
}
