//! What SQLite asked of the disk while a store was open, in order, with marks of what was promised meanwhile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parkway_core::id::{RunId, Seq};
use parkway_core::store::MessageId;

/// The files of a database that outlive its process. The shared memory beside them is made anew by whoever opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// The database.
    Main,
    /// The write-ahead log.
    Wal,
    /// The rollback journal, which only the change to the write-ahead log uses.
    Journal,
}

impl Name {
    /// All of them.
    pub const ALL: [Name; 3] = [Name::Main, Name::Wal, Name::Journal];

    /// What its path ends with, after that of the database.
    pub fn ending(self) -> &'static str {
        match self {
            Name::Main => "",
            Name::Wal => "-wal",
            Name::Journal => "-journal",
        }
    }

    /// Its path, for a database at `path`.
    pub(crate) fn beside(self, path: &Path) -> PathBuf {
        let mut file = path.as_os_str().to_owned();
        file.push(self.ending());
        file.into()
    }
}

/// What the files of a database hold.
pub(crate) type Contents = BTreeMap<Name, Vec<u8>>;

/// What was asked of the disk and done, or a mark.
#[derive(Clone, Debug)]
pub enum Op {
    /// A file came into being.
    Create(Name),
    /// Bytes were written.
    Write(Name, u64, Arc<[u8]>),
    /// A file was made so long.
    Truncate(Name, u64),
    /// All that was written to a file is on disk. With `folder`, the names of all files are, too.
    Sync {
        /// The file.
        name: Name,
        /// Whether the folder was synced with it.
        folder: bool,
    },
    /// A file is gone. With `folder`, the names of all files are on disk.
    Delete {
        /// The file.
        name: Name,
        /// Whether the folder was synced with it.
        folder: bool,
    },
    /// Something that may be relied on from now on.
    Mark(Mark),
}

/// What may be relied on, whatever happens to the power.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The store of a new database was opened: SQLite never syncs its name, the store does.
    Opened,
    /// The run's events up to this one were acknowledged.
    Committed(RunId, Seq),
    /// A message was acknowledged.
    Sent(RunId, MessageId),
    /// A commit that takes a message away was handed to the store: it need not be there from now on.
    Consuming(RunId, MessageId),
    /// A tool changes the outside world: the start of this attempt must be on disk.
    Effect {
        /// The run.
        run: RunId,
        /// The step.
        step: String,
        /// Which attempt.
        attempt: u32,
    },
}

/// The record of one database.
#[derive(Debug)]
pub(crate) struct Record {
    path: PathBuf,
    /// What was there before.
    before: Contents,
    ops: Mutex<Vec<Op>>,
}

static RECORDS: Mutex<BTreeMap<PathBuf, Arc<Record>>> = Mutex::new(BTreeMap::new());

fn records() -> MutexGuard<'static, BTreeMap<PathBuf, Arc<Record>>> {
    RECORDS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Record {
    /// Begins to record what happens to the database at `path`, which nobody has open.
    pub(crate) fn begin(path: &Path) -> Arc<Record> {
        let read = |name: Name| Some((name, std::fs::read(name.beside(path)).ok()?));
        let before = Name::ALL.into_iter().filter_map(read).collect();
        let record = Arc::new(Record { path: path.to_owned(), before, ops: Mutex::default() });
        records().insert(path.to_owned(), record.clone());
        record
    }

    /// The record that a file belongs to, and which of its files it is.
    pub(crate) fn of(path: &str) -> Option<(Arc<Record>, Name)> {
        let records = records();
        Name::ALL.into_iter().rev().find_map(|name| {
            let main = path.strip_suffix(name.ending())?;
            Some((records.get(Path::new(main))?.clone(), name))
        })
    }

    /// Notes that something may be relied on.
    pub(crate) fn mark(&self, mark: Mark) {
        self.ops().push(Op::Mark(mark));
    }

    /// What was recorded, while nothing else can be.
    pub(crate) fn ops(&self) -> MutexGuard<'_, Vec<Op>> {
        self.ops.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the recording. Gives what was there before, and what happened to it.
    pub(crate) fn end(&self) -> (Contents, Vec<Op>) {
        records().remove(&self.path);
        (self.before.clone(), std::mem::take(&mut *self.ops()))
    }
}
