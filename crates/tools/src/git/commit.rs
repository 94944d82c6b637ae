//! A commit, as the tools tell it.

use gix::bstr::ByteSlice as _;
use parkway_core::id::Time;
use schemars::JsonSchema;
use serde::Serialize;

use super::open::parents;

/// The most bytes of a message that are told.
const MOST: usize = 16 << 10;

/// A commit.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Commit {
    /// Its id.
    id: String,
    /// The beginning of its id, as people write it.
    short: String,
    /// The ids of its parents: none of the first commit and of the oldest one of a shallow clone, several of a merge.
    parents: Vec<String>,
    /// Who wrote it.
    author: String,
    /// The address of the author.
    email: String,
    /// When it was written, in UTC.
    time: String,
    /// The first paragraph of its message, in one line.
    subject: String,
    /// The rest of its message; at most 16 KiB of it.
    body: String,
    /// Whether the message is longer than that.
    cut: bool,
}

/// How long a short id is.
const SHORT: usize = 10;

impl Commit {
    pub(super) fn of(commit: &gix::Commit<'_>) -> Result<Self, gix::Error> {
        let id = commit.id.to_string();
        let author = commit.author()?;
        let message = commit.message()?;
        let body = message.body.map(|body| body.to_str_lossy().trim().to_owned()).unwrap_or_default();
        let subject = message.summary().to_str_lossy().into_owned();
        let cut = body.len() > MOST || subject.len() > MOST;
        Ok(Commit {
            short: id.chars().take(SHORT).collect(),
            id,
            parents: parents(commit)?.iter().map(ToString::to_string).collect(),
            author: author.name.to_str_lossy().into_owned(),
            email: author.email.to_str_lossy().into_owned(),
            time: Time::from_micros(author.seconds().saturating_mul(1_000_000)).to_string(),
            subject: beginning(subject),
            body: beginning(body),
            cut,
        })
    }
}

fn beginning(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MOST));
    text
}
