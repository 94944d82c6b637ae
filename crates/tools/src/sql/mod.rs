//! Statements to granted databases. Reading and writing are two tools, and the database itself is told which of them asks, so that no
//! statement, however it is written, does more than its tool may.

mod bytes;
mod execute;
mod grants;
mod once;
mod params;
mod password;
mod place;
#[cfg(feature = "postgres")]
mod postgres;
mod query;
mod sqlite;
mod table;

use std::path::PathBuf;

use parkway_core::tool::{SharedTool, schema_of};
use serde_json::Value;

use crate::builtin::untitled;
use crate::granted::family;
use crate::remote::remote;
use grants::{Databases, Grants};

/// The `sql` family: `sql.query`, `sql.execute`. Paths of databases in grants are relative to `project_root`.
pub fn sql(project_root: impl Into<PathBuf>) -> Vec<SharedTool> {
    let databases = Databases::new(project_root.into());
    let tools = vec![remote(query::Query { databases: databases.clone() }), remote(execute::Execute { databases })];
    family(tools, grants::reach)
}

/// JSON Schema of what a workflow says under `tools.sql`: the databases, and which of them may be changed.
pub fn sql_grants_schema() -> Value {
    untitled(schema_of::<Grants>())
}
