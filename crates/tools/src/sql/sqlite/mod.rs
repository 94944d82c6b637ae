//! SQLite: a file in the project, opened anew for each call.

mod error;
mod execute;
mod file;
mod guard;
mod query;
mod statement;
mod value;

pub(super) use execute::execute;
pub(super) use file::{File, inside, locate};
pub(super) use query::query;
