//! What was found.

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
    /// Heads whose signature was checked.
    pub heads: u64,
    /// Heads from elsewhere that were held against the log.
    pub pinned: u64,
    /// Events of the newest head.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// What was not proven.
    pub open: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { origin, events, runs, payloads, heads, pinned, size, root, open } = self;
        let (events, runs, texts) = (number(*events, "event"), number(*runs, "run"), number(*payloads, "text"));
        writeln!(f, "the log {origin}: {events} of {runs} and {texts} are what they were")?;
        let size = number(*size, "event");
        writeln!(f, "heads: {heads} with a signature that counts, {pinned} from elsewhere; the newest has {size}")?;
        writeln!(f, "root {}", BASE64_STANDARD.encode(root))?;
        open.iter().try_for_each(|open| writeln!(f, "not proven: {open}"))
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
