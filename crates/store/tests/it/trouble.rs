//! Disks that are full, files that may not be written, and files that go away: what is said, and that nothing is lost.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parkway_core::clock::SystemClock;
use parkway_core::engine::ExecutorError;
use parkway_core::id::Seq;
use parkway_core::log::{Event, RunStatus};
use parkway_core::store::{Log, RunFilter, StoreError};
use parkway_core::tool::Toolbox;
use parkway_store::upkeep::{Depth, check};
use parkway_store::{SqliteConfig, SqliteStore};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::flows::{self, ITEMS, resume, run, services};
use crate::runs::{creation, extension, open};

/// Where the room ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Open,
    Create,
    Middle,
    Done,
}

/// Goes on with the runs of a store, which has room again. Each ends as if nothing had been, and begins with these events.
async fn all_end(path: &Path, acknowledged: &[Event]) {
    let store = Arc::new(open(path).await);
    for run in store.runs(&RunFilter { open: true, ..RunFilter::default() }).await.unwrap() {
        let ended = resume(services(store.clone(), Toolbox::new()), run.run).await.unwrap();
        assert_eq!(ended.status, RunStatus::Completed);
    }
    if let Some(first) = acknowledged.first() {
        let events = store.events(first.run, Seq(0)).await.unwrap();
        assert!(events.starts_with(acknowledged), "an event that was told is lost");
    }
    store.close().await.unwrap();
    let checked = check(path, Depth::Full).await.unwrap();
    assert_eq!(checked.problems, []);
}

#[tokio::test]
async fn a_full_disk_hangs_a_run_or_loses_what_was_told() {
    let mut stages = Vec::new();
    // A beginning that takes several pages.
    let pad = format!("inputs: {{ pad: {{ type: string, default: {} }}, ", "x".repeat(20_000));
    let flow = ITEMS.replace("inputs: { ", &pad);
    for kib in (20..300).step_by(7) {
        let folder = crate::kept::folder().unwrap();
        let path = folder.path().join("runs.db");
        let config = SqliteConfig::new(&path).max_bytes(kib << 10);
        let words = |error: &StoreError| {
            let StoreError::Full(text) = error else { unreachable!("{error}") };
            assert!(text.contains("runs.db`") && text.contains("free some space"), "{text}");
        };
        let store = match SqliteStore::open(config, Arc::new(SystemClock)).await {
            Ok(store) => Arc::new(store),
            Err(error) => {
                words(&error);
                stages.push(Stage::Open);
                all_end(&path, &[]).await;
                continue;
            }
        };
        let told = Arc::default();
        let ended = flows::watched(services(store.clone(), Toolbox::new()), &flow, &told);
        let ended = tokio::time::timeout(Duration::from_secs(60), ended).await.expect("hangs");
        let told: Vec<Event> = std::mem::take(&mut *told.lock().unwrap());
        stages.push(match ended {
            Ok(ended) => {
                assert_eq!(ended.status, RunStatus::Completed);
                Stage::Done
            }
            Err(ExecutorError::Store(error)) => {
                words(&error);
                if told.is_empty() { Stage::Create } else { Stage::Middle }
            }
            Err(error) => unreachable!("{error}"),
        });
        store.close().await.unwrap();
        drop(store);
        all_end(&path, &told).await;
    }
    let mut seen = stages.clone();
    seen.dedup();
    assert_eq!(seen, [Stage::Open, Stage::Create, Stage::Middle, Stage::Done], "{stages:?}");
}

/// Not a test: a process that may not make large files. Without a path it is empty.
#[tokio::test]
async fn works_under_a_limit() {
    let Ok(path) = std::env::var("PARKWAY_TEST_LIMITED") else { return };
    let store = match SqliteStore::open(&path, Arc::new(SystemClock)).await {
        Ok(store) => Arc::new(store),
        Err(error) => return println!("says:open {error}"),
    };
    for _ in 0..60 {
        let told = Arc::default();
        let ended = flows::watched(services(store.clone(), Toolbox::new()), ITEMS, &told).await;
        let told: Vec<Event> = std::mem::take(&mut *told.lock().unwrap());
        if let Some(last) = told.last() {
            println!("says:told {} {}", last.run, last.seq);
        }
        if let Err(error) = ended {
            store.close().await.unwrap();
            return println!("says:failed {error}");
        }
    }
    store.close().await.unwrap();
    println!("says:done");
}

