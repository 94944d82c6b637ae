//! `text.diff`: what changed between two texts, line by line.

use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use similar::{Algorithm, ChangeTag, TextDiff};

use crate::builtin::Builtin;

/// The most lines of both texts together, counted between the first difference and the last. Where all of them differ, the
/// square of their number is compared, whatever the share of each text. A limit in time would let the result depend on the
/// machine.
const LINES: usize = 10_000;

/// Compares two texts.
pub(crate) struct Diff;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The text as it was.
    before: String,
    /// The text as it is now.
    after: String,
    /// How many lines around each change are shown.
    #[serde(default = "some")]
    context: usize,
}

fn some() -> usize {
    3
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The changes as `diff -u` shows them; empty if there are none.
    diff: String,
    /// How many lines are only in `after`.
    added: usize,
    /// How many lines are only in `before`.
    removed: usize,
    /// Whether the texts are the same.
    equal: bool,
}

impl Builtin for Diff {
    const NAME: &'static str = "text.diff";
    const DESCRIPTION: &'static str = "Compares two texts line by line and gives a unified diff, with the number of lines \
         added and removed. Use it to show or check what changed.";
    const EFFECT: Effect = Effect::Pure;
    type Input = Input;
    type Output = Output;

    fn call(&self, input: Input, _context: &ToolContext) -> Result<Output, ToolError> {
        let before: Vec<&str> = input.before.split_inclusive('\n').collect();
        let after: Vec<&str> = input.after.split_inclusive('\n').collect();
        let same = before.iter().zip(&after).take_while(|(before, after)| before == after).count();
        let (left, right) = (&before[same..], &after[same..]);
        let end = left.iter().rev().zip(right.iter().rev()).take_while(|(left, right)| left == right).count();
        let (left, right) = (left.len() - end, right.len() - end);
        // Lines that are only added or only removed are compared with nothing.
        if left > 0 && right > 0 && left + right > LINES {
            let message = format!(
                "{left} lines are to be compared with {right}, and at most {LINES} together are; compare the texts in parts"
            );
            return Err(ToolError::invalid("too_large", message));
        }
        // The algorithm is linear where little differs, and finds the shortest diff.
        let diff =
            TextDiff::configure().algorithm(Algorithm::Myers).newline_terminated(true).diff_slices(&before, &after);
        let count = |tag| diff.iter_all_changes().filter(|change| change.tag() == tag).count();
        let (added, removed) = (count(ChangeTag::Insert), count(ChangeTag::Delete));
        let context = input.context.min(before.len().max(after.len()));
        let shown = diff.unified_diff().context_radius(context).header("before", "after").to_string();
        Ok(Output { diff: shown, added, removed, equal: input.before == input.after })
    }
}
