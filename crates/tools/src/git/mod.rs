//! The history of repositories within granted folders. Objects are read and nothing else: no hook, filter, converter or other program
//! of a repository runs, no configuration of the user counts, and nothing outside of the repository is read.

mod bounded;
mod changes;
mod commit;
mod diff;
mod grants;
mod log;
mod open;
mod show;

use std::path::PathBuf;

use parkway_core::tool::{SharedTool, schema_of};
use serde_json::Value;

use crate::builtin::untitled;
use crate::granted::family;
use crate::remote::remote;
use grants::{Grants, Repositories};

/// The `git` family: `git.log`, `git.show`, `git.diff`. Paths in arguments and grants are relative to `project_root`.
pub fn git(project_root: impl Into<PathBuf>) -> Vec<SharedTool> {
    let repositories = Repositories::new(project_root.into());
    let tools = vec![
        remote(log::Log { repositories: repositories.clone() }),
        remote(show::Show { repositories: repositories.clone() }),
        remote(diff::Diff { repositories }),
    ];
    family(tools, grants::reach)
}

/// JSON Schema of what a workflow says under `tools.git`: the folders whose repositories may be read.
pub fn git_grants_schema() -> Value {
    untitled(schema_of::<Grants>())
}
