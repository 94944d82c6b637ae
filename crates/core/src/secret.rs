//! The port to secrets: values that a tool call needs and that nothing else may see. The engine puts them into the call's
//! arguments at the last moment; logs, questions and errors hold `[secret NAME]` in their place.

mod scrub;

use std::fmt;

use async_trait::async_trait;

pub use scrub::Scrub;

/// A secret's value. It does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret with this value.
    pub fn new(value: impl Into<String>) -> Self {
        Secret(value.into())
    }

    /// The value itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Why a source of secrets could not be read: a lowercase fragment that holds no part of a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SecretError(pub String);

/// Where secrets come from.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// The secret called `name`; `None` if there is none.
    async fn get(&self, name: &str) -> Result<Option<Secret>, SecretError>;
}
