//! Opening: the settings that the promises rest on, set and read back.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parkway_core::clock::Clock;
use parkway_core::store::StoreError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqlitePool};

use super::error::{code, from_io, from_sqlx, is_busy};
use super::inbox::Inboxes;
use super::memory::Vectors;
use super::owner::Owners;
use super::place::Place;
use super::snapshot::Spares;
use super::tx::{Tx, Unfinished};
use super::writer::{Source, Writer};
use super::{SqliteStore, schema};

/// How a database is opened. A path alone becomes one with the defaults.
#[derive(Clone, Debug)]
#[must_use]
pub struct SqliteConfig {
    path: PathBuf,
    busy_timeout: Duration,
    readers: u32,
    max_bytes: Option<u64>,
    vfs: Option<&'static str>,
    pragmas: Vec<(&'static str, &'static str)>,
}

impl SqliteConfig {
    /// The database at `path`, with the defaults.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        SqliteConfig {
            path: path.into(),
            busy_timeout: Duration::from_secs(30),
            readers: 4,
            max_bytes: None,
            vfs: None,
            pragmas: Vec::new(),
        }
    }

    /// How long to wait for another process that writes; 30 seconds unless told. A disk that is shared can take some for one commit.
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// How many queries may read at once; 4 unless told, at least 1.
    pub fn readers(mut self, readers: u32) -> Self {
        self.readers = readers.max(1);
        self
    }

    /// How large the database may grow, to the page; beyond it commits are [`StoreError::Full`].
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Reads and writes through the VFS that is registered with SQLite under this name.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub fn through(mut self, vfs: &'static str) -> Self {
        self.vfs = Some(vfs);
        self
    }

    /// Sets a pragma over the settings that the promises rest on, which are then not read back.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub fn pragma(mut self, name: &'static str, value: &'static str) -> Self {
        self.pragmas.push((name, value));
        self
    }
}

impl<P: Into<PathBuf>> From<P> for SqliteConfig {
    fn from(path: P) -> Self {
        SqliteConfig::new(path)
    }
}

/// SQLite's own page size, which `max_bytes` is counted in.
const PAGE: u64 = 4096;
/// How long SQLite itself waits for a lock before the writer asks again. Its own waiting slows down to ten attempts a
/// second, which a process that commits without a pause can starve.
const BUSY_SLICE: Duration = Duration::from_millis(40);
/// How many statements a connection keeps prepared: an INSERT has a text for each number of rows. A limit that is bound stands in them
/// with a plus (`LIMIT +$1`): SQLite plans by the number in a bare one, and prepares the statement anew each time that it is bound.
const STATEMENTS: usize = 320;
/// How many pages the write-ahead log has when SQLite takes it into the database. Pages that many commits change, as those of
/// an index over random values do, are then written there once for all of them; a log of 16 MiB is still read quickly.
const WAL_PAGES: &str = "4000";
/// The writer's pages in memory, in KiB below zero. An index over random values touches all of its pages: that over the texts of a
/// run of 100,000 steps has 8 MiB.
const WRITER_CACHE: &str = "-16384";
/// What the write-ahead log is cut back to after a burst.
const WAL_LIMIT: &str = "67108864";

pub(super) async fn file(config: SqliteConfig, clock: Arc<dyn Clock>) -> Result<SqliteStore, StoreError> {
    let name = format!("`{}`", config.path.display());
    check_place(&config.path)?;
    let owners = Arc::new(Owners::beside(&config.path));
    enter(&owners, &name, config.busy_timeout).await?;
    let is_new = !config.path.exists();
    let mut options = SqliteConnectOptions::new()
        .filename(&config.path)
        .create_if_missing(true)
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Full)
        .pragma("fullfsync", "ON")
        .pragma("checkpoint_fullfsync", "ON")
        .pragma("journal_size_limit", WAL_LIMIT)
        .pragma("wal_autocheckpoint", WAL_PAGES)
        .statement_cache_capacity(STATEMENTS)
        .disable_statement_logging();
    if let Some(vfs) = config.vfs {
        options = options.vfs(vfs);
    }
    for (name, value) in &config.pragmas {
        options = options.pragma(*name, *value);
    }
    let mut writing = options.clone().journal_mode(SqliteJournalMode::Wal).busy_timeout(BUSY_SLICE);
    // What is erased is gone from the pages that it stood on.
    writing = writing.pragma("cache_size", WRITER_CACHE).pragma("secure_delete", "ON");
    if let Some(bytes) = config.max_bytes {
        writing = writing.pragma("max_page_count", (bytes / PAGE).max(1).to_string());
    }
    let writer = one_connection().acquire_timeout(config.busy_timeout).connect_lazy_with(writing);
    prepare(&writer, &name, config.busy_timeout, &*clock).await?;
    if config.pragmas.is_empty() {
        check_durable(&writer, &name, config.busy_timeout).await?;
    }
    if is_new {
        keep_name(&config.path);
    }
    let reading = options.busy_timeout(config.busy_timeout).pragma("query_only", "ON");
    let readers = SqlitePoolOptions::new()
        .max_connections(config.readers)
        .test_before_acquire(false)
        .acquire_timeout(Duration::from_secs(60))
        .connect_lazy_with(reading);
    let spares = Arc::<Spares>::default();
    let place = Arc::new(Place::new(&config.path));
    let (source, patience) = (Source::Own(writer, place), config.busy_timeout);
    let writer = Writer::start(source, patience, clock.clone(), owners.clone(), spares.clone());
    let inboxes = Inboxes::new(readers.clone());
    Ok(SqliteStore { writer, readers, inboxes, owners, clock, spares, vectors: Vectors::default() })
}

