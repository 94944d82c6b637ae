//! Files within granted folders. Every access goes through a handle on the granted folder (cap-std), so that neither
//! `..` nor a symbolic link can lead out of it.

mod direct;
mod list;
mod read_text;
mod replace;
mod roots;
mod write_csv;
mod write_text;

use std::path::PathBuf;

use parkway_core::tool::{SharedTool, schema_of};
use serde_json::Value;

use crate::builtin::{shared, untitled};
pub(crate) use direct::{Astray, direct};
use roots::{Grants, Roots};
pub(crate) use roots::{normal, shown};

/// The `files` family: `files.list`, `files.read_text`, `files.write_text`, `files.write_csv`. Paths in arguments and
/// grants are relative to `project_root`.
pub fn files(project_root: impl Into<PathBuf>) -> Vec<SharedTool> {
    let roots = Roots::new(project_root.into());
    vec![
        shared(list::List { roots: roots.clone() }),
        shared(read_text::ReadText { roots: roots.clone() }),
        shared(write_text::WriteText { roots: roots.clone() }),
        shared(write_csv::WriteCsv { roots }),
    ]
}

/// JSON Schema of what a workflow says under `tools.files`: the folders granted for reading and for writing.
pub fn files_grants_schema() -> Value {
    untitled(schema_of::<Grants>())
}
