//! What a commit changes beside the log: statements of tools, messages, the outbox; and what is kept as a cache.

use std::path::{Path, PathBuf};

use parkway_core::id::{RunId, Seq};
use parkway_core::store::{Commit, Lease, Log, NewRun, Queue, RunFilter, Snapshot, StoreError, Write};
use parkway_core::write::{OutboxEntry, SqlWrite};
use parkway_store::SqliteStore;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::runs::{cancel, claim, creation, execute, extension, number, open};

/// A store beside tables of a program's own, with a run.
struct Bench {
    store: SqliteStore,
    path: PathBuf,
    lease: Lease,
    head: Seq,
    _folder: TempDir,
}

impl Bench {
    async fn new(tables: &str) -> Self {
        let folder = crate::kept::folder().unwrap();
        let path = folder.path().join("app.db");
        let store = open(&path).await;
        let stock = "CREATE TABLE stock (part TEXT PRIMARY KEY, pieces INTEGER CHECK (pieces >= 0))";
        execute(&path, stock).await;
        execute(&path, "INSERT INTO stock VALUES ('A-1', 10)").await;
        execute(&path, tables).await;
        let (lease, commit) = creation("w");
        store.commit(commit).await.unwrap();
        Bench { store, path, lease, head: Seq(1), _folder: folder }
    }

    fn next(&self, writes: Vec<Write>) -> Commit {
        Commit { writes, ..extension(&self.lease, self.head) }
    }

    async fn write(&mut self, writes: Vec<Write>) -> Result<(), StoreError> {
        let done = self.store.commit(self.next(writes)).await;
        self.head = if done.is_ok() { self.head.next() } else { self.head };
        let events = self.store.events(self.lease.run, Seq(0)).await.unwrap();
        assert_eq!(events.len() as u64, self.head.0, "the log does not say what became of the commit");
        done
    }

    #[track_caller]
    fn says(&self, done: &Result<(), StoreError>, write: usize, says: &str) {
        match done {
            Err(StoreError::Refused { write: found, message }) if *found == write && message.contains(says) => {}
            other => panic!("{says:?} of write {write} was expected: {other:?}"),
        }
    }

    /// That one statement is refused with these words, and changes nothing of ours.
    async fn refuses(&mut self, sql: &str, says: &str) {
        let before = kept(&self.path).await;
        let done = self.write(vec![Write::Sql(SqlWrite::new(sql))]).await;
        match &done {
            Err(StoreError::Refused { write: 0, message }) if message.contains(says) => {}
            other => panic!("{sql}\n{says:?} was expected: {other:?}"),
        }
        assert_eq!(kept(&self.path).await, before, "{sql}");
    }

    async fn pieces(&self) -> i64 {
        number(&self.path, "SELECT pieces FROM stock WHERE part = 'A-1'").await
    }
}

/// What the tables that nobody else may change hold.
async fn kept(path: &Path) -> Vec<i64> {
    let mut counts = Vec::new();
    for sql in [
        "SELECT count(*) FROM sqlite_schema",
        "SELECT sum(leaf) FROM parkway_event",
        "SELECT sum(head) FROM parkway_run",
        "SELECT count(*) FROM parkway_payload",
        "SELECT coalesce(sum(seq), 0) FROM sqlite_sequence",
        "SELECT pieces FROM stock WHERE part = 'A-1'",
    ] {
        counts.push(number(path, sql).await);
    }
    counts
}

fn sql(statement: &str) -> Write {
    Write::Sql(SqlWrite::new(statement))
}

fn bound(statement: &str, params: &[Value]) -> SqlWrite {
    params.iter().cloned().fold(SqlWrite::new(statement), SqlWrite::bind)
}

