//! Workflows in, event logs out.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what is wrong by ending")]

mod approvals;
mod check;
mod checking;
mod failures;
mod graphs;
mod models;
mod recovery;
mod writing;
