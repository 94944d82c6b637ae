//! What an error of SQLite means for the caller. Values of parameters stand in no message.

use parkway_core::tool::ToolError;
use rusqlite::Error;
use rusqlite::ffi::{Error as Failure, ErrorCode, SQLITE_CONSTRAINT_TRIGGER, SQLITE_READONLY_ROLLBACK};

use super::file::File;
use crate::sql::place::place;
use crate::watch::Watch;

/// The error of a statement that could not be prepared. It has no values yet, so that SQLite's own words can be told.
pub(super) fn unreadable(error: &Error, sql: &str, file: &File, watch: &Watch) -> ToolError {
    let invalid = |message: &str| ToolError::invalid("sql", message);
    match error {
        Error::MultipleStatement => ToolError::invalid(
            "many_statements",
            "several statements are given, and one is taken; give each a step of its own",
        ),
        Error::SqlInputError { msg, offset, .. } => {
            let at = usize::try_from(*offset).unwrap_or_default();
            invalid(&format!("the statement cannot be read: {msg}, {}{}", place(sql, at), hint(msg)))
        }
        Error::SqliteFailure(failure, Some(words)) if failure.code == ErrorCode::Unknown => {
            invalid(&format!("the statement cannot be read: {words}{}", hint(words)))
        }
        _ => failed(error, file, watch),
    }
}

/// The error of a statement that was under way, or of opening the file. Nothing that it changed stays.
pub(super) fn failed(error: &Error, file: &File, watch: &Watch) -> ToolError {
    let database = file.shown();
    let Some(failure) = error.sqlite_error() else {
        // Errors of the library hold no values: those are bound and read by hand.
        return ToolError::invalid("sql", format!("the database {database} gave an error: {error}"));
    };
    let invalid = |code: &str, message: String| ToolError::invalid(code, message);
    let passing = |code: &str, message: String| ToolError { retryable: true, ..ToolError::invalid(code, message) };
    match failure.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            passing("busy", format!("the database {database} is being used by others; try again"))
        }
        ErrorCode::OperationInterrupted => watch.stopped(),
        ErrorCode::ConstraintViolation => invalid(
            "constraint",
            format!("the database {database} does not allow the change: {}", rule(error, failure)),
        ),
        ErrorCode::TooBig => {
            let message = "a value or a row has more than 16 MiB, which is the most here; ask for a part: `substr(…)`";
            invalid("too_large", message.into())
        }
        ErrorCode::NotADatabase => {
            invalid("not_a_database", format!("the file of {database} is no database of SQLite; correct `tools.sql`"))
        }
        ErrorCode::DatabaseCorrupt => {
            invalid("corrupt", format!("the database {database} is damaged; look with `PRAGMA integrity_check`"))
        }
        ErrorCode::DiskFull => passing("disk_full", format!("there is no room for a change of {database}; make some")),
        ErrorCode::ReadOnly if failure.extended_code == SQLITE_READONLY_ROLLBACK => invalid(
            "half_written",
            format!(
                "a process was killed in the middle of a change of {database}, and who only reads cannot take the half of it back; \
                 open the file once with a program that may write, such as `sqlite3`"
            ),
        ),
        ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => {
            let message =
                format!("the file of {database} cannot be used: {failure}; check its owner and mode, and its folder's");
            invalid("permission", message)
        }
        ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory => {
            passing("io", format!("the database {database} could not be read or written: {failure}"))
        }
        // The words may quote a value: a path of JSON, a search text.
        _ => invalid(
            "sql",
            format!(
                "the statement failed in the database {database}: {failure}; it cannot run in a transaction, or a function cannot take what it is given"
            ),
        ),
    }
}

/// The error of a commit, after which the change may have stayed.
pub(super) fn unclear(error: &Error, file: &File, watch: &Watch) -> ToolError {
    let failed = failed(error, file, watch);
    // A lock is met before anything is written, and so are constraints that wait for the commit.
    let not_done = matches!(failed.code.as_str(), "busy" | "constraint");
    ToolError { not_done, ..failed }
}

/// The constraint that was violated. SQLite names it, or the columns, but no values; a trigger says what it wants to.
fn rule(error: &Error, failure: &Failure) -> String {
    match error {
        Error::SqliteFailure(_, Some(words)) if failure.extended_code != SQLITE_CONSTRAINT_TRIGGER => words.clone(),
        _ => "a trigger refuses it".into(),
    }
}

fn hint(words: &str) -> &'static str {
    match words.starts_with("no such table") || words.starts_with("no such column") {
        true => "; what there is tells `SELECT sql FROM sqlite_schema`",
        false => "",
    }
}
