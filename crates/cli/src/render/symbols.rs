//! The characters of a drawing, for terminals that have Unicode and for those that do not.

use std::env;

use super::view::State;

/// Which characters a drawing is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Symbols {
    /// `✓ ✗ ▸ …`
    #[default]
    Unicode,
    /// `+ x > ~`
    Ascii,
}

impl Symbols {
    /// What the locale of the environment can show.
    pub fn from_env() -> Self {
        let locale =
            ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| env::var(name).ok().filter(|v| !v.is_empty()));
        let locale = locale.unwrap_or_default().to_lowercase();
        let unicode = cfg!(windows) || locale.contains("utf-8") || locale.contains("utf8");
        if unicode { Symbols::Unicode } else { Symbols::Ascii }
    }

    pub(super) fn mark(self, state: State) -> &'static str {
        let (unicode, ascii) = match state {
            State::Pending => ("○", "."),
            State::Running => ("▸", ">"),
            State::Retrying { .. } => ("…", "~"),
            State::Waiting => ("⏸", "="),
            State::Completed => ("✓", "+"),
            State::Failed => ("✗", "x"),
            State::Skipped => ("–", "-"),
            State::Cancelled => ("⊘", "/"),
            State::InDoubt => ("?", "?"),
        };
        self.either(unicode, ascii)
    }

    /// What stands for a part that does not fit.
    pub(super) fn cut(self) -> &'static str {
        self.either("…", "~")
    }

    /// What stands between parts of equal rank.
    pub(super) fn dot(self) -> &'static str {
        self.either("·", "|")
    }

    /// A part of a bar in which something is done.
    pub(super) fn works(self) -> &'static str {
        self.either("█", "#")
    }

    /// A part of a bar in which something is waited for.
    pub(super) fn waits(self) -> &'static str {
        self.either("░", "-")
    }

    /// A part of a bar in which nothing happens.
    pub(super) fn idle(self) -> &'static str {
        self.either("·", ".")
    }

    fn either(self, unicode: &'static str, ascii: &'static str) -> &'static str {
        match self {
            Symbols::Unicode => unicode,
            Symbols::Ascii => ascii,
        }
    }
}
