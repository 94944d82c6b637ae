//! The disks that a power loss could leave: what was synced is there; of what was not, anything may be.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::Path;

use crate::chance::Chance;
use crate::judge::Promises;
use crate::record::{Contents, Name, Op};

/// What may be lost or kept independently of the rest, as disks promise it.
const SECTOR: usize = 512;

/// What becomes of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// All of it is on disk, as if only the process had ended.
    Kept,
    /// None of it is.
    Lost,
    /// It is on disk in order up to somewhere, and the last write of each file is torn between sectors.
    Torn,
    /// Any of it is on disk: a later write without an earlier one, some sectors of a write, zeros in place of bytes.
    Scattered,
    /// All of it in the database, none elsewhere.
    MainOnly,
    /// None of it in the database, all elsewhere.
    LogOnly,
}

impl Fate {
    /// All of them.
    pub const ALL: [Fate; 6] = [Fate::Kept, Fate::Lost, Fate::Torn, Fate::Scattered, Fate::MainOnly, Fate::LogOnly];

    /// Whether chance decides about it.
    pub fn is_random(self) -> bool {
        matches!(self, Fate::Torn | Fate::Scattered)
    }

    /// What it is called in the table.
    pub fn title(self) -> &'static str {
        match self {
            Fate::Kept => "all prefixes in order",
            Fate::Lost => "unsynced writes dropped",
            Fate::Torn => "torn at a sector",
            Fate::Scattered => "reordered subsets",
            Fate::MainOnly => "unsynced log dropped",
            Fate::LogOnly => "unsynced database dropped",
        }
    }
}

/// A change to a file that was not synced.
#[derive(Clone, Debug)]
enum Change {
    Write(u64, std::sync::Arc<[u8]>),
    Truncate(u64),
}

/// A file, whatever its name is.
#[derive(Clone, Debug, Default)]
struct File {
    synced: Vec<u8>,
    pending: Vec<Change>,
}

/// A change to the folder that was not synced.
#[derive(Clone, Copy, Debug)]
enum Rename {
    Made(Name, usize),
    Gone(Name),
}

/// The disk while operations are being asked of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    files: Vec<File>,
    /// Which file has which name for the process.
    names: BTreeMap<Name, usize>,
    /// Which has for the disk.
    synced_names: BTreeMap<Name, usize>,
    pending_names: Vec<Rename>,
}

/// What the files hold after a power loss.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Image(Contents);

impl Disk {
    /// A disk that holds this, and has nothing to sync.
    pub(crate) fn new(before: &Contents) -> Self {
        let mut disk = Disk::default();
        for (name, synced) in before {
            disk.names.insert(*name, disk.files.len());
            disk.files.push(File { synced: synced.clone(), pending: Vec::new() });
        }
        disk.sync_names();
        disk
    }

    /// Takes in one more operation. Gives whether a power loss leaves another disk from now on.
    pub(crate) fn take(&mut self, op: &Op) -> bool {
        match op {
            Op::Create(name) => {
                self.files.push(File::default());
                self.names.insert(*name, self.files.len() - 1);
                self.pending_names.push(Rename::Made(*name, self.files.len() - 1));
            }
            Op::Write(name, at, bytes) => self.change(*name, Change::Write(*at, bytes.clone())),
            Op::Truncate(name, size) => self.change(*name, Change::Truncate(*size)),
            Op::Sync { name, folder } => {
                if let Some(file) = self.names.get(name).map(|file| &mut self.files[*file]) {
                    for change in std::mem::take(&mut file.pending) {
                        change.make(&mut file.synced, Extent::Whole);
                    }
                }
                if *folder {
                    self.sync_names();
                }
            }
            Op::Delete { name, folder } => {
                self.names.remove(name);
                self.pending_names.push(Rename::Gone(*name));
                if *folder {
                    self.sync_names();
                }
            }
            Op::Mark(crate::record::Mark::Opened) => self.sync_names(),
            Op::Mark(_) => return false,
        }
        true
    }

    /// Whether anything was not synced, so that fates differ.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.pending_names.is_empty() || self.files.iter().any(|file| !file.pending.is_empty())
    }

    fn change(&mut self, name: Name, change: Change) {
        if let Some(file) = self.names.get(&name) {
            self.files[*file].pending.push(change);
        }
    }

    fn sync_names(&mut self) {
        self.synced_names = self.names.clone();
        self.pending_names.clear();
    }

    /// What the files hold if the power fails now.
    pub(crate) fn fail(&self, fate: Fate, chance: &mut Chance) -> Image {
        let mut names = self.synced_names.clone();
        // A folder's own changes reach the disk in their order.
        let kept = match fate {
            Fate::Lost => 0,
            Fate::Kept | Fate::MainOnly | Fate::LogOnly => self.pending_names.len(),
            Fate::Torn | Fate::Scattered => chance.below(self.pending_names.len() + 1),
        };
        for change in &self.pending_names[..kept] {
            match *change {
                Rename::Made(name, file) => names.insert(name, file),
                Rename::Gone(name) => names.remove(&name),
            };
        }
        let contents = names.into_iter().map(|(name, file)| (name, self.files[file].fail(name, fate, chance)));
        Image(contents.collect())
    }
}

