//! Values picked apart and put together by queries.

mod instrument;
mod meter;
mod program;
mod query;
mod values;

pub(crate) use query::Query;
