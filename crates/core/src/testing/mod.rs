//! For tests, here and downstream: a scripted model, a fake clock, a store in memory, a store that fails on demand, and the
//! suites that every adapter of a port must pass. Needs the feature `testing`, and no C++.

mod clock;
pub mod conformance;
mod faulty;
mod memory;
mod model;
mod template;

pub use clock::FakeClock;
pub use faulty::{FaultyStore, StoreOperation};
pub use memory::MemoryStore;
pub use model::ScriptedModel;
pub use template::evaluate;
