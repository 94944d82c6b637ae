//! The store on SQLite against the suite that every store must pass, and against processes that die.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails panics")]

mod runs;

mod blobs;
mod conformance;
mod grouping;
mod migration;
mod opening;
mod processes;
mod tree;
mod writes;
