//! The drawing of a run: one line a step between a header and a footer, and what is left out of it on a small terminal.

use std::collections::HashSet;

use parkway::id::Time;

use super::line::{Line, Tone};
use super::outline::OutlineStep;
use super::phrases::WANTS_VALUES;
use super::row::Row;
use super::timeline::Timeline;
use super::view::{Node, Part, RunView, State, Waits};
use super::words::{count, elapsed, local, width, wrap};

/// The most lines that one message or prompt takes in a drawing that is limited in height, and in one that is not.
const MESSAGE: (usize, usize) = (2, 12);
/// A drawing has no footer if it would leave fewer lines for the steps.
const STEPS: usize = 4;
/// A drawing with fewer columns has no room for what is waited for beside a step.
const NARROW: usize = 64;
/// Ids are aligned up to this width.
const ID_COLUMN: usize = 18;

impl RunView {
    /// Draws the run as it stands at `now`, at most `columns` wide and, if `height` is given, at most so many lines
    /// high; then items that are done, messages, and at last steps that neither move nor went wrong are left out.
    pub fn lines(&self, now: Time, columns: usize, height: Option<usize>, color: bool) -> Vec<String> {
        let frame = Drawing::new(self, now, columns, color);
        let (header, mut footer) = (frame.header(), frame.footer());
        let Some(height) = height else {
            let body = frame.body(Detail::Full, usize::MAX).into_iter().map(|line| line.text).collect();
            return [header, body, footer].concat();
        };
        if height < header.len() + footer.len() + STEPS {
            footer.clear();
        }
        let room = height.saturating_sub(header.len() + footer.len());
        let body = frame.first_that_fits([Detail::Lines, Detail::Open, Detail::Bare], room);
        let mut lines = [header, frame.crop(body, room), footer].concat();
        lines.truncate(height);
        lines
    }

    /// Draws the run as `show` does: every step, then when each did what, what the policy said, and what was used.
    pub fn story(&self, timeline: &Timeline, now: Time, columns: usize, color: bool) -> Vec<String> {
        let frame = Drawing::new(self, now, columns, color);
        let body = frame.body(Detail::Full, usize::MAX).into_iter().map(|line| line.text).collect();
        [frame.header(), body, frame.failure(), frame.story(timeline)].concat()
    }

    /// Draws the run for the last time: whole if that fits into `height` lines, else without items that are done.
    pub(super) fn last_lines(&self, now: Time, columns: usize, height: usize, color: bool) -> Vec<String> {
        let frame = Drawing::new(self, now, columns, color);
        let (header, footer) = (frame.header(), frame.footer());
        let room = height.saturating_sub(header.len() + footer.len());
        let body = frame.first_that_fits([Detail::Full, Detail::Lines, Detail::Open], room);
        [header, body.into_iter().map(|line| line.text).collect(), footer].concat()
    }
}

/// How much is drawn.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Detail {
    /// No messages, and no items that are done.
    Bare,
    /// No items that are done.
    Open,
    /// Every item, one line each.
    Lines,
    /// Every item, with its steps unless it is done.
    Full,
}

/// A drawing in the making.
pub(super) struct Drawing<'a> {
    pub(super) view: &'a RunView,
    pub(super) now: Time,
    pub(super) columns: usize,
    pub(super) color: bool,
    detail: Detail,
    /// Items are drawn up to so many lines: beyond, the drawing does not fit and will not be used.
    most: usize,
    lines: Vec<Drawn>,
}

/// A line of the body; the lowest rank is left out last.
struct Drawn {
    rank: u8,
    text: String,
}

impl<'a> Drawing<'a> {
    fn new(view: &'a RunView, now: Time, columns: usize, color: bool) -> Self {
        // Nothing moves after the end.
        let now = view.ended.unwrap_or(now);
        Drawing { view, now, columns, color, detail: Detail::Full, most: usize::MAX, lines: Vec::new() }
    }

