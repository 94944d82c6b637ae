//! What is told of a pull while it goes on.

use std::time::{Duration, Instant};

use parkway::models::PullProgress;

use crate::render::{Symbols, progress, transfer};

/// A pull, told now and then.
#[derive(Debug)]
pub(super) struct Pulling {
    /// How long nothing is told after something was.
    pause: Duration,
    /// When the last line was told; at first, when the pull began.
    told: Option<Instant>,
    /// What goes on, since when, and how many bytes there were then.
    phase: Option<(&'static str, Instant, u64)>,
}

impl Pulling {
    /// On a terminal, where each line takes the place of the one before.
    pub(super) const IN_PLACE: Duration = Duration::from_millis(100);
    /// Elsewhere. A pull that takes less time is not told about.
    pub(super) const LINES: Duration = Duration::from_secs(5);

    pub(super) fn new(pause: Duration) -> Self {
        Pulling { pause, told: None, phase: None }
    }

    /// The line to tell now, if it is time for one.
    pub(super) fn line(
        &mut self,
        now_is: PullProgress,
        now: Instant,
        columns: usize,
        symbols: Symbols,
    ) -> Option<String> {
        let (what, done, total) = match now_is {
            PullProgress::Waiting => ("waiting for another process that pulls it", 0, 0),
            PullProgress::Fetching { done, total } => ("fetching", done, total),
            PullProgress::Unpacking { done, total } => ("unpacking and checking", done, total),
            _ => return None,
        };
        let (_, since, before) = match self.phase.filter(|(before, ..)| *before == what) {
            Some(phase) => phase,
            None => *self.phase.insert((what, now, done)),
        };
        if now.duration_since(*self.told.get_or_insert(now)) < self.pause {
            return None;
        }
        self.told = Some(now);
        if total == 0 {
            return Some(what.into());
        }
        let notes = transfer(done, total, done.saturating_sub(before), now.duration_since(since));
        Some(progress(what, done, total, &notes, columns, symbols))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told, with its second, of a pull of 92 MB in 23 seconds, after it has waited for a second.
    fn told(pause: Duration) -> Vec<String> {
        let (start, mut pulling, mut told) = (Instant::now(), Pulling::new(pause), Vec::new());
        for tenth in 0..240_u64 {
            let now_is = match tenth {
                0..10 => PullProgress::Waiting,
                10..230 => PullProgress::Fetching { done: (tenth - 10) * 400_000, total: 92_000_000 },
                _ => PullProgress::Unpacking { done: (tenth - 230) * 9_000_000, total: 92_000_000 },
            };
            let now = start + Duration::from_millis(tenth * 100);
            let line = pulling.line(now_is, now, 79, Symbols::Ascii);
            told.extend(line.map(|line| format!("{:>4}.{} {line}", tenth / 10, tenth % 10)));
        }
        told
    }

    #[test]
    fn a_pipe_is_told_every_few_seconds() {
        insta::assert_snapshot!(told(Pulling::LINES).join("\n"), @r"
         5.0 fetching  ##..............   17 %  16 of 92 MB  4.0 MB/s  19s left
        10.0 fetching  ######..........   39 %  36 of 92 MB  4.0 MB/s  14s left
        15.0 fetching  #########.......   60 %  56 of 92 MB  4.0 MB/s  9s left
        20.0 fetching  #############...   82 %  76 of 92 MB  4.0 MB/s  4s left
        ");
    }

    #[test]
    fn a_terminal_sees_it_move() {
        let told = told(Pulling::IN_PLACE);
        assert_eq!(told.len(), 239);
        let some: Vec<_> = [1, 15, 60, 229, 235].map(|at| told[at].as_str()).into();
        insta::assert_snapshot!(some.join("\n"), @r"
         0.2 waiting for another process that pulls it
         1.6 fetching  ................    2 %  2 of 92 MB
         6.1 fetching  ###.............   22 %  20 of 92 MB  4.0 MB/s  18s left
        23.0 unpacking and checking  ................    0 %  0 of 92 MB
        23.6 unpacking and checking  #########.......   58 %  54 of 92 MB
        ");
    }
}
