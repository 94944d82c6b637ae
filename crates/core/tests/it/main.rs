//! Workflows in, event logs out.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what is wrong by ending")]

mod approvals;
mod chats;
mod check;
mod checking;
mod checking_doubts;
mod checking_types;
mod doubt;
mod failures;
mod graphs;
mod models;
mod older;
mod outlook;
mod own_runs;
mod policy;
mod recovery;
mod repeats;
mod secrets;
mod stops;
mod subworkflows;
mod truth_table;
mod unanswered;
mod waiting;
mod writing;
