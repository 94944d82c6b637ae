//! Programs that use Parkway; each has a folder of its own beside this one.

mod plain;
mod starter;

pub use plain::plain;
pub use starter::starter_or;
