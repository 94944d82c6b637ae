//! Checks an export of a Parkway audit log, with nothing of Parkway: a program that an auditor can read in an evening.
//!
//! What is held against what: each event's bytes against the tree, the tree against heads that a trusted key has signed and against heads
//! that the auditor kept from before, each text against the salted hash in its event, and the events of a run against each other. What
//! follows from that, and what does not, stands in [`Report::open`].
//!
//! ```no_run
//! let key = "shop+2f0d5b2f+AQ…".parse().unwrap();
//! let export = std::io::BufReader::new(std::fs::File::open("audit.jsonl").unwrap());
//! match parkway_verify::verify(export, &parkway_verify::Trust { keys: vec![key], heads: Vec::new() }) {
//!     Ok(report) => println!("{report}"),
//!     Err(doubt) => println!("{doubt}"),
//! }
//! ```

mod chain;
mod check;
mod export;
mod heads;
mod note;
mod report;
mod texts;
pub mod tree;

pub use chain::{KeyChain, Rotation};
pub use check::verify;
pub use heads::Heads;
pub use note::{Head, Key, Note};
pub use report::{Doubt, Report};

/// What an auditor knows from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Keys whose signatures count.
    pub keys: Vec<Key>,
    /// Heads of this log that were seen before or anchored elsewhere: the log must begin with the tree of each.
    pub heads: Vec<Head>,
}
