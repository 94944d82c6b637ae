//! The engine of Parkway: what should happen, what did happen, making it happen, and the ports.

pub mod audit;
pub mod clock;
pub mod embedder;
pub mod energy;
pub mod engine;
pub mod host;
pub mod id;
pub mod label;
pub mod log;
pub mod memory;
pub mod model;
pub mod planning;
pub mod policy;
mod schema;
pub mod secret;
pub mod store;
pub mod tool;
pub mod workflow;
pub mod write;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