/// What a process says that may not make files of more than so many KiB.
#[cfg(unix)]
fn limited(path: &Path, kib: u32) -> Vec<String> {
    // A process that goes beyond the limit is killed unless it does not listen to that signal, and what a shell ignores is
    // ignored in its place, too. POSIX counts in blocks of 512 bytes, and some shells in KiB.
    let script =
        format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" --exact trouble::works_under_a_limit --nocapture", kib * 2);
    let output = Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env("PARKWAY_TEST_LIMITED", path)
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines().filter_map(|line| Some(line.split_once("says:")?.1.to_owned())).collect()
}

#[cfg(unix)]
#[tokio::test]
async fn a_disk_that_refuses_hangs_a_run_or_loses_what_was_told() {
    for kib in [8, 300, 600, 1_200] {
        let folder = crate::kept::folder().unwrap();
        let path = folder.path().join("runs.db");
        let said = limited(&path, kib);
        let last = said.last().unwrap();
        assert!(last.starts_with("open ") || last.starts_with("failed "), "{kib} KiB: {said:?}");
        assert!(last.contains("runs.db`") && last.contains("the disk refused (disk I/O error"), "{kib} KiB: {last}");
        assert!(last.contains("ulimit -f"), "{last}");
        assert_eq!(last.starts_with("open "), kib == 8, "{kib} KiB: {said:?}");
        all_end(&path, &[]).await;
        let store = open(&path).await;
        for line in said.iter().filter_map(|line| line.strip_prefix("told ")) {
            let (run, seq) = line.split_once(' ').unwrap();
            let events = store.events(run.parse().unwrap(), Seq(0)).await.unwrap();
            assert!(events.len() as u64 >= seq.parse().unwrap(), "{kib} KiB: {line}");
        }
    }
}

/// The log can be written, and cannot be taken into the database.
#[cfg(unix)]
#[tokio::test]
async fn a_checkpoint_that_fails_loses_what_was_told() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    open(&path).await.close().await.unwrap();
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    let sql = "CREATE TABLE mine (x); INSERT INTO mine VALUES (zeroblob(30000000)); PRAGMA wal_checkpoint(TRUNCATE)";
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    // The log begins to be taken into the database when it has 4 MiB; a run of items needs less than a tenth of that.
    let said = limited(&path, 20_000);
    assert_eq!(said.last().unwrap(), "done", "{said:?}");
    let runs = open(&path).await.runs(&RunFilter::default()).await.unwrap();
    assert!(runs.len() == 60 && runs.iter().all(|run| run.status == RunStatus::Completed));
    assert!(check(&path, Depth::Full).await.unwrap().is_sound());
}

