//! The `parkway` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    parkway_cli::main()
}
