//! `sql.execute`: to change a database, exactly once.

use parkway_core::label::Labels;
use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::grants::{Access, Databases, Located};
use super::once::Once;
use super::params::Params;
use super::password::Password;
#[cfg(feature = "postgres")]
use super::postgres;
use super::sqlite;
use crate::remote::Remote;
use crate::watch::watched;

/// Changes a database. A statement done twice is not a statement done once, so the key of the call is written into the table
/// `parkway_effect` of that database in the transaction of the statement: it stands there if and only if the statement was
/// carried out, and a second call with it gives the first result. That makes the call idempotent, whatever the statement is, and
/// repeating it after a crash settles what became of it: nothing is ever in doubt.
pub(crate) struct Execute {
    pub(super) databases: Databases,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The database, by its name in `tools.sql.databases`; it must be granted with `write: true`.
    database: String,
    /// One statement that returns no rows: `UPDATE stock SET pieces = pieces - $1 WHERE part = $2`.
    sql: String,
    /// The values for its parameters: a list for `$1`, `$2`, or, of SQLite, a map for `$name`. Bytes are `{"base64": "…"}`; other
    /// objects and lists are given as JSON.
    #[serde(default)]
    params: Params,
    /// The password for a database of PostgreSQL: `${{ secrets.BOOKS }}`.
    password: Option<String>,
    /// How many rows the statement must change; with another number nothing is changed, and the call fails.
    expect_rows: Option<u64>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// How many rows were inserted, updated or deleted, without those of triggers.
    rows: u64,
}

impl Remote for Execute {
    const NAME: &'static str = "sql.execute";
    const DESCRIPTION: &'static str = "Changes a database with one SQL statement in one transaction, exactly once: a call that is \
         repeated after a crash is not carried out again.";
    const EFFECT: Effect = Effect::Idempotent;
    const LABELS: Labels = Labels::NONE;
    type Input = Input;
    type Output = Output;

    async fn call(&self, input: Input, context: &ToolContext) -> Result<Output, ToolError> {
        let password = Password::new(input.password);
        let once = Once::new(&input.sql, &input.params, context);
        let rows = match self.databases.locate(&input.database, Access::Write, context)? {
            Located::Sqlite(file) => {
                password.unused()?;
                let act =
                    move |watch: &_| sqlite::execute(&file, &input.sql, &input.params, input.expect_rows, &once, watch);
                watched(context, act).await?
            }
            #[cfg(feature = "postgres")]
            Located::Postgres(server) => {
                let ask = (&*input.sql, &input.params);
                postgres::execute(&server, &password, ask, input.expect_rows, &once, context).await?
            }
        };
        Ok(Output { rows })
    }
}
