//! Why a server cannot be used at all, and the way out.

/// Why a configuration cannot be used. A server that is not there is no such error: it may come, and until then its answers fail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The address is none that can be used.
    #[error("`{url}` cannot be used as the address of a server: {cause}; write it as in `http://localhost:8080/v1`")]
    Address {
        /// The address, without what may be secret in it.
        url: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The key cannot be sent.
    #[error("the key cannot be sent to a server: {cause}; check the value of its secret")]
    Key {
        /// What is wrong with it. Holds no part of it.
        cause: String,
    },
    /// Secure connections cannot be made on this machine.
    #[error("secure connections cannot be made: {cause}; check the certificates that this system trusts")]
    Tls {
        /// Why not.
        cause: String,
    },
}

impl LoadError {
    /// Stable code of the error, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            LoadError::Address { .. } => "server_address",
            LoadError::Key { .. } => "server_key",
            LoadError::Tls { .. } => "server_tls",
        }
    }
}