impl File {
    fn fail(&self, name: Name, fate: Fate, chance: &mut Chance) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        let all = match fate {
            Fate::Kept => true,
            Fate::Lost => false,
            Fate::MainOnly => name == Name::Main,
            Fate::LogOnly => name != Name::Main,
            Fate::Torn => {
                let kept = chance.below(self.pending.len() + 1);
                for (i, change) in self.pending[..kept].iter().enumerate() {
                    change.make(&mut bytes, if i + 1 == kept { Extent::Head(chance) } else { Extent::Whole });
                }
                return bytes;
            }
            Fate::Scattered => {
                for change in &self.pending {
                    match chance.below(4) {
                        0 => {}
                        1 => change.make(&mut bytes, Extent::Sectors(chance)),
                        2 => change.make(&mut bytes, Extent::Whole),
                        _ => change.make(&mut bytes, if chance.below(4) == 0 { Extent::Zeros } else { Extent::Whole }),
                    }
                }
                return bytes;
            }
        };
        if all {
            self.pending.iter().for_each(|change| change.make(&mut bytes, Extent::Whole));
        }
        bytes
    }
}

/// How much of a write reaches the disk.
enum Extent<'a> {
    Whole,
    /// The sectors up to one.
    Head(&'a mut Chance),
    /// Any of the sectors.
    Sectors(&'a mut Chance),
    /// Its length, and zeros: file systems make room first, and fill it later.
    Zeros,
}

impl Change {
    fn make(&self, file: &mut Vec<u8>, extent: Extent<'_>) {
        let (at, bytes) = match self {
            Change::Truncate(size) => return file.resize(to_usize(*size), 0),
            Change::Write(at, bytes) => (to_usize(*at), bytes),
        };
        // Sectors lie where the disk has them, not where the write begins.
        let ends = (at / SECTOR + 1..).map(|sector| sector * SECTOR).take_while(|end| *end < at + bytes.len());
        let ends: Vec<usize> = ends.chain([at + bytes.len()]).collect();
        let starts = std::iter::once(at).chain(ends.iter().copied());
        let sectors = starts.zip(ends.iter().copied());
        let mut put = |from: usize, to: usize, zeros: bool| {
            if file.len() < to {
                file.resize(to, 0);
            }
            if zeros {
                // What was there before stays: only new room is zero.
                return;
            }
            file[from..to].copy_from_slice(&bytes[from - at..to - at]);
        };
        match extent {
            Extent::Whole => put(at, at + bytes.len(), false),
            Extent::Zeros => put(at, at + bytes.len(), true),
            Extent::Head(chance) => {
                let kept = chance.below(ends.len() + 1);
                sectors.take(kept).for_each(|(from, to)| put(from, to, false));
            }
            Extent::Sectors(chance) => {
                for (from, to) in sectors {
                    if chance.below(2) == 0 {
                        put(from, to, false);
                    }
                }
            }
        }
    }
}

fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

impl Image {
    /// Writes the files for a database at `path`.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        for (name, bytes) in &self.0 {
            fs::write(name.beside(path), bytes)?;
        }
        Ok(())
    }

    /// A number for the files and what was promised of them: where both are the same, there is one case.
    pub(crate) fn number(&self, promises: &Promises) -> u64 {
        let mut hasher = DefaultHasher::new();
        format!("{promises:?}").hash(&mut hasher);
        self.0.hash(&mut hasher);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(at: u64, bytes: &[u8]) -> Op {
        Op::Write(Name::Main, at, bytes.into())
    }

    fn main(disk: &Disk, fate: Fate) -> Option<Vec<u8>> {
        disk.fail(fate, &mut Chance::new(1)).0.remove(&Name::Main)
    }

    #[test]
    fn what_was_synced_is_lost_or_what_was_not_is_kept_for_certain() {
        let mut disk = Disk::new(&Contents::new());
        disk.take(&Op::Create(Name::Main));
        disk.take(&write(0, b"ab"));
        disk.take(&Op::Sync { name: Name::Main, folder: false });
        assert_eq!(main(&disk, Fate::Lost), None, "its name was not synced");
        disk.take(&Op::Mark(crate::record::Mark::Opened));
        disk.take(&write(1, b"xyz"));
        assert_eq!(main(&disk, Fate::Lost).unwrap(), b"ab");
        assert_eq!(main(&disk, Fate::Kept).unwrap(), b"axyz");
        assert_eq!(main(&disk, Fate::LogOnly).unwrap(), b"ab");
        disk.take(&Op::Truncate(Name::Main, 1));
        disk.take(&Op::Delete { name: Name::Main, folder: false });
        assert_eq!(main(&disk, Fate::Lost).unwrap(), b"ab");
        assert_eq!(main(&disk, Fate::Kept), None);
    }

    #[test]
    fn a_torn_write_is_torn_within_a_sector_or_never() {
        let mut disk = Disk::new(&Contents::from([(Name::Main, vec![0; 4 * SECTOR])]));
        disk.take(&write(100, &[1; 3 * SECTOR]));
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let bytes = disk.fail(Fate::Scattered, &mut Chance::new(seed)).0.remove(&Name::Main).unwrap();
            for sector in 0..4 {
                let part = &bytes[(sector * SECTOR).max(100)..((sector + 1) * SECTOR).min(100 + 3 * SECTOR)];
                assert!(part.iter().all(|byte| *byte == part[0]));
            }
            seen.insert(bytes);
        }
        assert_eq!(seen.len(), 16, "each subset of the four sectors");
    }
}
