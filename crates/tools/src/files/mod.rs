//! Files within granted folders. Every access goes through a handle on the granted folder (cap-std), so that neither
//! `..` nor a symbolic link can lead out of it.

mod direct;
mod edits;
mod formulas;
mod held;
mod json;
mod list;
mod markdown;
mod marker;
mod move_file;
mod patch;
mod read;
mod read_csv;
mod read_json;
mod read_jsonl;
mod read_markdown;
mod read_text;
mod records;
mod rename;
mod replace;
mod roots;
mod same;
mod write_csv;
mod write_json;
mod write_jsonl;
mod write_text;

use std::path::PathBuf;

use parkway_core::tool::{SharedTool, schema_of};
use serde_json::Value;

use crate::builtin::{shared, untitled};
use crate::granted::family;
pub(crate) use direct::{Astray, direct};
use roots::{Grants, Roots};
pub(crate) use roots::{folders, normal, shown};

/// The `files` family: listing, reading and writing text, JSON, JSON Lines, CSV and Markdown, patching and moving. Paths in
/// arguments and grants are relative to `project_root`.
pub fn files(project_root: impl Into<PathBuf>) -> Vec<SharedTool> {
    let roots = Roots::new(project_root.into());
    let tools = vec![
        shared(list::List { roots: roots.clone() }),
        shared(read_text::ReadText { roots: roots.clone() }),
        shared(write_text::WriteText { roots: roots.clone() }),
        shared(read_json::ReadJson { roots: roots.clone() }),
        shared(write_json::WriteJson { roots: roots.clone() }),
        shared(read_jsonl::ReadJsonl { roots: roots.clone() }),
        shared(write_jsonl::WriteJsonl { roots: roots.clone() }),
        shared(read_csv::ReadCsv { roots: roots.clone() }),
        shared(write_csv::WriteCsv { roots: roots.clone() }),
        shared(read_markdown::ReadMarkdown { roots: roots.clone() }),
        shared(patch::Patch { roots: roots.clone() }),
        shared(move_file::MoveFile { roots, ended: marker::Ended::default() }),
    ];
    family(tools, roots::reach)
}

/// JSON Schema of what a workflow says under `tools.files`: the folders granted for reading and for writing.
pub fn files_grants_schema() -> Value {
    untitled(schema_of::<Grants>())
}
