//! The store on SQLite against the suite that every store must pass, and against processes that die.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod runs;

mod conformance;
mod grouping;
mod kill;
mod opening;
mod processes;
