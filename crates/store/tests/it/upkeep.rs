//! Damage that is found, backups of a store in use, and what is put in its place.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parkway_core::clock::{Clock, SystemClock};
use parkway_core::id::{RunId, Seq};
use parkway_core::store::{Log, Queue, RunFilter, StoreError};
use parkway_store::upkeep::{Checked, Depth, backup, check, restore, vacuum};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::flows::{ASK, filled, run};
use crate::runs::{claim, execute, extension, open};

async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).foreign_keys(false).connect().await.unwrap()
}

/// A store that nobody has open, after somebody has changed it behind our back.
async fn damaged(path: &Path, sql: &str) -> Checked {
    let store = filled(path).await;
    let large = format!("parkway: 1\nsteps: {{ a: {{ set: {{ text: {} }} }} }}", "x".repeat(2_000));
    run(store.clone(), &large).await.unwrap();
    store.close().await.unwrap();
    let mut connection = raw(path).await;
    let changed = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    assert!(changed.rows_affected() > 0, "{sql} changes nothing");
    connection.close().await.unwrap();
    check(path, Depth::Full).await.unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_sound_store_is_said_to_be_damaged() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let store = filled(&path).await;
    // Beside the process that has it open, and after that has ended; the second time the log is gone.
    for open in [true, false] {
        let checked = check(&path, Depth::Full).await.unwrap();
        assert_eq!(checked.problems, []);
        let counts = checked.counts;
        assert_eq!((counts.runs, counts.folded), (3, 3));
        assert!(counts.events > 80 && counts.references > 40 && counts.texts > 40 && counts.text_bytes > 500);
        assert_eq!(checked.wal_bytes > 0, open);
        let quick = check(&path, Depth::Quick).await.unwrap();
        assert_eq!((quick.counts.runs, quick.counts.events, quick.counts.folded), (3, counts.events, 0));
        assert!(quick.is_sound() && quick.unchecked.len() > checked.unchecked.len());
        store.close().await.unwrap();
        assert_eq!(names(folder.path()), ["runs.db"], "a check leaves something");
    }
}

