//! Workflows in, event logs out.

mod approvals;
mod check;
mod checking;
mod failures;
mod graphs;
mod recovery;
