//! Destroying the keys of sealed backups. What was erased in the store is then gone from these backups as well, wherever copies of them are.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use parkway_core::engine::{Author, Outside, holds, record_outside_if};
use parkway_store::upkeep::{BackupId, Keys};

use super::AuditLog;
use crate::error::Error;

impl AuditLog {
    /// Destroys the keys of these backups, so that nobody can read any copy of them. Each is an event with who, when and why, which is written
    /// when the key is destroyed and not before. Interrupted, it is to be done again for the same backups.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
    /// # use parkway::clock::{Clock, SystemClock};
    /// # use parkway::log::Channel;
    /// # use parkway::memory::Author;
    /// use parkway::Parkway;
    /// use parkway::upkeep::{Keys, backup_sealed, restore_sealed};
    ///
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let (path, safe) = (folder.path().join("runs.db"), folder.path().join("safe.age"));
    /// let parkway = Parkway::builder().store(format!("sqlite:{}", path.display())).build().await?;
    /// let keys = Keys::at(folder.path().join("keys"));
    /// let made = backup_sealed(&path, &safe, &keys, SystemClock.now()).await?;
    /// let by = Author::new("Ada", Channel::Command);
    /// parkway.audit().shred(&by, &keys, &made.sealed.into_iter().collect::<Vec<_>>(), "retention").await?;
    /// let other = folder.path().join("other.db");
    /// assert!(restore_sealed(&other, &safe, &keys, SystemClock.now()).await.is_err());
    /// # Ok::<_, parkway::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// There is no such key, it is [another store's](Keys::of_any_store), nothing at all may be erased (a [hold](AuditLog::hold) of everything),
    /// or the store fails. Keys of backups before the one that is named stay destroyed.
    pub async fn shred(&self, by: &Author, keys: &Keys, backups: &[BackupId], note: &str) -> Result<(), Error> {
        let log = self.store.audit().log_id().await?;
        // Nothing is destroyed where one of them is another's.
        backups.iter().try_for_each(|backup| keys.belongs(*backup, &log))?;
        for backup in backups {
            let destroyed = AtomicBool::new(false);
            // A hold that was placed meanwhile counts. What is destroyed is written down, whatever was placed since.
            let destroy = || async {
                if !destroyed.load(Relaxed) {
                    if holds(&*self.store).await?.all.is_some() {
                        return Ok(Vec::new());
                    }
                    keys.destroy(*backup)?;
                    destroyed.store(true, Relaxed);
                }
                Ok(vec![Outside::ShredBackup { backup: backup.to_string(), note: note.into() }])
            };
            if record_outside_if(&self.services, by, destroy).await?.is_empty() {
                let message = "nothing may be erased, and no key destroyed, until the hold of everything is lifted";
                return Err(Error::Audit(message.into()));
            }
            keys.clear_away(*backup)?;
        }
        Ok(())
    }
}