    /// The steps in the first of the details at which they fit into `room` lines, or in the last.
    fn first_that_fits(&self, details: [Detail; 3], room: usize) -> Vec<Drawn> {
        let [first, second, last] = details;
        for detail in [first, second] {
            let body = self.body(detail, room);
            if body.len() <= room {
                return body;
            }
        }
        self.body(last, usize::MAX)
    }

    /// The steps, in a detail.
    fn body(&self, detail: Detail, most: usize) -> Vec<Drawn> {
        let mut drawing = Drawing { detail, most, lines: Vec::new(), ..*self };
        drawing.steps(&self.view.root, &self.view.outline.steps, 1);
        drawing.lines
    }

    /// The steps of the workflow or of a group: those of the plan, then any that only the log knows.
    fn steps(&mut self, parent: &Node, outline: &[OutlineStep], depth: usize) {
        let planned: HashSet<_> = outline.iter().map(|step| step.id.as_str()).collect();
        let unknown = |part: &Part| matches!(part, Part::Step(id) if !planned.contains(id.as_str()));
        let shown = |node: &Node| !node.is_quiet_turn();
        let mut others: Vec<_> = parent.children.iter().filter(|(part, node)| unknown(part) && shown(node)).collect();
        others.sort_by_key(|(_, node)| node.seen);
        let known = outline
            .iter()
            .map(|step| (step.id.as_str(), parent.children.get(&Part::Step(step.id.clone())), Some(step)));
        let others = others.into_iter().filter_map(|(part, node)| match part {
            Part::Step(id) => Some((id.as_str(), Some(node), None)),
            Part::Round(_) | Part::Item(_) => None,
        });
        let steps: Vec<_> = known.chain(others).collect();
        let id_column = steps.iter().map(|(id, ..)| width(id)).max().unwrap_or(0).min(ID_COLUMN);
        let pending = Node::default();
        for (id, node, step) in steps {
            let node = node.unwrap_or(&pending);
            let label = step.map(OutlineStep::label).or_else(|| Some(node.planned.as_ref()?.label()));
            let label = label.unwrap_or_default();
            let rounds = step.and_then(|step| step.rounds);
            let row = Row { depth, id: id.into(), id_column, label, rounds, ..Row::default() };
            self.step(row, node, step.map_or(&[], |step| &step.children));
        }
    }

    fn step(&mut self, row: Row, node: &Node, children: &[OutlineStep]) {
        let depth = row.depth;
        self.row(row, node, node);
        if !node.has_failed_child() {
            self.message(node, depth);
        }
        self.own_run(node, depth);
        if node.items.is_some() || node.children.keys().any(|part| matches!(part, Part::Item(_) | Part::Round(_))) {
            self.items(node, children, depth + 1);
        } else if !node.children.is_empty() {
            self.steps(node, children, depth + 1);
        }
    }

    /// The items of a fan-out, or the rounds of a `repeat`.
    fn items(&mut self, parent: &Node, children: &[OutlineStep], depth: usize) {
        let label = |part: &Part| match part {
            Part::Step(id) => id.clone(),
            Part::Round(n) => format!("#{n}"),
            Part::Item(n) => format!("[{n}]"),
        };
        let shown = |node: &&Node| self.detail >= Detail::Lines || node.state.stands_out();
        let items: Vec<_> = parent.children.iter().filter(|(_, node)| shown(node)).collect();
        let id_column = items.iter().map(|(part, _)| width(&label(part))).max().unwrap_or(0);
        for (part, node) in items {
            if self.lines.len() > self.most {
                return;
            }
            let name = if let Part::Item(n) = part { self.view.item_name(parent, *n) } else { "" };
            let current = current(node);
            let mut row =
                Row { depth, id: label(part), id_column, label: name.into(), is_item: true, ..Row::default() };
            let opened = self.detail == Detail::Full && node.state != State::Completed;
            if opened || node.children.is_empty() {
                self.step(row, node, children);
                continue;
            }
            if let Some((Part::Step(id), _)) = current {
                row.at.clone_from(id);
            }
            let telling = current.map_or(node, |(_, child)| child);
            self.row(row, node, telling);
            self.message(telling, depth);
        }
    }

