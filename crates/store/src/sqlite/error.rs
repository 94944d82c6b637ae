//! What SQLite says, in the words of the port.

use std::io::{self, ErrorKind};

use parkway_core::store::StoreError;

/// SQLite's primary result code, if the error is SQLite's.
pub(super) fn code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

/// The code with its details, as SQLite's documents list them.
fn extended(error: &sqlx::Error) -> String {
    error.as_database_error().and_then(|error| Some(error.code()?.into_owned())).unwrap_or_default()
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
        Some(10) => StoreError::Backend {
            message: format!(
                "the disk refused ({message}, SQLite's code {}); look at the disk, at quotas and at limits of file sizes (dmesg, \
                 df, ulimit -f), and resume the run when that is mended",
                extended(error)
            ),
            retryable: false,
        },
        Some(14) => StoreError::Backend {
            message: format!(
                "a file cannot be opened ({message}); was its folder moved or removed, or are too many files open (ulimit -n)?"
            ),
            retryable: false,
        },
        Some(5 | 6) => StoreError::Backend {
            message: format!(
                "another process kept the database locked for too long ({message}); look whether one hangs, or the disk is busy, \
                 and try again"
            ),
            retryable: true,
        },
        _ if matches!(error, sqlx::Error::PoolClosed) => closed(),
        _ => StoreError::Backend { message, retryable: false },
    }
}

/// The error for a caller, of a file beside the database; `what` cannot be done.
pub(super) fn from_io(error: &io::Error, what: &str) -> StoreError {
    let message = format!("{what}: {error}");
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            StoreError::Full(format!("{message}; free some space, or name a file on another disk"))
        }
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => StoreError::ReadOnly(format!(
            "{message}; check the permissions of the file and its folder, or name another"
        )),
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
