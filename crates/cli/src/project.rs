//! Where the project begins, and where its runs are kept.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use parkway::settings::{FILE, Origin, Settings, Sources};
use parkway::{Builder, Parkway};

use crate::args::Global;
use crate::failure::Failure;
use crate::out::say;

/// A project.
#[derive(Clone, Debug)]
pub(crate) struct Project {
    /// The folder that grants and tool arguments are relative to.
    pub(crate) root: PathBuf,
    /// Whether a `parkway.toml` marks it.
    pub(crate) marked: bool,
    /// Where runs are kept, as a URL.
    pub(crate) store: String,
    pub(crate) settings: Settings,
}

impl Project {
    /// The nearest folder upwards that has a `parkway.toml`, else the working directory.
    pub(crate) fn find(global: &Global) -> Result<Self, Failure> {
        let here = env::current_dir().map_err(|e| {
            Failure::failed(format!("the working directory cannot be used: {e}; change to another one"))
        })?;
        let mut sources = Sources::discover(here);
        if let Some(store) = &global.store {
            sources = sources.store(store);
        }
        if let Some(profile) = &global.profile {
            sources = sources.profile(profile);
        }
        for model in &global.model {
            let Some((name, source)) = model.split_once('=') else {
                return Err(Failure::invalid(format!("`--model {model}` binds no model"))
                    .help("write `--model NAME=SOURCE`, for example `--model main=smollm2-135m-instruct`"));
            };
            sources = sources.model(name, source);
        }
        let settings = Settings::load(sources)?;
        let store = settings.store().0.to_owned();
        if store == "sqlite:" {
            return Err(Failure::invalid("`sqlite:` names no file").help("write for example `--store sqlite:runs.db`"));
        }
        let root = settings.root().to_path_buf();
        Ok(Project { marked: root.join(FILE).is_file(), store, root, settings })
    }

    /// Says what should not be as it is.
    pub(crate) fn warn(&self) {
        self.settings.warnings().iter().for_each(|warning| say(&format!("warning: {warning}")));
    }

    /// The file of the store; `None` for one that is no file.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.store.strip_prefix("sqlite:").filter(|path| *path != ":memory:").map(Path::new)
    }

    /// An engine on the store, which is made if there is none.
    pub(crate) async fn open(&self, builder: Builder) -> Result<Parkway, Failure> {
        self.make_folder()?;
        Ok(builder.settings(self.settings.clone()).build().await?)
    }

    /// Makes the folder of the store, if there is none.
    pub(crate) fn make_folder(&self) -> Result<(), Failure> {
        if let Some(folder) = self.file().and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty()) {
            let failed = |e: io::Error| {
                Failure::failed(format!("the folder {} cannot be made: {e}", folder.display()))
                    .help("keep runs elsewhere with `--store sqlite:PATH`")
            };
            fs::create_dir_all(folder).map_err(failed)?;
            let ignore = folder.join(".gitignore");
            if *self.settings.store().1 == Origin::Default && !ignore.exists() {
                fs::write(ignore, "*\n").map_err(failed)?;
            }
        }
        Ok(())
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
        Ok(Parkway::builder().settings(self.settings.clone()).store("sqlite::memory:").build().await?)
    }
}
