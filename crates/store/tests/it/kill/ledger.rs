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
    /// `effect`, or `sent` for an entry of the outbox that was carried out.
    pub(crate) what: String,
    pub(crate) run: String,
    pub(crate) step: String,
    pub(crate) key: String,
    /// The output that the call was going to give.
    pub(crate) output: Value,
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

    fn open(&self) -> File {
        OpenOptions::new().create(true).append(true).open(&self.0).unwrap()
    }

    pub(crate) fn read(&self) -> Vec<Entry> {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        let entry = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap();
            let text = |i: usize| line[i].as_str().unwrap().to_owned();
            Entry { what: text(0), run: text(1), step: text(2), key: text(3), output: line[4].clone() }
        };
        text.lines().map(entry).collect()
    }

    /// What the first call at a step did, if it did anything.
    pub(crate) fn effect(&self, run: &str, step: &str) -> Option<Entry> {
        self.read().into_iter().find(|entry| (&*entry.what, &*entry.run, &*entry.step) == ("effect", run, step))
    }
}
