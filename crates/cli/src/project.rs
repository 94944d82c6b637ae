//! Where the project begins, and where its runs are kept.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use parkway::{Builder, Parkway};

use crate::args::Global;
use crate::failure::Failure;

/// The file that marks a project's root.
const MARK: &str = "parkway.toml";
/// Where runs are kept, from the root.
const STORE: &str = ".parkway/runs.db";

/// A project.
#[derive(Clone, Debug)]
pub(crate) struct Project {
    /// The folder that grants and tool arguments are relative to.
    pub(crate) root: PathBuf,
    /// Whether a `parkway.toml` marks it.
    pub(crate) marked: bool,
    /// Where runs are kept, as a URL.
    pub(crate) store: String,
    given: bool,
}

impl Project {
    /// The nearest folder upwards that has a `parkway.toml`, else the working directory.
    pub(crate) fn find(global: &Global) -> Result<Self, Failure> {
        let here = env::current_dir().map_err(|e| {
            Failure::failed(format!("the working directory cannot be used: {e}; change to another one"))
        })?;
        let marked = here.ancestors().find(|folder| folder.join(MARK).is_file());
        let root = marked.unwrap_or(&here).to_path_buf();
        let store = match &global.store {
            Some(store) => store.clone(),
            None => format!("sqlite:{}", root.join(STORE).display()),
        };
        if store == "sqlite:" {
            return Err(Failure::invalid("`sqlite:` names no file").help("write for example `--store sqlite:runs.db`"));
        }
        Ok(Project { marked: marked.is_some(), store, given: global.store.is_some(), root })
    }

    /// The file of the store; `None` for one that is no file.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.store.strip_prefix("sqlite:").filter(|path| *path != ":memory:").map(Path::new)
    }

    /// An engine on the store, which is made if there is none.
    pub(crate) async fn open(&self, builder: Builder) -> Result<Parkway, Failure> {
        if let Some(folder) = self.file().and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty()) {
            let failed = |e: io::Error| {
                Failure::failed(format!("the folder {} cannot be made: {e}", folder.display()))
                    .help("keep runs elsewhere with `--store sqlite:PATH`")
            };
            fs::create_dir_all(folder).map_err(failed)?;
            let ignore = folder.join(".gitignore");
            if !self.given && !ignore.exists() {
                fs::write(ignore, "*\n").map_err(failed)?;
            }
        }
        Ok(builder.store(&self.store).root(&self.root).build().await?)
    }

    /// An engine on a store that is there; `None` if there is none.
    pub(crate) async fn look(&self) -> Result<Option<Parkway>, Failure> {
        if self.file().is_some_and(|file| !file.exists()) {
            return Ok(None);
        }
        self.open(Parkway::builder()).await.map(Some)
    }

    /// As [`Project::look`]; no store is an error.
    pub(crate) async fn need(&self) -> Result<Parkway, Failure> {
        self.look().await?.ok_or_else(|| {
            Failure::invalid(format!("there are no runs yet: there is no store at {}", self.store))
                .help("start one with `parkway run FILE`, or name another store with `--store`")
        })
    }

    /// An engine without a store, for looking at a workflow.
    pub(crate) async fn without_store(&self) -> Result<Parkway, Failure> {
        Ok(Parkway::builder().store("sqlite::memory:").root(&self.root).build().await?)
    }
}
