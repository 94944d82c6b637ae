//! What was found.

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::tree::Hash;

/// What holds, and what is left open.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Which log.
    pub origin: String,
    /// Events that were checked.
    pub events: u64,
    /// Runs that they belong to.
    pub runs: u64,
    /// Texts that were checked.
    pub payloads: u64,
    /// Heads with a signature of a trusted key.
    pub heads: u64,
    /// The keys that have signed them.
    pub keys: BTreeSet<String>,
    /// The events and the root of the newest of them.
    pub newest: Option<(u64, Hash)>,
    /// Heads from elsewhere that the log was held against.
    pub pinned: u64,
    /// The events of the newest of them.
    pub pinned_size: u64,
    /// What was not proven.
    pub open: Vec<String>,
}

impl Report {
    /// Notes what heads from elsewhere do not show of a log of `size` events.
    pub fn past(&mut self, size: u64) {
        let behind = match (self.pinned, self.pinned_size) {
            (0, _) => "that this is the log that was there before".to_owned(),
            (_, known) if known < size => format!("that behind event {known} this is the log that was there before"),
            _ => return,
        };
        self.open.push(format!(
            "{behind}: who has the key, or an older copy, could have put another in its place; a head that was kept elsewhere shows it"
        ));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (events, runs) = (number(self.events, "event"), number(self.runs, "run"));
        let texts = number(self.payloads, "text");
        writeln!(f, "the log {}: {events} of {runs} and {texts} are what they were", self.origin)?;
        writeln!(f, "heads: {} with a signature that counts, {} from elsewhere", self.heads, self.pinned)?;
        if let Some((size, root)) = &self.newest {
            writeln!(f, "the newest has {}, root {}", number(*size, "event"), BASE64_STANDARD.encode(root))?;
        }
        self.keys.iter().try_for_each(|key| writeln!(f, "signed by {key}"))?;
        self.open.iter().try_for_each(|open| writeln!(f, "not proven: {open}"))
    }
}

fn number(n: u64, of: &str) -> String {
    if n == 1 { format!("1 {of}") } else { format!("{n} {of}s") }
}

/// The first thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The line of the export, from 1; 0 where it is of the whole.
    pub line: u64,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.what),
            line => write!(f, "line {line}: {}", self.what),
        }
    }
}

impl std::error::Error for Doubt {}
