//! Sealed backups: who can read them, and who cannot any more.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parkway_core::clock::{Clock, SystemClock};
use parkway_core::id::{Seq, Time};
use parkway_core::store::{Log, RunFilter, StoreError};
use parkway_store::upkeep::{
    Backup, BackupId, Depth, Keys, Restored, backup, backup_sealed, check, check_sealed, copies_beside, restore,
    restore_sealed,
};
use sqlx::{AssertSqlSafe, Connection};
use tempfile::TempDir;

use crate::flows::{ASK, filled, run};
use crate::runs::{open, raw};

/// A store, where its backups go, and where their keys do.
struct Places {
    _folder: TempDir,
    path: PathBuf,
    safe: PathBuf,
    keys: Keys,
}

impl Places {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        ["store", "safe"].iter().for_each(|name| fs::create_dir(at(name)).unwrap());
        let (path, safe, keys) = (at("store").join("runs.db"), at("safe"), Keys::at(at("keys")));
        Places { _folder: folder, path, safe, keys }
    }

    fn to(&self, name: &str) -> PathBuf {
        self.safe.join(name)
    }

    fn key(&self, backup: BackupId) -> PathBuf {
        self.safe.with_file_name("keys").join(format!("{backup}.key"))
    }

    async fn seal(&self, name: &str) -> Result<Backup, StoreError> {
        backup_sealed(&self.path, &self.to(name), &self.keys, SystemClock.now()).await
    }

    async fn restored(&self, from: &Path, to: &Path) -> Result<Restored, StoreError> {
        restore_sealed(to, from, &self.keys, SystemClock.now()).await
    }

    /// That a file is refused with these words, by the restore and by the check, and that nothing is left of it.
    async fn refuses(&self, name: &str, words: &str) {
        let before = self.names();
        let said = [
            self.restored(&self.to(name), &self.path).await.map(drop),
            self.restored(&self.to(name), &self.path.with_file_name("other.db")).await.map(drop),
            check_sealed(&self.path, &self.to(name), &self.keys, Depth::Full).await.map(drop),
        ];
        for said in said {
            let error = said.unwrap_err().to_string();
            assert!(error.contains(words), "{name}: {error}");
        }
        assert_eq!(self.names(), before, "{name} leaves something");
    }

    /// All files, by their folders.
    fn names(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for folder in [self.path.parent().unwrap(), &self.safe, &self.safe.with_file_name("keys")] {
            let entries = fs::read_dir(folder).into_iter().flatten();
            found.extend(entries.map(|entry| entry.unwrap().path()));
        }
        found.sort();
        found
    }
}

/// Where the header of a sealed backup ends, with its salt, and how long a full chunk is.
const HEADER: usize = 22 + 18 + 32 + 2 + 10 + 43 + 1 + 43 + 1 + 3 + 1 + 43 + 1 + 16;
const PIECE: usize = (64 << 10) + 16;

