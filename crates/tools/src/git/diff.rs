//! `git.diff`: what differs between two commits.

use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::changes::{File, changes};
use super::grants::{Folder, Repositories};
use super::open::{broken, commit, inside, open};
use crate::remote::Remote;
use crate::watch::{Watch, watched};

/// How many lines stand around each change if nothing is said.
const USUAL: usize = 3;
/// How many may be asked for.
const MOST: usize = 100;

/// Compares two commits.
pub(crate) struct Diff {
    pub(super) repositories: Repositories,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The folder of the repository, from the project root.
    repo: String,
    /// The older commit: a branch, a tag, an id, `HEAD~3`.
    from: String,
    /// The newer commit, written likewise.
    to: String,
    /// A file or folder in the repository: only what differs there.
    path: Option<String>,
    /// How many lines stand around each change: 3 if absent, 100 at most.
    context: Option<usize>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The files that differ, sorted by path.
    files: Vec<File>,
    /// Whether there are more than these: 1,000 are told.
    more: bool,
}

impl Remote for Diff {
    const NAME: &'static str = "git.diff";
    const DESCRIPTION: &'static str =
        "Tells in which files two commits of a git repository differ, with the diff of each file.";
    const EFFECT: Effect = Effect::Read;
    type Input = Input;
    type Output = Output;

    async fn call(&self, input: Input, context: &ToolContext) -> Result<Output, ToolError> {
        let folder = self.repositories.locate(&input.repo, context)?;
        watched(context, move |watch| diff(&folder, &input, watch)).await
    }
}

fn diff(folder: &Folder, input: &Input, watch: &Watch) -> Result<Output, ToolError> {
    let context = input.context.unwrap_or(USUAL);
    if context > MOST {
        let message = format!("`context` is {context}, and at most {MOST} lines are told; give a smaller number");
        return Err(ToolError::invalid("invalid", message));
    }
    let path = inside(input.path.as_deref())?;
    let repository = open(folder)?;
    let tree = |name: &str| commit(&repository, name, folder)?.tree().map_err(|error| broken(error, folder));
    let trees = (&tree(&input.from)?, &tree(&input.to)?);
    let changes = changes(&repository, folder, trees, path.as_deref(), context, watch)?;
    Ok(Output { files: changes.files, more: changes.more })
}
