//! `parkway-verify EXPORT --key KEY… [--head FILE]…`
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the findings are its output")]

use std::fs::File;
use std::io::{BufReader, stdin};
use std::process::ExitCode;

use parkway_verify::{Head, Trust, verify};

const USAGE: &str = "usage: parkway-verify EXPORT --key KEY… [--head FILE]…

Checks an export of an audit log (`parkway audit export`), `-` for standard input.

  --key KEY    a key whose signatures count, as `parkway audit head` prints it: NAME+ID+KEY; a file of one, too
  --head FILE  heads of this log that you kept from before, or that were anchored elsewhere

Exit code 0: what is said holds; 1: something is not as it should be; 2: the command is wrong.";

fn main() -> ExitCode {
    let (export, trust) = match asked(std::env::args().skip(1)) {
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
        Ok(report) => {
            print!("{report}");
            ExitCode::SUCCESS
        }
        Err(doubt) => {
            println!("doubt: {doubt}");
            ExitCode::FAILURE
        }
    }
}

fn asked(mut args: impl Iterator<Item = String>) -> Result<(String, Trust), String> {
    let (mut export, mut trust) = (None, Trust::default());
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--key" => {
                let key = args.next().ok_or(USAGE)?;
                // A key holds no newline, and a file's name no key.
                let text = if key.contains('+') && !std::path::Path::new(&key).exists() { key } else { read(&key)? };
                trust.keys.push(text.parse()?);
            }
            "--head" => trust.heads.extend(Head::read_all(&read(&args.next().ok_or(USAGE)?)?)?),
            "-h" | "--help" => return Err(USAGE.into()),
            _ if export.is_none() && (arg == "-" || !arg.starts_with('-')) => export = Some(arg),
            _ => return Err(USAGE.into()),
        }
    }
    Ok((export.ok_or(USAGE)?, trust))
}

fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{path} cannot be read: {error}"))
}
