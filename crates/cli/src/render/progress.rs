//! How far something is that takes its time, on one line: a bar, the share, and for bytes how fast they come.

use std::time::Duration;

use super::bars::bar;
use super::symbols::Symbols;
use super::words::{cut, elapsed, width};

/// A bar has at most so many columns, and at least so many.
const BAR: (usize, usize) = (8, 16);
/// Before that nobody can say how fast bytes come.
const EARLY: Duration = Duration::from_secs(1);

/// `loading main  ██████··········  42 %  …`, at most `columns` wide; of `notes`, as many as there is room for.
pub(crate) fn progress(
    what: &str,
    done: u64,
    total: u64,
    notes: &[String],
    columns: usize,
    symbols: Symbols,
) -> String {
    let percent = (u128::from(done.min(total)) * 100).checked_div(u128::from(total)).unwrap_or(0);
    let mut right = format!("  {percent:>3} %");
    let what = cut(what, columns.saturating_sub(width(&right)), symbols);
    let mut free = columns.saturating_sub(width(&what) + width(&right));
    for note in notes {
        if free < 2 + BAR.0 + 2 + width(note) {
            break;
        }
        free -= 2 + width(note);
        right = format!("{right}  {note}");
    }
    match free.saturating_sub(2).min(BAR.1) {
        room if room >= BAR.0 => format!("{what}  {}{right}", bar(done, total, room, symbols)),
        _ => format!("{what}{right}"),
    }
}

/// `38 of 92 MB`, `4.1 MB/s`, `13s left`: of bytes of which `come` have come in the time `took`.
pub(crate) fn transfer(done: u64, total: u64, come: u64, took: Duration) -> Vec<String> {
    let mut notes = vec![format!("{} of {} MB", done / 1_000_000, total.div_ceil(1_000_000))];
    let rate = (u128::from(come) * 1_000).checked_div(took.as_millis()).and_then(|rate| u64::try_from(rate).ok());
    if let Some(rate) = rate.filter(|rate| *rate > 0 && took >= EARLY) {
        notes.push(match rate {
            0..1_000_000 => format!("{} kB/s", rate / 1_000),
            _ => format!("{}.{} MB/s", rate / 1_000_000, rate % 1_000_000 / 100_000),
        });
        let left = Duration::from_secs(total.saturating_sub(done).div_ceil(rate));
        notes.push(format!("{} left", elapsed(left).replace(".0s", "s")));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(columns: usize, expected: &str) {
        let notes = transfer(38_000_000, 92_000_000, 30_000_000, Duration::from_secs(8));
        let line = progress("fetching", 38_000_000, 92_000_000, &notes, columns, Symbols::Ascii);
        assert_eq!(line, expected);
        assert!(width(&line) <= columns);
    }

    #[test]
    fn a_narrow_terminal_is_told_the_share_before_the_rest() {
        check(80, "fetching  ######..........   41 %  38 of 92 MB  3.7 MB/s  15s left");
        check(60, "fetching  ####......   41 %  38 of 92 MB  3.7 MB/s  15s left");
        check(50, "fetching  ####......   41 %  38 of 92 MB  3.7 MB/s");
        check(40, "fetching  ####......   41 %  38 of 92 MB");
        check(20, "fetching   41 %");
        check(9, "f~   41 %");
    }

    #[test]
    fn a_transfer_that_has_just_begun_or_stands_still_has_no_rate() {
        assert_eq!(transfer(0, 0, 0, Duration::ZERO), ["0 of 0 MB"]);
        assert_eq!(transfer(9, 92_000_000, 9, Duration::from_millis(900)), ["0 of 92 MB"]);
        assert_eq!(transfer(0, 92_000_000, 0, Duration::from_secs(9)), ["0 of 92 MB"]);
        let slow = transfer(90_000, 92_000_000, 90_000, Duration::from_secs(2));
        assert_eq!(slow, ["0 of 92 MB", "45 kB/s", "34m03s left"]);
    }
}
