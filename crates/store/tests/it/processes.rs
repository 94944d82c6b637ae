//! Several processes on one file, and processes that are killed.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use parkway_core::id::{RunId, Seq};
use parkway_core::log::EventKind;
use parkway_core::store::{Log, Queue, RunFilter};

use crate::runs::{cancel, claim, creation, extension, open};

/// A process that plays a role on a database, and says what it does line by line. It is killed when it goes out of scope.
struct Other {
    child: Child,
    lines: BufReader<Box<dyn Read + Send>>,
}

impl Other {
    fn start(role: &str, path: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "processes::plays_its_role", "--nocapture"])
            .env("PARKWAY_TEST_ROLE", role)
            .env("PARKWAY_TEST_DB", path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout: Box<dyn Read + Send> = Box::new(child.stdout.take().unwrap());
        let lines = BufReader::new(stdout);
        Other { child, lines }
    }

    /// The next word that it says; `None` when it is gone.
    fn says(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            // The harness prints too; a line that was cut by the kill is no word.
            if let Some((_, word)) = line.split_once("says:")
                && word.ends_with('\n')
            {
                return Some(word.trim().to_owned());
            }
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not a test: what the other process runs. Without a role it is empty.
#[tokio::test]
async fn plays_its_role() {
    let (Ok(role), Ok(path)) = (std::env::var("PARKWAY_TEST_ROLE"), std::env::var("PARKWAY_TEST_DB")) else { return };
    let store = std::sync::Arc::new(open(path).await);
    match role.as_str() {
        "hold" => {
            let (lease, commit) = creation("holder");
            store.commit(commit).await.unwrap();
            store.renew(&lease, Duration::from_secs(3_600)).await.unwrap();
            println!("says:{}", lease.run);
            std::future::pending().await
        }
        "signal" => {
            for run in store.runs(&RunFilter::default()).await.unwrap() {
                assert!(run.held);
                store.signal(run.run, cancel()).await.unwrap();
            }
            println!("says:done");
        }
        _ => {
            let chain = |n: usize| {
                let store = store.clone();
                async move {
                    let (lease, commit) = creation(&format!("worker-{}-{n}", std::process::id()));
                    store.commit(commit).await.unwrap();
                    for head in 1_u64.. {
                        println!("says:{} {head}", lease.run);
                        store.commit(extension(&lease, Seq(head))).await.unwrap();
                    }
                }
            };
            let chains: Vec<_> = (0..16).map(|n| tokio::spawn(chain(n))).collect();
            for chain in chains {
                chain.await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_dead_owner_holds_its_run_until_the_lease_ends() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let store = open(&path).await;
    let mut other = Other::start("hold", &path);
    let run: RunId = other.says().unwrap().parse().unwrap();
    assert_eq!(store.claim(&claim("w", Some(run))).await, Ok(None));
    assert_eq!(store.claim(&claim("w", None)).await, Ok(None));
    assert!(store.runs(&RunFilter::default()).await.unwrap()[0].held);
    other.kill();
    assert!(!store.runs(&RunFilter::default()).await.unwrap()[0].held);
    let lease = store.claim(&claim("w", None)).await.unwrap().unwrap();
    assert_eq!((lease.run, lease.fence.0), (run, 2));
    store.commit(extension(&lease, Seq(1))).await.unwrap();
    let locks = std::fs::read_dir(folder.path().join("runs.db.owners")).unwrap();
    let locks: Vec<_> = locks
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().ends_with(".lock"))
        .collect();
    assert_eq!(locks.len(), 1, "the dead owner's lock file stays: {locks:?}");
}

#[tokio::test]
async fn a_message_from_another_process_is_not_seen() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let store = open(&path).await;
    let (lease, commit) = creation("w");
    store.commit(commit).await.unwrap();
    assert_eq!(Other::start("signal", &path).says().as_deref(), Some("done"));
    let inbox = store.inbox(lease.run).await.unwrap();
    assert_eq!(inbox.into_iter().map(|received| received.message).collect::<Vec<_>>(), [cancel()]);
}

#[tokio::test]
async fn a_process_that_commits_without_a_pause_locks_the_others_out() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let mut other = Other::start("commit", &path);
    let run: RunId = other.says().unwrap().split_once(' ').unwrap().0.parse().unwrap();
    // Nobody may wait for a reader of its words, or it would pause.
    let mut lines = std::mem::replace(&mut other.lines, BufReader::new(Box::new(std::io::empty())));
    let reader = std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
    let store = open(&path).await;
    let start = Instant::now();
    for _ in 0..10 {
        store.signal(run, cancel()).await.unwrap();
    }
    assert_eq!(store.inbox(run).await.unwrap().len(), 10);
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    drop(other);
    reader.join().unwrap().unwrap();
}

#[tokio::test]
async fn a_commit_acknowledged_before_a_kill_is_lost() {
    let folder = crate::kept::folder().unwrap();
    for round in 0..4 {
        let path = folder.path().join(format!("runs-{round}.db"));
        let mut other = Other::start("commit", &path);
        let mut acknowledged = std::collections::BTreeMap::new();
        let mut hear = |word: String| {
            let (run, head) = word.split_once(' ').unwrap();
            acknowledged.insert(run.parse::<RunId>().unwrap(), head.parse::<u64>().unwrap());
        };
        for _ in 0..100 + 150 * round {
            hear(other.says().unwrap());
        }
        other.kill();
        while let Some(word) = other.says() {
            hear(word);
        }
        let store = open(&path).await;
        for (run, head) in acknowledged {
            let events = store.events(run, Seq(0)).await.unwrap();
            assert!(events.len() as u64 >= head, "run {run}: {} events of {head} acknowledged", events.len());
            assert!(events.iter().map(|event| event.seq.0).eq(1..=events.len() as u64));
            for event in events {
                let EventKind::CancelRequested { note: Some(note) } = event.kind else { continue };
                assert!(store.payloads(&[note]).await.unwrap()[0].is_some(), "an event came without its payload");
            }
        }
        let runs = store.runs(&RunFilter::default()).await.unwrap();
        assert!(runs.iter().all(|run| !run.held));
    }
}

#[tokio::test]
async fn processes_that_open_a_new_file_at_once_fail() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("my runs – µ.db");
    let mut others: Vec<Other> = (0..4).map(|_| Other::start("commit", &path)).collect();
    for other in &mut others {
        assert!(other.says().is_some(), "a process ended at once");
        other.kill();
    }
    let runs = open(&path).await.runs(&RunFilter::default()).await.unwrap();
    assert!(runs.len() >= 4 && runs.iter().all(|run| !run.held));
}
