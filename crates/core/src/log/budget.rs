//! What a budget counts: part of events.

use serde::{Deserialize, Serialize};

/// An amount of what a `budget` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Budget {
    /// Prompt and output tokens of model calls.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tokens: u64,
    /// Calls of tools.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tool_calls: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Budget {
    /// An amount of tokens and of tool calls.
    pub fn new(tokens: u64, tool_calls: u64) -> Self {
        Budget { tokens, tool_calls }
    }

    /// Both amounts together.
    pub(crate) fn plus(self, other: Budget) -> Budget {
        Budget {
            tokens: self.tokens.saturating_add(other.tokens),
            tool_calls: self.tool_calls.saturating_add(other.tool_calls),
        }
    }

    /// What is left of this amount without `other`.
    pub(crate) fn minus(self, other: Budget) -> Budget {
        Budget {
            tokens: self.tokens.saturating_sub(other.tokens),
            tool_calls: self.tool_calls.saturating_sub(other.tool_calls),
        }
    }
}