#[tokio::test]
async fn damage_goes_unseen() {
    let cases = [
        ("DELETE FROM parkway_event WHERE leaf = 7", "it has ", None),
        (
            "DELETE FROM parkway_event WHERE seq = (SELECT max(seq) FROM parkway_event WHERE run = 1) AND run = 1",
            "belong to it",
            None,
        ),
        ("UPDATE parkway_event SET cut = NULL, body = CAST('{}' AS BLOB) WHERE leaf = 5", "missing field", Some(5)),
        ("UPDATE parkway_event SET cut = 3 WHERE leaf = 5", "its hash is that of other bytes", Some(5)),
        (
            "UPDATE parkway_event SET cut = NULL, body = (SELECT body FROM parkway_log WHERE leaf = 6) WHERE leaf = 5",
            "it says that it is event 6",
            Some(5),
        ),
        (
            "UPDATE parkway_event SET body = replace(body, '\"fence\":\"1\"', '\"fence\":\"9\"') WHERE leaf = 5",
            "its fence is 9; the run's is 1",
            Some(5),
        ),
        (
            "UPDATE parkway_event SET body = replace(body, '\"attempt\":1', '\"attempt\":3')
                WHERE leaf = (SELECT min(leaf) FROM parkway_event WHERE body LIKE '%\"attempt\":1%step_started%')",
            "cannot happen there",
            None,
        ),
        ("UPDATE parkway_run SET head = head + 1 WHERE key = 2", "belong to it", None),
        (
            "UPDATE parkway_run SET status = 'failed' WHERE key = 1",
            "it is listed as failed, and is completed by its log",
            None,
        ),
        ("UPDATE parkway_run SET status = 'done' WHERE key = 1", "`done` stands where a status belongs", None),
        ("UPDATE parkway_run SET id = 'first' WHERE key = 1", "`first` stands where the id of a run belongs", None),
        ("UPDATE parkway_run SET updated = updated + 1 WHERE key = 3", "another time is listed", None),
        ("UPDATE parkway_payload SET bytes = CAST('\"x\"' AS BLOB) WHERE rowid = 4", "was altered", None),
        ("UPDATE parkway_payload SET codec = 'zip' WHERE rowid = 4", "a codec that nobody knows", None),
        ("DELETE FROM parkway_payload WHERE rowid = 6", "that it points to is not there", None),
        ("INSERT INTO parkway_message (run, at, body) VALUES (1, 1, '{')", "message 1 cannot be read", None),
        ("UPDATE parkway_event SET hash = zeroblob(32) WHERE leaf = 5", "its hash is that of other bytes", Some(5)),
        (
            "UPDATE parkway_event SET hash = substr(hash, 1, 32) || zeroblob(32) WHERE leaf = 6",
            "the nodes of the tree that leaf 6 completes are others",
            Some(6),
        ),
        ("UPDATE parkway_event SET hash = x'00' WHERE leaf = 6", "it has no hash; the tree ends there", Some(6)),
        ("UPDATE parkway_event SET leaf = 100000 WHERE leaf = 6", "its leaf is 7, and 6 is the next", Some(7)),
        ("UPDATE parkway_run SET parent = id WHERE key = 2", "by its log that is none", None),
        ("UPDATE parkway_blob SET uses = uses + 1 WHERE key = 1", "counts 2 texts, and 1 name it", None),
        (
            "UPDATE parkway_blob SET bytes = zeroblob(2000) WHERE key = 1",
            "the bytes of blob 1 are not those that it is named after",
            None,
        ),
        ("UPDATE parkway_tenant SET secret = zeroblob(32)", "are not those that it is named after", None),
        ("DELETE FROM parkway_blob WHERE key = 1", "is gone", None),
        (
            "INSERT INTO parkway_tenant (name, secret) VALUES ('b', zeroblob(32)); UPDATE parkway_blob SET tenant = 2",
            "which is another tenant's",
            None,
        ),
        (
            "INSERT INTO parkway_outbox (run, at, topic, body) VALUES (1, 1, 't', '{')",
            "outbox entry 1 cannot be read",
            None,
        ),
        (
            "INSERT INTO parkway_snapshot (run, seq, engine, bytes) VALUES (1, 100000, 'x', x'00')",
            "its snapshot is of event 100000",
            None,
        ),
        ("INSERT INTO parkway_message (run, at, body) VALUES (99, 1, '{}')", "that is not in parkway_run", None),
    ];
    for (sql, words, event) in cases {
        let folder = crate::kept::folder().unwrap();
        let checked = damaged(&folder.path().join("runs.db"), sql).await;
        let problem = checked.problems.iter().find(|problem| problem.to_string().contains(words));
        let Some(problem) = problem else { unreachable!("{sql}: {:?}", checked.problems) };
        if let Some(event) = event {
            assert_eq!((problem.run.is_some(), problem.event), (true, Some(Seq(event))), "{sql}");
        }
    }
}

#[tokio::test]
async fn a_file_with_other_bytes_passes() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    filled(&path).await.close().await.unwrap();
    let whole = fs::read(&path).unwrap();
    let pages = whole.len() / 4096;
    let mut unseen = Vec::new();
    // The first page may be so damaged that it is no database any more, and so may any that the schema is in.
    for page in 1..pages {
        let mut bytes = whole.clone();
        bytes[page * 4096..page * 4096 + 200].fill(0x5a);
        fs::write(&path, bytes).unwrap();
        match check(&path, Depth::Full).await {
            Ok(checked) if checked.is_sound() => unseen.push(page),
            _ => {}
        }
    }
    assert!(unseen.is_empty(), "of {pages} pages {unseen:?} can be damaged without a word");
}

