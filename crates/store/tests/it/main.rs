//! The store on SQLite against the suite that every store must pass, and against processes that die.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and a child process reports by printing"
)]

mod runs;

mod conformance;
mod grouping;
mod opening;
mod processes;
