//! Sealed backups: each is encrypted with a key of its own, which is kept elsewhere. Without the key nobody reads it, and so whoever destroys
//! the key destroys every copy of the backup, wherever it is.
//!
//! The form is that of [age](https://age-encryption.org/v1), version 1, for one X25519 recipient; the key is an identity of `age`.

mod backup;
mod header;
mod id;
mod key;
mod keys;
mod open;
mod plain;
mod stream;

pub use backup::backup_sealed;
pub(super) use header::is_sealed;
pub use id::BackupId;
pub use keys::Keys;
pub use open::check_sealed;
pub(super) use open::{Sealed, unseal};
pub(super) use plain::wipe;

use parkway_core::store::StoreError;

use super::copy::refused;

/// Does something that takes long beside the others.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|e| refused(format!("the work was broken off: {e}")))
}

/// Fills a buffer with random bytes of the system.
fn random(bytes: &mut [u8]) -> Result<(), StoreError> {
    getrandom::fill(bytes).map_err(|e| refused(format!("the system gives no random bytes: {e}")))
}
