//! Keeping a store well: looking for damage, copying it while it is in use, putting a copy in its place, giving space back.
//!
//! Each of these works on a file, whether or not a store is open on it. Killed at any moment, it leaves the store as it was or
//! as it is to be; what it leaves beside it is cleared away by the next one.

mod backup;
mod bare;
mod check;
mod copy;
mod fold;
mod left;
mod memories;
mod report;
mod restore;
mod schema;
mod seal;
mod source;
mod swap;
mod texts;
mod told;
mod tree;
mod vacuum;

pub use backup::{Backup, backup};
pub use check::check;
pub use left::copies_beside;
pub use report::{Checked, Counts, Depth, Problem};
pub use restore::{Extent, Restored, restore, restore_sealed};
pub use seal::{BackupId, Keys, backup_sealed, check_sealed};
pub use vacuum::{Vacuumed, vacuum};
