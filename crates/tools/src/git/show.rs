//! `git.show`: one commit, and what it changed.

use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::changes::{File, changes};
use super::commit::Commit;
use super::grants::{Folder, Repositories};
use super::open::{broken, commit, open, parents};
use crate::remote::Remote;
use crate::watch::{Watch, watched};

/// How many lines stand around each change.
const CONTEXT: usize = 3;

/// Shows a commit.
pub(crate) struct Show {
    pub(super) repositories: Repositories,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The folder of the repository, from the project root.
    repo: String,
    /// The commit: a branch, a tag, an id, `HEAD~3`.
    commit: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The commit.
    commit: Commit,
    /// The files in which it differs from its first parent, sorted by path; of the first commit, all files.
    files: Vec<File>,
    /// Whether there are more than these: 1,000 are told.
    more: bool,
}

impl Remote for Show {
    const NAME: &'static str = "git.show";
    const DESCRIPTION: &'static str =
        "Shows one commit of a git repository: its message, and the diff of each file that it changed.";
    const EFFECT: Effect = Effect::Read;
    type Input = Input;
    type Output = Output;

    async fn call(&self, input: Input, context: &ToolContext) -> Result<Output, ToolError> {
        let folder = self.repositories.locate(&input.repo, context)?;
        watched(context, move |watch| show(&folder, &input.commit, watch)).await
    }
}

fn show(folder: &Folder, name: &str, watch: &Watch) -> Result<Output, ToolError> {
    let repository = open(folder)?;
    let failed = |error: gix::Error| broken(error, folder);
    let commit = commit(&repository, name, folder)?;
    let parent = match parents(&commit).map_err(failed)?.first() {
        Some(parent) => repository.find_object(*parent).and_then(|parent| parent.peel_to_tree()).map_err(failed)?,
        None => repository.empty_tree(),
    };
    let tree = commit.tree().map_err(failed)?;
    let changes = changes(&repository, folder, (&parent, &tree), None, CONTEXT, watch)?;
    Ok(Output { commit: Commit::of(&commit).map_err(failed)?, files: changes.files, more: changes.more })
}