pub(super) async fn memory(clock: Arc<dyn Clock>) -> Result<SqliteStore, StoreError> {
    // The database is its only connection, which readers share with the writer.
    let options = SqliteConnectOptions::new()
        .in_memory(true)
        .foreign_keys(true)
        .pragma("secure_delete", "ON")
        .disable_statement_logging();
    let pool = one_connection().acquire_timeout(Duration::from_secs(60)).connect_lazy_with(options);
    prepare(&pool, "the store in memory", Duration::ZERO, &*clock).await?;
    let owners = Arc::new(Owners::here_only());
    let (source, spares) = (Source::Shared(pool.clone()), Arc::<Spares>::default());
    let writer = Writer::start(source, Duration::ZERO, clock.clone(), owners.clone(), spares.clone());
    let inboxes = Inboxes::new(pool.clone());
    Ok(SqliteStore { writer, readers: pool, inboxes, owners, clock, spares, vectors: Vectors::default() })
}

/// Waits until nobody puts another file in the place of this one.
async fn enter(owners: &Owners, name: &str, patience: Duration) -> Result<(), StoreError> {
    let start = std::time::Instant::now();
    loop {
        match owners.enter() {
            Ok(true) => return Ok(()),
            Ok(false) if start.elapsed() < patience => tokio::time::sleep(Duration::from_millis(5)).await,
            Ok(false) => {
                let message =
                    format!("{name} is being restored or vacuumed by another process; try again when it is done");
                return Err(StoreError::Backend { message, retryable: true });
            }
            Err(e) => return Err(from_io(&e, &format!("the folder of lock files beside {name} cannot be used"))),
        }
    }
}

fn one_connection() -> SqlitePoolOptions {
    SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None).test_before_acquire(false)
}

/// Connects and migrates. Other processes may be doing the same at this moment. Nobody waits for one that writes where the tables
/// are what they should be.
async fn prepare(pool: &SqlitePool, name: &str, patience: Duration, clock: &dyn Clock) -> Result<(), StoreError> {
    let connected = patiently(patience, || async {
        // A connection sets the journal mode, which takes a lock.
        let mut tx = Tx::connect(pool).await?;
        let newest = schema::is_newest(tx.connection()).await?;
        Ok((tx, newest))
    });
    let (mut tx, newest) = connected.await.map_err(|e| in_words(&e, name))?;
    if newest {
        tx.begin(Duration::ZERO);
        tx.gather(schema::WRITES);
        let Err(unfinished) = tx.commit().await else { return Ok(()) };
        if matches!(&unfinished, Unfinished::Begin(e) if is_busy(e)) {
            return Ok(());
        }
        tx.roll_back().await;
        return Err(in_words(unfinished.error(), name));
    }
    tx.begin(patience);
    if let Err(e) = schema::migrate(&mut tx, name, clock).await {
        tx.roll_back().await;
        return Err(named(e, name));
    }
    tx.commit().await.map(drop).map_err(|e| in_words(e.error(), name))
}

/// Tries until no other process is in the way, at most so long.
async fn patiently<T, A: Future<Output = Result<T, sqlx::Error>>>(
    patience: Duration,
    attempt: impl Fn() -> A,
) -> Result<T, sqlx::Error> {
    let start = Instant::now();
    loop {
        match attempt().await {
            Err(e) if is_busy(&e) && start.elapsed() < patience => tokio::time::sleep(Duration::from_millis(2)).await,
            ended => return ended,
        }
    }
}

/// Refuses to promise what the file cannot keep. A misspelt setting is silently weaker in SQLite, so it is read back.
async fn check_durable(pool: &SqlitePool, name: &str, patience: Duration) -> Result<(), StoreError> {
    let sql = "SELECT journal_mode, CAST(synchronous AS TEXT) FROM pragma_journal_mode, pragma_synchronous";
    let read = patiently(patience, || sqlx::query_as::<_, (String, String)>(sql).fetch_one(pool));
    let (journal, synchronous) = read.await.map_err(|e| in_words(&e, name))?;
    if journal == "wal" && synchronous == "2" {
        return Ok(());
    }
    let message = format!(
        "{name} cannot promise that commits are on disk: journal_mode is {journal} (wanted wal), synchronous is \
         {synchronous} (wanted 2); put the database on a local file system"
    );
    Err(StoreError::Backend { message, retryable: false })
}

