//! Workflows in, event logs out.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what is wrong by ending")]

mod approvals;
mod budgets;
mod buggy_stores;
mod chats;
mod check;
mod checking;
mod checking_doubts;
mod checking_types;
mod doubt;
mod effects;
mod failures;
mod faults;
mod forking;
mod goal_files;
mod goals;
mod graphs;
mod keys;
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
mod shaken;
mod snapshot;
mod stops;
mod subworkflows;
mod times;
mod transactions;
mod truncation;
mod truth_table;
mod unanswered;
mod waiting;
mod writing;
