//! What a statement may do, asked by SQLite itself while it prepares the statement, for each part of it and for the views and
//! triggers that it uses.

use std::sync::{Arc, Mutex, PoisonError};

use parkway_core::tool::ToolError;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, Result};

use crate::sql::grants::Access;

/// Pragmas that only tell what there is.
const LOOKING: [&str; 7] =
    ["foreign_key_list", "function_list", "index_info", "index_list", "table_info", "table_list", "table_xinfo"];
/// What the names of our own tables begin with.
const OURS: &str = "parkway_";

/// Keeps the first thing that was refused.
pub(super) struct Guard {
    access: Access,
    refused: Arc<Mutex<Option<String>>>,
}

impl Guard {
    /// Stands before each statement that is prepared from now on.
    pub(super) fn set(connection: &Connection, access: Access) -> Result<Guard> {
        let refused: Arc<Mutex<Option<String>>> = Arc::default();
        let told = refused.clone();
        let hook = move |context: AuthContext<'_>| {
            let allowed = match access {
                Access::Read => looks(context.action),
                Access::Write => looks(context.action) || changes(context.action),
            };
            if allowed {
                return Authorization::Allow;
            }
            told.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| described(context.action));
            Authorization::Deny
        };
        connection.authorizer(Some(hook))?;
        Ok(Guard { access, refused })
    }

    /// Leaves the way free for statements of ours.
    pub(super) fn lift(connection: &Connection) -> Result<()> {
        connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>)
    }

    /// The error of a statement that was refused, if one was.
    pub(super) fn refusal(&self) -> Option<ToolError> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let way_out = match self.access {
            Access::Read => {
                "`sql.query` only looks, and only into its own database; leave that out, or use `sql.execute`"
            }
            Access::Write => {
                "`sql.execute` stays within its own database, its own transaction and tables that are not Parkway's; leave that out"
            }
        };
        Some(ToolError::invalid("denied", format!("the statement has {refused}, which is refused: {way_out}")))
    }
}

fn looks(action: AuthAction<'_>) -> bool {
    match action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => true,
        AuthAction::Function { function_name } => !function_name.eq_ignore_ascii_case("load_extension"),
        AuthAction::Pragma { pragma_name, .. } => LOOKING.iter().any(|name| name.eq_ignore_ascii_case(pragma_name)),
        _ => false,
    }
}

fn changes(action: AuthAction<'_>) -> bool {
    let ours = |table: &str| table.get(..OURS.len()).is_some_and(|start| start.eq_ignore_ascii_case(OURS));
    match action {
        AuthAction::Insert { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::Delete { table_name }
        | AuthAction::CreateTable { table_name }
        | AuthAction::DropTable { table_name }
        | AuthAction::AlterTable { table_name, .. }
        | AuthAction::CreateIndex { table_name, .. }
        | AuthAction::DropIndex { table_name, .. }
        | AuthAction::CreateTrigger { table_name, .. }
        | AuthAction::DropTrigger { table_name, .. }
        | AuthAction::CreateVtable { table_name, .. }
        | AuthAction::DropVtable { table_name, .. }
        | AuthAction::Analyze { table_name } => !ours(table_name),
        AuthAction::CreateView { view_name } | AuthAction::DropView { view_name } => !ours(view_name),
        AuthAction::Reindex { .. } => true,
        _ => false,
    }
}

/// The part of a statement, for messages.
fn described(action: AuthAction<'_>) -> String {
    match action {
        AuthAction::Attach { .. } => "ATTACH".into(),
        AuthAction::Detach { .. } => "DETACH".into(),
        AuthAction::Pragma { pragma_name, .. } => format!("PRAGMA {pragma_name}"),
        AuthAction::Function { function_name } => format!("the function `{function_name}`"),
        AuthAction::Transaction { .. } => "a transaction of its own".into(),
        AuthAction::Savepoint { .. } => "a savepoint".into(),
        AuthAction::Insert { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::Delete { table_name }
            if !table_name.starts_with("sqlite_") =>
        {
            format!("a change of `{table_name}`")
        }
        _ => "a change of the schema".into(),
    }
}
