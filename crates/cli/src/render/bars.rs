//! Bars: how far something is, and when the steps of a run did what.

use std::time::Duration;

use parkway::id::Time;

use super::line::{Line, Tone};
use super::symbols::Symbols;
use super::timeline::{Doing, Row, Span};
use super::tree::Drawing;
use super::words::{counted, cut, elapsed, width};

/// A bar of fewer columns says nothing: then there are no bars at all.
const BAR: usize = 12;

/// `done` of `total`, as a bar of so many columns.
pub(super) fn bar(done: u64, total: u64, columns: usize, symbols: Symbols) -> String {
    let all = u128::try_from(columns).unwrap_or(0);
    let full = (u128::from(done.min(total)) * all).checked_div(u128::from(total)).unwrap_or(0);
    let full = usize::try_from(full).unwrap_or(columns);
    symbols.works().repeat(full) + &symbols.idle().repeat(columns - full)
}

/// The bars of a timeline, all of the same time.
pub(super) struct Chart<'a> {
    drawing: &'a Drawing<'a>,
    start: Time,
    end: Time,
    names: usize,
    bar: usize,
    /// How wide attempts are; 0 if there is no room for them.
    attempts: usize,
}

impl<'a> Chart<'a> {
    /// The chart for these rows, if there is room for bars, and more than one step to compare.
    pub(super) fn of(rows: &[Row], drawing: &'a Drawing<'a>) -> Option<Self> {
        let start = drawing.view.created?;
        let ends = rows.iter().flat_map(|row| row.spans.iter().map(|span| span.to));
        let end = ends.chain([start, drawing.now]).max()?;
        let names = rows.iter().map(|row| 2 * row.depth + width(&row.id)).max()?.min(drawing.columns / 3);
        let attempts = rows.iter().filter_map(|row| Some(width(&attempts(row)?) + 2)).max().unwrap_or(0);
        let room = drawing.columns.checked_sub("    ".len() + names + "  ".len() + "  999.9s".len())?;
        let attempts = if room >= attempts + 2 * BAR { attempts } else { 0 };
        let bar = room - attempts;
        (rows.len() > 1 && bar >= BAR).then_some(Chart { drawing, start, end, names, bar, attempts })
    }

    /// What the signs in the bars mean.
    pub(super) fn head(&self, rows: &[Row]) -> String {
        let symbols = self.drawing.view.symbols;
        let mut line = Line::new(self.drawing.columns, symbols);
        line.space(2);
        line.push("timeline", Tone::Plain);
        if rows.iter().flat_map(|row| &row.spans).any(|span| span.doing == Doing::Waits) {
            line.push(&format!("  {} works  ", symbols.works()), Tone::Dim);
            line.push(symbols.waits(), Tone::Ask);
            line.push(" waits", Tone::Dim);
        }
        line.finish(self.drawing.color)
    }

    pub(super) fn row(&self, row: &Row) -> String {
        let symbols = self.drawing.view.symbols;
        let mut line = Line::new(self.drawing.columns, symbols);
        line.space(4);
        let indent = (2 * row.depth).min(self.names / 2);
        let id = cut(&row.id, self.names - indent, symbols);
        line.space(indent);
        line.push(&id, Tone::Plain);
        line.space(self.names - indent - width(&id) + 2);
        for cells in self.cells(&row.spans).chunk_by(|a, b| a == b) {
            let (sign, tone) = match cells.first().copied().flatten() {
                None => (symbols.idle(), Tone::Dim),
                Some(Doing::Waits) => (symbols.waits(), Tone::Ask),
                Some(Doing::Works) => (symbols.works(), Tone::of(row.state)),
            };
            line.push(&sign.repeat(cells.len()), tone);
        }
        line.push(&format!("  {:>6}", elapsed(busy(&row.spans))), Tone::Dim);
        if let Some(attempts) = attempts(row).filter(|_| self.attempts > 0) {
            line.push(&format!("  {attempts}"), Tone::Busy);
        }
        line.finish(self.drawing.color)
    }

    /// What was done in each part of the time; work shows before waiting.
    fn cells(&self, spans: &[Span]) -> Vec<Option<Doing>> {
        let mut cells = vec![None; self.bar];
        for span in spans {
            let from = self.cell(span.from.since(self.start));
            // A time that ends where a cell begins does not reach into it.
            let to = self.cell(span.to.since(self.start).saturating_sub(Duration::from_micros(1))).max(from);
            if let Some(cells) = cells.get_mut(from..=to) {
                cells.iter_mut().for_each(|cell| *cell = (*cell).max(Some(span.doing)));
            }
        }
        cells
    }

    fn cell(&self, time: Duration) -> usize {
        let all = self.end.since(self.start).as_micros().max(1);
        let cell = time.as_micros() * u128::try_from(self.bar).unwrap_or(0) / all;
        usize::try_from(cell).unwrap_or(usize::MAX).min(self.bar - 1)
    }
}

fn attempts(row: &Row) -> Option<String> {
    (row.attempts > 1).then(|| counted(row.attempts.into(), "attempt"))
}

/// The time in which at least one of the items did something.
fn busy(spans: &[Span]) -> Duration {
    let mut spans: Vec<_> = spans.iter().map(|span| (span.from, span.to)).collect();
    spans.sort_unstable();
    let (mut total, mut end) = (Duration::ZERO, None::<Time>);
    for (from, to) in spans {
        let from = end.map_or(from, |end| from.max(end));
        total += to.since(from);
        end = Some(end.map_or(to, |end| end.max(to)));
    }
    total
}
