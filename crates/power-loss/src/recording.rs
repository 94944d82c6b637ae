//! A recorded life of a store: what was asked of the disk, what was promised, and how the runs ended undisturbed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use parkway_core::clock::SystemClock;
use parkway_core::id::{RunId, Seq};
use parkway_core::store::{RunFilter, Store};
use parkway_store::{SqliteConfig, SqliteStore};

use crate::record::{Contents, Mark, Name, Op, Record};
use crate::scene::{Effects, End, Worker};
use crate::table;
use crate::vfs;
use crate::witness::Witness;

/// What is recorded.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What it is called in the table.
    pub title: &'static str,
    /// How many runs go on at once.
    pub runs: u32,
    /// Settings of SQLite over the store's own.
    pub pragmas: &'static [(&'static str, &'static str)],
    /// A database of an older version to begin with; its runs that wait are gone on with.
    pub older: Option<&'static [u8]>,
    /// What power losses must show.
    pub expected: Expected,
}

/// What power losses must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Nothing acknowledged is ever lost.
    NoLoss,
    /// Something is, on some disk: the settings are weaker than the store's own, and a trial that does not see it sees nothing.
    Loss,
}

/// What `scripts/power-loss` plays.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        title: "A new database, three runs at once",
        runs: 3,
        pragmas: &[],
        older: None,
        expected: Expected::NoLoss,
    },
    Scenario {
        title: "The same with a checkpoint each 16 pages",
        runs: 3,
        pragmas: &[("wal_autocheckpoint", "16")],
        older: None,
        expected: Expected::NoLoss,
    },
    Scenario {
        title: "A database of schema 1 that is opened, and its runs gone on with",
        runs: 0,
        pragmas: &[],
        older: Some(include_bytes!("../../store/tests/fixtures/v1.db")),
        expected: Expected::NoLoss,
    },
    Scenario {
        title: "Control: the same with synchronous=NORMAL, which must lose something",
        runs: 3,
        pragmas: &[("wal_autocheckpoint", "100"), ("synchronous", "NORMAL")],
        older: None,
        expected: Expected::Loss,
    },
];

/// A recorded life of a store.
#[derive(Debug)]
pub struct Recording {
    /// The settings of SQLite over the store's own.
    pub pragmas: &'static [(&'static str, &'static str)],
    /// What was on disk before it.
    pub before: Contents,
    /// What was asked of the disk, and what was promised.
    pub ops: Vec<Op>,
    /// All events in the order of their commits, as their stored bytes.
    pub log: Vec<Vec<u8>>,
    /// How many of them were there before.
    pub older: usize,
    /// How the runs ended.
    pub ends: BTreeMap<RunId, End>,
    /// Rows that steps have written in their commits, each with an entry of the outbox.
    pub rows: usize,
    /// What was waited for.
    pub waits: Waits,
}

impl Recording {
    /// Writes, syncs and acknowledgements in it.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |what: fn(&Op) -> bool| self.ops.iter().filter(|op| what(op)).count();
        (
            count(|op| matches!(op, Op::Write(..) | Op::Truncate(..))),
            count(|op| matches!(op, Op::Sync { .. })),
            count(|op| matches!(op, Op::Mark(Mark::Committed(..) | Mark::Sent(..)))),
        )
    }
}

/// What a store waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// Commits that were made, as the store counts them.
    pub commits: u64,
    /// Transactions that became true, as the write-ahead log has them.
    pub transactions: u64,
    /// Syncs of the log that put a transaction on disk.
    pub for_transactions: u64,
    /// Transactions that shared a sync with the one before: none of them was acknowledged alone.
    pub unsynced: u64,
    /// Syncs of the log's own header, after it began anew.
    pub for_headers: u64,
    /// Syncs of checkpoints, and of opening and closing.
    pub others: u64,
}