#[tokio::test]
async fn a_statement_is_not_done_with_its_commit() {
    let mut bench =
        Bench::new("CREATE TABLE seen (a, b, c, d, e, f); CREATE TABLE n (id INTEGER PRIMARY KEY AUTOINCREMENT, x)")
            .await;
    let take =
        bound("UPDATE stock SET pieces = pieces - $2 WHERE part = $1 AND pieces >= $2", &[json!("A-1"), json!(3)]);
    bench.write(vec![Write::Sql(take.expect_rows(1))]).await.unwrap();
    assert_eq!(bench.pieces().await, 7);
    let values = [json!(null), json!(true), json!(i64::MIN), json!(0.1), json!("it's"), json!({"a": [1]})];
    bench.write(vec![Write::Sql(bound("INSERT INTO seen VALUES ($1, $2, $3, $4, $5, $6)", &values))]).await.unwrap();
    let same =
        "SELECT count(*) FROM seen WHERE a IS NULL AND b = 1 AND typeof(b) = 'integer' AND d = 0.1 AND e = 'it''s'
        AND c = -9223372036854775808 AND f ->> '$.a[0]' = 1";
    assert_eq!(number(&bench.path, same).await, 1);
    // What a statement does is seen by the next one; the tables may be of any shape that is the program's own.
    bench
        .write(vec![
            sql("INSERT INTO n (x) VALUES (1), (2)"),
            sql("WITH both AS (SELECT sum(x) AS s FROM n) INSERT INTO n (x) SELECT s FROM both"),
            sql("REPLACE INTO stock VALUES ('B', (SELECT max(x) FROM n)) RETURNING part"),
            sql("DELETE FROM seen"),
        ])
        .await
        .unwrap();
    assert_eq!(number(&bench.path, "SELECT pieces FROM stock WHERE part = 'B'").await, 3);
    assert_eq!(number(&bench.path, "SELECT count(*) FROM seen").await, 0);
    // The commit sent again is not done again.
    let again = bench.next(vec![sql("UPDATE stock SET pieces = pieces - 1 WHERE part = 'A-1'")]);
    bench.store.commit(again.clone()).await.unwrap();
    bench.store.commit(again).await.unwrap();
    assert_eq!(bench.pieces().await, 6);
}

#[tokio::test]
async fn a_refused_write_leaves_a_part_of_its_commit() {
    let mut bench = Bench::new("SELECT 1").await;
    let take = || sql("UPDATE stock SET pieces = pieces - 1 WHERE part = 'A-1'");
    let message = || Write::Send(bench.lease.run, cancel());
    let entry = Write::Outbox(OutboxEntry::new("mail", json!({})));
    let writes = vec![take(), message(), entry, sql("UPDATE stock SET pieces = -1")];
    let done = bench.write(writes).await;
    bench.says(&done, 3, "CHECK constraint failed");
    let expects = Write::Sql(SqlWrite::new("UPDATE stock SET pieces = 0 WHERE part = 'none'").expect_rows(1));
    let done = bench.write(vec![take(), expects]).await;
    bench.says(&done, 1, "changed 0 rows, and 1 were expected");
    let done = bench.write(vec![take(), sql("INSERT INTO missing VALUES (1)")]).await;
    bench.says(&done, 1, "no such table: missing");
    let done = bench.write(vec![take(), sql("INSERT INTO stock VALUES ('A-1', 0)")]).await;
    bench.says(&done, 1, "UNIQUE constraint failed");
    let done = bench.write(vec![take(), Write::Sql(bound("UPDATE stock SET pieces = $1", &[json!(u64::MAX)]))]).await;
    bench.says(&done, 1, "bind it as a text");
    let done = bench.write(vec![take(), Write::Send(creation("w").0.run, cancel())]).await;
    bench.says(&done, 1, "there is no run");
    assert_eq!(bench.pieces().await, 10);
    assert!(bench.store.inbox(bench.lease.run).await.unwrap().is_empty());
    assert!(bench.store.outbox(9).await.unwrap().is_empty());
    bench.write(vec![take()]).await.unwrap();
    assert_eq!(bench.pieces().await, 9);
}

