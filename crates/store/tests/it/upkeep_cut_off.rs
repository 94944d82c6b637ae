//! Upkeep that is killed at some moment, and upkeep after that.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use parkway_core::clock::{Clock, SystemClock};
use parkway_core::id::{RunId, Seq};
use parkway_core::store::{Log, RunFilter};
use parkway_store::upkeep::{Depth, Keys, backup, backup_sealed, check, restore, restore_sealed, vacuum};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::flows::{ASK, filled, run};
use crate::runs::open;

/// Not a test: what the other process does. Without a role it is empty.
#[tokio::test]
async fn does_its_part() {
    let (Ok(role), Ok(folder)) = (std::env::var("PARKWAY_TEST_UPKEEP"), std::env::var("PARKWAY_TEST_FOLDER")) else {
        return;
    };
    upkeep(&role, Path::new(&folder)).await;
}

async fn upkeep(role: &str, folder: &Path) {
    let (path, to) = (folder.join("runs.db"), folder.join("backup.db"));
    match role {
        "backup" => drop(backup(&path, &folder.join("new.db")).await.unwrap()),
        "seal" => {
            let keys = Keys::at(folder.join("keys"));
            drop(backup_sealed(&path, &folder.join("new.db"), &keys, SystemClock.now()).await.unwrap());
        }
        "restore" => drop(restore(&path, &to, SystemClock.now()).await.unwrap()),
        _ => drop(vacuum(&path).await.unwrap()),
    }
}

/// The runs of a store with the numbers of their events; what a check finds is told.
async fn runs(path: &Path) -> Vec<(RunId, Seq)> {
    let checked = check(path, Depth::Full).await.unwrap();
    assert_eq!(checked.problems, [], "{path:?}");
    let store = open(path).await;
    let runs = store.runs(&RunFilter::default()).await.unwrap();
    store.close().await.unwrap();
    runs.into_iter().map(|run| (run.run, run.head)).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn upkeep_that_is_killed_leaves_neither_the_old_nor_the_new_store() {
    let prepared = crate::kept::folder().unwrap();
    let (path, to) = (prepared.path().join("runs.db"), prepared.path().join("backup.db"));
    let store = filled(&path).await;
    // So large that a copy takes its time.
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    let sql = "CREATE TABLE mine (x); INSERT INTO mine VALUES (zeroblob(20000000))";
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    backup(&path, &to).await.unwrap();
    run(store.clone(), ASK).await.unwrap();
    store.close().await.unwrap();
    let (new, old) = (runs(&path).await, runs(&to).await);
    for role in ["backup", "restore", "seal", "vacuum"] {
        let mut cut = 0;
        for round in 0..7_u64 {
            let folder = crate::kept::folder().unwrap();
            let path = folder.path().join("runs.db");
            for name in ["runs.db", "backup.db"] {
                fs::copy(prepared.path().join(name), folder.path().join(name)).unwrap();
            }
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "upkeep_cut_off::does_its_part", "--nocapture"])
                .env("PARKWAY_TEST_UPKEEP", role)
                .env("PARKWAY_TEST_FOLDER", folder.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            tokio::time::sleep(Duration::from_millis(5 + 45 * round)).await;
            child.kill().unwrap();
            cut += usize::from(!child.wait().unwrap().success());
            let found = runs(&path).await;
            assert!(found == new || (role == "restore" && found == old), "{role}, round {round}: {found:?}");
            let made = folder.path().join("new.db");
            if role == "backup" && made.exists() {
                assert_eq!(runs(&made).await, new);
                fs::remove_file(&made).unwrap();
            }
            if role == "seal" && made.exists() {
                // It has its name, and so its key is there.
                let (other, keys) = (tempfile::tempdir().unwrap(), Keys::at(folder.path().join("keys")));
                let restored = other.path().join("runs.db");
                restore_sealed(&restored, &made, &keys, SystemClock.now()).await.unwrap();
                assert_eq!(runs(&restored).await, new);
                fs::remove_file(&made).unwrap();
            }
            upkeep(role, folder.path()).await;
            assert_eq!(runs(&path).await, if role == "restore" { old.clone() } else { new.clone() });
            let left = names(folder.path());
            let is_own = |name: &&String| ["runs.db", "backup.db", "new.db", "keys"].contains(&name.as_str());
            let others: Vec<_> = left.iter().filter(|name| !is_own(name)).collect();
            // What was restored before the kill is kept, too.
            let replaced = others.iter().filter(|name| name.starts_with("runs.db.replaced-") && !name.contains("-wal"));
            assert!(others.len() == replaced.count() && others.len() <= 2, "{role}, round {round}: {left:?}");
            assert_eq!(others.is_empty(), role != "restore", "{role}, round {round}: {left:?}");
        }
        assert!(cut > 0, "{role} was over before it could be killed");
    }
}
