//! Holds: nothing of a run is erased as long as one is in place.

use std::collections::BTreeMap;

use crate::id::{RunId, Seq, Time};
use crate::log::{Event, EventKind};
use crate::store::{Log, StoreError};

/// The holds that are in place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holds {
    /// Since when nothing at all may be erased.
    pub all: Option<Time>,
    /// The runs of which nothing may be erased, since when.
    pub runs: BTreeMap<RunId, Time>,
}

impl Holds {
    fn take(&mut self, event: &Event) {
        match event.kind {
            EventKind::HoldPlaced { run: Some(run), .. } => drop(self.runs.entry(run).or_insert(event.at)),
            EventKind::HoldPlaced { run: None, .. } => drop(self.all.get_or_insert(event.at)),
            EventKind::HoldLifted { run: Some(run), .. } => drop(self.runs.remove(&run)),
            EventKind::HoldLifted { run: None, .. } => self.all = None,
            _ => {}
        }
    }

    /// Whether nothing of a run may be erased.
    pub fn cover(&self, run: RunId) -> bool {
        self.all.is_some() || self.runs.contains_key(&run)
    }
}

/// Events that are read at once: a great many memories may have been written beside the holds.
const PAGE: u32 = 4_096;

/// The holds that are in place, by what the log says.
pub async fn holds(log: &dyn Log) -> Result<Holds, StoreError> {
    let (mut holds, mut after) = (Holds::default(), Seq(0));
    loop {
        let page = match log.audit().leaves_of(RunId::SYSTEM, after, PAGE).await {
            Err(StoreError::NoRun(_)) => return Ok(holds),
            page => page?,
        };
        let Some(last) = page.last() else { return Ok(holds) };
        after = last.seq;
        // Most events are about something else, and need not be read.
        let about_holds = |bytes: &[u8]| bytes.windows(8).any(|part| part == b"\"hold_pl" || part == b"\"hold_li");
        for leaf in page.iter().filter(|leaf| about_holds(&leaf.bytes)) {
            holds.take(&Event::from_bytes(&leaf.bytes)?);
        }
    }
}
