//! PostgreSQL: a server, connected to anew for each call.

mod error;
mod execute;
mod param;
mod query;
mod server;
mod session;
mod value;

pub(super) use execute::execute;
pub(super) use query::query;
pub(super) use server::{Server, locate};