#[tokio::test]
async fn a_refused_commit_takes_its_neighbours_with_it() {
    let tables = "CREATE TABLE parent (id INTEGER PRIMARY KEY);
        CREATE TABLE child (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);
        CREATE TABLE strict (id INTEGER PRIMARY KEY ON CONFLICT ROLLBACK);
        CREATE TABLE loud (id);
        CREATE TRIGGER loud AFTER INSERT ON loud BEGIN SELECT RAISE (ROLLBACK, 'it is loud'); END;
        INSERT INTO strict VALUES (1);
        UPDATE stock SET pieces = 100";
    let bench = Bench::new(tables).await;
    // The last of them are only found when the transaction is gone, or about to be kept.
    for (statement, says) in [
        ("UPDATE stock SET pieces = -1", "CHECK constraint failed"),
        ("INSERT OR FAIL INTO stock VALUES ('C', 1), ('A-1', 1)", "UNIQUE constraint failed"),
        ("DELETE FROM parkway_event", "reaches `parkway_event`"),
        ("UPDATE stock SET pieces = (SELECT count(*) FROM parkway_log)", "reaches `parkway_event`"),
        ("INSERT INTO strict VALUES (1)", "UNIQUE constraint failed"),
        ("INSERT OR ROLLBACK INTO stock VALUES ('A-1', 1)", "UNIQUE constraint failed"),
        ("INSERT INTO loud VALUES (1)", "it is loud"),
        ("INSERT INTO child VALUES (7)", "FOREIGN KEY constraint failed"),
    ] {
        let before = bench.store.runs(&RunFilter::default()).await.unwrap().len();
        let (left, culprit, right) = (creation("w"), creation("w").1, creation("w").1);
        let take = || sql("UPDATE stock SET pieces = pieces - 1 WHERE part = 'A-1'");
        let with = |mut commit: Commit, write| {
            commit.writes.push(write);
            commit
        };
        let pieces = bench.pieces().await;
        let (a, b, c) = tokio::join!(
            bench.store.commit(with(left.1, take())),
            bench.store.commit(with(culprit, sql(statement))),
            bench.store.commit(with(right, take())),
        );
        assert_eq!((a, c), (Ok(()), Ok(())), "{statement}");
        bench.says(&b, 1, says);
        assert_eq!(bench.pieces().await, pieces - 2, "{statement}");
        assert_eq!(bench.store.runs(&RunFilter::default()).await.unwrap().len(), before + 2, "{statement}");
        assert_eq!(number(&bench.path, "SELECT count(*) FROM stock WHERE part = 'C'").await, 0);
        bench.store.commit(extension(&left.0, Seq(1))).await.unwrap();
    }
    crate::tree::check(&bench.path).await;
}