    /// The line of a step. `telling` is the step within it that says why it stands where it does.
    fn row(&mut self, mut row: Row, node: &Node, telling: &Node) {
        row.state = if node.children.is_empty() || !node.state.stands_out() { node.state } else { joint(node) };
        row.took = node.took(self.now).filter(|_| !matches!(node.state, State::Pending | State::Skipped));
        if node.spent.calls > 0 {
            row.tokens = format!("{} in {} out", count(node.spent.input), count(node.spent.output));
        }
        let tone = Tone::of(row.state);
        if let Some(items) = node.items {
            row.notes.push(tally(node, items));
        }
        if let Some(round) = node.round() {
            let most = row.rounds.map(|most| format!("/{most}")).unwrap_or_default();
            row.notes.push((format!("round {round}{most}"), Tone::Plain));
        }
        row.notes.extend(node.planning().map(|note| (note, Tone::Dim)));
        if telling.attempts > 1 {
            row.notes.push((format!("attempt {}", telling.attempts), Tone::Busy));
        }
        if let Some(code) = &telling.code
            && matches!(telling.state, State::Failed | State::InDoubt | State::Retrying { .. })
        {
            row.notes.push((code.clone(), if telling.state == State::Failed { Tone::Bad } else { Tone::Ask }));
        }
        match telling.state {
            State::Retrying { not_before } if not_before > self.now => {
                row.notes.push((format!("again in {}", elapsed(not_before.since(self.now))), Tone::Busy));
            }
            State::Waiting => row.notes.push((self.waits(telling), Tone::Ask)),
            State::InDoubt => row.notes.push(("in doubt".into(), Tone::Ask)),
            _ => {}
        }
        if let Some(remark) = &telling.remark {
            row.notes.push((remark.clone(), if tone == Tone::Bad { tone } else { Tone::Dim }));
        }
        if let Some(turn) = telling.turn.as_ref().or_else(|| telling.turn_within()) {
            (row.doing, row.doing_short) = (turn.note(), turn.short());
            row.beside = turn.beside(self.view.symbols);
        }
        let rank = match row.state {
            _ if row.depth == 1 && row.state.stands_out() => 0,
            State::Waiting | State::InDoubt | State::Running | State::Retrying { .. } => 1,
            State::Failed => 2,
            _ if row.depth == 1 => 3,
            _ => 5,
        };
        let text = row.place(self.columns, self.view.symbols).finish(self.color);
        self.lines.push(Drawn { rank, text });
    }

    /// What a step waits for; in few words where there is little room.
    fn waits(&self, node: &Node) -> String {
        match node.waits {
            Some(Waits::Time(_)) if self.columns < NARROW => "waits for a time".into(),
            Some(Waits::Signal(_)) if self.columns < NARROW => "waits for a signal".into(),
            Some(Waits::Approval) => "waits for approval".into(),
            Some(Waits::Values) => WANTS_VALUES.into(),
            Some(Waits::Time(until)) => format!("waits until {}", local(until)),
            Some(Waits::Signal(name)) => format!("waits for {}", self.view.signal(name)),
            Some(Waits::Run { .. }) => "waits for its run".into(),
            Some(Waits::Other) | None => "waits".into(),
        }
    }

    /// The run that a step has for itself, below the step until it has completed.
    fn own_run(&mut self, node: &Node, depth: usize) {
        let Some(run) = node.own_run.filter(|_| node.state != State::Completed || self.detail == Detail::Full) else {
            return;
        };
        let mut line = Line::new(self.columns, self.view.symbols);
        line.space((2 * depth + 4).min(self.columns / 3));
        line.push(&format!("run {run}"), Tone::Dim);
        self.lines.push(Drawn { rank: 4, text: line.finish(self.color) });
    }

