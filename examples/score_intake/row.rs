//! One letter's result: what was accepted, and what was last proposed.

use serde::Deserialize;

use crate::field::{Field, Fields};

/// The result for one letter. An accepted value that is `None` was left to a person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Row {
    /// The letter's path or file name.
    pub(crate) file: String,
    #[serde(flatten)]
    pub(crate) accepted: Fields<Option<String>>,
    /// What the reader last proposed, accepted or not.
    #[serde(default)]
    pub(crate) proposed: Fields<Option<String>>,
}

impl Row {
    /// The letter's file name, without folders.
    pub(crate) fn letter(&self) -> &str {
        self.file.rsplit(['/', '\\']).next().unwrap_or(&self.file)
    }

    /// The accepted value; an empty one is none.
    pub(crate) fn accepted(&self, field: Field) -> Option<&str> {
        filled(self.accepted.get(field))
    }

    /// The proposed value; an empty one is none.
    pub(crate) fn proposed(&self, field: Field) -> Option<&str> {
        filled(self.proposed.get(field))
    }
}

fn filled(value: &Option<String>) -> Option<&str> {
    value.as_deref().map(str::trim).filter(|value| !value.is_empty())
}