impl Scenario {
    /// Plays it in `folder`.
    pub async fn record(&self, folder: &Path) -> Result<Recording, String> {
        vfs::register();
        let folder = folder.canonicalize().map_err(|e| e.to_string())?;
        let path = folder.join("runs.db");
        if let Some(older) = self.older {
            std::fs::write(&path, older).map_err(|e| e.to_string())?;
        }
        let record = Record::begin(&path);
        let store = open(&path, self.pragmas, &record).await?;
        let older = log(&store).await?.len();
        table::make(&path, Some(vfs::NAME)).await?;
        let store = Arc::new(Witness { store, record: record.clone() });
        let mut going = Vec::new();
        for n in 0..self.runs {
            let worker = Worker::new(&format!("w{n}"), store.clone(), Some(&record));
            going.push(tokio::spawn(async move { worker.run(n).await }));
        }
        for run in going {
            run.await.map_err(|e| e.to_string())??;
        }
        let worker = Worker::new("older", store.clone(), Some(&record));
        let mut ends = BTreeMap::new();
        for run in roots(&store.store).await? {
            worker.go_on(run, &Effects::new()).await?;
            for run in worker.family(run).await? {
                ends.insert(run, worker.end(run).await?);
            }
        }
        let log = log(&store.store).await?;
        let rows = table::rows(&path).await?.len();
        let commits = store.store.stats().commits;
        store.store.close().await.map_err(|e| e.to_string())?;
        let (before, ops) = record.end();
        let waits = Waits { commits, ..Waits::of(&ops) };
        Ok(Recording { pragmas: self.pragmas, before, ops, log, older, ends, rows, waits })
    }
}

/// Opens a store under record.
pub(crate) async fn open(
    path: &Path,
    pragmas: &[(&'static str, &'static str)],
    record: &Record,
) -> Result<SqliteStore, String> {
    let is_new = !path.exists();
    let mut config = SqliteConfig::new(path).through(vfs::NAME);
    for (name, value) in pragmas {
        config = config.pragma(name, value);
    }
    let store = SqliteStore::open(config, Arc::new(SystemClock)).await.map_err(|e| e.to_string())?;
    if is_new {
        record.mark(Mark::Opened);
    }
    Ok(store)
}

/// The runs that no step has for itself, and those of which that is not known.
pub(crate) async fn roots(store: &dyn Store) -> Result<Vec<RunId>, String> {
    let mut roots = Vec::new();
    for summary in store.runs(&RunFilter::default()).await.map_err(|e| e.to_string())? {
        let events = store.events(summary.run, Seq(0)).await.map_err(|e| e.to_string())?;
        let is_root = match events.first().map(|event| &event.kind) {
            Some(parkway_core::log::EventKind::RunCreated { parent, .. }) => parent.is_none(),
            _ => false,
        };
        if is_root {
            roots.push(summary.run);
        }
    }
    Ok(roots)
}

/// All events in the order of their commits.
pub(crate) async fn log(store: &dyn Store) -> Result<Vec<Vec<u8>>, String> {
    let events = store.tail(0, u32::MAX >> 1).await.map_err(|e| e.to_string())?;
    events.iter().map(|(_, event)| event.to_bytes().map_err(|e| e.to_string())).collect()
}

/// The header before each page in a write-ahead log.
const FRAME_HEADER: usize = 24;
/// The header of a write-ahead log.
const WAL_HEADER: usize = 32;

impl Waits {
    fn of(ops: &[Op]) -> Waits {
        let mut waits = Waits::default();
        let (mut header, mut frames, mut transactions) = (false, false, 0);
        for op in ops {
            match op {
                Op::Write(Name::Wal, 0, bytes) if bytes.len() == WAL_HEADER => header = true,
                Op::Write(Name::Wal, _, bytes) => {
                    frames = true;
                    // The frame that ends a transaction says how large the database is after it.
                    if bytes.len() == FRAME_HEADER && bytes[4..8] != [0; 4] {
                        transactions += 1;
                    }
                }
                Op::Sync { name: Name::Wal, .. } if frames => {
                    waits.for_transactions += 1;
                    waits.transactions += transactions;
                    waits.unsynced += u64::saturating_sub(transactions, 1);
                    (header, frames, transactions) = (false, false, 0);
                }
                Op::Sync { name: Name::Wal, .. } if header => {
                    waits.for_headers += 1;
                    header = false;
                }
                Op::Sync { .. } => waits.others += 1,
                _ => {}
            }
        }
        waits.transactions += transactions;
        waits.unsynced += transactions;
        waits
    }
}
