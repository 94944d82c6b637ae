//! The granted folders, and the way from a path in an argument to a repository in one of them.

use std::path::{Path, PathBuf};

use parkway_core::tool::{Reach, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::files::{Astray, direct, folders, normal, shown};
use crate::granted::granted;

/// Which repositories the `git` tools may read.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Grants {
    /// Folders, from the project root: repositories, or folders with repositories in them.
    #[serde(default)]
    read: Vec<String>,
}

/// The way to repositories.
#[derive(Clone, Debug)]
pub(crate) struct Repositories {
    project: PathBuf,
}

/// The folder of a repository.
pub(super) struct Folder {
    pub(super) path: PathBuf,
    /// The same as seen from the project root.
    pub(super) shown: String,
}

/// The folders that the grants name.
pub(super) fn reach(grants: &Value) -> Result<Reach, ToolError> {
    let mut reach = Reach::default();
    reach.paths = Grants::read_from(grants)?.folders()?.iter().map(|folder| shown(folder)).collect();
    Ok(reach)
}

impl Grants {
    fn read_from(grants: &Value) -> Result<Self, ToolError> {
        granted(grants, |error| {
            format!("`tools.git` is malformed: {error}; write it like `git: {{ read: [project] }}`")
        })
    }

    fn folders(&self) -> Result<Vec<PathBuf>, ToolError> {
        folders("git", &self.read)
    }
}

impl Repositories {
    pub(super) fn new(project: PathBuf) -> Self {
        Repositories { project }
    }

    /// The folder that an argument names, if it is granted.
    pub(super) fn locate(&self, repo: &str, context: &ToolContext) -> Result<Folder, ToolError> {
        let grants = Grants::read_from(&context.grants)?;
        let inside = normal(repo).map_err(|why| {
            let message = format!("the repository `{repo}` {why}; name its folder from the project root");
            ToolError::invalid("denied", message)
        })?;
        let repo = shown(&inside);
        let mut granted = false;
        for folder in grants.folders()? {
            granted |= folder == Path::new(".") || inside.starts_with(folder);
        }
        if !granted {
            let so_far =
                if grants.read.is_empty() { "none is".into() } else { format!("granted: {}", grants.read.join(", ")) };
            let message = format!(
                "`{repo}` is in no folder that is granted for reading ({so_far}); to allow it, write under `tools`: \
                 `git: {{ read: [{}] }}`",
                grants.read.iter().chain([&repo]).cloned().collect::<Vec<_>>().join(", ")
            );
            return Err(ToolError::invalid("denied", message));
        }
        let path = direct(&self.project, &inside).map_err(|astray| match astray {
            Astray::Absent => ToolError::invalid("not_found", format!("there is no folder `{repo}`; correct the path")),
            Astray::Link => {
                let message =
                    format!("the repository `{repo}` is reached by a link; name the folder that the link leads to");
                ToolError::invalid("denied", message)
            }
            Astray::Unknown(error) => ToolError::transient("io", format!("`{repo}` cannot be looked at: {error}")),
        })?;
        Ok(Folder { path, shown: repo })
    }
}
