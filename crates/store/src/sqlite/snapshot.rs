//! Snapshots of runs. They wait in memory until something else is written: they are a cache, and not worth a wait for the
//! disk.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use parkway_core::id::{RunId, Seq};
use parkway_core::store::{Snapshot, StoreError};
use sqlx::SqlitePool;

use super::error::{corrupt, from_sqlx};
use super::tx::Tx;

/// Snapshots that are not in the database yet, at most one a run.
#[derive(Debug, Default)]
pub(super) struct Spares(Mutex<HashMap<RunId, Snapshot>>);

/// Beyond this they are written although nothing else is.
const MOST: usize = 16 << 20;

impl Spares {
    fn held(&self) -> MutexGuard<'_, HashMap<RunId, Snapshot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a snapshot until something is written. Whether there are too many now.
    pub(super) fn keep(&self, run: RunId, snapshot: Snapshot) -> bool {
        let mut held = self.held();
        if held.get(&run).is_none_or(|older| older.seq <= snapshot.seq) {
            held.insert(run, snapshot);
        }
        held.values().map(|snapshot| snapshot.bytes.len()).sum::<usize>() > MOST
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held().is_empty()
    }

    /// Writes them; gives what was written, so that it can be [dropped](Spares::written) once that is on disk.
    pub(super) async fn write(&self, tx: &mut Tx) -> Result<Vec<(RunId, Seq)>, StoreError> {
        let spares: Vec<(RunId, Snapshot)> = self.held().iter().map(|(run, s)| (*run, s.clone())).collect();
        let mut written = Vec::with_capacity(spares.len());
        for (run, snapshot) in spares {
            written.push((run, snapshot.seq));
            let seq = i64::try_from(snapshot.seq.0).unwrap_or(i64::MAX);
            // A snapshot may have come before its events; without them it would be of no run that ever was.
            let sql = "INSERT INTO parkway_snapshot (run, seq, engine, bytes)
                SELECT key, $2, $3, $4 FROM parkway_run WHERE id = $1 AND head >= $2
                ON CONFLICT (run) DO UPDATE SET seq = excluded.seq, engine = excluded.engine, bytes = excluded.bytes
                WHERE excluded.seq >= seq";
            let query = sqlx::query(sql).bind(run.to_string()).bind(seq).bind(snapshot.engine).bind(snapshot.bytes);
            query.execute(tx.statement().await?).await.map_err(|e| from_sqlx(&e))?;
        }
        Ok(written)
    }

    /// Drops what is on disk by now, unless a newer one came meanwhile.
    pub(super) fn written(&self, written: &[(RunId, Seq)]) {
        let mut held = self.held();
        for (run, seq) in written {
            if held.get(run).is_some_and(|spare| spare.seq == *seq) {
                held.remove(run);
            }
        }
    }

    /// The run's newest snapshot that is of events on disk.
    pub(super) async fn read(&self, pool: &SqlitePool, run: RunId) -> Result<Option<Snapshot>, StoreError> {
        type Found = (i64, Option<i64>, Option<String>, Option<Vec<u8>>);
        let spare = self.held().get(&run).cloned();
        let sql =
            "SELECT head, seq, engine, bytes FROM parkway_run LEFT JOIN parkway_snapshot ON run = key WHERE id = $1";
        let query = sqlx::query_as(sql).bind(run.to_string());
        let found: Option<Found> = query.fetch_optional(pool).await.map_err(|e| from_sqlx(&e))?;
        let Some((head, seq, engine, bytes)) = found else { return Ok(None) };
        let number = |stored: i64| u64::try_from(stored).map_err(|_| corrupt("an event number", stored)).map(Seq);
        let head = number(head)?;
        if let Some(spare) = spare.filter(|spare| spare.seq <= head) {
            return Ok(Some(spare));
        }
        let Some(((seq, engine), bytes)) = seq.zip(engine).zip(bytes) else { return Ok(None) };
        Ok(Some(Snapshot { seq: number(seq)?, engine, bytes }).filter(|snapshot| snapshot.seq <= head))
    }
}
