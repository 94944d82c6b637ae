//! What the store keeps when the power fails: a life of the real engine on the real store is recorded below SQLite, each
//! write and each sync in order; then each disk that a power loss could have left is made, opened, checked against what had
//! been promised by then, and its runs are gone on with to their end.
//!
//! A disk keeps what was synced. Of what was not, it may have anything: all, nothing, writes in another order, some 512-byte
//! sectors of a write. A sector is written whole or not at all, and names in a folder change in order.

mod again;
mod chance;
mod disk;
mod judge;
mod moment;
mod record;
mod recording;
mod scene;
mod table;
mod trial;
mod vfs;
mod witness;

pub use disk::Fate;
pub use recording::{Expected, Recording, SCENARIOS, Scenario, Waits};
pub use trial::{Row, Scope, Tally, try_all};
