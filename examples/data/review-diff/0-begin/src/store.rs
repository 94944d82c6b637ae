//! Parcels that were priced, kept in memory.

use std::collections::BTreeMap;

/// Prices by parcel number.
#[derive(Debug, Default)]
pub struct Store {
    prices: BTreeMap<String, u32>,
}

impl Store {
    pub fn put(&mut self, number: &str, cents: u32) {
        self.prices.insert(number.to_owned(), cents);
    }

    pub fn get(&self, number: &str) -> Option<u32> {
        self.prices.get(number).copied()
    }
}