/// What a program does that ends after that.
async fn execute(path: &Path, sql: &str) {
    let mut connection = raw(path).await;
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

fn contains(file: &Path, text: &str) -> bool {
    fs::read(file).unwrap().windows(text.len()).any(|found| found == text.as_bytes())
}

#[tokio::test]
async fn a_sealed_backup_of_a_store_in_use_is_not_one_moment_of_it_or_can_be_read_by_anybody() {
    let places = Places::new();
    let store = filled(&places.path).await;
    let canary = "parkway: 1\nsteps: { a: { set: { text: the canary sings } } }";
    run(store.clone(), canary).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (writing, stopped) = (store.clone(), stop.clone());
    let busy = tokio::spawn(async move {
        while !stopped.load(Ordering::Relaxed) {
            run(writing.clone(), ASK).await.unwrap();
        }
    });
    let made = places.seal("a.age").await.unwrap();
    stop.store(true, Ordering::Relaxed);
    busy.await.unwrap();
    assert_eq!(made.bytes, fs::metadata(places.to("a.age")).unwrap().len());
    assert!(made.checked.is_sound() && made.checked.counts.runs >= 4);
    backup(&places.path, &places.to("plain.db")).await.unwrap();
    let texts = ["the canary sings", "SQLite format 3", "parkway_event"];
    for text in texts {
        assert!(contains(&places.to("plain.db"), text) && !contains(&places.to("a.age"), text), "{text}");
    }
    let checked = check_sealed(&places.path, &places.to("a.age"), &places.keys, Depth::Full).await.unwrap();
    assert_eq!((checked.counts, checked.problems), (made.checked.counts, vec![]));
    let other = places.path.with_file_name("other.db");
    let done = places.restored(&places.to("a.age"), &other).await.unwrap();
    assert_eq!((done.kept, done.now.runs), (None, made.checked.counts.runs));
    assert!(check(&other, Depth::Full).await.unwrap().is_sound());
    let copy = open(&other).await;
    for summary in copy.runs(&RunFilter::default()).await.unwrap() {
        let (copied, all) =
            (copy.events(summary.run, Seq(0)).await.unwrap(), store.events(summary.run, Seq(0)).await.unwrap());
        assert!(copied.len() as u64 == summary.head.0 && all.starts_with(&copied));
    }
    copy.close().await.unwrap();
    store.close().await.unwrap();
    let id = made.sealed.unwrap();
    let left = [other, places.path.clone(), places.to("a.age"), places.to("plain.db"), places.key(id)];
    let mut left = Vec::from(left);
    left.sort();
    assert_eq!(places.names(), left);
    // In the place of the store, which is kept.
    let done = places.restored(&places.to("a.age"), &places.path).await.unwrap();
    assert!(done.before.unwrap().events > done.now.events && done.kept.unwrap().exists());
}

#[tokio::test]
async fn a_backup_that_was_changed_is_opened() {
    let places = Places::new();
    let store = filled(&places.path).await;
    store.close().await.unwrap();
    execute(&places.path, "CREATE TABLE mine (x); INSERT INTO mine VALUES (randomblob(200000))").await;
    places.seal("whole.age").await.unwrap();
    let whole = fs::read(places.to("whole.age")).unwrap();
    let chunks = (whole.len() - HEADER).div_ceil(PIECE);
    assert!(chunks >= 4 && !(whole.len() - HEADER).is_multiple_of(PIECE), "{} bytes", whole.len());
    let chunk = |number: usize| HEADER + number * PIECE;
    let put = |name: &str, bytes: &[u8]| fs::write(places.to(name), bytes).unwrap();
    let changed = |at: usize| {
        let mut bytes = whole.clone();
        // In the header another letter of base64: one that is none is another case.
        bytes[at] = if (84..HEADER - 17).contains(&at) { b'B' + u8::from(bytes[at] == b'B') } else { bytes[at] ^ 1 };
        put("changed.age", &bytes);
    };
    for (at, words) in [
        (0, "does not begin as a sealed backup does"),
        (41, "there is no key of the backup"),
        (73, "does not begin as a sealed backup does"),
        (90, "the beginning of the file was changed"),
        (130, "the beginning of the file was changed"),
        (HEADER - 20, "the beginning of the file was changed"),
        (HEADER - 1, "its chunk number 0 was changed"),
        (whole.len() - 1, "was changed, or cut off"),
    ] {
        changed(at);
        places.refuses("changed.age", words).await;
    }
    for number in 0..chunks {
        changed(chunk(number) + 1_000);
        places.refuses("changed.age", &format!("number {number}")).await;
    }
    for at in [0, 10, HEADER - 1] {
        put("cut.age", &whole[..at]);
        places.refuses("cut.age", "does not begin as a sealed backup does").await;
    }
    put("cut.age", &whole[..HEADER]);
    places.refuses("cut.age", "cut off").await;
    for number in 1..chunks {
        put("cut.age", &whole[..chunk(number)]);
        places.refuses("cut.age", "its end is missing").await;
        put("cut.age", &whole[..chunk(number) - 1]);
        places.refuses("cut.age", "cut off").await;
    }
    put("cut.age", &whole[..whole.len() - 1]);
    places.refuses("cut.age", "cut off").await;
    let swapped =
        [&whole[..HEADER], &whole[chunk(1)..chunk(2)], &whole[chunk(0)..chunk(1)], &whole[chunk(2)..]].concat();
    put("swapped.age", &swapped);
    places.refuses("swapped.age", "is in another's place").await;
    put("longer.age", &[&whole[..], b"x"].concat());
    places.refuses("longer.age", "changed").await;
    // The chunks of another backup, behind this one's header.
    places.seal("other.age").await.unwrap();
    let other = fs::read(places.to("other.age")).unwrap();
    put("mixed.age", &[&whole[..HEADER], &other[HEADER..]].concat());
    places.refuses("mixed.age", "its chunk number 0 was changed").await;
    places.restored(&places.to("whole.age"), &places.path).await.unwrap();
}

#[tokio::test]
async fn a_backup_is_opened_without_its_own_key() {
    let places = Places::new();
    filled(&places.path).await.close().await.unwrap();
    let one = places.seal("one.age").await.unwrap().sealed.unwrap();
    let two = places.seal("two.age").await.unwrap().sealed.unwrap();
    let (first, second) = (fs::read(places.key(one)).unwrap(), fs::read(places.key(two)).unwrap());
    assert!(one != two && first != second, "two backups have one key");
    assert_eq!(places.keys.list().unwrap(), if one < two { [one, two] } else { [two, one] });
    fs::write(places.key(one), &second).unwrap();
    places.refuses("one.age", "it is another's").await;
    fs::write(places.key(one), &first[..first.len() - 9]).unwrap();
    places.refuses("one.age", "is no key, or was changed").await;
    fs::remove_file(places.key(one)).unwrap();
    places.refuses("one.age", "it was shredded, or is kept in another folder").await;
    fs::write(places.key(one), &first).unwrap();
    assert_eq!(places.keys.backup_in(&places.to("one.age")).unwrap(), one);
    // Without a folder, and without the word that it is sealed.
    let nowhere = Keys::at(places.to("nowhere"));
    let error = restore_sealed(&places.path, &places.to("one.age"), &nowhere, SystemClock.now()).await.unwrap_err();
    assert!(error.to_string().contains("nowhere` cannot be read"), "{error}");
    let plain = [
        restore(&places.path, &places.to("one.age"), SystemClock.now()).await.map(drop),
        check(&places.to("one.age"), Depth::Full).await.map(drop),
    ];
    for said in plain {
        let error = said.unwrap_err().to_string();
        assert!(error.contains("is a sealed backup; name the folder of its key with `--keys`"), "{error}");
    }
    backup(&places.path, &places.to("plain.db")).await.unwrap();
    places.refuses("plain.db", "it was not sealed (leave `--keys` away)").await;
    places.refuses("none.age", "there is no file").await;
}

#[tokio::test]
async fn a_backup_whose_key_was_destroyed_is_opened() {
    let places = Places::new();
    filled(&places.path).await.close().await.unwrap();
    let one = places.seal("one.age").await.unwrap().sealed.unwrap();
    let two = places.seal("two.age").await.unwrap().sealed.unwrap();
    let error = places.keys.clear_away(one).unwrap_err().to_string();
    assert!(error.contains("is a key that was not destroyed") && places.key(one).exists(), "{error}");
    let length = fs::metadata(places.key(one)).unwrap().len();
    places.keys.destroy(one).unwrap();
    assert_eq!(fs::read(places.key(one)).unwrap(), vec![0; usize::try_from(length).unwrap()]);
    places.refuses("one.age", "its key in").await;
    places.refuses("one.age", "was destroyed (shredded)").await;
    // Interrupted there, it is listed, and done again.
    assert!(places.keys.list().unwrap().contains(&one));
    places.keys.destroy(one).unwrap();
    places.keys.clear_away(one).unwrap();
    places.keys.clear_away(one).unwrap();
    places.refuses("one.age", "it was shredded, or is kept in another folder").await;
    let error = places.keys.destroy(one).unwrap_err().to_string();
    assert!(error.contains("there is no key of the backup"), "{error}");
    assert_eq!(places.keys.list().unwrap(), [two]);
    places.restored(&places.to("two.age"), &places.path).await.unwrap();
}

#[tokio::test]
async fn a_file_is_written_over_or_a_key_is_left_without_a_backup() {
    let places = Places::new();
    filled(&places.path).await.close().await.unwrap();
    fs::write(places.to("a.age"), "precious").unwrap();
    let error = places.seal("a.age").await.unwrap_err().to_string();
    assert!(error.contains("is there already, and is not written over"), "{error}");
    assert_eq!(fs::read_to_string(places.to("a.age")).unwrap(), "precious");
    let beside = Keys::at(&places.safe);
    let error = backup_sealed(&places.path, &places.to("b.age"), &beside, SystemClock.now()).await.unwrap_err();
    assert!(error.to_string().contains("would lie beside the backup; keep them elsewhere"), "{error}");
    let nowhere = Keys::at(places.to("no").join("where"));
    let error = backup_sealed(&places.path, &places.to("b.age"), &nowhere, SystemClock.now()).await.unwrap_err();
    assert!(error.to_string().contains("where` cannot be made"), "{error}");
    assert_eq!(places.names(), [places.to("a.age"), places.path.clone()]);
    execute(&places.path, "DELETE FROM parkway_event WHERE leaf = 7").await;
    let error = places.seal("b.age").await.unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt(text) if text.contains("nothing was done")), "{error}");
    assert_eq!(places.names(), [places.to("a.age"), places.path.clone()]);
}

