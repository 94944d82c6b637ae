//! The granted databases.

use std::collections::BTreeMap;
use std::path::PathBuf;

use parkway_core::tool::{ToolContext, ToolError};
use schemars::JsonSchema;
use serde::Deserialize;

use super::sqlite::{self, File};

/// Which databases the `sql` tools may ask.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Grants {
    /// The databases, by the names that arguments have for them.
    #[serde(default)]
    databases: BTreeMap<String, Database>,
}

/// A database.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Database {
    /// A file of SQLite, from the project root: `data/shop.db`.
    sqlite: String,
    /// Whether `sql.execute` may change it.
    #[serde(default)]
    write: bool,
}

/// What a call wants with a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// The way from a name in an argument to a database.
#[derive(Clone, Debug)]
pub(crate) struct Databases {
    project: PathBuf,
}

impl Databases {
    pub(super) fn new(project: PathBuf) -> Self {
        Databases { project }
    }

    /// The database of this name, if it is granted for this access.
    pub(super) fn locate(&self, name: &str, access: Access, context: &ToolContext) -> Result<File, ToolError> {
        let grants = Grants::parse(context)?;
        let Some(database) = grants.databases.get(name) else { return Err(grants.unknown(name)) };
        if access == Access::Write && !database.write {
            let message = format!(
                "the database `{name}` is granted for reading only; to allow `sql.execute` to change it, write under `tools`: \
                 `sql: {{ databases: {{ {name}: {{ sqlite: {}, write: true }} }} }}`",
                database.sqlite
            );
            return Err(ToolError::invalid("denied", message));
        }
        sqlite::locate(&self.project, name, &database.sqlite)
    }
}

impl Grants {
    fn parse(context: &ToolContext) -> Result<Self, ToolError> {
        if context.grants.is_null() {
            return Ok(Grants::default());
        }
        Grants::deserialize(&context.grants).map_err(|error| {
            let message = format!(
                "`tools.sql` is malformed: {error}; write it like `sql: {{ databases: {{ shop: {{ sqlite: data/shop.db }} }} }}`"
            );
            ToolError::invalid("invalid_grants", message)
        })
    }

    fn unknown(&self, name: &str) -> ToolError {
        let names: Vec<_> = self.databases.keys().map(|name| format!("`{name}`")).collect();
        let so_far = if names.is_empty() { "none is".into() } else { format!("granted: {}", names.join(", ")) };
        let message = format!(
            "`{name}` is no database that is granted ({so_far}); to allow it, write under `tools`: \
             `sql: {{ databases: {{ {name}: {{ sqlite: data/{name}.db }} }} }}`"
        );
        ToolError::invalid("denied", message)
    }
}
