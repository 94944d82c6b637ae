//! For tests, here and downstream: a scripted model, a fake clock, a store in memory, one that tells of every write, stores,
//! tools and models that fail on demand, and the suites that every adapter of a port must pass. Needs the feature `testing`,
//! and no C++.

mod clock;
pub mod conformance;
pub(crate) mod dice;
mod fault;
mod faulty;
mod memories;
mod memory;
mod model;
mod snapshot;
mod stop_at;
mod template;
mod write_point;

pub use clock::FakeClock;
pub use fault::{Fault, Faulty, FaultyModel, FaultyTool};
pub use faulty::{FaultyStore, StoreOperation};
pub use memory::MemoryStore;
pub use model::ScriptedModel;
pub use snapshot::{frozen, thawed};
pub use stop_at::StopAt;
pub use template::evaluate;
pub use write_point::{Moment, WritePoint};
