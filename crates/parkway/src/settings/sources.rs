//! Where settings are looked for.

use std::env;
use std::path::{Path, PathBuf};

use super::FILE;

/// Where settings are looked for, and what is said beside the files. What stands further down is nearer, and goes before
/// what is further up: the system's file, the user's, the project's; in each of them the tables of the chosen profile go
/// before the others; then environment variables; then flags.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub(super) root: PathBuf,
    pub(super) project: Option<PathBuf>,
    pub(super) user: Option<PathBuf>,
    pub(super) system: Option<PathBuf>,
    /// Names and values of `PARKWAY_…` variables.
    pub(super) environment: Vec<(String, String)>,
    pub(super) store: Option<String>,
    pub(super) profile: Option<String>,
    pub(super) models: Vec<(String, String)>,
}

impl Sources {
    /// No source at all, and `root` as the folder that paths of workflows are relative to.
    pub fn none(root: impl Into<PathBuf>) -> Sources {
        Sources { root: root.into(), ..Sources::default() }
    }

    /// What the command line looks at from this folder: the nearest `parkway.toml` upwards, whose folder is then the root;
    /// `parkway/parkway.toml` in the user's configuration folder (`$XDG_CONFIG_HOME`, else `~/.config`);
    /// `/etc/parkway/parkway.toml`; and the environment.
    pub fn discover(folder: impl AsRef<Path>) -> Sources {
        let folder = folder.as_ref();
        let mut sources = Sources::none(folder);
        if let Some(marked) = folder.ancestors().find(|folder| folder.join(FILE).is_file()) {
            sources = sources.project(marked);
        }
        let user = own_folder().map(|folder| folder.join(FILE));
        sources.user = user.filter(|file| file.is_file());
        let system = Path::new("/etc/parkway").join(FILE);
        sources.system = system.is_file().then_some(system);
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        sources.environment =
            env::vars_os().filter_map(text).filter(|(name, _)| name.starts_with("PARKWAY_")).collect();
        sources.environment.sort();
        sources
    }

    /// Takes this folder as the project's root, and the `parkway.toml` in it if there is one.
    #[must_use]
    pub fn project(mut self, folder: impl AsRef<Path>) -> Sources {
        self.root = folder.as_ref().to_path_buf();
        self.project = Some(self.root.join(FILE)).filter(|file| file.is_file());
        self
    }

    /// Takes this file as the user's.
    #[must_use]
    pub fn user(mut self, file: impl Into<PathBuf>) -> Sources {
        self.user = Some(file.into());
        self
    }

    /// Takes this file as the system's.
    #[must_use]
    pub fn system(mut self, file: impl Into<PathBuf>) -> Sources {
        self.system = Some(file.into());
        self
    }

    /// Takes this for an environment variable: `PARKWAY_STORE`, `PARKWAY_PROFILE`, or `PARKWAY_MODEL_` with a model's name
    /// in capitals.
    #[must_use]
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Sources {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Keeps runs there, as the flag `--store` says.
    #[must_use]
    pub fn store(mut self, store: impl Into<String>) -> Sources {
        self.store = Some(store.into());
        self
    }

    /// Chooses a profile, as the flag `--profile` does.
    #[must_use]
    pub fn profile(mut self, name: impl Into<String>) -> Sources {
        self.profile = Some(name.into());
        self
    }

    /// Binds a model to a name, as the flag `--model` does: a GGUF file, or a model that is known by name.
    #[must_use]
    pub fn model(mut self, name: impl Into<String>, source: impl Into<String>) -> Sources {
        self.models.push((name.into(), source.into()));
        self
    }

    /// The folder that paths of workflows are relative to.
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn variable_of(&self, name: &str) -> Option<&str> {
        let said = self.environment.iter().rev().find(|(known, _)| known == name);
        said.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    pub(super) fn profile_name(&self) -> Option<String> {
        self.profile.clone().or_else(|| self.variable_of("PARKWAY_PROFILE").map(str::to_owned))
    }
}

/// The folder of the user's own settings and keys: `parkway` in `$XDG_CONFIG_HOME`, else in `~/.config`.
pub(crate) fn own_folder() -> Option<PathBuf> {
    let path = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || Some(path("HOME").or_else(|| path("USERPROFILE"))?.join(".config"));
    Some(path("XDG_CONFIG_HOME").or_else(home)?.join("parkway"))
}
