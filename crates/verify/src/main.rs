//! `parkway-verify EXPORT --key KEY… [--head FILE]…`
#![expect(clippy::print_stderr, reason = "what is wrong with the command is told there")]

use std::fs::File;
use std::io::{BufReader, Write as _, stdin, stdout};
use std::path::Path;
use std::process::ExitCode;

use parkway_verify::{Heads, Trust, verify};

const USAGE: &str = "usage: parkway-verify EXPORT --key KEY… [--head FILE]…

Checks an export of an audit log (`parkway audit export`), `-` for standard input.

  --key KEY    a key whose signatures count, as `parkway audit head` prints it: NAME+ID+KEY; or a file of one
  --head FILE  heads of this log that you kept from before, or that were anchored elsewhere

Exit code 0: what is said holds; 1: something is not as it should be; 2: the command is wrong.";

fn main() -> ExitCode {
    let args: Option<Vec<String>> = std::env::args_os().skip(1).map(|arg| arg.into_string().ok()).collect();
    let args = args.unwrap_or_default();
    if args.iter().any(|arg| arg == "-h" || arg == "--help") {
        return told(&format!("{USAGE}\n"), ExitCode::SUCCESS);
    }
    let (export, trust, cut) = match asked(args.into_iter()) {
        Ok(asked) => asked,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let found = match export.as_str() {
        "-" => verify(stdin().lock(), &trust),
        path => match File::open(path) {
            Ok(file) => verify(BufReader::new(file), &trust),
            Err(error) => {
                eprintln!("{path} cannot be read: {error}");
                return ExitCode::from(2);
            }
        },
    };
    match found {
        Ok(report) => told(&format!("{report}{cut}"), ExitCode::SUCCESS),
        Err(doubt) => told(&format!("doubt: {doubt}\n"), ExitCode::FAILURE),
    }
}

/// Says it, though nobody may listen any more.
fn told(text: &str, code: ExitCode) -> ExitCode {
    let _ = stdout().write_all(text.as_bytes());
    code
}

/// The export, what is trusted, and what in the files of heads is no head.
fn asked(mut args: impl Iterator<Item = String>) -> Result<(String, Trust, String), String> {
    let (mut export, mut trust, mut cut) = (None, Trust::default(), String::new());
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--key" => {
                let key = args.next().ok_or(USAGE)?;
                // What is a key is never taken for a file: one of that name may be anybody's.
                let key = key.parse().or_else(|why| match read(&key) {
                    Ok(text) => text.parse().map_err(|why| format!("{key}: {why}")),
                    Err(_) => Err(why),
                });
                trust.keys.push(key?);
            }
            "--head" => {
                let path = args.next().ok_or(USAGE)?;
                let read = Heads::read(Path::new(&path))?;
                trust.heads.extend(read.heads);
                read.cut.iter().for_each(|line| {
                    cut += &format!("not read: {path}, line {line}: a head that was not written to its end\n");
                });
            }
            _ if export.is_none() && (arg == "-" || !arg.starts_with('-')) => export = Some(arg),
            _ => return Err(USAGE.into()),
        }
    }
    Ok((export.ok_or(USAGE)?, trust, cut))
}

fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{path} cannot be read: {error}"))
}
