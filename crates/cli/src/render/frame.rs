//! What stands above and below the steps: which run this is and where it stands, and what its model calls took.

use parkway::log::RunStatus;

use super::line::{Line, Tone};
use super::tree::Drawing;
use super::view::{RunView, State};
use super::words::{count, counted, cut, elapsed, width, wrap};

impl Drawing<'_> {
    pub(super) fn header(&self) -> Vec<String> {
        let view = self.view;
        let status = view.status();
        let (state, word) = match status {
            RunStatus::Pending => (State::Pending, "pending"),
            RunStatus::Waiting => (State::Waiting, "waiting"),
            RunStatus::Completed => (State::Completed, "completed"),
            RunStatus::Failed => (State::Failed, "failed"),
            RunStatus::Cancelled => (State::Cancelled, "cancelled"),
            _ if view.overdue => (State::Running, "overdue"),
            _ if view.cancelling => (State::Running, "cancelling"),
            _ => (State::Running, "running"),
        };
        let took = view.created.map(|created| elapsed(view.ended.unwrap_or(self.now).since(created)));
        let right = format!("{word}  {:>6}", took.unwrap_or_default());
        let run = view.run.map(|run| run.to_string()).unwrap_or_default();
        let mut line = Line::new(self.columns, view.symbols);
        line.push(view.symbols.mark(state), Tone::of(state));
        line.space(1);
        let name = cut(&view.outline.workflow, line.free().saturating_sub(width(&right) + 2), view.symbols);
        line.push(&name, Tone::Strong);
        let beside = line.free() >= width(&run) + width(&right) + 4;
        if beside {
            line.space(2);
            line.push(&run, Tone::Dim);
        }
        line.push_right(&right, Tone::of(state));
        let mut lines = vec![line.finish(self.color)];
        if !beside && !run.is_empty() {
            let mut line = Line::new(self.columns, view.symbols);
            line.space(2);
            line.push(&run, Tone::Dim);
            lines.push(line.finish(self.color));
        }
        lines
    }

    pub(super) fn footer(&self) -> Vec<String> {
        let view = self.view;
        let mut lines = self.failure();
        let mut rest = view.totals().into_iter().peekable();
        let dot = format!(" {} ", view.symbols.dot());
        while let Some(first) = rest.next() {
            let mut line = Line::new(self.columns, view.symbols);
            line.space(2);
            line.push(&first, Tone::Dim);
            while let Some(next) = rest.next_if(|next| width(&dot) + width(next) <= line.free()) {
                line.push(&dot, Tone::Dim);
                line.push(&next, Tone::Dim);
            }
            lines.push(line.finish(self.color));
        }
        lines
    }

    /// Why the run failed.
    pub(super) fn failure(&self) -> Vec<String> {
        let view = self.view;
        let mut lines = Vec::new();
        if let Some(failure) = &view.failure {
            let message = view.text(failure.message).map(|text| format!(": {text}")).unwrap_or_default();
            for text in wrap(&format!("{}{message}", failure.code), self.columns.saturating_sub(2), 4, view.symbols) {
                let mut line = Line::new(self.columns, view.symbols);
                line.space(2);
                line.push(&text, Tone::Bad);
                lines.push(line.finish(self.color));
            }
        }
        lines
    }
}

impl RunView {
    /// What the run's model calls took, in words; empty without any.
    pub(super) fn totals(&self) -> Vec<String> {
        let spent = self.root.spent;
        if spent.calls == 0 {
            return Vec::new();
        }
        let cached = if spent.cached > 0 { format!(" ({} cached)", count(spent.cached)) } else { String::new() };
        let mut totals = vec![
            counted(spent.calls, "model call"),
            format!("{} in{cached}", count(spent.input)),
            format!("{} out", count(spent.output)),
        ];
        let busy = u64::try_from(self.busy.total().as_millis()).unwrap_or(u64::MAX);
        if let Some(rate) = (spent.output * 1_000).checked_div(busy) {
            totals.push(format!("{} tok/s", count(rate)));
        }
        totals.extend(self.models.iter().chain(&self.devices).filter(|name| !name.is_empty()).cloned());
        totals
    }
}