#[tokio::test]
async fn a_statement_reaches_what_is_not_the_programs_own() {
    let mut bench = Bench::new(
        "CREATE TABLE note (run INTEGER REFERENCES parkway_run (key), text);
        CREATE TABLE n (id INTEGER PRIMARY KEY AUTOINCREMENT, x);
        INSERT INTO n (x) VALUES (1);
        CREATE VIEW runs AS SELECT * FROM parkway_run;
        CREATE VIEW door AS SELECT part FROM stock;
        CREATE TRIGGER door INSTEAD OF INSERT ON door BEGIN UPDATE parkway_run SET status = 'completed'; END;
        CREATE TABLE a (x); CREATE TABLE b (x); CREATE TABLE c (x);
        CREATE TRIGGER a AFTER INSERT ON a BEGIN INSERT INTO b VALUES (new.x); END;
        CREATE TRIGGER b AFTER INSERT ON b BEGIN DELETE FROM parkway_message; END;
        CREATE TRIGGER c BEFORE UPDATE ON c WHEN (SELECT count(*) FROM parkway_event) > 0 BEGIN SELECT 1; END;
        CREATE TABLE top (id INTEGER PRIMARY KEY);
        CREATE TABLE low (id INTEGER REFERENCES top (id) ON DELETE CASCADE);
        INSERT INTO top VALUES (1); INSERT INTO low VALUES (1);
        CREATE TRIGGER low AFTER DELETE ON low BEGIN DELETE FROM parkway_payload; END;
        CREATE VIRTUAL TABLE texts USING fts5 (text)",
    )
    .await;
    for (statement, table) in [
        ("UPDATE parkway_run SET status = 'completed'", "parkway_run"),
        ("DELETE FROM parkway_event", "parkway_event"),
        ("DELETE FROM \"PARKWAY_EVENT\" WHERE leaf = 1", "parkway_event"),
        ("INSERT INTO [parkway_message] (run, at, body) VALUES (1, 1, '{}')", "parkway_message"),
        ("INSERT INTO main.'parkway_outbox' (run, at, topic, body) VALUES (1, 1, 'x', '1')", "parkway_outbox"),
        ("UPDATE parkway_migrations SET version = 9", "parkway_migrations"),
        ("INSERT INTO stock SELECT id, 1 FROM parkway_run", "parkway_run"),
        ("INSERT INTO stock SELECT id, 1 FROM runs", "parkway_run"),
        ("UPDATE stock SET pieces = (SELECT count(*) FROM parkway_payload)", "parkway_payload"),
        ("UPDATE stock SET pieces = 1 WHERE EXISTS (SELECT 1 FROM parkway_tenant)", "parkway_tenant"),
        ("UPDATE stock SET pieces = 1 FROM parkway_tenant", "parkway_tenant"),
        ("DELETE FROM stock WHERE part = 'none' AND part IN (SELECT secret FROM parkway_tenant)", "parkway_tenant"),
        ("WITH s AS (SELECT secret FROM parkway_tenant) INSERT INTO stock SELECT s.secret, 1 FROM s", "parkway_tenant"),
        ("UPDATE stock SET pieces = 1 RETURNING (SELECT hash FROM parkway_event)", "parkway_event"),
        (
            "INSERT INTO stock VALUES ('A-1', 1) ON CONFLICT DO UPDATE SET pieces = (SELECT max(key) FROM parkway_run)",
            "parkway_run",
        ),
        ("INSERT INTO note VALUES (1, 'x')", "parkway_run"),
        ("INSERT INTO door VALUES ('x')", "parkway_run"),
        ("INSERT INTO a VALUES (1)", "parkway_message"),
        ("UPDATE c SET x = 1", "parkway_event"),
        ("DELETE FROM top", "parkway_payload"),
        ("INSERT INTO stock SELECT name, 1 FROM sqlite_schema", "sqlite_schema"),
        ("INSERT INTO stock SELECT name, 1 FROM sqlite_master", "sqlite_schema"),
    ] {
        bench.refuses(statement, &format!("reaches `{table}`")).await;
    }
    for (statement, says) in [
        ("UPDATE sqlite_schema SET sql = ''", "may not be modified"),
        ("UPDATE sqlite_sequence SET seq = 0", "SQLite's own"),
        ("DELETE FROM 'sqlite_sequence'", "SQLite's own"),
        ("INSERT INTO stock SELECT value, 1 FROM json_each('[1]')", "virtual table"),
        ("INSERT INTO stock SELECT name, 1 FROM pragma_table_list", "virtual table"),
        ("INSERT INTO stock SELECT name, 1 FROM dbstat", "virtual table"),
        ("INSERT INTO texts VALUES ('x')", "virtual table"),
        ("UPDATE stock SET pieces = load_extension('x.so')", "extension"),
        ("INSERT INTO other.stock VALUES ('x', 1)", "no such table"),
        ("INSERT INTO temp.stock VALUES ('x', 1)", "no such table"),
        ("ATTACH 'other.db' AS other", "it is to be INSERT"),
        ("COMMIT", "it is to be INSERT"),
        ("DELETE FROM stock; COMMIT", "more than one statement"),
    ] {
        bench.refuses(statement, says).await;
    }
    // A table whose insert opens `sqlite_sequence` is as good as any, until a view or a trigger reaches that too.
    bench.write(vec![sql("INSERT INTO n (x) VALUES (2)")]).await.unwrap();
    execute(
        &bench.path,
        "CREATE TABLE w (x); CREATE TRIGGER w AFTER INSERT ON w BEGIN UPDATE sqlite_sequence SET seq = 0; END",
    )
    .await;
    bench.refuses("INSERT INTO w VALUES (1)", "reaches `sqlite_sequence`").await;
}

#[tokio::test]
async fn a_statement_that_was_good_stays_good_in_another_schema() {
    let mut bench = Bench::new("CREATE TABLE a (x)").await;
    let insert = || sql("INSERT INTO a VALUES (1)");
    bench.write(vec![insert()]).await.unwrap();
    bench.write(vec![insert()]).await.unwrap();
    execute(&bench.path, "CREATE TRIGGER a AFTER INSERT ON a BEGIN DELETE FROM parkway_event; END").await;
    bench.refuses("INSERT INTO a VALUES (1)", "reaches `parkway_event`").await;
    execute(&bench.path, "DROP TRIGGER a").await;
    bench.write(vec![insert()]).await.unwrap();
}

#[tokio::test]
async fn a_statement_without_an_end_stops_the_store() {
    let mut bench = Bench::new("CREATE TABLE a (x)").await;
    let endless =
        "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) DELETE FROM a WHERE (SELECT max(x) FROM n)";
    bench.write(vec![sql("INSERT INTO a VALUES (1)")]).await.unwrap();
    bench.refuses(endless, "took longer than 5 s").await;
    bench.write(vec![sql("DELETE FROM a")]).await.unwrap();
}

