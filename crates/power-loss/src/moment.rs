//! The moments of a recording at which the power may fail.

use crate::disk::Disk;
use crate::judge::Promises;
use crate::record::Op;
use crate::recording::Recording;

/// Goes through a recording, from one moment to the next.
pub(crate) struct Moments<'a> {
    ops: &'a [Op],
    at: usize,
    /// The disk at this moment.
    pub(crate) disk: Disk,
    /// What had been promised by then.
    pub(crate) promises: Promises,
}

impl<'a> Moments<'a> {
    /// Those of a recording that begins with these promises.
    pub(crate) fn new(recording: &'a Recording, promises: Promises) -> Self {
        Moments { ops: &recording.ops, at: 0, disk: Disk::new(&recording.before), promises }
    }
}

impl Iterator for Moments<'_> {
    /// The number of the last operation that was done.
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        loop {
            let op = self.at;
            let what = self.ops.get(op)?;
            self.at += 1;
            if let Op::Mark(mark) = what {
                self.promises.take(mark);
            }
            self.disk.take(what);
            // The power fails before the next operation, and so after all promises until then.
            if !matches!(self.ops.get(self.at), Some(Op::Mark(_))) {
                return Some(op);
            }
        }
    }
}
