//! What is wrong with a workflow file: a code, a place, the line quoted, and what to do.

use std::fmt;

/// A place in a source text; lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// One thing that is wrong with a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// Stable code, for example `unknown-step`.
    pub code: &'static str,
    /// Where; `None` if it concerns the whole file.
    pub place: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A diagnostic without help.
    pub fn new(code: &'static str, place: impl Into<Option<Place>>, message: impl Into<String>) -> Self {
        Diagnostic { code, place: place.into(), message: message.into(), help: None }
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
}

impl Diagnostics {
    /// The diagnostics of a file, sorted by place.
    pub fn new(file: &str, source: &str, mut list: Vec<Diagnostic>) -> Self {
        list.sort_by_key(|d| d.place);
        Diagnostics { file: file.into(), source: source.into(), list }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.list.iter().enumerate() {
            if i > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "error[{}]: {}", diagnostic.code, diagnostic.message)?;
            match diagnostic.place {
                Some(place) => {
                    write!(f, "\n  --> {}:{}:{}", self.file, place.line, place.column)?;
                    self.quote(f, place)?;
                }
                None => write!(f, "\n  --> {}", self.file)?,
            }
            if let Some(help) = &diagnostic.help {
                write!(f, "\n   = help: {help}")?;
            }
        }
        Ok(())
    }
}

impl Diagnostics {
    fn quote(&self, f: &mut fmt::Formatter<'_>, place: Place) -> fmt::Result {
        let Some(line) = self.source.lines().nth(place.line.saturating_sub(1) as usize) else { return Ok(()) };
        let number = place.line.to_string();
        let indent = " ".repeat(number.len());
        // Tabs would move the caret, a very long line would hide it, and other signs could drive a terminal.
        let shown = |c: char| if c == '\t' { ' ' } else { c };
        let line = line.chars().map(shown).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c });
        let line: String = line.take(200).collect();
        let caret = " ".repeat((place.column.saturating_sub(1) as usize).min(200));
        write!(f, "\n {indent} |\n {number} | {line}\n {indent} | {caret}^")
    }
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
