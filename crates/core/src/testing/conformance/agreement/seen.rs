//! Numbers that both stores have given to the same thing.

use std::collections::BTreeMap;

/// Which number of the store is which of the model. Each stands for one thing, for ever.
#[derive(Debug, Default)]
pub(super) struct Seen {
    stores: BTreeMap<u64, u64>,
    models: BTreeMap<u64, u64>,
}

impl Seen {
    /// Both have called a thing so.
    pub(super) fn meet(&mut self, store: u64, model: u64) -> Result<(), String> {
        let (is, was) = (self.stores.insert(store, model), self.models.insert(model, store));
        match (is, was) {
            (None, None) => Ok(()),
            (Some(is), Some(was)) if is == model && was == store => Ok(()),
            (Some(_), None) => Err(format!("the number {store} is used a second time")),
            _ => Err(format!("the number {store} stood for something else before")),
        }
    }
}
