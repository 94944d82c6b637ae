//! Places inside the text of a template, and what is wrong there.

/// A part of a template's text, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Span {
        Span { start, end: end.max(start) }
    }

    /// From the start of one to the end of the other.
    pub(super) fn to(self, end: Span) -> Span {
        Span::new(self.start, end.end)
    }

    /// The line and column of its start, from 1, the column in characters.
    pub(crate) fn line_column(self, text: &str) -> (u32, u32) {
        let before = text.get(..self.start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        (number(line), number(column))
    }
}

/// One thing that is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Which leaf of nested YAML it is in, as a JSON pointer; empty for a text of its own.
    pub(crate) leaf: String,
    /// Where in that text.
    pub(crate) span: Span,
    /// Stable code, for example `unknown-filter`.
    pub(crate) code: &'static str,
    /// A lowercase fragment.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) help: Option<String>,
    /// Whether it may be meant as it is.
    pub(crate) warning: bool,
}

impl Problem {
    pub(super) fn new(code: &'static str, span: Span, message: impl Into<String>) -> Problem {
        Problem { leaf: String::new(), span, code, message: message.into(), help: None, warning: false }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = Some(help.into());
        self
    }

    pub(super) fn maybe_help(mut self, help: Option<String>) -> Problem {
        self.help = help.or(self.help);
        self
    }

    pub(super) fn warning(mut self) -> Problem {
        self.warning = true;
        self
    }
}
