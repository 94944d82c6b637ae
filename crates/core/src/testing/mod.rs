//! For tests, here and downstream: a scripted model, a fake clock, a store in memory, and the suites that every adapter
//! of a port must pass. Needs the feature `testing`, and no C++.

mod clock;
mod model;

pub use clock::FakeClock;
pub use model::ScriptedModel;
