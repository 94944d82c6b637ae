//! Statements of many rows.

use parkway_core::store::StoreError;

use super::tx::Tx;

/// Rows of one INSERT; far below SQLite's limit of 32,766 variables.
pub(super) const ROWS: usize = 128;
/// Up to so many rows go with what else is gathered. More of them would be a text for each two numbers of rows, where a
/// connection keeps one for each number prepared.
pub(super) const FEW: usize = 8;

/// The text of an INSERT of `rows` rows.
pub(super) fn insert(into: &str, columns: usize, rows: usize, then: &str) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    format!("INSERT INTO {into} VALUES {} {then}", vec![row; rows].join(","))
}

/// The text of an INSERT of `rows` rows that inserts nothing unless `condition` holds.
pub(super) fn insert_if(into: &str, columns: usize, rows: usize, condition: &str, then: &str) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    let rows = vec![row; rows].join(",");
    format!("INSERT INTO {into} SELECT * FROM (VALUES {rows}) WHERE {condition} {then}")
}

/// Sends an INSERT whose values are bound now, unless it has few rows.
pub(super) async fn inserted(tx: &mut Tx, rows: usize) -> Result<(), StoreError> {
    if rows > FEW { tx.done().await } else { Ok(()) }
}
