//! Labels say where a value came from and where it must not go. They travel with outputs and are kept in the log.

use serde::{Deserialize, Serialize};

/// The labels of one value. Joining values joins their labels; only a named declassifying step removes one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labels {
    /// Written by somebody outside: a file's content, a web page, a model's answer to such text.
    #[serde(default, skip_serializing_if = "is_false")]
    pub untrusted: bool,
    /// Holds a secret: must not reach a prompt, a log, or an output.
    #[serde(default, skip_serializing_if = "is_false")]
    pub secret: bool,
}

impl Labels {
    /// No label.
    pub const NONE: Labels = Labels { untrusted: false, secret: false };
    /// Only `untrusted`.
    pub const UNTRUSTED: Labels = Labels { untrusted: true, secret: false };

    /// Only `secret`.
    pub(crate) const SECRET: Labels = Labels { untrusted: false, secret: true };

    /// The labels of a value made of both.
    pub fn union(self, other: Labels) -> Labels {
        Labels { untrusted: self.untrusted || other.untrusted, secret: self.secret || other.secret }
    }

    /// The labels of what comes back from a call: secrets are taken out of it.
    pub(crate) fn scrubbed(self) -> Labels {
        Labels { secret: false, ..self }
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        *self == Labels::NONE
    }
}

fn is_false(value: &bool) -> bool {
    !*value
}
