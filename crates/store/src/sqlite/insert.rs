//! Statements of many rows.

use parkway_core::store::StoreError;

use super::tx::Tx;

/// Rows of one INSERT; far below SQLite's limit of 32,766 variables.
pub(super) const ROWS: usize = 128;
/// Up to so many rows go with what else is gathered. A connection keeps the text for each number of rows prepared; of two such
/// statements together there would be one for each two numbers.
pub(super) const FEW: usize = 8;

/// Gathers an INSERT of `rows` rows, whose values are bound next.
pub(super) async fn insert(tx: &mut Tx, into: &str, columns: usize, rows: usize, then: &str) -> Result<(), StoreError> {
    if rows > FEW {
        tx.done().await?;
    }
    tx.gather(&format!("INSERT INTO {into} VALUES {} {then}", places(columns, rows)));
    Ok(())
}

/// Sends an INSERT whose values are bound now, unless it has few rows.
pub(super) async fn inserted(tx: &mut Tx, rows: usize) -> Result<(), StoreError> {
    if rows > FEW { tx.done().await } else { Ok(()) }
}

/// Gathers an INSERT of few rows that inserts nothing unless `condition` holds.
pub(super) fn insert_if(tx: &mut Tx, into: &str, columns: usize, rows: usize, condition: &str, then: &str) {
    let places = places(columns, rows);
    tx.gather(&format!("INSERT INTO {into} SELECT * FROM (VALUES {places}) WHERE {condition} {then}"));
}

fn places(columns: usize, rows: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    vec![row; rows].join(",")
}
