//! Bars: how far something is.

use super::symbols::Symbols;

/// `done` of `total`, as a bar of so many columns.
pub(super) fn bar(done: u64, total: u64, columns: usize, symbols: Symbols) -> String {
    let all = u128::try_from(columns).unwrap_or(0);
    let full = (u128::from(done.min(total)) * all).checked_div(u128::from(total)).unwrap_or(0);
    let full = usize::try_from(full).unwrap_or(columns);
    symbols.works().repeat(full) + &symbols.idle().repeat(columns - full)
}