#[tokio::test]
async fn what_an_interrupted_one_has_left_stays() {
    let places = Places::new();
    filled(&places.path).await.close().await.unwrap();
    let plain = places.path.with_file_name("runs.db.sealing");
    fs::write(&plain, "half of all texts").unwrap();
    fs::write(places.path.with_file_name("runs.db.sealing.lock"), "").unwrap();
    fs::write(places.to("a.age.partial"), "half").unwrap();
    let made = places.seal("a.age").await.unwrap();
    let mut left = vec![places.path.clone(), places.to("a.age"), places.key(made.sealed.unwrap())];
    left.sort();
    assert_eq!(places.names(), left);
    fs::write(&plain, "half of all texts").unwrap();
    check_sealed(&places.path, &places.to("a.age"), &places.keys, Depth::Quick).await.unwrap();
    assert_eq!(places.names(), left);
}

#[tokio::test]
async fn an_id_has_another_time_than_the_backup() {
    let places = Places::new();
    filled(&places.path).await.close().await.unwrap();
    let at: Time = "2026-01-14T09:15:02.125Z".parse().unwrap();
    let made = backup_sealed(&places.path, &places.to("a.age"), &places.keys, at).await.unwrap();
    assert_eq!(made.sealed.unwrap().at(), at);
}

