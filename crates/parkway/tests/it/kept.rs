//! The folders that tests work in. They go at a test's end, or stay under `$PARKWAY_KEEP_TESTS` for whoever looks at what was left
//! (`scripts/canaries`). Tests of other crates take this file in, too.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;

use tempfile::{Builder, TempDir};

fn root() -> Option<OsString> {
    std::env::var_os("PARKWAY_KEEP_TESTS").filter(|root| !root.is_empty())
}

/// A new folder.
pub(crate) fn folder() -> io::Result<TempDir> {
    match root() {
        Some(root) => Builder::new().disable_cleanup(true).tempdir_in(root),
        None => tempfile::tempdir(),
    }
}

/// Keeps what a command said in a folder, beside it.
#[allow(dead_code, reason = "not every crate's tests give commands")]
pub(crate) fn said(folder: &Path, texts: &[&[u8]]) {
    if root().is_some() {
        let place = folder.with_extension("said");
        let mut file = OpenOptions::new().create(true).append(true).open(place).unwrap();
        texts.iter().for_each(|text| file.write_all(text).unwrap());
    }
}
