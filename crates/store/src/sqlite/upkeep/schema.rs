//! The tables themselves, with the indexes, triggers and views on them: those that Parkway makes, and no others. A trigger could keep what is
//! erased, and a view could show another log.

use std::collections::BTreeMap;

use parkway_core::store::StoreError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use super::report::Checked;
use super::source::Source;
use crate::sqlite::schema;

/// By kind and name, on which table it is, and the statement that makes it.
type Parts = BTreeMap<(String, String), (String, Option<String>)>;

/// What carries our prefix, or is on something that does.
const PARTS: &str = "SELECT type, name, tbl_name, sql FROM sqlite_schema
    WHERE lower(name) GLOB 'parkway_*' OR lower(tbl_name) GLOB 'parkway_*'";

/// Holds what there is against what the version of the store makes.
pub(super) async fn parts(source: &mut Source, checked: &mut Checked) -> Result<(), StoreError> {
    let found = read(&mut source.connection).await.map_err(|e| source.told(&e))?;
    let made = made(source.schema).await.map_err(|e| source.told(&e))?;
    for ((kind, name), (table, sql)) in &found {
        match made.get(&(kind.clone(), name.clone())) {
            None => checked
                .problem(format!("the {kind} `{name}` on `{table}` is none of Parkway's: somebody has put it in")),
            // Tables of the index of texts are made by SQLite itself, each version in its own words.
            Some(_) if name.starts_with("parkway_memory_text_") => {}
            Some(expected) if *expected != (table.clone(), sql.clone()) => {
                checked.problem(format!("the {kind} `{name}` is another than Parkway makes: somebody has changed it"));
            }
            Some(_) => {}
        }
    }
    for (kind, name) in made.keys().filter(|part| !found.contains_key(*part)) {
        checked.problem(format!("the {kind} `{name}` is not there"));
    }
    Ok(())
}

async fn read(connection: &mut SqliteConnection) -> Result<Parts, sqlx::Error> {
    let rows: Vec<(String, String, String, Option<String>)> = sqlx::query_as(PARTS).fetch_all(connection).await?;
    let plain = |sql: String| {
        let lines = sql.lines().map(|line| line.split("--").next().unwrap_or_default());
        lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
    };
    Ok(rows.into_iter().map(|(kind, name, table, sql)| ((kind, name), (table, sql.map(plain)))).collect())
}

/// What a new store of this version has.
async fn made(version: u32) -> Result<Parts, sqlx::Error> {
    let mut connection = SqliteConnectOptions::new().in_memory(true).disable_statement_logging().connect().await?;
    schema::make(&mut connection, version).await?;
    let parts = read(&mut connection).await?;
    connection.close().await?;
    Ok(parts)
}
