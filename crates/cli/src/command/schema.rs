//! `parkway schema`.

use std::fs;

use parkway::definition::file_schema;

use crate::args::SchemaArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::{Out, say};

/// Writes the JSON Schema of workflow files, with which editors complete and check them.
pub(crate) fn schema(args: &SchemaArgs, out: &mut Out) -> Result<Exit, Failure> {
    let Some(path) = &args.output else {
        out.line(file_schema().trim_end())?;
        return Ok(Exit::Done);
    };
    fs::write(path, file_schema())
        .map_err(|e| Failure::failed(format!("{} cannot be written: {e}", path.display())))?;
    say(&format!("for editors, as the first line of a workflow: # yaml-language-server: $schema={}", path.display()));
    Ok(Exit::Done)
}
