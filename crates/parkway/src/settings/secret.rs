//! Where the value of a secret comes from. Settings name the place, and never hold the value.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use parkway_core::secret::{Secret, SecretError, Secrets};
use serde_json::Value;

use super::{FILE, Settings};

/// The most bytes of a secret.
const MAX_BYTES: u64 = 64 * 1024;

/// Where the value of a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretSource {
    /// An environment variable.
    Env(String),
    /// A file; a line break at its end is no part of the secret. Relative to the project root.
    File(PathBuf),
}

impl SecretSource {
    pub(super) fn from_value(value: &Value) -> Option<SecretSource> {
        let map = value.as_object().filter(|map| map.len() == 1)?;
        let (kind, place) = map.iter().next()?;
        match (kind.as_str(), place.as_str()?) {
            (_, "") => None,
            ("env", name) => Some(SecretSource::Env(name.to_owned())),
            ("file", path) => Some(SecretSource::File(path.into())),
            _ => None,
        }
    }

    pub(super) fn read(&self, root: &Path) -> Result<String, String> {
        match self {
            SecretSource::Env(name) => {
                env::var(name).map_err(|_| format!("the environment variable {name} is not set, or is no text; set it"))
            }
            SecretSource::File(path) => {
                let path = located(path, root)?;
                let cannot = |e: std::io::Error| format!("{} cannot be read: {e}", path.display());
                let length = fs::metadata(&path).map_err(cannot)?.len();
                if length > MAX_BYTES {
                    return Err(format!("{} has {length} bytes, and {MAX_BYTES} is the most", path.display()));
                }
                let text = fs::read_to_string(&path).map_err(cannot)?;
                let text = text.strip_suffix('\n').unwrap_or(&text);
                Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
            }
        }
    }

    /// Whether there is something at the place now. It is not read.
    pub fn is_there(&self, root: &Path) -> bool {
        match self {
            SecretSource::Env(name) => env::var_os(name).is_some(),
            SecretSource::File(path) => root.join(path).is_file(),
        }
    }

    #[cfg(unix)]
    pub(super) fn warning(&self, name: &str, root: &Path) -> Option<String> {
        use std::os::unix::fs::PermissionsExt as _;

        let SecretSource::File(path) = self else { return None };
        let path = root.join(path);
        let mode = fs::metadata(&path).ok()?.permissions().mode();
        let message = format!("everybody on this machine can read the secret `{name}`: chmod 600 {}", path.display());
        (mode & 0o004 != 0).then_some(message)
    }

    #[cfg(not(unix))]
    pub(super) fn warning(&self, _: &str, _: &Path) -> Option<String> {
        None
    }
}

/// Where a file of a secret lies. One that is named relative to the root comes from the project's own file, and lies within
/// it: no link in a project that somebody handed over leads to the files of the one who runs it.
fn located(path: &Path, root: &Path) -> Result<PathBuf, String> {
    let file = root.join(path);
    let cannot = |e: std::io::Error| format!("{} cannot be read: {e}", file.display());
    if path.is_absolute() {
        return Ok(file);
    }
    let (real, root) = (file.canonicalize().map_err(cannot)?, root.canonicalize().map_err(cannot)?);
    match real.starts_with(&root) {
        true => Ok(real),
        false => Err(format!(
            "{} leads out of the project; name it in your own ~/.config/parkway/{FILE}, or take a variable: `{{ env = \"NAME\" }}`",
            file.display()
        )),
    }
}

#[async_trait]
impl Secrets for Settings {
    async fn get(&self, name: &str) -> Result<Option<Secret>, SecretError> {
        // A name without a source is told by who asks, like those of other vaults.
        let Some(source) = self.secret_source(name) else { return Ok(None) };
        source.read(&self.root).map(|value| Some(Secret::new(value))).map_err(SecretError)
    }
}
