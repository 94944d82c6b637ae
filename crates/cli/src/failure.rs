//! Why a command ended badly, and the way out.

use std::fmt;
use std::io::{self, Write};

use parkway::{Error, ExecutorError};

use crate::exit::Exit;
use crate::out::harmless_lines;

/// An error that a person reads.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    message: String,
    help: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Failure { exit, message: message.into(), help: None }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Failure::new(Exit::Invalid, message)
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Failure::new(Exit::Failed, message)
    }

    /// Adds what to do about it.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Writes it to stderr.
    pub(crate) fn tell(&self, colors: bool) {
        let style = console::Style::new().for_stderr().red().bold();
        // Problems of a file have a form of their own, which begins with the same word.
        let message = harmless_lines(&self.message);
        let text = match message.strip_prefix("error[") {
            Some(_) => message,
            None if colors => format!("{} {message}", style.apply_to("error:")),
            None => format!("error: {message}"),
        };
        let help = self.help.as_ref().map(|help| format!("\n  {}", harmless_lines(help))).unwrap_or_default();
        // Nobody can be told that nobody can be told.
        let _ = writeln!(io::stderr(), "{text}{help}");
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Unreadable { .. } | Error::Invalid(_) | Error::Settings(_) | Error::Inputs(_) | Error::Setup(_) => {
                Failure::invalid(message)
            }
            Error::NoRun(_) | Error::OutOfPlace(_) | Error::Executor(ExecutorError::Over(..)) => {
                Failure::invalid(message)
            }
            Error::Failed { ref code, .. } => Failure::new(of_code(code), message),
            Error::Cancelled(_) => Failure::new(Exit::Cancelled, message),
            Error::Waiting(_) => Failure::new(Exit::Waiting, message),
            Error::Stopped(_) => Failure::new(Exit::Interrupted, message),
            _ => Failure::failed(message),
        }
    }
}

/// The exit for a run that failed with this code.
pub(crate) fn of_code(code: &str) -> Exit {
    match code {
        "denied" | "rejected" => Exit::Denied,
        _ => Exit::Failed,
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::failed(error.to_string())
    }
}
