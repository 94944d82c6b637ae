//! What a check says.

use std::fmt;

use parkway_core::id::{RunId, Seq};

/// How closely a store is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Everything: each event and each text is read.
    #[default]
    Full,
    /// The file's structure and the numbers of events, without reading events or texts.
    Quick,
}

/// What a check has looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Runs.
    pub runs: u64,
    /// Runs whose logs were folded, and held against what listings show.
    pub folded: u64,
    /// Events.
    pub events: u64,
    /// Places in events that point to a text.
    pub references: u64,
    /// Texts.
    pub texts: u64,
    /// Bytes of texts.
    pub text_bytes: u64,
    /// Large texts, kept once for all that have them.
    pub blobs: u64,
    /// Messages that no run has read yet.
    pub messages: u64,
    /// Entries for the world outside that were not delivered yet.
    pub outbox: u64,
    /// Memories, with those that were forgotten.
    pub memories: u64,
    /// Texts that were erased, by what the log says.
    pub erased: u64,
}

/// Something that is not as it was written, or not as it can have been.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The run that it is about, if it is about one.
    pub run: Option<RunId>,
    /// The event of the run that it is about.
    pub event: Option<Seq>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.run, self.event) {
            (Some(run), Some(event)) => write!(f, "run {run}, event {event}: {}", self.what),
            (Some(run), None) => write!(f, "run {run}: {}", self.what),
            _ => f.write_str(&self.what),
        }
    }
}

/// What a check has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checked {
    /// The version of the tables.
    pub schema: u32,
    /// How large the file is.
    pub file_bytes: u64,
    /// How large the write-ahead log beside it is.
    pub wal_bytes: u64,
    /// What was looked at.
    pub counts: Counts,
    /// The first thousand problems.
    pub problems: Vec<Problem>,
    /// How many problems there are.
    pub found: u64,
    /// What was not looked at, and why.
    pub unchecked: Vec<String>,
}

/// Problems that are kept: somebody who has more needs the backup, not the list.
const KEPT: usize = 1_000;

impl Checked {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.found == 0
    }

    pub(super) fn problem(&mut self, what: impl Into<String>) {
        self.tell(None, None, what);
    }

    pub(super) fn tell(&mut self, run: Option<RunId>, event: Option<Seq>, what: impl Into<String>) {
        self.found += 1;
        if self.problems.len() < KEPT {
            self.problems.push(Problem { run, event, what: what.into() });
        }
    }
}
