//! The granted databases.

use std::collections::BTreeMap;
use std::path::PathBuf;

use parkway_core::tool::{Reach, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

#[cfg(feature = "postgres")]
use super::postgres;
use super::sqlite::{self, File};
use crate::files::shown;
use crate::granted::granted;

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
    sqlite: Option<String>,
    /// In its place, a database on a server of PostgreSQL: `postgres://reader@db.example.com/books`. The password is given to
    /// each call.
    postgres: Option<String>,
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

/// A granted database.
pub(super) enum Located {
    Sqlite(File),
    #[cfg(feature = "postgres")]
    Postgres(Box<postgres::Server>),
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
    pub(super) fn locate(&self, name: &str, access: Access, context: &ToolContext) -> Result<Located, ToolError> {
        let grants = Grants::read_from(&context.grants)?;
        let Some(database) = grants.databases.get(name) else { return Err(grants.unknown(name)) };
        if access == Access::Write && !database.write {
            let (kind, place) = match (&database.sqlite, &database.postgres) {
                (None, Some(postgres)) => ("postgres", Value::from(postgres.as_str()).to_string()),
                (sqlite, _) => ("sqlite", sqlite.clone().unwrap_or_default()),
            };
            let message = format!(
                "the database `{name}` is granted for reading only; to allow `sql.execute` to change it, write under `tools`: \
                 `sql: {{ databases: {{ {name}: {{ {kind}: {place}, write: true }} }} }}`"
            );
            return Err(ToolError::invalid("denied", message));
        }
        match database.place(name)? {
            Place::Sqlite(sqlite) => sqlite::locate(&self.project, name, sqlite).map(Located::Sqlite),
            #[cfg(feature = "postgres")]
            Place::Postgres(postgres) => {
                postgres::locate(name, postgres).map(|server| Located::Postgres(Box::new(server)))
            }
        }
    }
}

/// What the grants name: files of SQLite, and servers.
pub(super) fn reach(grants: &Value) -> Result<Reach, ToolError> {
    let mut reach = Reach::default();
    for (name, database) in &Grants::read_from(grants)?.databases {
        // A program without PostgreSQL can check a file that another one runs.
        #[cfg(not(feature = "postgres"))]
        if database.sqlite.is_none() && database.postgres.is_some() {
            continue;
        }
        match database.place(name)? {
            Place::Sqlite(sqlite) => reach.paths.push(shown(&sqlite::inside(name, sqlite)?)),
            #[cfg(feature = "postgres")]
            Place::Postgres(postgres) => reach.hosts.extend(postgres::locate(name, postgres)?.at()?),
        }
    }
    Ok(reach)
}

/// Where a database is, as it was written.
enum Place<'a> {
    Sqlite(&'a str),
    #[cfg(feature = "postgres")]
    Postgres(&'a str),
}

impl Database {
    fn place(&self, name: &str) -> Result<Place<'_>, ToolError> {
        match (&self.sqlite, &self.postgres) {
            (Some(sqlite), None) => Ok(Place::Sqlite(sqlite)),
            #[cfg(feature = "postgres")]
            (None, Some(postgres)) => Ok(Place::Postgres(postgres)),
            #[cfg(not(feature = "postgres"))]
            (None, Some(_)) => {
                let message = format!(
                    "`tools.sql` grants `{name}` with `postgres`, which this program was built without; build `parkway-tools` with \
                     its feature `postgres`"
                );
                Err(ToolError::invalid("invalid_grants", message))
            }
            _ => {
                let message =
                    format!("`tools.sql` grants `{name}`, which needs either `sqlite` or `postgres`; keep one of them");
                Err(ToolError::invalid("invalid_grants", message))
            }
        }
    }
}

impl Grants {
    fn read_from(grants: &Value) -> Result<Self, ToolError> {
        granted(grants, |error| {
            format!(
                "`tools.sql` is malformed: {error}; write it like `sql: {{ databases: {{ shop: {{ sqlite: data/shop.db }} }} }}`"
            )
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
