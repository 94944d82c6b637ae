//! Reading inboxes. Each run that is held looks into its own several times a second: those that ask while a query is under way
//! are answered by the next one together.

use std::collections::HashMap;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parkway_core::id::{RunId, Time};
use parkway_core::store::{MessageId, Received, StoreError};
use serde_json::json;
use sqlx::SqlitePool;
use tokio::sync::oneshot;

use super::error::{closed, corrupt, from_sqlx};

type Answer = Result<Vec<Received>, StoreError>;

/// The reader of inboxes.
#[derive(Debug)]
pub(super) struct Inboxes {
    pool: SqlitePool,
    asked: Arc<Mutex<Asked>>,
    queries: Arc<AtomicU64>,
}

/// Who waits for the next query.
#[derive(Debug, Default)]
struct Asked {
    runs: HashMap<RunId, Vec<oneshot::Sender<Answer>>>,
    /// Whether somebody is going to ask for them.
    taken: bool,
}

impl Inboxes {
    pub(super) fn new(pool: SqlitePool) -> Self {
        Inboxes { pool, asked: Arc::default(), queries: Arc::default() }
    }

    /// The messages of a run, as they are on disk after this was called.
    pub(super) async fn of(&self, run: RunId) -> Answer {
        let (to, answer) = oneshot::channel();
        let first = {
            let mut asked = held(&self.asked);
            asked.runs.entry(run).or_default().push(to);
            !mem::replace(&mut asked.taken, true)
        };
        if first {
            // A task of its own, so that nobody else waits in vain where this call is given up.
            tokio::spawn(ask(
                self.pool.clone(),
                Asking { asked: self.asked.clone(), done: false },
                self.queries.clone(),
            ));
        }
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// How many queries there were.
    pub(super) fn queries(&self) -> u64 {
        self.queries.load(Ordering::Relaxed)
    }
}

fn held(asked: &Mutex<Asked>) -> MutexGuard<'_, Asked> {
    asked.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whoever is going to ask. If that ends before its time, with the runtime that it was on, those who wait are told, and the
/// next one who comes asks.
struct Asking {
    asked: Arc<Mutex<Asked>>,
    done: bool,
}

impl Drop for Asking {
    fn drop(&mut self) {
        if !self.done {
            *held(&self.asked) = Asked::default();
        }
    }
}

/// Asks until nobody waits.
async fn ask(pool: SqlitePool, mut asking: Asking, queries: Arc<AtomicU64>) {
    loop {
        let runs = {
            let mut asked = held(&asking.asked);
            let runs = mem::take(&mut asked.runs);
            asked.taken = !runs.is_empty();
            runs
        };
        if runs.is_empty() {
            // Somebody else may be asking by now.
            asking.done = true;
            return;
        }
        queries.fetch_add(1, Ordering::Relaxed);
        let mut found = read(&pool, runs.keys()).await;
        for (run, waiting) in runs {
            let answer = match &mut found {
                Ok(inboxes) => inboxes.remove(&run).unwrap_or(Err(StoreError::NoRun(run))),
                Err(error) => Err(error.clone()),
            };
            for to in waiting {
                // Whoever has given up needs no answer.
                let _ = to.send(answer.clone());
            }
        }
    }
}

type Row = (String, Option<i64>, Option<i64>, Option<String>);

/// The inboxes of those runs that there are. What cannot be read is its own run's trouble.
async fn read(pool: &SqlitePool, runs: impl Iterator<Item = &RunId>) -> Result<HashMap<RunId, Answer>, StoreError> {
    let sql = "SELECT run.id, message.id, message.at, message.body
        FROM json_each($1) AS asked JOIN parkway_run AS run ON run.id = asked.value
            LEFT JOIN parkway_message AS message ON message.run = run.key
        ORDER BY message.id";
    let asked: Vec<String> = runs.map(RunId::to_string).collect();
    let query = sqlx::query_as(sql).bind(json!(asked).to_string());
    let rows: Vec<Row> = query.fetch_all(pool).await.map_err(|e| from_sqlx(&e))?;
    let mut found: HashMap<RunId, Answer> = HashMap::new();
    for (id, message, at, body) in rows {
        let run = id.parse().map_err(|_| corrupt("a run id", &id))?;
        let inbox = found.entry(run).or_insert_with(|| Ok(Vec::new()));
        let Some(((message, at), body)) = message.zip(at).zip(body) else { continue };
        match (received(run, message, at, &body), inbox) {
            (Ok(message), Ok(inbox)) => inbox.push(message),
            (Err(error), inbox @ Ok(_)) => *inbox = Err(error),
            (_, Err(_)) => {}
        }
    }
    Ok(found)
}

fn received(run: RunId, id: i64, at: i64, body: &str) -> Result<Received, StoreError> {
    let message = serde_json::from_str(body)
        .map_err(|e| StoreError::Corrupt(format!("message {id} to run {run} cannot be read: {e}")))?;
    let id = MessageId(u64::try_from(id).map_err(|_| corrupt("a message number", id))?);
    Ok(Received { id, at: Time::from_micros(at), message })
}
