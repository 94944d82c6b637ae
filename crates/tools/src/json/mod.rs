//! Values picked apart and put together by queries.

mod instrument;
mod meter;
mod program;
mod query;
mod search;
mod values;

pub(crate) use query::Query;
