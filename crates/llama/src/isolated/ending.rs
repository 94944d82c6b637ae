//! How the process of a model ended, in words that say what to do.

use std::fmt;
use std::process::ExitStatus;

/// How a process ended.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    /// What the system says; `None` where it does not.
    pub(crate) status: Option<ExitStatus>,
    /// The last that it wrote to stderr.
    pub(crate) last_words: Option<String>,
}

impl Ending {
    fn signal(&self) -> Option<i32> {
        #[cfg(unix)]
        return std::os::unix::process::ExitStatusExt::signal(&self.status?);
        #[cfg(not(unix))]
        None
    }

    /// What to do about it, as the end of a sentence.
    pub(crate) fn way_out(&self) -> &'static str {
        match self.signal() {
            Some(9) => {
                "where memory ran short, as the system's log would tell, take a smaller model, a smaller `context` or other `gpu_layers`"
            }
            Some(4 | 6 | 7 | 8 | 11) => {
                "llama.cpp gave up: where the same request ends it again, change the request, take another file of the model, or report the words"
            }
            _ => "the log may tell why",
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.signal(), self.status.and_then(|status| status.code())) {
            (Some(signal), _) => write!(f, "was ended by signal {signal}{}", name(signal))?,
            (None, Some(code)) => write!(f, "ended with exit code {code}")?,
            (None, None) => f.write_str("ended")?,
        }
        match &self.last_words {
            Some(words) => write!(f, " (its last words: {words})"),
            None => Ok(()),
        }
    }
}

fn name(signal: i32) -> &'static str {
    match signal {
        2 => ", SIGINT",
        4 => ", SIGILL",
        6 => ", SIGABRT",
        8 => ", SIGFPE",
        9 => ", SIGKILL",
        11 => ", SIGSEGV",
        15 => ", SIGTERM",
        _ => "",
    }
}
