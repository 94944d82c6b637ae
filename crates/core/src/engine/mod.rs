//! Making it happen: `decide` says what follows, an executor does it at the edge, and `record` is the one door through
//! which a run changes.

mod approve;
mod begin;
mod budget;
mod chat;
mod child;
mod context;
mod decide;
mod executor;
mod finish;
mod offer;
mod own_run;
mod perform;
mod recorder;
mod repeat;
mod reporter;
mod resolve;
mod ruling;
mod secret;
mod settle;
mod step;
mod stop;
mod wait;
mod workflow;

pub use decide::{Command, decide};
pub use executor::{Control, Ended, Environment, Executor, ExecutorError, Poke, Preapproval, Services};
pub use reporter::{Notice, Reporter, Watched, Watcher};