#[tokio::test]
async fn what_is_no_store_is_checked_as_one() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("other.db");
    let said = async |path: &Path| check(path, Depth::Full).await.unwrap_err().to_string();
    assert!(said(&path).await.contains("there is no file"), "{}", said(&path).await);
    assert!(!path.exists());
    fs::write(&path, "milk, bread, ".repeat(1_000)).unwrap();
    assert!(said(&path).await.contains("is not a SQLite database"));
    fs::remove_file(&path).unwrap();
    let mut connection = SqliteConnectOptions::new().filename(&path).create_if_missing(true).connect().await.unwrap();
    sqlx::raw_sql("CREATE TABLE mine (x)").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    assert!(said(&path).await.contains("a database without runs"));
    let store = folder.path().join("runs.db");
    open(&store).await.close().await.unwrap();
    let mut connection = raw(&store).await;
    sqlx::raw_sql("INSERT INTO parkway_migrations VALUES (70)").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    assert!(
        matches!(check(&store, Depth::Full).await.unwrap_err(), StoreError::Newer(text) if text.contains("version 70"))
    );
    let restored = restore(&path, &store, SystemClock.now()).await.unwrap_err();
    assert!(matches!(&restored, StoreError::Newer(_)), "{restored}");
    assert_eq!(names(folder.path()), ["other.db", "runs.db"]);
}

#[tokio::test]
async fn a_backup_of_a_store_in_use_is_not_one_moment_of_it() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("my runs – µ%20?#.db");
    let store = filled(&path).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (writing, stopped) = (store.clone(), stop.clone());
    let busy = tokio::spawn(async move {
        while !stopped.load(Ordering::Relaxed) {
            run(writing.clone(), ASK).await.unwrap();
        }
    });
    let mut events = 0;
    for n in 0..4 {
        let to = folder.path().join(format!("backup {n}.db"));
        let made = backup(&path, &to).await.unwrap();
        assert_eq!(made.bytes, fs::metadata(&to).unwrap().len());
        assert!(made.checked.counts.events > events && made.checked.counts.folded == made.checked.counts.runs);
        events = made.checked.counts.events;
        assert!(check(&path, Depth::Full).await.unwrap().is_sound());
        // The next one has more to copy.
        while store.stats().events < events + 10 {
            tokio::task::yield_now().await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    busy.await.unwrap();
    let copy = open(folder.path().join("backup 2.db")).await;
    for summary in copy.runs(&RunFilter::default()).await.unwrap() {
        let (copied, all) =
            (copy.events(summary.run, Seq(0)).await.unwrap(), store.events(summary.run, Seq(0)).await.unwrap());
        assert!(copied.len() as u64 == summary.head.0 && all.starts_with(&copied));
    }
}

#[tokio::test]
async fn a_backup_is_written_over_or_left_half_made() {
    let folder = crate::kept::folder().unwrap();
    let (path, to) = (folder.path().join("runs.db"), folder.path().join("backup.db"));
    filled(&path).await.close().await.unwrap();
    fs::write(&to, "precious").unwrap();
    let error = backup(&path, &to).await.unwrap_err().to_string();
    assert!(error.contains("is there already, and is not written over"), "{error}");
    assert_eq!(fs::read_to_string(&to).unwrap(), "precious");
    fs::remove_file(&to).unwrap();
    // What a backup has left that was killed.
    fs::write(folder.path().join("backup.db.partial"), "half").unwrap();
    fs::write(folder.path().join("backup.db.partial.lock"), "").unwrap();
    backup(&path, &to).await.unwrap();
    assert_eq!(names(folder.path()), ["backup.db", "runs.db"]);
    let error = backup(&path, &folder.path().join("none").join("b.db")).await.unwrap_err().to_string();
    assert!(error.contains("does not exist; make it (mkdir -p"), "{error}");
}

#[tokio::test]
async fn a_damaged_store_gives_a_backup() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    damaged(&path, "DELETE FROM parkway_event WHERE leaf = 7").await;
    let error = backup(&path, &folder.path().join("b.db")).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Corrupt(text) if text.contains("nothing was done") && text.contains("it has ")),
        "{error}"
    );
    let error = vacuum(&path).await.unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt(_)), "{error}");
    assert_eq!(names(folder.path()), ["runs.db"]);
}

