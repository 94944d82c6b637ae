//! The store on SQLite against the suite that every store must pass, and against processes that die.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails panics")]

mod flows;
#[path = "../../../parkway/tests/it/kept.rs"]
mod kept;
mod runs;

mod blobs;
mod conformance;
mod grouping;
mod kill;
mod memories;
mod migration;
mod opening;
mod processes;
mod sealed;
mod transactional;
mod tree;
mod trouble;
mod upkeep;
#[cfg(unix)]
mod upkeep_cut_off;
mod writes;
