//! Keeps the write-ahead log short. SQLite begins it anew when all of it is in the database and nobody reads the old part, and
//! so it grows while somebody reads for long; nobody else cuts it back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parkway_core::store::StoreError;
use sqlx::sqlite::SqliteConnection;

use super::place::Place;

/// A log that is longer is cut back even while there is much to write.
const LONG: u64 = 64 << 20;
/// A log that is shorter may stay while nothing is written.
const SHORT: u64 = 1 << 20;
/// How long nothing is written before a log is cut back.
const IDLE: Duration = Duration::from_millis(250);
/// How long to wait at most before the next attempt, when somebody reads.
const PATIENCE: Duration = Duration::from_secs(5);

/// When to cut the log back.
#[derive(Debug)]
pub(super) struct LogKeeper {
    pub(super) place: Arc<Place>,
    seen: u64,
    wait: Duration,
    tried: Instant,
    /// Whether it holds a text that was erased.
    erased: Erased,
}

/// Whether the log holds a text that was erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Erased {
    No,
    /// Since a moment ago: nobody has tried to cut it back.
    Now,
    /// And somebody read when it was tried.
    Still,
}

impl LogKeeper {
    pub(super) fn new(place: Arc<Place>) -> Self {
        LogKeeper { place, seen: 0, wait: IDLE, tried: Instant::now(), erased: Erased::No }
    }

    /// How long to wait for something to write before the log is cut back; `None` if it need not be.
    pub(super) fn pause(&self) -> Option<Duration> {
        (self.erased != Erased::No || self.place.log_bytes() > SHORT).then_some(self.wait)
    }

    /// That what was written is where the next process finds it.
    pub(super) fn written(&mut self) -> Result<(), StoreError> {
        self.seen = self.place.still_there()?;
        Ok(())
    }

    /// That a text in it was erased: it is cut back soon, however short it is.
    pub(super) fn erased(&mut self) {
        self.erased = Erased::Now;
    }

    /// Whether the log is cut back although there is more to write.
    pub(super) fn is_due(&self) -> bool {
        let rested = self.tried.elapsed() > self.wait.max(Duration::from_secs(1));
        match self.erased {
            Erased::Now => true,
            Erased::Still => rested,
            Erased::No => self.seen > LONG && rested,
        }
    }

    /// Takes the log into the database and cuts it back, unless somebody reads or writes. Whether it did.
    pub(super) async fn cut(&mut self, connection: &mut SqliteConnection) -> bool {
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        let done: Result<(i64, i64, i64), _> = sqlx::query_as(sql).fetch_one(connection).await;
        let cut = matches!(done, Ok((0, ..)));
        match done {
            Ok((0, ..)) => (self.wait, self.erased) = (IDLE, Erased::No),
            Ok(_) => self.wait = (self.wait * 2).min(PATIENCE),
            // Nothing is lost: the log stays, and commits to it may still succeed.
            Err(error) => {
                self.wait = PATIENCE;
                tracing::warn!(place = ?self.place, %error, "the write-ahead log cannot be taken into the database");
            }
        }
        if self.erased == Erased::Now {
            self.erased = Erased::Still;
        }
        self.tried = Instant::now();
        cut
    }
}
