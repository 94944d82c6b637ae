//! Opening a sealed backup: nothing that comes out of it counts before its last chunk has been read.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use parkway_core::store::StoreError;

use super::header::{ChunkKey, Header, LENGTH};
use super::plain::{Plain, create, wipe};
use super::stream::{self, Trouble};
use super::{BackupId, Keys, aside};
use crate::sqlite::upkeep::check::check;
use crate::sqlite::upkeep::copy::{failed, refused};
use crate::sqlite::upkeep::report::{Checked, Depth};

/// A sealed backup whose key is at hand.
pub(in crate::sqlite::upkeep) struct Sealed {
    pub(super) id: BackupId,
    chunks: BufReader<File>,
    key: ChunkKey,
    path: PathBuf,
}

impl Sealed {
    /// Reads the header of the backup at `path`, and opens it with its key.
    pub(in crate::sqlite::upkeep) fn open(path: &Path, keys: &Keys) -> Result<Self, StoreError> {
        let name = path.display();
        if !path.is_file() {
            return Err(refused(format!("there is no file `{name}`; name one that is there")));
        }
        let file = File::open(path).map_err(|e| failed("be read", path, &e))?;
        let (mut chunks, mut header) = (BufReader::new(file), [0; LENGTH]);
        let header = chunks.read_exact(&mut header).ok().and_then(|()| Header::read(&header)).ok_or_else(|| {
            refused(format!(
                "`{name}` does not begin as a sealed backup does: it was not sealed (leave `--keys` away), was cut off, or was changed"
            ))
        })?;
        let key = header.open(&keys.key(header.id)?).ok_or_else(|| {
            StoreError::Corrupt(format!(
                "the key of the backup {} does not open `{name}`: it is another's, or the beginning of the file was changed",
                header.id
            ))
        })?;
        Ok(Sealed { id: header.id, chunks, key, path: path.to_owned() })
    }

    /// Writes the plain backup to the file `to`, on disk when this returns.
    fn write(&mut self, to: &Path, file: File) -> Result<(), StoreError> {
        let mut out = BufWriter::new(file);
        stream::open(&self.key, &mut self.chunks, &mut out).map_err(|trouble| match trouble {
            Trouble::Reading(e) => failed("be read", &self.path, &e),
            Trouble::Writing(e) => failed("be written", to, &e),
            Trouble::Broken(what) => {
                let name = self.path.display();
                StoreError::Corrupt(format!("`{name}` is not what was sealed, and nothing was done: {what}"))
            }
        })?;
        out.flush().and_then(|()| out.get_ref().sync_all()).map_err(|e| failed("be written", to, &e))
    }
}

/// Writes the plain backup to the new file `to`; whatever fails, it leaves none. `guard` lives as long as this writes.
pub(in crate::sqlite::upkeep) async fn unseal<G: Send + 'static>(
    mut sealed: Sealed,
    to: PathBuf,
    guard: G,
) -> Result<G, StoreError> {
    let (done, guard) = aside(move || {
        let done = create(&to).and_then(|file| sealed.write(&to, file));
        (done.or_else(|e| wipe(&to).and(Err(e))), guard)
    })
    .await?;
    done.map(|()| guard)
}

/// Looks at the sealed backup `file` as [`check`] looks at a plain one. For that it is opened into a file beside the store at `store`, which only
/// its owner may read and which goes when this is done.
///
/// # Errors
///
/// It is no sealed backup, its key is not in `keys`, or it is not as it was sealed; another process makes or checks one; as for [`check`].
pub async fn check_sealed(store: &Path, file: &Path, keys: &Keys, depth: Depth) -> Result<Checked, StoreError> {
    let sealed = Sealed::open(file, keys)?;
    let plain = Plain::begin(store)?;
    let plain = unseal(sealed, plain.path.clone(), plain).await?;
    let checked = check(&plain.path, depth).await;
    plain.end()?;
    checked
}