#[cfg(unix)]
#[tokio::test]
async fn others_may_read_a_key() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let places = Places::new();
    filled(&places.path).await.close().await.unwrap();
    fs::set_permissions(&places.path, fs::Permissions::from_mode(0o640)).unwrap();
    let id = places.seal("a.age").await.unwrap().sealed.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&places.key(id)), mode(places.key(id).parent().unwrap())), (0o600, 0o700));
    assert_eq!(mode(&places.to("a.age")), 0o640);
    let other = places.path.with_file_name("other.db");
    places.restored(&places.to("a.age"), &other).await.unwrap();
    assert_eq!(mode(&other), 0o600);
    // What is written over is the key, and nothing that a link leads to.
    let precious = places.to("precious");
    fs::rename(places.key(id), &precious).unwrap();
    symlink(&precious, places.key(id)).unwrap();
    let error = places.keys.destroy(id).unwrap_err().to_string();
    assert!(error.contains("it is a link") && fs::read_to_string(&precious).unwrap().contains("AGE-SECRET-KEY-1"));
}

#[tokio::test]
async fn what_an_interrupted_restore_has_left_stays_on_the_disk() {
    let places = Places::new();
    filled(&places.path).await.close().await.unwrap();
    places.seal("one.age").await.unwrap();
    let left = places.path.with_file_name("runs.db.new");
    fs::write(&left, "what somebody has said").unwrap();
    // Its bytes by another name.
    let bytes = places.to("bytes");
    fs::hard_link(&left, &bytes).unwrap();
    assert_eq!(copies_beside(&places.path), [left]);
    let restored = places.restored(&places.to("one.age"), &places.path).await.unwrap();
    assert_eq!(fs::read(&bytes).unwrap(), [0; 22]);
    assert_eq!(copies_beside(&places.path), [restored.kept.unwrap()]);
}
