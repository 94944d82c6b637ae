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

/// How many lines are shown in full, and at most: more than a screen nobody reads.
const FULL: usize = 44;
const MOST: usize = 49;

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.list.iter().take(MOST).map(|diagnostic| self.text_of(diagnostic)).collect();
        let height = |texts: &[String]| texts.iter().map(|text| text.lines().count() + 1).sum::<usize>();
        if self.list.len() == texts.len() && height(&texts) <= MOST {
            return f.write_str(&texts.join("\n\n"));
        }
        // The first in full, then as many as there is room for in a line each.
        let full = (1..texts.len()).take_while(|n| height(&texts[..*n]) + self.list.len() - n <= FULL).last();
        let full =
            full.unwrap_or_else(|| (1..texts.len()).take_while(|n| height(&texts[..*n]) <= 21).last().unwrap_or(1));
        f.write_str(&texts[..full].join("\n\n"))?;
        f.write_str("\n")?;
        let room = MOST.saturating_sub(height(&texts[..full]) + 1);
        let rest = &self.list[full..];
        for diagnostic in rest.iter().take(room) {
            write!(f, "\n{}", self.line_of(diagnostic))?;
        }
        match rest.len().saturating_sub(room) {
            0 => Ok(()),
            more => write!(f, "\n… and {more} more: mend these first"),
        }
    }
}

impl Diagnostics {
    fn line_of(&self, diagnostic: &Diagnostic) -> String {
        let severity = if diagnostic.is_error() { "error" } else { "warning" };
        let (file, _) = self.source_of(diagnostic);
        let place = diagnostic.place.map(|place| format!(":{}:{}", place.line, place.column)).unwrap_or_default();
        format!("{severity}[{}]: {} ({file}{place})", diagnostic.code, shown(&diagnostic.message))
    }

    fn text_of(&self, diagnostic: &Diagnostic) -> String {
        let severity = if diagnostic.is_error() { "error" } else { "warning" };
        let (file, source) = self.source_of(diagnostic);
        let mut text = format!("{severity}[{}]: {}\n  --> {file}", diagnostic.code, shown(&diagnostic.message));
        if let Some(place) = diagnostic.place {
            text += &format!(":{}:{}{}", place.line, place.column, quote(source, place));
        }
        if let Some(help) = &diagnostic.help {
            text += &format!("\n   = help: {}", shown(help));
        }
        text
    }
}

/// A message on one line, without signs that could drive a terminal, and not longer than anyone reads.
fn shown(message: &str) -> String {
    let one_line = message.split(['\n', '\r']).map(str::trim_end).filter(|line| !line.is_empty());
    let line = one_line.collect::<Vec<_>>().join(" ⏎ ");
    let mut shown: String = line.chars().map(harmless).take(280).collect();
    if line.chars().count() > 280 {
        shown.push('…');
    }
    shown
}

/// A tab would move the caret, and other control characters could drive a terminal.
fn harmless(c: char) -> char {
    match c {
        '\t' => ' ',
        // Direction marks and the byte order mark have no width and much effect.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => {
            char::REPLACEMENT_CHARACTER
        }
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// The most characters of a line that are quoted: a longer one would hide the caret.
const WIDTH: usize = 200;

fn quote(source: &str, place: Place) -> String {
    let Some(line) = source.lines().nth(place.line.saturating_sub(1) as usize) else { return String::new() };
    // A byte order mark counts as no column.
    let line = line.trim_start_matches('\u{feff}');
    let column = place.column.saturating_sub(1) as usize;
    let from = if column < WIDTH { 0 } else { column - WIDTH / 2 };
    let mut shown: String = line.chars().skip(from).take(WIDTH).map(harmless).collect();
    if from > 0 {
        shown.replace_range(..shown.chars().next().map_or(0, char::len_utf8), "…");
    }
    let number = place.line.to_string();
    let indent = " ".repeat(number.len());
    let caret = " ".repeat(column - from);
    format!("\n {indent} |\n {number} | {shown}\n {indent} | {caret}^")
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
