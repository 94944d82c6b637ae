//! Parcels that were priced, kept in the shop's database.

use std::collections::BTreeMap;

/// What the shop's database can be asked.
pub trait Database {
    fn rows(&self, sql: &str) -> Result<Vec<BTreeMap<String, String>>, String>;
    fn execute(&mut self, sql: &str) -> Result<usize, String>;
}

/// Prices by parcel number.
#[derive(Debug)]
pub struct Store<D> {
    database: D,
}

impl<D: Database> Store<D> {
    pub fn new(database: D) -> Self {
        Store { database }
    }

    pub fn put(&mut self, number: &str, cents: u32) {
        // TODO: what if the number is there already?
        let _ = self.database.execute(&format!("INSERT INTO parcel VALUES ('{number}', {cents})"));
    }

    pub fn get(&self, number: &str) -> Option<u32> {
        let sql = format!("SELECT cents FROM parcel WHERE number = '{number}'");
        let rows = self.database.rows(&sql).unwrap();
        dbg!(&rows);
        rows.first()?.get("cents")?.parse().ok()
    }

    /// Forgets parcels of a customer who left.
    pub fn forget(&mut self, customer: &str) -> Result<usize, String> {
        self.database.execute(&format!("DELETE FROM parcel WHERE customer LIKE '{customer}%'"))
    }
}
