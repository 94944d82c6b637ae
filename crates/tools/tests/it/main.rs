//! The tools as a step calls them: through the port, with the grants of a workflow.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at the first thing that is not as it should be")]

mod documents;
mod files;
mod git;
#[path = "../../../parkway/tests/it/kept.rs"]
mod kept;
mod moving;
mod patch;
mod port;
#[cfg(feature = "postgres")]
mod postgres;
mod project;
mod queries;
mod sql;
mod texts;
mod times;
