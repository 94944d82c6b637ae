//! `git.log`: which commits there are.

use std::path::Path;

use gix::ObjectId;
use gix::revision::walk::Sorting;
use gix::traverse::commit::simple::CommitTimeOrder;
use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::commit::Commit;
use super::grants::{Folder, Repositories};
use super::open::{broken, commit, inside, open, parents};
use crate::remote::Remote;
use crate::watch::{Watch, watched};

/// How many commits are told if nothing is said.
const USUAL: usize = 50;
/// How many may be asked for.
const MOST: usize = 1_000;

/// Tells the commits of a repository.
pub(crate) struct Log {
    pub(super) repositories: Repositories,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "repo": ".", "path": "docs", "limit": 20 }]))]
pub(crate) struct Input {
    /// The folder of the repository, from the project root.
    repo: String,
    /// Where to begin: a branch, a tag, an id, `HEAD~3`; `HEAD` if absent.
    from: Option<String>,
    /// A file or folder in the repository: only commits that changed it.
    path: Option<String>,
    /// The most commits: 50 if absent, 1,000 at most.
    limit: Option<usize>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The commits that can be reached from there, the newest first.
    commits: Vec<Commit>,
    /// Whether there are more.
    more: bool,
}

impl Remote for Log {
    const NAME: &'static str = "git.log";
    const DESCRIPTION: &'static str = "Tells the commits of a git repository, the newest first: id, author, time and message. Use it to \
         find out what happened, and which commits `git.show` and `git.diff` can be asked for.";
    const EFFECT: Effect = Effect::Read;
    type Input = Input;
    type Output = Output;

    async fn call(&self, input: Input, context: &ToolContext) -> Result<Output, ToolError> {
        let folder = self.repositories.locate(&input.repo, context)?;
        watched(context, move |watch| log(&folder, &input, watch)).await
    }
}

fn log(folder: &Folder, input: &Input, watch: &Watch) -> Result<Output, ToolError> {
    let limit = input.limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        let message = format!("`limit` is {limit}, and must be from 1 to {MOST}; ask for the rest with `from`");
        return Err(ToolError::invalid("invalid", message));
    }
    let path = inside(input.path.as_deref())?;
    let repository = open(folder)?;
    let start = commit(&repository, input.from.as_deref().unwrap_or("HEAD"), folder)?;
    let failed = |error: gix::Error| broken(error, folder);
    let walk = repository.rev_walk([start.id]).sorting(Sorting::ByCommitTime(CommitTimeOrder::NewestFirst));
    let mut commits = Vec::new();
    for info in walk.all().map_err(failed)? {
        if watch.is_over() {
            return Err(watch.stopped());
        }
        let commit = info.map_err(|error| broken(error, folder))?.object().map_err(failed)?;
        if let Some(path) = &path
            && !touches(&commit, Path::new(path)).map_err(failed)?
        {
            continue;
        }
        if commits.len() == limit {
            return Ok(Output { commits, more: true });
        }
        commits.push(Commit::of(&commit).map_err(failed)?);
    }
    Ok(Output { commits, more: false })
}

/// Whether what the path names differs from what each of the parents has there.
fn touches(commit: &gix::Commit<'_>, path: &Path) -> Result<bool, gix::Error> {
    let at = |commit: &gix::Commit<'_>| -> Result<Option<ObjectId>, gix::Error> {
        Ok(commit.tree()?.lookup_entry_by_path(path)?.map(|entry| entry.object_id()))
    };
    let here = at(commit)?;
    let mut first = true;
    for parent in parents(commit)? {
        first = false;
        if at(&commit.repo.find_commit(parent)?)? == here {
            return Ok(false);
        }
    }
    Ok(!first || here.is_some())
}
