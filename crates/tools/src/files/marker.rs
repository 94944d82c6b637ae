//! What a move leaves beside the new path before it is made: from this a later attempt of the same step knows what an
//! earlier one has done. Without it nothing is concluded, so that losing one loses no file.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use cap_std::fs::Metadata;
use parkway_core::id::{Digest, EffectKey};
use parkway_core::tool::{Cancel, ToolError};
use serde::{Deserialize, Serialize};

use super::replace::replace;
use super::roots::Place;

const PREFIX: &str = ".parkway-";
const SUFFIX: &str = ".move";
/// The largest marker that is read, in bytes: far more than any has.
const MOST: u64 = 4096;
/// For how many calls that have ended the marker stays, as their outcomes may not be on disk yet.
const KEPT: usize = 64;
/// After which time nobody is waited for who might take up a move: a week.
const FORGOTTEN: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What tells a file from others, also under another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    inode: u64,
    bytes: u64,
    /// When it was last changed, in nanoseconds of Unix time.
    changed: u64,
}

impl Identity {
    pub(super) fn of(file: &Metadata) -> Self {
        let changed = file.modified().ok().and_then(|time| time.into_std().duration_since(SystemTime::UNIX_EPOCH).ok());
        let changed = changed.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
        Identity { inode: inode(file), bytes: file.len(), changed }
    }

    /// Of what is at the place, if something is.
    pub(super) fn at(place: &Place) -> Option<Self> {
        place.dir.symlink_metadata(&place.inside).ok().map(|found| Identity::of(&found))
    }
}

#[cfg(unix)]
fn inode(file: &Metadata) -> u64 {
    use cap_std::fs::MetadataExt;
    file.ino()
}

/// Not known here.
#[cfg(not(unix))]
fn inode(_: &Metadata) -> u64 {
    0
}

/// What a move has set out to do.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Intent {
    /// The file that it moves.
    pub(super) file: Identity,
    /// The copy that it puts at the new path, on another file system.
    pub(super) copy: Option<Identity>,
}

/// Where the intent of one step stands.
pub(super) struct Marker {
    place: Place,
}

impl Marker {
    pub(super) fn new(from: &Place, to: &Place, key: &EffectKey) -> Result<Self, ToolError> {
        let digest = Digest::of(&[key.to_string().as_bytes(), from.path.as_bytes(), b"\0", to.path.as_bytes()]);
        let inside = to.folder().join(format!("{PREFIX}{digest}{SUFFIX}"));
        let dir = to.dir.try_clone().map_err(|e| to.error("move a file to", &e))?;
        Ok(Marker { place: Place { dir, inside, path: to.path.clone() } })
    }

    /// The intent, if one stands there.
    pub(super) fn read(&self) -> Option<Intent> {
        let Place { dir, inside, .. } = &self.place;
        if !dir.symlink_metadata(inside).ok()?.is_file() {
            return None;
        }
        let mut text = String::new();
        dir.open(inside).ok()?.take(MOST).read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Puts it on disk.
    pub(super) fn write(&self, intent: &Intent) -> Result<(), ToolError> {
        let bytes = serde_json::to_vec(intent)
            .map_err(|e| ToolError::invalid("internal", format!("a move cannot be written down: {e}")))?;
        replace(&self.place, &bytes).map_err(|e| ToolError { not_done: true, ..e })
    }

    pub(super) fn remove(&self) {
        // One that stays is swept when it is old.
        let _ = self.place.dir.remove_file(&self.place.inside);
    }
}

pub(super) fn is_marker(name: &str) -> bool {
    let digest = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    digest.is_some_and(|digest| digest.parse::<Digest>().is_ok())
}

/// Whether nobody will ask for it any more.
pub(super) fn is_forgotten(marker: &Metadata) -> bool {
    let age = marker.modified().ok().and_then(|time| time.into_std().elapsed().ok());
    age.is_some_and(|age| age > FORGOTTEN)
}

/// Markers of calls that have ended. They are removed when enough others have come, and when the process ends as it
/// should; of a call that was given up nobody has the outcome, so that its marker stays.
#[derive(Default)]
pub(super) struct Ended {
    markers: Mutex<VecDeque<(Marker, Cancel)>>,
}

impl Ended {
    pub(super) fn keep(&self, marker: Marker, cancel: &Cancel) {
        let Ok(mut markers) = self.markers.lock() else { return };
        markers.push_back((marker, cancel.clone()));
        if markers.len() > KEPT
            && let Some(oldest) = markers.pop_front()
        {
            let_go(&oldest);
        }
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        if let Ok(markers) = self.markers.get_mut() {
            markers.iter().for_each(let_go);
        }
    }
}

fn let_go((marker, cancel): &(Marker, Cancel)) {
    if !cancel.is_cancelled() {
        marker.remove();
    }
}