#[tokio::test]
async fn a_restored_store_is_not_as_it_was_at_the_backup() {
    let folder = crate::kept::folder().unwrap();
    let (path, to) = (folder.path().join("runs.db"), folder.path().join("backup.db"));
    let store = filled(&path).await;
    let lease = store.claim(&claim("w", None)).await.unwrap();
    let (waiting, _) = run(store.clone(), ASK).await.unwrap();
    let lease = match lease {
        Some(lease) => lease,
        None => store.claim(&claim("w", Some(waiting))).await.unwrap().unwrap(),
    };
    backup(&path, &to).await.unwrap();
    let (late, _) = run(store.clone(), ASK).await.unwrap();
    let at = SystemClock.now();
    let error = restore(&path, &to, at).await.unwrap_err().to_string();
    assert!(error.contains("is in use: another process has it open; stop it"), "{error}");
    store.close().await.unwrap();
    let done = restore(&path, &to, at).await.unwrap();
    let (before, kept) = (done.before.unwrap(), done.kept.unwrap());
    assert_eq!((before.runs, done.now.runs), (5, 4));
    assert!(before.newest > done.now.newest && before.events > done.now.events);
    assert!(kept.file_name().unwrap().to_str().unwrap().starts_with("runs.db.replaced-2"), "{kept:?}");
    let mut expected: Vec<String> = ["backup.db", "runs.db"].map(String::from).to_vec();
    expected.push(kept.file_name().unwrap().to_str().unwrap().to_owned());
    assert_eq!(names(folder.path()), expected);
    let store = open(&path).await;
    let ids: Vec<RunId> = store.runs(&RunFilter::default()).await.unwrap().into_iter().map(|run| run.run).collect();
    assert!(ids.contains(&waiting) && !ids.contains(&late));
    // Who held it then does not hold it now.
    // Nor does anybody get a fence that was given out after the backup.
    assert!(store.claim(&claim("v", Some(lease.run))).await.unwrap().unwrap().fence.0 > lease.fence.0 + 1_000);
    assert!(matches!(store.commit(extension(&lease, Seq(9))).await, Err(StoreError::Fenced { .. })));
    let old = open(kept).await;
    assert!(old.runs(&RunFilter::default()).await.unwrap().iter().any(|run| run.run == late));
}

#[tokio::test]
async fn a_store_that_is_damaged_beyond_reading_is_in_the_way_of_its_backup() {
    let folder = crate::kept::folder().unwrap();
    let (path, to) = (folder.path().join("runs.db"), folder.path().join("backup.db"));
    filled(&path).await.close().await.unwrap();
    backup(&path, &to).await.unwrap();
    let rubbish = "rubbish ".repeat(2_000);
    fs::write(&path, &rubbish).unwrap();
    fs::write(folder.path().join("runs.db-wal"), &rubbish).unwrap();
    let done = restore(&path, &to, SystemClock.now()).await.unwrap();
    let kept = done.kept.unwrap();
    assert_eq!(done.before, None);
    assert_eq!(fs::read_to_string(&kept).unwrap(), rubbish);
    assert_eq!(fs::read_to_string(PathBuf::from(format!("{}-wal", kept.display()))).unwrap(), rubbish);
    assert!(check(&path, Depth::Full).await.unwrap().is_sound());
    assert_eq!(open(&path).await.runs(&RunFilter::default()).await.unwrap().len(), 3);
}

#[cfg(unix)]
#[tokio::test]
async fn a_store_behind_a_link_is_replaced_by_a_file() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = crate::kept::folder().unwrap();
    let (real, link, to) = (folder.path().join("real.db"), folder.path().join("link.db"), folder.path().join("b.db"));
    filled(&real).await.close().await.unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o600)).unwrap();
    symlink("real.db", &link).unwrap();
    let store = open(&link).await;
    assert!(vacuum(&real).await.unwrap_err().to_string().contains("another process has it open"));
    store.close().await.unwrap();
    backup(&link, &to).await.unwrap();
    restore(&link, &to, SystemClock.now()).await.unwrap();
    vacuum(&link).await.unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    for path in [&real, &to] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "others may read {path:?}");
    }
    assert!(check(&real, Depth::Full).await.unwrap().is_sound());
}

