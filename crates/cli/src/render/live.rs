//! The live view: a drawing that is replaced in place on a terminal, plain lines elsewhere. It writes to stderr, so
//! that stdout stays free for results.

use std::io;
use std::time::Duration;

use console::Term;
use parkway::id::Time;
use parkway::log::Event;

use super::symbols::Symbols;
use super::view::RunView;

/// The shortest time between two drawings.
const PACE: Duration = Duration::from_millis(100);

/// Shows a run while it goes on. Errors of the terminal are not the run's, so nothing here fails. The cursor is hidden
/// until the view is dropped, so a signal that ends the program must drop it first.
#[derive(Debug)]
pub struct Live {
    term: Term,
    terminal: bool,
    view: RunView,
    drawn: Vec<usize>,
    last: Option<Time>,
    colors: bool,
    asking: bool,
}

impl Live {
    /// A view on stderr: in place on a terminal, else plain lines.
    pub fn stderr() -> Self {
        let term = Term::buffered_stderr();
        let terminal = term.is_term() && !console::is_dumb();
        Live::new(term, terminal)
    }

    /// Plain lines on stderr, also on a terminal.
    pub fn plain_stderr() -> Self {
        Live::new(Term::buffered_stderr(), false)
    }

    fn new(term: Term, terminal: bool) -> Self {
        let mut view = RunView::new();
        view.use_symbols(Symbols::from_env());
        let colors = term.features().colors_supported();
        Live { term, terminal, view, drawn: Vec::new(), last: None, colors, asking: false }
    }

    /// Draws without colours, whatever the terminal can show.
    pub fn without_colors(&mut self) {
        self.colors = false;
    }

    /// The fold that is drawn, for saying what it cannot know: the outline, and texts.
    pub fn view(&mut self) -> &mut RunView {
        &mut self.view
    }

    /// Takes an event in and shows it. Explain its texts first.
    pub fn apply(&mut self, event: &Event, now: Time) {
        self.view.apply(event);
        if self.terminal {
            self.tick(now);
        } else if let Some(line) = self.view.plain(event) {
            self.unheard(|term| term.write_line(&line));
        }
    }

    /// Draws again if the last drawing is old enough. Call it some ten times a second, so that clocks move.
    pub fn tick(&mut self, now: Time) {
        if self.terminal && !self.asking && self.last.is_none_or(|last| now.since(last) >= PACE || now < last) {
            self.last = Some(now);
            let (rows, columns) = self.size();
            let lines = self.view.lines(now, columns, Some(rows), self.colors);
            self.replace(&lines, columns);
        }
    }

    /// Takes the drawing away, so that something else can be written or asked; the next tick draws it again below.
    pub fn clear(&mut self) {
        if self.terminal {
            self.replace(&[], 1);
            self.unheard(Term::show_cursor);
        }
        self.last = None;
    }

    /// Writes a question below the drawing, whose last line stays open for the answer. Until [`Live::answered`] the
    /// drawing does not move, so that what a person types stays whole.
    pub fn ask(&mut self, question: &[String], now: Time) {
        let Some((open, lines)) = question.split_last() else { return };
        self.asking = true;
        if self.terminal {
            let (rows, columns) = self.size();
            let taken = question.iter().map(|line| rows_of(console::measure_text_width(line), columns)).sum();
            let mut drawing = match rows.checked_sub(taken) {
                Some(room) if room > 0 => self.view.lines(now, columns, Some(room), self.colors),
                _ => Vec::new(),
            };
            drawing.extend_from_slice(lines);
            self.replace(&drawing, columns);
            self.drawn.push(console::measure_text_width(open));
            self.unheard(Term::show_cursor);
        } else {
            self.unheard(|term| lines.iter().try_for_each(|line| term.write_line(line)));
        }
        self.unheard(|term| term.write_str(open));
    }

    /// Takes the question away. `typed` is the line that a person ended with Enter; without one, the answer came from
    /// elsewhere.
    pub fn answered(&mut self, typed: Option<&str>) {
        self.asking = false;
        self.last = None;
        match (typed, self.drawn.last_mut()) {
            (Some(typed), Some(last)) => *last += console::measure_text_width(typed),
            (Some(_), None) => {}
            (None, _) => self.unheard(|term| term.write_line("")),
        }
    }

    /// Whether a question stands below the drawing.
    pub fn is_asking(&self) -> bool {
        self.asking
    }

    /// Draws the run for good and gives the terminal back. Items that are done are left out where they do not fit.
    pub fn finish(mut self, now: Time) {
        if self.asking {
            self.answered(None);
        }
        self.view.forget_turns();
        if self.terminal {
            let (rows, columns) = self.size();
            let lines = self.view.last_lines(now, columns, rows, self.colors);
            self.replace(&lines, columns);
            // What stands now stays; dropping shows the cursor.
            self.drawn.clear();
        }
    }

