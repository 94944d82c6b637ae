//! A file that is read, changed and put back: meanwhile no other call that does the same has it.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use cap_std::fs::File;
use parkway_core::tool::{ToolContext, ToolError};

use super::read::open;
use super::replace::lock;
use super::roots::Place;
use super::same::same_file;

/// How long a call waits for another one. A patch takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);

/// Opens the file at the place when nobody else holds it. It is held as long as it is open.
pub(super) fn hold(place: &Place, context: &ToolContext) -> Result<File, ToolError> {
    let begun = Instant::now();
    loop {
        let file = open(place)?;
        // Where a file system knows no locks nobody gets one, and nothing is waited for.
        let free = lock(&file).unwrap_or(true);
        if free && is_at(place, &file).map_err(|e| place.error("read", &e))? {
            return Ok(file);
        }
        if context.cancel.is_cancelled() || begun.elapsed() > PATIENCE {
            let message = format!("`{}` is being changed by another call; try again", place.path);
            return Err(ToolError { not_done: true, ..ToolError::transient("busy", message) });
        }
        sleep(PAUSE);
    }
}

/// Whether this file is still the one at the place: a call that was waited for has put another one there.
fn is_at(place: &Place, file: &File) -> io::Result<bool> {
    match place.dir.metadata(&place.inside) {
        Ok(found) => Ok(cfg!(not(unix)) || same_file(&found, &file.metadata()?)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}
