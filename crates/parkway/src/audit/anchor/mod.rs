//! Places where heads are kept that are not the store: who can change the store can then no longer change the past unseen, as long as
//! they cannot write to these places.

mod append;
mod commit;
mod post;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parkway_core::secret::Secret;
use reqwest::Url;
use tokio::time::Instant;

use super::{Head, id_of};
use crate::error::Error;
pub(crate) use post::address;

/// How long it may take to keep a head, unless something else is said.
const LIMIT: Duration = Duration::from_secs(60);

/// A place where heads are kept. Two are the same if they are one place, whatever else is said of them.
///
/// ```
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
/// use parkway::audit::{Anchor, Heads, SigningKey};
/// use parkway::{Parkway, Workflow, inputs};
///
/// # let folder = std::env::temp_dir().join(format!("parkway-anchor-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// let parkway = Parkway::builder().store("sqlite::memory:").build().await?;
/// let source = "parkway: 1\nsteps:\n  one: { set: { n: 1 } }\n";
/// parkway.start(Workflow::from_source("one.yaml", source)?, inputs! {}).await?.output::<serde_json::Value>().await?;
///
/// let audit = parkway.audit();
/// let head = audit.sign(&SigningKey::generate(&audit.origin().await?)?).await?;
/// let anchor = Anchor::append(folder.join("heads.txt"));
/// anchor.keep(&head).await?;
/// anchor.keep(&head).await?;
/// assert_eq!(Heads::read(&folder.join("heads.txt")).unwrap().heads.len(), 1);
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok::<_, parkway::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Anchor {
    place: Place,
    limit: Duration,
}

#[derive(Clone, Debug)]
enum Place {
    Append(PathBuf),
    Commit(PathBuf),
    Post { url: Url, token: Result<Option<Secret>, String> },
}

impl Anchor {
    /// A file that heads are written to, one behind the other. Where it ends in a slash it is a folder, and each log has a file of its own
    /// in it, `LOG.heads`. No folder is made: what is mounted there may be missing.
    pub fn append(file: impl AsRef<Path>) -> Self {
        Anchor::new(Place::Append(absolute(file.as_ref())))
    }

    /// The working tree of a git repository: heads are written to `LOG.heads` in it and committed, and pushed where the branch has an
    /// upstream. The program `git` does it, which asks nobody anything.
    pub fn commit(folder: impl AsRef<Path>) -> Self {
        Anchor::new(Place::Commit(absolute(folder.as_ref())))
    }

    /// A server that heads are sent to, by a POST of the note as a text; any answer from 200 to 299 is its yes. The token goes with it as
    /// `Authorization: Bearer`. No message of an anchor has more of the address than its host.
    ///
    /// # Errors
    ///
    /// The address cannot be used: it is neither `https` nor `http` to this machine, or has a part that may be secret.
    pub fn post(url: &str, token: Option<Secret>) -> Result<Self, Error> {
        let url = address(url).map_err(|why| Error::Audit(format!("this is no address for heads: {why}")))?;
        Ok(Anchor::new(Place::Post { url, token: Ok(token) }))
    }

    /// One whose address was looked at before, with its token, or why that cannot be had: said when a head is sent.
    pub(crate) fn posted(url: Url, token: Result<Option<Secret>, String>) -> Self {
        Anchor::new(Place::Post { url, token })
    }

    fn new(place: Place) -> Self {
        Anchor { place, limit: LIMIT }
    }

    /// Gives up what takes longer; a minute if nothing is said.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Keeps a head there, on disk where it is a file when this returns, and says in a few words what was done. One that is there already
    /// is not written a second time.
    ///
    /// # Errors
    ///
    /// The note is no head, or it cannot be kept there: why, and what to do. It can be kept again.
    pub async fn keep(&self, note: &str) -> Result<String, Error> {
        let head: Head = note.parse().map_err(Error::Audit)?;
        let until = Instant::now() + self.limit;
        let kept = match &self.place {
            Place::Append(file) => {
                append::keep(&file_of(file, &head.origin)?, note, until).await.map(|new| match new {
                    true => format!("kept in {}", file.display()),
                    false => format!("{} has it already", file.display()),
                })
            }
            Place::Commit(folder) => commit::keep(folder, &name_of(&head.origin)?, &head, note, until).await,
            Place::Post { url, token } => post::keep(url, token, note, until).await,
        };
        kept.map_err(|why| Error::Audit(format!("{self}: {why}")))
    }

    /// The file in which the heads of a log can be read here; `None` for a server.
    ///
    /// # Errors
    ///
    /// This is no name of a log.
    pub fn file(&self, origin: &str) -> Result<Option<PathBuf>, Error> {
        match &self.place {
            Place::Append(file) => file_of(file, origin).map(Some),
            Place::Commit(folder) => Ok(Some(folder.join(name_of(origin)?))),
            Place::Post { .. } => Ok(None),
        }
    }
}

impl PartialEq for Anchor {
    fn eq(&self, other: &Self) -> bool {
        match (&self.place, &other.place) {
            (Place::Append(a), Place::Append(b)) | (Place::Commit(a), Place::Commit(b)) => a == b,
            (Place::Post { url: a, .. }, Place::Post { url: b, .. }) => a == b,
            _ => false,
        }
    }
}

/// The place, of a server no more than its host: the rest may be secret.
impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Append(path) | Place::Commit(path) => write!(f, "{}", path.display()),
            Place::Post { url, .. } => f.write_str(&url.origin().ascii_serialization()),
        }
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn file_of(file: &Path, origin: &str) -> Result<PathBuf, Error> {
    // By its letters alone: a folder that is not there now does not become a file.
    let folder = file.as_os_str().as_encoded_bytes().ends_with(std::path::MAIN_SEPARATOR_STR.as_bytes());
    if folder { Ok(file.join(name_of(origin)?)) } else { Ok(file.to_owned()) }
}

/// The name of a log's own file of heads.
fn name_of(origin: &str) -> Result<String, Error> {
    let id = id_of(origin).ok_or_else(|| Error::Audit(format!("no file can be named after the log {origin:?}")))?;
    Ok(format!("{id}.heads"))
}
