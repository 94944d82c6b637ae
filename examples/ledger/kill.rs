//! Where the process is to end, and how: as `kill -9` does it, so that nothing is written or told any more.

use std::str::FromStr;

use parkway::testing::{Moment, WritePoint};

/// A place in the way of a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kill {
    point: WritePoint,
    moment: Moment,
    nth: u32,
}

impl Kill {
    pub(crate) fn is_at(self, point: WritePoint, moment: Moment, nth: u32) -> bool {
        (self.point, self.moment, self.nth) == (point, moment, nth)
    }
}

impl FromStr for Kill {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no place; write for example effect:3, before:3 or after:3");
        let (place, nth) = text.split_once(':').ok_or_else(wrong)?;
        let nth = nth.parse().map_err(|_| wrong())?;
        let (point, moment) = match place {
            "effect" => (WritePoint::Effect, Moment::After),
            "before" => (WritePoint::StepCompleted, Moment::Before),
            "after" => (WritePoint::StepCompleted, Moment::After),
            _ => return Err(wrong()),
        };
        Ok(Kill { point, moment, nth })
    }
}

/// Ends the process, by the signal that no program can handle.
pub(crate) fn now() {
    // It cannot fail: a process may always end itself.
    let _sent = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    loop {
        std::thread::park();
    }
}
