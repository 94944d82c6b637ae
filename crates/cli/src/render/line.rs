//! One line of a drawing: pieces in tones, never wider than it may be.

use console::Style;

use super::symbols::Symbols;
use super::view::State;
use super::words::{cut, width};

/// How a piece of a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tone {
    #[default]
    Plain,
    Strong,
    Dim,
    Good,
    Bad,
    Busy,
    Ask,
}

impl Tone {
    pub(super) fn of(state: State) -> Tone {
        match state {
            State::Pending | State::Skipped | State::Cancelled => Tone::Dim,
            State::Running | State::Retrying { .. } => Tone::Busy,
            State::Waiting | State::InDoubt => Tone::Ask,
            State::Completed => Tone::Good,
            State::Failed => Tone::Bad,
        }
    }

    fn style(self) -> Style {
        let style = Style::new().force_styling(true);
        match self {
            Tone::Plain => style,
            Tone::Strong => style.bold(),
            Tone::Dim => style.dim(),
            Tone::Good => style.green(),
            Tone::Bad => style.red(),
            Tone::Busy => style.cyan(),
            Tone::Ask => style.yellow(),
        }
    }
}

/// A line that is being put together from left to right.
pub(super) struct Line {
    most: usize,
    width: usize,
    pieces: Vec<(String, Tone)>,
    symbols: Symbols,
}

impl Line {
    pub(super) fn new(most: usize, symbols: Symbols) -> Self {
        Line { most, width: 0, pieces: Vec::new(), symbols }
    }

    /// How many columns are free.
    pub(super) fn free(&self) -> usize {
        self.most - self.width
    }

    /// Adds a piece; what does not fit is cut.
    pub(super) fn push(&mut self, text: &str, tone: Tone) {
        let text = cut(text, self.free(), self.symbols);
        self.width += width(&text);
        self.pieces.push((text, tone));
    }

    /// Adds spaces, as far as there is room.
    pub(super) fn space(&mut self, columns: usize) {
        let columns = columns.min(self.free());
        self.width += columns;
        self.pieces.push((" ".repeat(columns), Tone::Plain));
    }

    /// Adds a piece that ends at the right edge; nothing if it does not fit.
    pub(super) fn push_right(&mut self, text: &str, tone: Tone) {
        if let Some(gap) = self.free().checked_sub(width(text)) {
            self.space(gap);
            self.push(text, tone);
        }
    }

    pub(super) fn finish(mut self, color: bool) -> String {
        while self.pieces.pop_if(|(text, _)| text.trim().is_empty()).is_some() {}
        let piece = |(text, tone): (String, Tone)| match tone {
            Tone::Plain => text,
            tone if color && !text.is_empty() => tone.style().apply_to(text).to_string(),
            _ => text,
        };
        self.pieces.into_iter().map(piece).collect()
    }
}
