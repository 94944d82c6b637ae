//! What the exit code says.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// It did what was asked; a run completed.
    Done = 0,
    /// It failed; a run failed.
    Failed = 1,
    /// Arguments, workflow or inputs are wrong; nothing ran.
    Invalid = 2,
    /// A run failed since the policy denied a call, or a person said no.
    Denied = 3,
    /// A run waits: for an approval, or since a step is in doubt.
    Waiting = 4,
    /// A run was cancelled.
    Cancelled = 5,
    /// It was interrupted; a run can be resumed.
    Interrupted = 130,
}

/// The same for `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    failed
  2    invalid: arguments, workflow or inputs
  3    denied by the policy, or rejected by a person
  4    waiting: for a person, a time or a signal, or a step is in doubt
  5    cancelled
  130  interrupted; the run can be resumed";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}
