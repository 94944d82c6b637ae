//! Statements of many rows.

/// Rows of one INSERT; far below SQLite's limit of 32,766 variables.
pub(super) const ROWS: usize = 128;

/// The text of an INSERT of `rows` rows. There are as many texts as numbers of rows, and the connection keeps them prepared.
pub(super) fn insert(into: &str, columns: usize, rows: usize, then: &str) -> String {
    let row = |row: usize| {
        let places: Vec<String> = (row * columns + 1..=(row + 1) * columns).map(|place| format!("${place}")).collect();
        format!("({})", places.join(", "))
    };
    let values: Vec<String> = (0..rows).map(row).collect();
    format!("INSERT INTO {into} VALUES {} {then}", values.join(", "))
}
