//! The line of one step: its parts, and which of them are left out where there is no room for all.

use std::time::Duration;

use super::line::{Line, Tone};
use super::symbols::Symbols;
use super::view::State;
use super::words::{cut, cut_front, cut_middle, elapsed, width};

/// How much of a label is kept before anything else beside it is shown.
const LABEL: usize = 20;
/// The name of an item at a step is left out where it would be shorter.
const NAME: usize = 4;
/// What stands beside what a model does is left out where it would be shorter.
const BESIDE: usize = 8;

/// What stands on the line of a step.
#[derive(Default)]
pub(super) struct Row {
    pub(super) depth: usize,
    pub(super) state: State,
    pub(super) id: String,
    pub(super) id_column: usize,
    pub(super) label: String,
    pub(super) is_item: bool,
    /// The step at which an item is.
    pub(super) at: String,
    /// The most rounds that it may have.
    pub(super) rounds: Option<u32>,
    pub(super) notes: Vec<(String, Tone)>,
    /// What a model is doing, and beside it a bar, or the end of what it has written.
    pub(super) doing: String,
    /// The same in fewer columns.
    pub(super) doing_short: String,
    pub(super) beside: String,
    pub(super) tokens: String,
    pub(super) took: Option<Duration>,
}

impl Row {
    /// Places the parts on a line. Where there is no room for all, what stands beside what a model does goes first, then
    /// tokens and what a model does, then the label, then notes.
    pub(super) fn place(self, columns: usize, symbols: Symbols) -> Line {
        let tone = Tone::of(self.state);
        let mut line = Line::new(columns, symbols);
        line.space((2 * self.depth).min(columns / 4));
        line.push(symbols.mark(self.state), tone);
        line.space(1);
        line.push(&self.id, if self.state.stands_out() { Tone::Strong } else { Tone::Plain });

        let took = self.took.map(|took| format!("{:>6}", elapsed(took))).unwrap_or_default();
        let mut free = line.free();
        let take = |free: &mut usize, columns: usize| {
            let fits = columns > 0 && *free >= columns + 2;
            *free -= if fits { columns + 2 } else { 0 };
            fits
        };
        let took = if take(&mut free, width(&took)) { took } else { String::new() };
        let notes: Vec<_> = self.notes.into_iter().filter(|(note, _)| take(&mut free, width(note))).collect();
        let dot = if self.label.is_empty() { String::new() } else { format!(" {} ", symbols.dot()) };
        let at = if self.at.is_empty() { String::new() } else { format!("{dot}{}", self.at) };
        let labelled = width(&self.label) + width(&at);
        // What a model does, and what it took, is worth less than the beginning of the label.
        let label = labelled.min(LABEL) + 2;
        let beside = |free: &mut usize, text: String| {
            let fits = *free >= width(&text) + 2 + label && take(free, width(&text));
            if fits { text } else { String::new() }
        };
        let mut doing = beside(&mut free, self.doing);
        if doing.is_empty() {
            doing = beside(&mut free, self.doing_short);
        }
        let tokens = beside(&mut free, self.tokens);
        let pad = self.id_column.saturating_sub(width(&self.id));
        if free > pad && !(labelled == 0 && notes.is_empty() && doing.is_empty()) {
            line.space(pad);
            free -= pad;
        }
        if labelled > 0 && free >= 6 {
            line.space(2);
            let room = (free - 2).saturating_sub(width(&at));
            let label = match self.is_item {
                true if room < NAME && !self.at.is_empty() => cut(&self.at, free - 2, symbols),
                true => cut_middle(&self.label, room, symbols) + &at,
                false => cut(&self.label, room, symbols),
            };
            free -= 2 + width(&label);
            line.push(&label, Tone::Dim);
        }
        for (note, tone) in notes {
            line.space(2);
            line.push(&note, tone);
        }
        if !doing.is_empty() {
            line.space(2);
            line.push(&doing, Tone::Busy);
            if free >= BESIDE + 2 && !self.beside.is_empty() {
                line.space(2);
                line.push(&cut_front(&self.beside, free - 2, symbols), Tone::Dim);
            }
        }
        let gap = if tokens.is_empty() || took.is_empty() { "" } else { "  " };
        line.push_right(&format!("{tokens}{gap}{took}"), Tone::Dim);
        line
    }
}
