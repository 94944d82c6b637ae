//! What each command does, one room a command.

pub(crate) mod approve;
pub(crate) mod cancel;
pub(crate) mod check;
pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod fork;
pub(crate) mod graph;
pub(crate) mod input;
pub(crate) mod models;
pub(crate) mod new;
pub(crate) mod resolve;
pub(crate) mod resume;
pub(crate) mod retry;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod schema;
pub(crate) mod show;
pub(crate) mod signal;
pub(crate) mod store;
pub(crate) mod test;
pub(crate) mod try_;
