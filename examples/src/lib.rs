//! Programs that use Parkway; each has a folder of its own beside this one.

mod plain;

#[cfg(feature = "llama")]
pub mod starter;

pub use plain::plain;
