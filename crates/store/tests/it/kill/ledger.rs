//! What happened in the world: a file outside the database, in which each line is on disk before anything else is done.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// The world that tools change.
#[derive(Clone, Debug)]
pub(crate) struct Ledger(PathBuf);

/// Something that was done to the world.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// `effect`, `looked` for a question about one, or `sent` for an entry of the outbox that was carried out.
    pub(crate) what: String,
    pub(crate) run: String,
    pub(crate) step: String,
    pub(crate) key: String,
    /// The output that the call was going to give.
    pub(crate) output: Value,
    fence: u64,
}

impl Ledger {
    pub(crate) fn at(path: &Path) -> Self {
        Ledger(path.to_owned())
    }

    /// Does something, and returns when it can no longer be undone.
    pub(crate) fn write(&self, what: &str, run: &str, step: &str, key: &str, more: &Value) {
        let line = json!([what, run, step, key, more["output"], more["attempt"], more["fence"]]);
        let mut file = self.open();
        // One write of one line: a kill leaves all of it or nothing.
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
        file.sync_all().unwrap();
    }

    /// Does something unless a newer fence was seen for the key: how a system in the world keeps zombies out.
    pub(crate) fn write_fenced(&self, run: &str, step: &str, key: &str, more: &Value) -> bool {
        let lock = self.lock();
        let fence = more["fence"].as_u64().unwrap();
        let newer = self.read().iter().any(|entry| entry.key == key && entry.fence > fence);
        if !newer {
            self.write("effect", run, step, key, more);
        }
        drop(lock);
        !newer
    }

    /// What the call with a key did, if it did anything. From now on no older fence does anything under that key.
    pub(crate) fn look(&self, key: &str, fence: u64) -> Option<Entry> {
        let lock = self.lock();
        self.write("looked", "", "", key, &json!({"fence": fence}));
        let found = self.read().into_iter().find(|entry| entry.what == "effect" && entry.key == key);
        drop(lock);
        found
    }

    fn lock(&self) -> File {
        let file = File::options().create(true).append(true).open(self.0.with_extension("lock")).unwrap();
        file.lock().unwrap();
        file
    }

    fn open(&self) -> File {
        OpenOptions::new().create(true).append(true).open(&self.0).unwrap()
    }

    pub(crate) fn read(&self) -> Vec<Entry> {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        let entry = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap();
            let text = |i: usize| line[i].as_str().unwrap().to_owned();
            Entry {
                what: text(0),
                run: text(1),
                step: text(2),
                key: text(3),
                output: line[4].clone(),
                fence: line[6].as_u64().unwrap_or_default(),
            }
        };
        text.lines().map(entry).collect()
    }

    /// Makes the world as it should be, for tools that fail until then.
    pub(crate) fn mend(&self) {
        self.write("mended", "", "", "", &Value::Null);
    }

    pub(crate) fn mended(&self) -> bool {
        self.read().iter().any(|entry| entry.what == "mended")
    }

    /// What the first call at a step did, if it did anything.
    pub(crate) fn effect(&self, run: &str, step: &str) -> Option<Entry> {
        self.read().into_iter().find(|entry| (&*entry.what, &*entry.run, &*entry.step) == ("effect", run, step))
    }
}
