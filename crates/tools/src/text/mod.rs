//! Texts looked through, changed, compared and cut up.

mod diff;
pub(crate) mod effort;
mod find;
mod matches;
pub(crate) mod pattern;
mod pieces;
mod replace;
mod split;
mod split_tokens;

use parkway_core::tool::SharedTool;

use crate::builtin::shared;

/// The `text` family.
pub(crate) fn text() -> Vec<SharedTool> {
    vec![
        shared(find::Find),
        shared(matches::Match),
        shared(replace::Replace),
        shared(diff::Diff),
        shared(split::Split),
        shared(split_tokens::SplitTokens),
    ]
}