pub(super) fn check_place(path: &Path) -> Result<(), StoreError> {
    let refuse = |message: String| Err(StoreError::Backend { message, retryable: false });
    if path.is_dir() {
        return refuse(format!("`{}` is a folder; name a file in it", path.display()));
    }
    let folder = folder_of(path);
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => refuse(format!("`{}` cannot be made: `{}` is not a folder", path.display(), folder.display())),
        Err(_) => refuse(format!(
            "the folder of `{}` does not exist; make it (mkdir -p '{}') or name another file",
            path.display(),
            folder.display()
        )),
    }
}

pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Puts the name of a new file on disk too: SQLite syncs what is in the file.
fn keep_name(path: &Path) {
    if let Ok(folder) = File::open(folder_of(path)) {
        let _ = folder.sync_all();
    }
}

pub(super) fn in_words(error: &sqlx::Error, name: &str) -> StoreError {
    match (code(error), from_sqlx(error)) {
        (Some(14), StoreError::Backend { message, .. }) => StoreError::Backend {
            message: format!("{name} cannot be opened ({message}); check the permissions of the file and its folder"),
            retryable: false,
        },
        (Some(26), _) => StoreError::Corrupt(format!(
            "{name} is not a SQLite database; name another file, or move this one out of the way"
        )),
        (_, other) => named(other, name),
    }
}

/// The error with the file's name in it.
pub(super) fn named(error: StoreError, name: &str) -> StoreError {
    match error {
        StoreError::ReadOnly(message) => StoreError::ReadOnly(format!(
            "{name} cannot be written to ({message}); check the permissions of the file and its folder, or name another"
        )),
        StoreError::Full(message) => StoreError::Full(format!("{name}: {message}")),
        StoreError::Corrupt(message) => StoreError::Corrupt(format!("{name}: {message}")),
        StoreError::Backend { message, retryable } => {
            StoreError::Backend { message: format!("{name}: {message}"), retryable }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parkway_core::clock::SystemClock;

    fn pool(options: SqliteConnectOptions) -> SqlitePool {
        one_connection().connect_lazy_with(options)
    }

    #[tokio::test]
    async fn a_weaker_setting_passes_for_durable() {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new().filename(folder.path().join("runs.db")).create_if_missing(true);
        let wal = options.clone().journal_mode(SqliteJournalMode::Wal);
        // `WAL` is no value of it: SQLite takes it for NORMAL, without a word.
        for (setting, found) in [("NORMAL", "synchronous is 1"), ("OFF", "is 0"), ("WAL", "is 1"), ("EXTRA", "is 3")] {
            let error =
                check_durable(&pool(wal.clone().pragma("synchronous", setting)), "`runs.db`", Duration::ZERO).await;
            let error = error.unwrap_err().to_string();
            assert!(error.contains(found) && error.contains("`runs.db` cannot promise"), "{error}");
        }
        let full = wal.synchronous(SqliteSynchronous::Full);
        assert_eq!(check_durable(&pool(full.clone()), "", Duration::ZERO).await, Ok(()));
        let other = full.filename(folder.path().join("other.db")).journal_mode(SqliteJournalMode::Delete);
        let error = check_durable(&pool(other), "", Duration::ZERO).await.unwrap_err();
        assert!(error.to_string().contains("journal_mode is delete"), "{error}");
    }

    #[tokio::test]
    async fn who_opens_waits_for_one_that_writes_though_nothing_is_to_be_made() {
        let folder = tempfile::tempdir().unwrap();
        let config = SqliteConfig::new(folder.path().join("runs.db")).busy_timeout(Duration::from_millis(50));
        let clock = Arc::new(SystemClock);
        file(config.clone(), clock.clone()).await.unwrap().close().await.unwrap();
        let other = pool(SqliteConnectOptions::new().filename(folder.path().join("runs.db")));
        let writes = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
        file(config.clone(), clock.clone()).await.unwrap();
        writes.rollback().await.unwrap();
        // Where something is to be made it is waited for, and said in the end who is in the way.
        sqlx::query("DELETE FROM parkway_migrations").execute(&other).await.unwrap();
        let _writes = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
        let error = file(config, clock).await.unwrap_err().to_string();
        assert!(error.contains("look whether one hangs"), "{error}");
    }

    #[tokio::test]
    async fn a_read_only_file_fails_without_a_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new().filename(folder.path().join("runs.db"));
        prepare(&pool(options.clone().create_if_missing(true)), "", Duration::ZERO, &SystemClock).await.unwrap();
        let error = prepare(&pool(options.read_only(true)), "`runs.db`", Duration::ZERO, &SystemClock).await;
        let error = error.unwrap_err();
        let StoreError::ReadOnly(text) = error else { unreachable!("{error}") };
        assert!(text.contains("`runs.db` cannot be written to") && text.contains("check the permissions"), "{text}");
    }
}
