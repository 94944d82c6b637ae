//! Points in time: read, written, moved, compared. The zones are those of the database that is compiled in, so that the
//! result is the same on every machine.

mod add;
mod between;
mod format;
mod now;
mod parse;
mod stamp;

use parkway_core::tool::SharedTool;

use crate::builtin::shared;

pub(crate) use stamp::modest;

/// The `time` family.
pub(crate) fn time() -> Vec<SharedTool> {
    vec![shared(now::Now), shared(parse::Parse), shared(format::Format), shared(add::Add), shared(between::Between)]
}
