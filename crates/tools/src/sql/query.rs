//! `sql.query`: what stands in a database.

use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::grants::{Access, Databases, Located};
use super::params::Params;
use super::password::Password;
#[cfg(feature = "postgres")]
use super::postgres;
use super::sqlite;
use super::table::Column;
use crate::remote::Remote;
use crate::watch::watched;

/// How many rows are given if nothing is said.
const USUAL: usize = 1_000;
/// How many may be asked for.
const MOST: usize = 10_000;

/// Asks a database.
pub(crate) struct Query {
    pub(super) databases: Databases,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "database": "books", "sql": "SELECT name, city FROM customer WHERE city = $1 ORDER BY name", "params": ["Berlin"] }]))]
pub(crate) struct Input {
    /// The database, by its name in `tools.sql.databases`.
    database: String,
    /// One statement that looks and changes nothing: `SELECT name FROM customer WHERE city = $1`.
    sql: String,
    /// The values for its parameters: a list for `$1`, `$2`, or, of SQLite, a map for `$name`. Bytes are `{"base64": "…"}`; other
    /// objects and lists are given as JSON.
    #[serde(default)]
    params: Params,
    /// The password for a database of PostgreSQL: `${{ secrets.BOOKS }}`.
    password: Option<String>,
    /// The most rows: 1,000 if absent, 10,000 at most.
    limit: Option<usize>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The columns, in order.
    columns: Vec<Column>,
    /// The rows: values by column. Bytes are `{"base64": "…"}`.
    rows: Vec<Map<String, Value>>,
    /// Whether there are rows beyond these: those beyond `limit`, or beyond 8 MiB.
    more: bool,
}

impl Remote for Query {
    const NAME: &'static str = "sql.query";
    const DESCRIPTION: &'static str = "Asks a database with one SQL statement that changes nothing, and returns rows. The tables stand \
         in `sqlite_schema`, or in `information_schema.columns` of PostgreSQL.";
    const EFFECT: Effect = Effect::Read;
    type Input = Input;
    type Output = Output;

    async fn call(&self, input: Input, context: &ToolContext) -> Result<Output, ToolError> {
        let limit = input.limit.unwrap_or(USUAL);
        if !(1..=MOST).contains(&limit) {
            let message = format!("`limit` is {limit}, and must be from 1 to {MOST}; ask for the rows in parts");
            return Err(ToolError::invalid("invalid", message));
        }
        let password = Password::new(input.password);
        let table = match self.databases.locate(&input.database, Access::Read, context)? {
            Located::Sqlite(file) => {
                password.unused()?;
                let ask = move |watch: &_| sqlite::query(&file, &input.sql, &input.params, limit, watch);
                watched(context, ask).await?
            }
            #[cfg(feature = "postgres")]
            Located::Postgres(server) => {
                postgres::query(&server, &password, (&input.sql, &input.params), limit, context).await?
            }
        };
        Ok(Output { columns: table.columns, rows: table.rows, more: table.more })
    }
}
