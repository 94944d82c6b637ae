//! What can go wrong for a program that embeds Parkway.

use parkway_core::engine::ExecutorError;
use parkway_core::id::{RunId, StepKey};
use parkway_core::store::StoreError;
use parkway_core::workflow::Diagnostics;

/// What went wrong.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The workflow's file cannot be read.
    #[error("cannot read the workflow `{path}`: {cause}")]
    Unreadable {
        /// The path.
        path: String,
        /// Why not.
        cause: String,
    },
    /// The workflow is wrong.
    #[error("{0}")]
    Invalid(#[from] Diagnostics),
    /// The site settings are wrong: all that is, file by file.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n"))]
    Settings(Vec<Diagnostics>),
    /// The inputs do not fit the workflow.
    #[error("the inputs do not fit the workflow: {}", .0.join("; "))]
    Inputs(Vec<String>),
    /// A model cannot be had.
    #[error("the model `{name}` cannot be used: {cause}")]
    Model {
        /// Its name in the workflow.
        name: String,
        /// Why not, and what to do.
        cause: String,
    },
    /// The log cannot be signed or exported.
    #[error("{0}")]
    Audit(String),
    /// Something cannot be remembered, or found.
    #[error("{0}")]
    Memory(String),
    /// No run is meant by this text, or several are.
    #[error("{0}")]
    NoRun(String),
    /// The run ended badly.
    #[error("run {run} failed{}: {message} [{code}]", .step.as_ref().map(|step| format!(" at `{step}`")).unwrap_or_default())]
    Failed {
        /// The run.
        run: RunId,
        /// Stable code.
        code: String,
        /// The first step that failed.
        step: Option<StepKey>,
        /// What happened.
        message: String,
    },
    /// The run was cancelled.
    #[error("run {0} was cancelled")]
    Cancelled(RunId),
    /// The run waits for a person, a signal or a timer.
    #[error("run {0} waits, and goes on when it is resumed")]
    Waiting(RunId),
    /// The run was stopped, and can be resumed.
    #[error("run {0} was stopped, and goes on when it is resumed")]
    Stopped(RunId),
    /// What was said to a run means nothing to it now: why, and what to do.
    #[error("{0}")]
    OutOfPlace(String),
    /// The outputs are not of the type asked for.
    #[error("the outputs of run {run} are not of the type asked for: {cause}")]
    Output {
        /// The run.
        run: RunId,
        /// Why not.
        cause: String,
    },
    /// The engine could not go on.
    #[error(transparent)]
    Executor(#[from] ExecutorError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The program is put together wrongly.
    #[error("{0}")]
    Setup(String),
}

impl Error {
    /// Stable code.
    pub fn code(&self) -> &str {
        match self {
            Error::Unreadable { .. } => "unreadable",
            Error::Invalid(_) => "invalid",
            Error::Settings(_) => "settings",
            Error::Inputs(_) => "inputs",
            Error::Model { .. } => "model",
            Error::Audit(_) => "audit",
            Error::Memory(_) => "memory",
            Error::NoRun(_) => "no_run",
            Error::Failed { code, .. } => code,
            Error::Cancelled(_) => "cancelled",
            Error::Waiting(_) => "waiting",
            Error::Stopped(_) => "stopped",
            Error::OutOfPlace(_) => "out_of_place",
            Error::Output { .. } => "output",
            Error::Executor(ExecutorError::Store(error)) | Error::Store(error) => error.code(),
            Error::Executor(ExecutorError::Missing(_)) => "missing",
            Error::Executor(_) => "executor",
            Error::Setup(_) => "setup",
        }
    }

    /// Whether the same call may succeed later.
    pub fn retryable(&self) -> bool {
        match self {
            Error::Executor(ExecutorError::Store(error)) | Error::Store(error) => error.retryable(),
            Error::Executor(ExecutorError::Held(_)) | Error::Waiting(_) | Error::Stopped(_) => true,
            _ => false,
        }
    }
}
