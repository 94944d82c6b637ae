//! What SQLite says, in the words of the port.

use parkway_core::store::StoreError;

/// SQLite's primary result code, if the error is SQLite's.
pub(super) fn code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

/// Whether another connection has the lock that was wanted.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    matches!(code(error), Some(5 | 6))
}

/// SQLite's own words, if the error is SQLite's.
pub(super) fn words(error: &sqlx::Error) -> String {
    match error.as_database_error() {
        Some(database) => database.message().to_owned(),
        None => error.to_string(),
    }
}

/// The error for a caller.
pub(super) fn from_sqlx(error: &sqlx::Error) -> StoreError {
    let message = words(error);
    match code(error) {
        Some(13) => StoreError::Full(format!("{message}; free some space and resume the run")),
        Some(8) => StoreError::ReadOnly(message),
        Some(11 | 26) => StoreError::Corrupt(message),
        Some(5 | 6) => StoreError::Backend {
            message: format!("another process kept the database locked for too long ({message})"),
            retryable: true,
        },
        _ if matches!(error, sqlx::Error::PoolClosed) => closed(),
        _ => StoreError::Backend { message, retryable: false },
    }
}

/// What a call on a closed store gets.
pub(super) fn closed() -> StoreError {
    StoreError::Backend { message: "it was closed".into(), retryable: false }
}

/// A stored value that nothing here has written.
pub(super) fn corrupt(what: &str, value: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("`{value}` stands where {what} belongs"))
}
