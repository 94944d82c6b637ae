//! What the texts of a run are to it.

use parkway_core::log::EventKind;
use serde::{Deserialize, Serialize};

/// What a text is to its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Class {
    /// The plan. Without it nobody can tell any more whether the run's events could follow each other.
    Plan,
    /// Inputs, and values of environment variables.
    Inputs,
    /// Arguments of calls, lists and their names, planned steps.
    Arguments,
    /// Outputs of steps and runs, signals, filled forms.
    Outputs,
    /// What models and people were asked, and what answers were held to.
    Prompts,
    /// What models answered, also as token ids.
    Answers,
    /// What went wrong, in words.
    Errors,
    /// Names of people.
    Names,
    /// Remarks of people.
    Notes,
}

impl Class {
    /// All classes.
    pub const ALL: [Class; 9] = [
        Class::Plan,
        Class::Inputs,
        Class::Arguments,
        Class::Outputs,
        Class::Prompts,
        Class::Answers,
        Class::Errors,
        Class::Names,
        Class::Notes,
    ];

    /// Its name: `plan`, `inputs`, …
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Plan => "plan",
            Class::Inputs => "inputs",
            Class::Arguments => "arguments",
            Class::Outputs => "outputs",
            Class::Prompts => "prompts",
            Class::Answers => "answers",
            Class::Errors => "errors",
            Class::Names => "names",
            Class::Notes => "notes",
        }
    }

    /// The class with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Class::ALL.into_iter().find(|class| class.as_str() == name)
    }

    /// The class of what stands under a key of an event; none of what a memory says, which is forgotten and not erased.
    pub(super) fn of_field(kind: &EventKind, field: &str) -> Option<Self> {
        Some(match (kind, field) {
            (
                EventKind::MemoryWritten { .. } | EventKind::MemoryForgotten { .. } | EventKind::PayloadErased { .. },
                _,
            ) if !matches!(field, "note" | "by") => {
                return None;
            }
            (EventKind::RunCreated { .. }, "plan") => Class::Plan,
            (_, "inputs" | "env") => Class::Inputs,
            (_, "output" | "outputs" | "payload" | "values") => Class::Outputs,
            (EventKind::ModelCalled { .. }, "form") | (_, "messages" | "prompt" | "shown") => Class::Prompts,
            (_, "answer" | "thinking" | "tool_calls" | "tokens") => Class::Answers,
            (_, "message") => Class::Errors,
            (_, "note") => Class::Notes,
            (_, "by") => Class::Names,
            _ => Class::Arguments,
        })
    }
}
