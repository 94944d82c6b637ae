//! Making it happen: `decide` says what follows, an executor does it at the edge, and `record` is the one door through
//! which a run changes.

mod approve;
mod begin;
mod budget;
mod calls;
mod chat;
mod child;
mod context;
mod control;
mod decide;
mod evidence;
mod executor;
mod finish;
mod foresight;
mod fork;
mod goal;
mod inbox;
mod lazy;
mod offer;
mod own_run;
mod perform;
mod reconcile;
mod recorder;
mod reopen;
mod repeat;
mod reporter;
mod resolve;
mod ruling;
mod secret;
mod services;
mod settle;
mod shelf;
mod snapshot;
mod step;
mod stop;
mod wait;
mod workflow;
mod writes;

pub use control::{Control, Poke, Preapproval};
pub use decide::{Command, decide};
pub use executor::{Ended, Executor, ExecutorError};
pub use fork::{Fork, ForkStep};
pub use reopen::Reopening;
pub use reporter::{Notice, Reporter, Watched, Watcher};
pub use services::{Environment, Services};