    /// What an error or a prompt says, below its step.
    fn message(&mut self, node: &Node, depth: usize) {
        let told = matches!(node.state, State::Failed | State::InDoubt | State::Retrying { .. } | State::Waiting);
        let Some(text) = self.view.text(node.message).filter(|_| told && self.detail > Detail::Bare) else { return };
        let most = if self.detail == Detail::Full { MESSAGE.1 } else { MESSAGE.0 };
        let tone = Tone::of(node.state);
        let indent = (2 * depth + 4).min(self.columns / 3);
        let rank = if node.state == State::Waiting { 1 } else { 4 };
        for text in wrap(text, self.columns - indent, most, self.view.symbols) {
            let mut line = Line::new(self.columns, self.view.symbols);
            line.space(indent);
            line.push(&text, tone);
            self.lines.push(Drawn { rank, text: line.finish(self.color) });
        }
    }

    /// The lines that matter most, and how many there are beside them.
    fn crop(&self, lines: Vec<Drawn>, room: usize) -> Vec<String> {
        if lines.len() <= room {
            return lines.into_iter().map(|line| line.text).collect();
        }
        let mut order: Vec<usize> = (0..lines.len()).collect();
        order.sort_by_key(|&i| lines.get(i).map(|line| line.rank));
        order.truncate(room.saturating_sub(1));
        order.sort_unstable();
        let hidden = lines.len() - order.len();
        let mut kept: Vec<String> = order.iter().filter_map(|&i| lines.get(i)).map(|line| line.text.clone()).collect();
        if room > 0 {
            let mut line = Line::new(self.columns, self.view.symbols);
            line.space(2);
            line.push(&format!("{} {hidden} more", self.view.symbols.cut()), Tone::Dim);
            kept.push(line.finish(self.color));
        }
        kept
    }
}

/// The step within an item that says why the item stands where it does.
fn current(item: &Node) -> Option<(&Part, &Node)> {
    if item.state == State::Completed {
        return None;
    }
    item.children.iter().filter(|(_, child)| child.state.stands_out()).max_by_key(|(_, child)| child.seen)
}

/// The state of a group by its members: one that only waits is not shown as running.
fn joint(node: &Node) -> State {
    if node.state != State::Running {
        return node.state;
    }
    let mut state = State::Running;
    for leaf in node.leaves() {
        match leaf {
            State::Running | State::Retrying { .. } => return State::Running,
            State::Waiting => state = State::Waiting,
            State::InDoubt if state != State::Waiting => state = State::InDoubt,
            _ => {}
        }
    }
    // Items that have not started yet are not known as leaves.
    let started = u32::try_from(node.children.len()).unwrap_or(u32::MAX);
    if node.items.is_some_and(|items| items > started) { State::Running } else { state }
}

/// `12/28 done, 2 failed`.
fn tally(node: &Node, items: u32) -> (String, Tone) {
    let (mut done, mut failed, mut waiting, mut doubt) = (0_u32, 0_u32, 0_u32, 0_u32);
    for item in node.children.values() {
        match if item.children.is_empty() { item.state } else { joint(item) } {
            State::Completed | State::Skipped => done += 1,
            State::Failed => failed += 1,
            State::Waiting => waiting += 1,
            State::InDoubt => doubt += 1,
            State::Pending | State::Running | State::Retrying { .. } | State::Cancelled => {}
        }
    }
    let mut tally = format!("{done}/{items} done");
    for (n, word) in [(failed, "failed"), (waiting, "waiting"), (doubt, "in doubt")] {
        if n > 0 {
            tally.push_str(&format!(", {n} {word}"));
        }
    }
    (tally, if failed > 0 { Tone::Bad } else { Tone::Plain })
}
