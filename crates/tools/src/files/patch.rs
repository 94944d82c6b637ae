//! `files.patch`: texts of one file replaced by others, all or none.

use parkway_core::id::Digest;
use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::edits::{Edit, Misfit, Patched, nearest, patched, stands_with_other_line_ends};
use super::held::hold;
use super::read::{MOST, text_of};
use super::replace::replace;
use super::roots::{Place, Roots};
use crate::builtin::Builtin;

/// The most edits of one call.
const MOST_EDITS: usize = 100;

/// Changes parts of a text file.
pub(crate) struct Patch {
    pub(super) roots: Roots,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The file, from the project root: `out/report.md`. Its folder is granted for reading and for writing.
    path: String,
    /// What is replaced, one after the other: all of it or nothing. From 1 to 100.
    #[schemars(length(min = 1, max = 100))]
    edits: Vec<Edit>,
    /// SHA-256 of the file as it is before the patch, in hexadecimal: a file that is neither that one nor what the patch
    /// makes of it is left alone.
    sha256: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The file's path from the project root.
    path: String,
    /// Its size in bytes.
    bytes: u64,
    /// SHA-256 of its content, in hexadecimal.
    sha256: String,
    /// Whether this call has changed it; not if the patch had been made before.
    changed: bool,
}

impl Builtin for Patch {
    const NAME: &'static str = "files.patch";
    const DESCRIPTION: &'static str = "Replaces parts of a text file (UTF-8, at most 1 MiB), all or none, in one step. \
         Each `old` must stand exactly once in the file, and so must each `new` afterwards: take enough lines around \
         what changes into both. A patch that has been made before is recognised and not made again.";
    const EFFECT: Effect = Effect::Idempotent;
    type Input = Input;
    type Output = Output;

    fn call(&self, input: Input, context: &ToolContext) -> Result<Output, ToolError> {
        check(&input.edits)?;
        let expected = input.sha256.as_deref().map(digest).transpose()?;
        // What is refused tells of what stands in the file: a grant to write alone is not enough.
        let place = self.roots.changeable(&input.path, context)?;
        if place.dir.symlink_metadata(&place.inside).is_ok_and(|found| found.is_symlink()) {
            let message = format!("`{}` is a link, which a patch would replace; name the file it leads to", place.path);
            return Err(ToolError::invalid("not_a_file", message));
        }
        let file = hold(&place, context)?;
        self.roots.sweep(&place);
        let text = text_of(&place, &file)?;
        let (text, changed) = match patched(&text, &input.edits, expected) {
            Ok(Patched::Now(after)) if after != text => (after, true),
            Ok(Patched::Now(_) | Patched::Before) => (text, false),
            Err(misfit) => return Err(refused(&place, &input.edits, &misfit)),
        };
        if text.len() as u64 > MOST {
            let message = format!(
                "`{}` would have {} bytes and at most {MOST} (1 MiB) are patched; write it with `files.write_text`",
                place.path,
                text.len()
            );
            return Err(ToolError::invalid("too_large", message));
        }
        if changed {
            replace(&place, text.as_bytes())?;
        } else {
            // The call that made it may have ended before it was on disk.
            place.names()?.sync().map_err(|e| place.error_afterwards("write", &e))?;
        }
        drop(file);
        let sha256 = Digest::of(&[text.as_bytes()]).to_string();
        Ok(Output { path: place.path, bytes: text.len() as u64, sha256, changed })
    }
}

/// What no file makes good.
fn check(edits: &[Edit]) -> Result<(), ToolError> {
    let invalid = |message: String| Err(ToolError::invalid("invalid", message));
    if edits.is_empty() || edits.len() > MOST_EDITS {
        return invalid(format!("`edits` has {} items; give 1 to {MOST_EDITS}", edits.len()));
    }
    for (i, Edit { old, new }) in edits.iter().enumerate() {
        if old.is_empty() {
            return invalid(format!("`old` of edit {i} is empty; give the text to be replaced"));
        }
        if old == new {
            return invalid(format!("edit {i} changes nothing: `old` and `new` are the same; leave it out"));
        }
        if new.is_empty() {
            let message = format!(
                "`new` of edit {i} is empty, and a second call could not tell that something is gone; take a line \
                 before or after it into `old` and `new`"
            );
            return Err(ToolError::invalid("unclear", message));
        }
    }
    Ok(())
}

fn digest(text: &str) -> Result<Digest, ToolError> {
    text.parse().map_err(|_| {
        let message = format!("`sha256` is `{text}`, not 64 hexadecimal digits; take it from what wrote the file");
        ToolError::invalid("invalid", message)
    })
}

fn refused(place: &Place, edits: &[Edit], misfit: &Misfit) -> ToolError {
    let path = &place.path;
    let left = |edit: usize| if edit == 0 { "" } else { " as the edits before it leave it" };
    let (code, message) = match misfit {
        Misfit::Missing { edit, text } => {
            let old = edits.get(*edit).map_or("", |edit| &edit.old);
            let hint = match nearest(text, old) {
                _ if stands_with_other_line_ends(text, old) => "lines end with `\\r\\n` there; write them so".into(),
                Some(line) => format!("the line nearest to its first is line {line}; read the file and copy the text"),
                None => "no line is like its first; read the file and copy the text".into(),
            };
            ("mismatch", format!("`old` of edit {edit} does not stand in `{path}`{}: {hint}", left(*edit)))
        }
        Misfit::Repeated { edit, times } => {
            let message = format!(
                "`old` of edit {edit} stands {times} times in `{path}`{}, and must stand once; take lines around it \
                 into `old` and `new`",
                left(*edit)
            );
            ("mismatch", message)
        }
        Misfit::Unclear { edit, times } => (
            "unclear",
            format!(
                "`new` of edit {edit} would stand {times} times in `{path}`, and a second call could not tell whether \
                 the patch is made; take lines around it into `old` and `new`"
            ),
        ),
        Misfit::Circular => (
            "unclear",
            format!(
                "`{path}` may be the file before this patch as well as the one after it; give the `sha256` of the one \
                 before"
            ),
        ),
        Misfit::Changed => (
            "changed",
            format!(
                "`{path}` is neither the file of this `sha256` nor what the patch makes of it; read it again, and give \
                 the `sha256` of what you read"
            ),
        ),
    };
    ToolError::invalid(code, message)
}