#[tokio::test]
async fn a_vacuum_gives_nothing_back_or_loses_something() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let store = filled(&path).await;
    let mut before = Vec::new();
    for summary in store.runs(&RunFilter::default()).await.unwrap() {
        before.push((summary.run, store.events(summary.run, Seq(0)).await.unwrap()));
    }
    let error = vacuum(&path).await.unwrap_err().to_string();
    assert!(error.contains("is in use: another process has it open"), "{error}");
    store.close().await.unwrap();
    let mut connection = raw(&path).await;
    // A program may keep tables of its own in the file.
    let sql = "CREATE TABLE mine (x); INSERT INTO mine VALUES (zeroblob(3000000)); DELETE FROM mine;";
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    let error = vacuum(&path).await.unwrap_err().to_string();
    assert!(error.contains("another program has it open"), "{error}");
    connection.close().await.unwrap();
    let done = vacuum(&path).await.unwrap();
    assert!(done.before > 3_000_000 && done.after < 500_000, "{done:?}");
    assert_eq!(names(folder.path()), ["runs.db"]);
    let store = open(&path).await;
    for (run, events) in before {
        assert_eq!(store.events(run, Seq(0)).await.unwrap(), events);
    }
}

#[tokio::test]
async fn a_store_of_an_older_version_cannot_be_backed_up_before_it_is_changed() {
    let folder = crate::kept::folder().unwrap();
    let (path, to) = (folder.path().join("runs.db"), folder.path().join("backup.db"));
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1.db"), &path).unwrap();
    let before = fs::read(&path).unwrap();
    let checked = check(&path, Depth::Full).await.unwrap();
    assert!(checked.is_sound() && checked.schema == 1 && checked.counts.runs > 2, "{checked:?}");
    assert!(checked.unchecked.iter().any(|what| what.contains("the form of version 1")), "{:?}", checked.unchecked);
    backup(&path, &to).await.unwrap();
    assert!(fs::read(&path).unwrap() == before, "the store is changed");
    let store = open(&path).await;
    let runs = store.runs(&RunFilter::default()).await.unwrap().len();
    store.close().await.unwrap();
    restore(&path, &to, SystemClock.now()).await.unwrap();
    assert_eq!(check(&path, Depth::Quick).await.unwrap().schema, 1);
    assert_eq!(open(&path).await.runs(&RunFilter::default()).await.unwrap().len(), runs);
    assert_eq!(check(&path, Depth::Full).await.unwrap().problems, []);
}

#[tokio::test]
async fn damage_in_a_store_of_the_version_before_goes_unseen() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let older = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v2.db");
    for (damage, says) in [
        ("SELECT 1", None),
        ("UPDATE parkway_payload SET bytes = CAST('\"x\"' AS BLOB) WHERE rowid = 4", Some("was altered")),
        (
            "UPDATE parkway_event SET body = replace(body, '\"fence\":\"1\"', '\"fence\":\"9\"') WHERE leaf = 5",
            Some("its fence is 9"),
        ),
        ("UPDATE parkway_event SET hash = zeroblob(32) WHERE leaf = 6", Some("its hash is that of other bytes")),
    ] {
        fs::copy(older, &path).unwrap();
        execute(&path, damage).await;
        let checked = check(&path, Depth::Full).await.unwrap();
        assert_eq!((checked.schema, checked.counts.events, checked.is_sound()), (2, 28, says.is_none()), "{checked:?}");
        if let Some(says) = says {
            assert!(
                checked.problems.iter().any(|problem| problem.to_string().contains(says)),
                "{:?}",
                checked.problems
            );
        }
    }
}
