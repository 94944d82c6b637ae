//! The password of a call, which is shown nowhere.

use std::fmt;

use parkway_core::tool::ToolError;

/// A password, or none.
pub(super) struct Password(Option<String>);

impl Password {
    pub(super) fn new(password: Option<String>) -> Self {
        Password(password)
    }

    /// Refuses one where there is nothing to open with it.
    pub(super) fn unused(&self) -> Result<(), ToolError> {
        match self.0 {
            Some(_) => Err(ToolError::invalid(
                "invalid",
                "`password` is for PostgreSQL, and this database is a file; leave it out",
            )),
            None => Ok(()),
        }
    }

    #[cfg(feature = "postgres")]
    pub(super) fn expose(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}
