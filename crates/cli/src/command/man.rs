//! `parkway man`: the manual pages.

use std::fs;
use std::io;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::args::{Args, ManArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::{Out, say};

/// Writes the page of the program, or those of all commands.
pub(crate) fn man(args: &ManArgs, out: &mut Out) -> Result<Exit, Failure> {
    let mut command = Args::command();
    command.build();
    let Some(folder) = &args.folder else {
        out.bytes(page(&command)?.trim_ascii_end())?;
        return Ok(Exit::Done);
    };
    let failed = |e: io::Error| Failure::failed(format!("{} cannot be written to: {e}", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    let count = write(&command, "parkway", folder)?;
    say(&format!("{count} pages in {}: man parkway, man parkway-run …", folder.display()));
    Ok(Exit::Done)
}

/// Writes the page of a command and those of the commands in it; how many.
fn write(command: &Command, name: &str, folder: &Path) -> Result<usize, Failure> {
    let path = folder.join(format!("{name}.1"));
    fs::write(&path, page(command)?)
        .map_err(|e| Failure::failed(format!("{} cannot be written: {e}", path.display())))?;
    let mut count = 1;
    for inner in command.get_subcommands() {
        count += write(inner, &format!("{name}-{}", inner.get_name()), folder)?;
    }
    Ok(count)
}

fn page(command: &Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page).map_err(|e| Failure::failed(e.to_string()))?;
    Ok(page)
}
