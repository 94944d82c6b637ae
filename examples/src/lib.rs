//! Programs that use Parkway; each has a folder of its own beside this one.

#[cfg(feature = "llama")]
pub mod starter;
