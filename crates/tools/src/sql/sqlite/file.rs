//! The file of a database: found without following a link, and opened so that SQLite itself allows no more than is wanted.

use std::path::{Path, PathBuf};
use std::time::Duration;

use parkway_core::tool::ToolError;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use super::error::failed;
use crate::files::{Astray, direct, normal, shown};
use crate::sql::grants::Access;
use crate::watch::Watch;

/// The most bytes of a value or a row inside SQLite, so that no function can ask for all memory.
const LARGEST: i32 = 16 << 20;
/// How many of SQLite's instructions run between two looks at the clock: about a millisecond.
const INSTRUCTIONS: i32 = 10_000;
/// How long a lock of others is waited for.
const BUSY: Duration = Duration::from_secs(5);

/// A database's file.
#[derive(Clone, Debug)]
pub(in crate::sql) struct File {
    /// Its name in the grants.
    pub(super) name: String,
    /// As the grants have it.
    written: String,
    path: PathBuf,
}

/// The path that a grant names, from the project root.
pub(in crate::sql) fn inside(name: &str, written: &str) -> Result<PathBuf, ToolError> {
    normal(written).map_err(|why| {
        let message =
            format!("`tools.sql` grants `{written}` as `{name}`, which {why}; name a file from the project root, as in `data/{name}.db`");
        ToolError::invalid("invalid_grants", message)
    })
}

/// The file at `written`, from the project root. No part of its path in the project may be a link.
pub(in crate::sql) fn locate(project: &Path, name: &str, written: &str) -> Result<File, ToolError> {
    let inside = inside(name, written)?;
    let refused = |code: &str, why: &str| {
        ToolError::invalid(code, format!("`{written}`, the file of the database `{name}`, {why}"))
    };
    let path = direct(project, &inside).map_err(|astray| match astray {
        Astray::Absent => refused("not_found", "does not exist; create it, or correct `tools.sql`"),
        Astray::Link => refused("denied", "is reached by a link; grant the file that the link leads to"),
        Astray::Unknown(error) => refused("io", &format!("cannot be looked at: {error}")),
    })?;
    if !path.is_file() {
        return Err(refused("not_a_file", "is a folder or a device; name a file"));
    }
    Ok(File { name: name.into(), written: shown(&inside), path })
}

impl File {
    /// A connection for one call.
    pub(super) fn open(&self, access: Access, watch: &Watch) -> Result<Connection, ToolError> {
        let mode = match access {
            Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
            Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
        };
        // It is never created, and what became a link meanwhile is not opened.
        let flags = mode | OpenFlags::SQLITE_OPEN_NOFOLLOW | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || {
            let connection = Connection::open_with_flags(&self.path, flags)?;
            connection.busy_timeout(BUSY.min(watch.remaining()))?;
            for (limit, most) in [
                (Limit::SQLITE_LIMIT_LENGTH, LARGEST),
                (Limit::SQLITE_LIMIT_ATTACHED, 0),
                (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
            ] {
                connection.set_limit(limit, most)?;
            }
            for (setting, on) in [
                (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
                (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
                (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true),
                // A double-quoted name that does not exist would be a text.
                (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
                (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
            ] {
                connection.set_db_config(setting, on)?;
            }
            connection.pragma_update(None, "cell_size_check", true)?;
            match access {
                Access::Read => connection.pragma_update(None, "query_only", true)?,
                Access::Write => connection.pragma_update(None, "synchronous", "FULL")?,
            }
            let watch = watch.clone();
            connection.progress_handler(INSTRUCTIONS, Some(move || watch.is_over()))?;
            Ok(connection)
        };
        open().map_err(|error| failed(&error, self, watch))
    }

    /// How messages name it.
    pub(super) fn shown(&self) -> String {
        format!("`{}` ({})", self.name, self.written)
    }
}
