//! What is told of a run below its tree: when its steps did what, what the policy said, where labels stand, what was used.

use parkway::policy::Verdict;

use super::bars::Chart;
use super::line::{Line, Tone};
use super::phrases::ruled;
use super::timeline::{Row, Ruling, Timeline};
use super::tree::Drawing;
use super::words::{counted, width};

/// What is told begins in this column, behind a word that says what it is about.
const TOLD: usize = 12;
/// With fewer columns it begins below that word.
const NARROW: usize = 32;
const INDENT: usize = 4;
/// So many steps are named; the others are counted.
const NAMED: usize = 20;

impl Drawing<'_> {
    pub(super) fn story(&self, timeline: &Timeline) -> Vec<String> {
        let rows = timeline.rows(&self.view.outline.steps, self.now);
        let mut lines = Vec::new();
        if let Some(chart) = Chart::of(&rows, self) {
            lines.push(chart.head(&rows));
            lines.extend(rows.iter().map(|row| chart.row(row)));
        }
        // What was stopped stands first.
        let mut rulings: Vec<_> = timeline.rulings.iter().collect();
        rulings.sort_by_key(|ruling| std::cmp::Reverse(ruling.verdict));
        let told = rulings.into_iter().map(|ruling| self.ruling(ruling)).collect();
        lines.extend(self.facts("policy", told));
        lines.extend(self.facts("labels", self.labels(&rows)));
        let mut used: Vec<_> =
            (timeline.tool_calls > 0).then(|| counted(timeline.tool_calls, "tool call")).into_iter().collect();
        used.extend(self.view.totals());
        lines.extend(self.facts("usage", vec![(listed(used), Tone::Dim)]));
        if !lines.is_empty() {
            lines.insert(0, String::new());
        }
        lines
    }

    fn ruling(&self, ruling: &Ruling) -> (Vec<String>, Tone) {
        let tone = match ruling.verdict {
            Verdict::Deny => Tone::Bad,
            Verdict::Ask => Tone::Ask,
            Verdict::Allow => Tone::Dim,
        };
        let said = format!("{}:", ruled(ruling.verdict, &ruling.rule));
        let mut parts: Vec<_> = said.split(' ').map(str::to_owned).collect();
        parts.extend(listed(self.named(ruling.steps.iter())));
        if !ruling.by.is_empty() {
            let by = ruling.by.iter().map(|by| self.view.actor(by).trim_start().to_owned()).collect();
            if let Some(step) = parts.last_mut() {
                step.push_str(", answered");
            }
            parts.extend(listed(by));
        }
        (parts, tone)
    }

    /// `untrusted: list, read`.
    fn labels(&self, rows: &[Row]) -> Vec<(Vec<String>, Tone)> {
        let of = |label: &str, has: fn(&Row) -> bool, tone| {
            let steps = self.named(rows.iter().filter(|row| has(row) && !row.turns).map(|row| &row.name));
            (!steps.is_empty()).then(|| ([vec![format!("{label}:")], listed(steps)].concat(), tone))
        };
        let secret = of("secret", |row| row.labels.secret, Tone::Ask);
        let untrusted = of("untrusted", |row| row.labels.untrusted, Tone::Dim);
        [secret, untrusted].into_iter().flatten().collect()
    }

    /// The first names, and how many there are beside them.
    fn named<'n>(&self, mut names: impl Iterator<Item = &'n String>) -> Vec<String> {
        let mut named: Vec<_> = names.by_ref().take(NAMED).cloned().collect();
        let more = names.count();
        if more > 0 {
            named.push(format!("{} and {more} more", self.view.symbols.cut()));
        }
        named
    }

    /// Facts of one kind, each beginning a line; none if nothing is known.
    fn facts(&self, about: &str, facts: Vec<(Vec<String>, Tone)>) -> Vec<String> {
        let mut lines = Vec::new();
        // Where there is little room, the word has a line of its own.
        let column = if self.columns < NARROW { INDENT } else { TOLD };
        let mut about = about;
        for (parts, tone) in facts {
            let mut parts = parts.into_iter().peekable();
            while let Some(first) = parts.next() {
                let mut line = Line::new(self.columns, self.view.symbols);
                line.space(2);
                line.push(about, Tone::Plain);
                if column == INDENT && !about.is_empty() {
                    lines.push(line.finish(self.color));
                    line = Line::new(self.columns, self.view.symbols);
                    line.space(2);
                    about = "";
                }
                line.space(column - 2 - width(about));
                about = "";
                line.push(&first, tone);
                while let Some(next) = parts.next_if(|next| width(next) < line.free()) {
                    line.push(&format!(" {next}"), tone);
                }
                lines.push(line.finish(self.color));
            }
        }
        lines
    }
}

/// The parts, each but the last with a comma behind it.
fn listed(mut parts: Vec<String>) -> Vec<String> {
    let last = parts.pop();
    parts.iter_mut().for_each(|part| part.push(','));
    parts.extend(last);
    parts
}