/// Not a test: a process of somebody who may not write. Without a path it is empty.
#[tokio::test]
async fn works_without_rights() {
    let Ok(path) = std::env::var("PARKWAY_TEST_FORBIDDEN") else { return };
    let path = Path::new(&path);
    println!("says:{}", SqliteStore::open(path, Arc::new(SystemClock)).await.unwrap_err());
    match check(path, Depth::Full).await {
        Ok(checked) => println!("says:sound {} {}", checked.is_sound(), checked.unchecked.join("; ")),
        Err(error) => println!("says:{error}"),
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_store_that_may_not_be_written_is_refused_without_a_way_out() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let store = Arc::new(open(&path).await);
    run(store.clone(), ITEMS).await.unwrap();
    store.close().await.unwrap();
    for (of_folder, of_file) in [(0o555, 0o444), (0o555, 0o666), (0o777, 0o444), (0o777, 0o000)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(of_file)).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(of_folder)).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "trouble::works_without_rights", "--nocapture"]).env("PARKWAY_TEST_FORBIDDEN", &path);
        if fs::metadata(folder.path()).unwrap().uid() == 0 {
            // Nothing is forbidden to the system's own user; `nobody` is somebody else.
            command.uid(65_534).gid(65_534);
        }
        let output = match command.output() {
            Ok(output) => output,
            Err(error) => {
                println!("skipped: nobody else can run this test here: {error}");
                break;
            }
        };
        let said = String::from_utf8(output.stdout).unwrap();
        let said: Vec<_> = said.lines().filter_map(|line| Some(line.split_once("says:")?.1)).collect();
        let case = format!("folder {of_folder:o}, file {of_file:o}: {said:?}");
        assert!(said.len() == 2 && said[0].contains("runs.db`") && said[0].contains("check the permissions"), "{case}");
        if of_file == 0 {
            assert!(
                said[1].contains("runs.db` cannot be opened") && said[1].contains("check the permissions"),
                "{case}"
            );
        } else {
            assert!(said[1].starts_with("sound true"), "{case}");
            assert_eq!(said[1].contains("what others write meanwhile"), of_folder == 0o555, "{case}");
        }
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    }
}

#[cfg(unix)]
#[tokio::test]
async fn commits_to_a_file_that_is_gone_are_acknowledged() {
    type Change = fn(&Path);
    let remove: Change = |path| fs::remove_file(path).unwrap();
    let rename: Change = |path| fs::rename(path, path.with_extension("old")).unwrap();
    let replace: Change = |path| {
        fs::copy(path, path.with_extension("copy")).unwrap();
        fs::rename(path.with_extension("copy"), path).unwrap();
    };
    let remove_log: Change = |path| fs::remove_file(path.with_extension("db-wal")).unwrap();
    let remove_folder: Change = |path| fs::remove_dir_all(path.parent().unwrap()).unwrap();
    for change in [remove, rename, replace, remove_log, remove_folder] {
        let folder = crate::kept::folder().unwrap();
        let path = folder.path().join("deep").join("runs.db");
        fs::create_dir(path.parent().unwrap()).unwrap();
        let store = open(&path).await;
        let (lease, commit) = creation("w");
        store.commit(commit).await.unwrap();
        change(&path);
        let error = store.commit(extension(&lease, Seq(1))).await.unwrap_err();
        let text = error.to_string();
        assert!(
            !error.retryable() && text.contains("runs.db` was moved, removed or replaced while it was open"),
            "{text}"
        );
        assert!(text.contains("stop this process"), "{text}");
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_long_reader_leaves_a_long_log() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let store = open(&path).await;
    let (lease, commit) = creation("w");
    store.commit(commit).await.unwrap();
    let mut reader = SqliteConnectOptions::new().filename(&path).read_only(true).connect().await.unwrap();
    sqlx::raw_sql("BEGIN; SELECT count(*) FROM parkway_event").execute(&mut reader).await.unwrap();
    for head in 1..60 {
        let mut commit = extension(&lease, Seq(head));
        // The same text would be kept once.
        let text = format!("{head}").repeat(100_000);
        commit.payloads.push(parkway_core::log::Payload::json(&text, [u8::try_from(head).unwrap(); 16]).unwrap());
        store.commit(commit).await.unwrap();
    }
    let long = store.stats().wal_bytes;
    assert!(long > 10_000_000, "the log has {long} bytes");
    // It is tried, and nobody waits for the reader.
    tokio::time::sleep(Duration::from_millis(700)).await;
    store.commit(extension(&lease, Seq(60))).await.unwrap();
    assert!(store.stats().wal_bytes >= long);
    sqlx::raw_sql("COMMIT").execute(&mut reader).await.unwrap();
    let start = Instant::now();
    while store.stats().wal_bytes > 0 {
        assert!(start.elapsed() < Duration::from_secs(60), "the log stays at {} bytes", store.stats().wal_bytes);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    store.commit(extension(&lease, Seq(61))).await.unwrap();
    assert_eq!(store.events(lease.run, Seq(0)).await.unwrap().len(), 62);
}
