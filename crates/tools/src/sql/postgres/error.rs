//! What an error of PostgreSQL means for the caller. Values of parameters stand in no message.

use std::error::Error as _;

use parkway_core::tool::ToolError;
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, ErrorPosition, SqlState};

use super::server::Server;
use crate::sql::place::place;

/// The error of a statement that could not be prepared. It has no values yet, so that the server's own words can be told.
pub(super) fn unreadable(error: &Error, server: &Server, sql: &str) -> ToolError {
    match error.as_db_error() {
        Some(said) if said.code().code().starts_with("42") && *said.code() != SqlState::INSUFFICIENT_PRIVILEGE => {
            let message = format!("the statement cannot be read: {}{}", said.message(), at(said, sql));
            ToolError::invalid("sql", message)
        }
        _ => failed(error, server),
    }
}

/// The error of connecting, of a statement under way, or of a transaction that was not committed: nothing that it changed stays.
pub(super) fn failed(error: &Error, server: &Server) -> ToolError {
    let database = server.shown();
    let Some(said) = error.as_db_error() else {
        let cause = error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"));
        return unreachable(server, &cause);
    };
    let invalid = |code: &str, message: String| ToolError::invalid(code, message);
    let passing = |code: &str, message: String| ToolError { retryable: true, ..ToolError::invalid(code, message) };
    let state = said.code().code();
    // What a function says is up to it, and may hold values.
    let words = if said.where_().is_some() { "a function refuses it" } else { said.message() };
    match state.get(..2).unwrap_or_default() {
        _ if *said.code() == SqlState::READ_ONLY_SQL_TRANSACTION => {
            invalid("denied", "the statement changes something, and `sql.query` only looks; use `sql.execute`".into())
        }
        _ if *said.code() == SqlState::QUERY_CANCELED => {
            invalid("timeout", "the statement was stopped; narrow it, or raise the step's `timeout`".into())
        }
        _ if *said.code() == SqlState::INSUFFICIENT_PRIVILEGE => {
            invalid("permission", format!("the database {database} does not allow it: {words}"))
        }
        // Names, and no values: those stand in the details.
        "23" | "P0" => invalid("constraint", format!("the database {database} does not allow the change: {words}")),
        "28" => {
            invalid("denied", format!("the server of {database} lets this user not in; check `password` and the user"))
        }
        "3D" => {
            invalid("not_found", format!("there is no such database on the server of {database}; correct `tools.sql`"))
        }
        "40" | "55" => passing("busy", format!("the database {database} is being used by others; try again")),
        "53" | "57" | "58" | "08" => passing("network", format!("the server of {database} could not do it: {words}")),
        // The words may quote a value.
        _ => invalid(
            "sql",
            format!("the statement failed in the database {database} with the state {state}; check its values"),
        ),
    }
}

/// The error of a server that is not there.
pub(super) fn unreachable(server: &Server, why: &str) -> ToolError {
    let message =
        format!("the server of {} cannot be used: {why}; check its address, and that it runs", server.shown());
    ToolError { retryable: true, ..ToolError::invalid("network", message) }
}

/// The error of a commit. Unless the server itself refused it, it may have been made.
pub(super) fn unclear(error: &Error, server: &Server) -> ToolError {
    ToolError { not_done: error.as_db_error().is_some(), ..failed(error, server) }
}

fn at(said: &DbError, sql: &str) -> String {
    let Some(ErrorPosition::Original(position)) = said.position() else { return String::new() };
    let before = usize::try_from(position.saturating_sub(1)).unwrap_or_default();
    let at = sql.char_indices().nth(before).map_or(sql.len(), |(at, _)| at);
    format!(", {}", place(sql, at))
}