    /// Rows and columns to draw in: the last row is for the cursor, and a full last column wraps on some terminals.
    fn size(&self) -> (usize, usize) {
        let (rows, columns) = self.term.size();
        (usize::from(rows).saturating_sub(1).max(1), usize::from(columns).saturating_sub(1).max(1))
    }

    fn replace(&mut self, lines: &[String], columns: usize) {
        // A terminal that was made narrower has wrapped what was drawn before.
        let rows = self.drawn.iter().map(|width| rows_of(*width, columns)).sum();
        self.drawn = lines.iter().map(|line| console::measure_text_width(line)).collect();
        self.unheard(|term| {
            term.hide_cursor()?;
            term.clear_last_lines(rows)?;
            lines.iter().try_for_each(|line| term.write_line(line))
        });
    }

    /// Writes; an error means that nobody looks any more.
    fn unheard(&self, write: impl FnOnce(&Term) -> io::Result<()>) {
        let _ = write(&self.term).and_then(|()| self.term.flush());
    }
}

/// How many rows a line takes on a terminal with one column more than is drawn in.
fn rows_of(width: usize, columns: usize) -> usize {
    width.div_ceil(columns + 1).max(1)
}

impl Drop for Live {
    fn drop(&mut self) {
        if self.terminal {
            self.unheard(Term::show_cursor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::outline::{Outline, OutlineStep};
    use super::*;
    use parkway::id::{Fence, RunId, Seq};
    use parkway::log::{Actor, EventKind};
    use std::fs::{self, File};

    /// What a live view writes for a run of one event that is drawn three times.
    fn written(terminal: bool) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("terminal");
        fs::write(&path, "").unwrap();
        let (start, run) = (Time::from_micros(1_000_000), RunId::new(Time::from_micros(0), [1; 16]));
        let term = Term::read_write_pair(File::open(&path).unwrap(), File::options().append(true).open(&path).unwrap());
        let mut live = Live::new(term, terminal);
        live.view().use_symbols(Symbols::Ascii);
        let by = Actor::Engine;
        live.apply(&Event::new("default", run, Seq(1), start, Fence(1), by, EventKind::RunCancelled), start);
        live.tick(start.after(PACE / 2));
        live.tick(start.after(PACE));
        live.finish(start.after(PACE * 2));
        fs::read_to_string(&path).unwrap()
    }

    #[test]
    fn the_cursor_is_shown_again_and_drawings_are_paced() {
        let written = written(true);
        assert_eq!(written.matches("cancelled").count(), 3, "{written:?}");
        assert!(written.ends_with("\u{1b}[?25h"), "{written:?}");
    }

    #[test]
    fn a_run_that_is_left_does_not_keep_half_an_answer_on_the_screen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("terminal");
        fs::write(&path, "").unwrap();
        let (start, run) = (Time::from_micros(1_000_000), RunId::new(Time::from_micros(0), [1; 16]));
        let term = Term::read_write_pair(File::open(&path).unwrap(), File::options().append(true).open(&path).unwrap());
        let mut live = Live::new(term, true);
        let by = Actor::Engine;
        let step: parkway::id::StepKey = "extract".parse().unwrap();
        let kind = EventKind::StepStarted {
            key: step.clone(),
            attempt: 1,
            args: None,
            labels: [].into(),
            effect: None,
            rule: None,
            secrets: None,
        };
        live.apply(&Event::new("default", run, Seq(1), start, Fence(1), by, kind), start);
        live.view().writes(&step, "half an answer");
        live.tick(start.after(PACE));
        let drawn = fs::read_to_string(&path).unwrap();
        assert!(drawn.contains("half an answer"), "{drawn:?}");
        live.finish(start.after(PACE * 2));
        let last = fs::read_to_string(&path).unwrap().split_off(drawn.len());
        assert!(last.contains("extract") && !last.contains("half"), "{last:?}");
    }

    #[test]
    fn a_question_whose_lines_wrap_leaves_the_head_of_the_drawing_in_sight() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("terminal");
        fs::write(&path, "").unwrap();
        let term = Term::read_write_pair(File::open(&path).unwrap(), File::options().append(true).open(&path).unwrap());
        let (rows, columns) = term.size();
        let mut live = Live::new(term, true);
        let step = |n| OutlineStep { id: format!("step{n}"), ..OutlineStep::default() };
        live.view().describe(Outline { workflow: "many".into(), steps: (0..40).map(step).collect() });
        let lines = usize::from(rows) / 4;
        live.ask(&vec!["x".repeat(usize::from(columns) + 9); lines], Time::from_micros(0));
        let written = fs::read_to_string(&path).unwrap();
        let drawn = written.lines().filter(|line| !line.contains('x')).count();
        assert!(written.contains("many"), "{written}");
        assert!(drawn + 2 * lines < usize::from(rows), "{drawn} lines above {} rows\n{written}", 2 * lines);
    }

    #[test]
    fn a_pipe_gets_no_escape_sequences() {
        assert_eq!(written(false), "   0.0s  run  cancelled\n");
    }
}
