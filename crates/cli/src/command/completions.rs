//! `parkway completions SHELL`.

use clap::CommandFactory;

use crate::args::{Args, CompletionsArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::Out;

/// Writes what a shell completes commands and flags with.
pub(crate) fn completions(args: &CompletionsArgs, out: &mut Out) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "parkway", &mut script);
    out.bytes(script.trim_ascii_end())?;
    Ok(Exit::Done)
}
