//! Making a sealed backup: a plain copy beside the store, the sealed one of it, its key, and last its name.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::Path;

use parkway_core::id::Time;
use parkway_core::store::StoreError;

use super::key::Key;
use super::plain::{Plain, create};
use super::stream::{self, Trouble};
use super::{BackupId, Keys, aside, header};
use crate::sqlite::upkeep::backup::{Backup, Place};
use crate::sqlite::upkeep::copy::{create_like, discard, failed, fill, judge, refused};
use crate::sqlite::upkeep::source::{Source, size};

/// Copies the store at `path` to the new file `to`, as [`backup`](fn@super::super::backup) does, and encrypts it with a new key, which is kept in `keys`
/// under the id of the backup. The key is on disk before the backup has its name.
///
/// For the time of this a plain copy lies beside the store, which only its owner may read. `at` is the time that the id begins with.
///
/// # Errors
///
/// `to` is there already, or in the folder of the keys; there is no room for it; the store is damaged, of a newer version, or no store.
pub async fn backup_sealed(path: &Path, to: &Path, keys: &Keys, at: Time) -> Result<Backup, StoreError> {
    let place = Place::take(to)?;
    keys.apart_from(&place.to)?;
    let mut source = Source::open(path, false).await?;
    let plain = match Plain::begin(path).and_then(|plain| create(&plain.path).map(|_| plain)) {
        Ok(plain) => plain,
        Err(e) => return source.close().await.and(Err(e)),
    };
    let room = "free that much in the folder of the store, where the copy lies until it is sealed";
    let (copied, name) = (fill(&mut source, &plain.path, room).await, source.name.clone());
    let log = source.log_id().await;
    source.close().await?;
    copied?;
    let log = log?;
    let checked = judge(&plain.path, &name).await?;
    let (id, key) = (BackupId::new(at)?, Key::new()?);
    let (source, store) = (path.to_owned(), keys.clone());
    let bytes = aside(move || {
        let sealed = seal(&source, &plain.path, &place.partial, id, &key);
        // Whatever else fails, the plain copy goes.
        let gone = plain.end();
        if let Err(e) = sealed.and(gone) {
            return discard(&place.partial).and(Err(e));
        }
        let bytes = size(&place.partial);
        store.keep(id, &key, log.as_deref()).or_else(|e| discard(&place.partial).and(Err(e)))?;
        if let Err(e) = place.publish() {
            // It may have its name all the same, and must not be without its key then.
            let is_there = store.backup_in(&place.to).is_ok_and(|found| found == id);
            return if is_there { Err(e) } else { store.take_back(id).and(Err(e)) };
        }
        Ok(bytes)
    })
    .await??;
    Ok(Backup { bytes, checked, sealed: Some(id) })
}

/// Encrypts the file `plain` to the new file `to`, which who may not read the store may not read either, on disk when this returns.
fn seal(store: &Path, plain: &Path, to: &Path, id: BackupId, key: &Key) -> Result<(), StoreError> {
    let written = |e| failed("be written", to, &e);
    let fresh = header::Fresh::new()?;
    let (header, chunks) =
        header::write(id, key, &fresh).ok_or_else(|| refused("the key opens nothing; try again".into()))?;
    let mut from = BufReader::new(File::open(plain).map_err(|e| failed("be read", plain, &e))?);
    let mut out = BufWriter::new(create_like(store, to)?);
    out.write_all(&header).map_err(written)?;
    stream::seal(&chunks, &mut from, &mut out).map_err(|trouble| match trouble {
        Trouble::Reading(e) => failed("be read", plain, &e),
        Trouble::Writing(e) => failed("be written", to, &e),
        Trouble::Broken(what) => refused(what),
    })?;
    out.flush().and_then(|()| out.get_ref().sync_all()).map_err(written)
}
