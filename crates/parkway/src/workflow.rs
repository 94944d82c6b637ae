//! A workflow that was read from a file, with the files that it names, or made in Rust.

mod builder;
mod field;
mod step;

use std::fs;
use std::path::Path;

use parkway_core::workflow::{Definition, Diagnostics, Graph};

use crate::error::Error;

pub use builder::WorkflowBuilder;
pub use field::Field;
pub use step::Step;

/// The largest workflow file, and the largest file that one names, in bytes.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// A workflow: read, and not checked yet.
#[derive(Clone, Debug)]
pub struct Workflow {
    pub(crate) definition: Definition,
}

impl Workflow {
    /// Reads a workflow file; the files that it names are looked up beside it.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Workflow, Error> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let source = read(path).map_err(|cause| Error::Unreadable { path: name.clone(), cause })?;
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        let definition = Definition::parse(&name, &source, |file| read(&folder.join(file)))?;
        Ok(Workflow { definition })
    }

    /// Reads a workflow from a text; `name` is what messages call it. It cannot name other files.
    pub fn from_source(name: &str, source: &str) -> Result<Workflow, Error> {
        Ok(Workflow { definition: Definition::parse(name, source, no_files)? })
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.definition.name()
    }

    /// What its author says about it.
    pub fn description(&self) -> Option<&str> {
        self.definition.description()
    }

    /// It as a file of its own, in normal form: prompts from files stand in it as texts, defaults at each step.
    pub fn to_yaml(&self) -> String {
        self.definition.to_yaml()
    }

    /// Its graph as far as it can be made, for pictures, and what is wrong with it.
    pub fn graph(&self) -> (Graph, Diagnostics) {
        self.definition.graph()
    }
}

fn no_files(_: &str) -> Result<String, String> {
    Err("this workflow has no folder to look in".to_owned())
}

fn read(path: &Path) -> Result<String, String> {
    let length = fs::metadata(path).map_err(|e| e.to_string())?.len();
    if length > MAX_BYTES {
        return Err(format!("it has {length} bytes, and {MAX_BYTES} is the most"));
    }
    let bytes = fs::read(path).map_err(|e| e.to_string())?;
    String::from_utf8(bytes).map_err(|e| match e.as_bytes() {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "it is text in UTF-16; save it as UTF-8".to_owned(),
        bytes => {
            let good = e.utf8_error().valid_up_to();
            let line = bytes.iter().take(good).filter(|byte| **byte == b'\n').count() + 1;
            format!("line {line} holds bytes that are no UTF-8; save it as UTF-8")
        }
    })
}
