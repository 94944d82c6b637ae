//! For tests, here and downstream: a scripted model, a fake clock, a store in memory, a store that fails on demand, one that
//! tells of every write, and the suites that every adapter of a port must pass. Needs the feature `testing`, and no C++.

mod clock;
pub mod conformance;
mod faulty;
mod memory;
mod model;
mod stop_at;
mod template;
mod write_point;

pub use clock::FakeClock;
pub use faulty::{FaultyStore, StoreOperation};
pub use memory::MemoryStore;
pub use model::ScriptedModel;
pub use stop_at::StopAt;
pub use template::evaluate;
pub use write_point::{Moment, WritePoint};
