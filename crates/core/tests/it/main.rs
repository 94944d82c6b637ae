//! Workflows in, event logs out.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what is wrong by ending")]

mod approvals;
mod buggy_stores;
mod chats;
mod check;
mod checking;
mod checking_doubts;
mod checking_types;
mod doubt;
mod effects;
mod failures;
mod graphs;
mod late;
mod ledger;
mod models;
mod older;
mod outlook;
mod own_runs;
mod panics;
mod policy;
mod protocol;
mod reconciling;
mod recovery;
mod reopening;
mod repeats;
mod reports;
mod secrets;
mod stops;
mod subworkflows;
mod times;
mod transactions;
mod truth_table;
mod waiting;
mod writing;
