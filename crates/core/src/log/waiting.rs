//! What a step waits for, what comes of waiting, and what a person finds out about a call in doubt: parts of events.

use serde::{Deserialize, Serialize};

use super::payload::Commitment;
use crate::id::{RunId, Time};
use crate::label::Labels;

/// What a step waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum WaitFor {
    /// A time.
    Timer {
        /// That time.
        at: Time,
    },
    /// A signal from outside.
    Signal {
        /// Its name.
        name: Commitment,
        /// When the step fails for lack of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires: Option<Time>,
    },
    /// A run of its own, which itself waits.
    Run {
        /// That run.
        run: RunId,
        /// When it may go on by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wake: Option<Time>,
    },
    /// A form, filled by a person.
    Input {
        /// What the person reads.
        prompt: Commitment,
        /// What stands in its fields already, by name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        filled: Option<Commitment>,
        /// The labels of that.
        #[serde(default, skip_serializing_if = "Labels::is_empty")]
        labels: Labels,
        /// When the step fails for lack of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires: Option<Time>,
    },
}

impl WaitFor {
    /// When the waiting ends although nothing comes.
    pub fn until(&self) -> Option<Time> {
        match self {
            WaitFor::Timer { at } => Some(*at),
            WaitFor::Run { wake, .. } => *wake,
            WaitFor::Signal { expires, .. } | WaitFor::Input { expires, .. } => *expires,
        }
    }
}

/// Which time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Timer {
    /// The end of a step's waiting.
    Wait,
    /// A group's timeout: what runs inside is stopped.
    Timeout,
    /// The run's deadline: what runs is stopped.
    Deadline,
    /// The end of the time that steps with `run_if: always` have after a stop.
    Grace,
}

/// What a person found out about a call whose outcome was not known. `O` is how its output is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Resolution<O> {
    /// It was carried out.
    Done {
        /// What it returned.
        output: O,
    },
    /// It was not carried out: the attempt has failed.
    NotDone,
    /// Whatever became of it, it is to be made again.
    Redo,
}
