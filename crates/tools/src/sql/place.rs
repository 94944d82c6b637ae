//! Where in a statement something stands, for messages.

/// How much of a statement is quoted.
const QUOTED: usize = 60;

/// The line, the column and the text that stands there, `at` bytes from the beginning.
pub(super) fn place(sql: &str, at: usize) -> String {
    let (before, from) = sql.split_at_checked(at).unwrap_or((sql, ""));
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or(before).chars().count() + 1;
    let mut quote: String = from.lines().next().unwrap_or_default().chars().take(QUOTED + 1).collect();
    if let Some((end, _)) = quote.char_indices().nth(QUOTED) {
        quote.truncate(end);
        quote.push('…');
    }
    format!("at line {line}, column {column}: `{quote}`")
}