#[tokio::test]
async fn a_message_is_lost_or_comes_before_its_commit() {
    let mut bench = Bench::new("SELECT 1").await;
    let (child, _) = creation("w");
    let new = NewRun {
        run: child.run,
        tenant: "default".into(),
        workflow: "child".into(),
        at: Default::default(),
        parent: Some(bench.lease.run),
    };
    let (own, to) = (bench.lease.run, child.run);
    bench.write(vec![Write::Send(to, cancel()), Write::Enqueue(new), Write::Send(own, cancel())]).await.unwrap();
    let ids = async |run: RunId| -> Vec<u64> {
        let inbox = bench.store.inbox(run).await.unwrap();
        inbox.iter().map(|received| received.id.0).collect()
    };
    assert_eq!((ids(to).await, ids(own).await), (vec![1], vec![2]));
    let id = bench.store.signal(own, cancel()).await.unwrap();
    assert_eq!(id.0, 3);
    let runs = bench.store.runs(&RunFilter { run: Some(to), ..Default::default() }).await.unwrap();
    assert_eq!(runs[0].parent, Some(own));
    assert_eq!(bench.store.claim(&claim("v", None)).await.unwrap().map(|lease| lease.run), Some(to));
}

#[tokio::test]
async fn an_outbox_entry_is_lost_or_comes_under_another_number() {
    let mut bench = Bench::new("SELECT 1").await;
    let entry = |n: u64| Write::Outbox(OutboxEntry::new("order.placed", json!({"n": n, "text": "ä\u{0}"})));
    bench.write(vec![entry(1), entry(2)]).await.unwrap();
    bench.write(vec![entry(3)]).await.unwrap();
    let all = bench.store.outbox(10).await.unwrap();
    assert_eq!(all.iter().map(|entry| entry.entry.body["n"].clone()).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(all.iter().all(|entry| entry.run == bench.lease.run && entry.entry.topic == "order.placed"));
    assert_eq!(bench.store.outbox(2).await.unwrap(), all[..2]);
    bench.store.delivered(&[all[0].id, all[2].id]).await.unwrap();
    bench.store.delivered(&[all[0].id]).await.unwrap();
    assert_eq!(bench.store.outbox(10).await.unwrap(), all[1..2]);
    bench.write(vec![entry(4)]).await.unwrap();
    assert!(bench.store.outbox(10).await.unwrap()[1].id > all[2].id, "a number is used again");
}

#[tokio::test]
async fn a_snapshot_waits_for_the_disk_or_is_of_events_that_never_were() {
    let mut bench = Bench::new("SELECT 1").await;
    let run = bench.lease.run;
    let at = |seq: u64| Snapshot { seq: Seq(seq), engine: "1".into(), bytes: vec![seq as u8; 5_000] };
    let before = bench.store.stats();
    assert_eq!(bench.store.snapshot(run).await, Ok(None));
    bench.store.keep_snapshot(run, at(1)).await.unwrap();
    bench.store.keep_snapshot(creation("w").0.run, at(1)).await.unwrap();
    assert_eq!(bench.store.stats(), before, "a snapshot alone has waited for the disk");
    assert_eq!(bench.store.snapshot(run).await, Ok(Some(at(1))));
    bench.write(vec![]).await.unwrap();
    assert_eq!(number(&bench.path, "SELECT seq FROM parkway_snapshot").await, 1);
    // One that runs ahead of the log is passed over.
    bench.store.keep_snapshot(run, at(9)).await.unwrap();
    assert_eq!(bench.store.snapshot(run).await, Ok(Some(at(1))));
    bench.write(vec![]).await.unwrap();
    assert_eq!(bench.store.snapshot(run).await, Ok(Some(at(1))));
    // What waits is written when the store is closed.
    bench.store.keep_snapshot(run, at(3)).await.unwrap();
    bench.store.close().await.unwrap();
    let store = open(&bench.path).await;
    assert_eq!(store.snapshot(run).await, Ok(Some(at(3))));
    execute(&bench.path, "DELETE FROM parkway_snapshot").await;
    assert_eq!(store.snapshot(run).await, Ok(None));
    // So many that nobody may have them all in memory are written although nothing else is.
    let large = Snapshot { bytes: vec![7; 20 << 20], ..at(3) };
    store.keep_snapshot(run, large.clone()).await.unwrap();
    assert_eq!((store.stats().transactions, store.snapshot(run).await), (1, Ok(Some(large))));
    assert_eq!(number(&bench.path, "SELECT length(bytes) FROM parkway_snapshot").await, 20 << 20);
}
