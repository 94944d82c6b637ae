//! The vectors of memories, in the memory of the process: read once, and what is new since.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use parkway_core::id::MemoryId;
use parkway_core::memory::MemoryVector;
use parkway_core::store::StoreError;
use serde_json::json;
use sqlx::SqlitePool;
use tokio::sync::Mutex;

use crate::sqlite::error::{corrupt, from_sqlx};

/// Rows that are read at once.
const PART: i64 = 2_048;

/// The vectors of each model that was asked for.
#[derive(Debug, Default)]
pub(crate) struct Vectors {
    models: Mutex<HashMap<String, Arc<Mutex<Model>>>>,
}

/// The vectors of one model.
#[derive(Debug, Default)]
struct Model {
    /// The newest row that was read.
    read: i64,
    /// Numbers of a vector.
    length: usize,
    namespaces: HashMap<String, Shelf>,
    /// Where each memory's vector is.
    places: HashMap<i64, (String, usize)>,
}

/// The vectors of one namespace, one behind the other, each in whole numbers: to look at all of them is to read all of them, and
/// these are half as long as what they are made of.
#[derive(Debug, Default)]
struct Shelf {
    keys: Vec<i64>,
    numbers: Vec<i16>,
}

type Row = (i64, i64, String, Vec<u8>);

impl Vectors {
    /// The memories of these namespaces that lie closest to a vector, closest first. Some may have been forgotten since.
    pub(super) async fn closest(
        &self,
        pool: &SqlitePool,
        namespaces: &[String],
        asked: &MemoryVector,
        limit: usize,
    ) -> Result<Vec<i64>, StoreError> {
        let model = match self.models.lock().await.entry(asked.model.clone()) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(new) => new.insert(Arc::default()).clone(),
        };
        let mut model = model.lock_owned().await;
        model.catch_up(pool, &asked.model).await?;
        // All of them are looked at, which takes the processor for a while.
        let (namespaces, asked) = (namespaces.to_vec(), asked.vector.clone());
        let closest = tokio::task::spawn_blocking(move || model.closest(&namespaces, &asked, limit)).await;
        closest.map_err(|e| StoreError::Backend { message: e.to_string(), retryable: false })
    }

    /// Keeps nothing more of memories that were forgotten here. Those that another process forgets go when they are met.
    pub(crate) async fn forget_all(&self, pool: &SqlitePool, forgotten: &[MemoryId]) {
        let models: Vec<String> = self.models.lock().await.keys().cloned().collect();
        if models.is_empty() {
            return;
        }
        let sql = "SELECT key FROM parkway_memory WHERE id IN (SELECT unhex(value) FROM json_each($1))";
        let query = sqlx::query_scalar(sql).bind(json!(forgotten).to_string());
        let keys: Vec<i64> = match query.fetch_all(pool).await {
            Ok(keys) => keys,
            Err(error) => {
                return tracing::warn!(%error, "the vectors of memories that were forgotten are in memory still");
            }
        };
        for model in &models {
            self.forget(model, &keys).await;
        }
    }

    /// Keeps nothing more of memories that say nothing any more.
    pub(super) async fn forget(&self, model: &str, memories: &[i64]) {
        let Some(model) = self.models.lock().await.get(model).cloned() else { return };
        let mut model = model.lock().await;
        memories.iter().for_each(|memory| model.forget(*memory));
    }
}

impl Model {
    /// Reads what is new.
    async fn catch_up(&mut self, pool: &SqlitePool, name: &str) -> Result<(), StoreError> {
        // By their keys, and not by the index of models: with that all of them are read each time, and put in order.
        let sql = "SELECT vector.key, memory.key, memory.namespace, vector.vector
            FROM parkway_memory_vector AS vector JOIN parkway_memory AS memory ON memory.key = vector.memory
            WHERE vector.key > $1 AND +vector.model = $2 AND memory.namespace IS NOT NULL ORDER BY vector.key LIMIT +$3";
        loop {
            let query = sqlx::query_as(sql).bind(self.read).bind(name).bind(PART);
            let rows: Vec<Row> = query.fetch_all(pool).await.map_err(|e| from_sqlx(&e))?;
            let last = i64::try_from(rows.len()).is_ok_and(|read| read < PART);
            for (row, memory, namespace, bytes) in rows {
                let length = bytes.len() / 4;
                if bytes.is_empty() || bytes.len() % 4 != 0 || (self.length != 0 && self.length != length) {
                    return Err(corrupt("a vector", format!("{} bytes of `{name}`", bytes.len())));
                }
                self.length = length;
                self.put(memory, namespace, &bytes);
                self.read = row;
            }
            if last {
                return Ok(());
            }
        }
    }

    fn put(&mut self, memory: i64, namespace: String, bytes: &[u8]) {
        let numbers = bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        let numbers = whole(&numbers.collect::<Vec<_>>());
        // A memory keeps its namespace.
        if let Some((namespace, place)) = self.places.get(&memory)
            && let Some(shelf) = self.namespaces.get_mut(namespace)
        {
            let at = place * self.length;
            shelf.numbers[at..at + self.length].copy_from_slice(&numbers);
            return;
        }
        let shelf = self.namespaces.entry(namespace.clone()).or_default();
        self.places.insert(memory, (namespace, shelf.keys.len()));
        shelf.keys.push(memory);
        shelf.numbers.extend(numbers);
    }

    fn forget(&mut self, memory: i64) {
        let Some((namespace, place)) = self.places.remove(&memory) else { return };
        let Some(shelf) = self.namespaces.get_mut(&namespace) else { return };
        // The last one takes its place.
        shelf.keys.swap_remove(place);
        let (at, last) = (place * self.length, shelf.keys.len() * self.length);
        shelf.numbers.copy_within(last..last + self.length, at);
        shelf.numbers[last..].fill(0);
        shelf.numbers.truncate(last);
        if let Some(moved) = shelf.keys.get(place) {
            self.places.insert(*moved, (namespace, place));
        }
    }

    fn closest(&self, namespaces: &[String], asked: &[f32], limit: usize) -> Vec<i64> {
        // None has the length of these: nothing is like it.
        if asked.len() != self.length || limit == 0 {
            return Vec::new();
        }
        let asked = whole(asked);
        let shelves = namespaces.iter().filter_map(|namespace| self.namespaces.get(namespace));
        let mut close: Vec<(i32, i64)> = shelves
            .flat_map(|shelf| shelf.keys.iter().zip(shelf.numbers.chunks_exact(self.length)))
            .map(|(key, numbers)| (dot(numbers, &asked), *key))
            .collect();
        let better = |a: &(i32, i64), b: &(i32, i64)| b.cmp(a);
        if close.len() > limit {
            close.select_nth_unstable_by(limit - 1, better);
            close.truncate(limit);
        }
        close.sort_unstable_by(better);
        close.into_iter().map(|(_, key)| key).collect()
    }
}

/// A vector of any length at the length of [`i16::MAX`], in whole numbers.
fn whole(vector: &[f32]) -> Vec<i16> {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    // What is too large for this stays at its ends, and what has no length is 0.
    vector.iter().map(|x| (x / length * f32::from(i16::MAX)).round() as i16).collect()
}

/// At these lengths a sum of any of the products is less than 2^31.
fn dot(a: &[i16], b: &[i16]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}

#[cfg(test)]
mod tests {
    use parkway_core::clock::{Clock as _, SystemClock};
    use parkway_core::engine::{Author, Outside, Services, record_outside};
    use parkway_core::id::WorkerId;
    use parkway_core::log::Channel;
    use parkway_core::memory::{Content, Memory as _, MemoryFilter, NewMemory, Recall};
    use parkway_core::policy::DefaultPolicy;
    use parkway_core::tool::Toolbox;

    use super::*;
    use crate::SqliteStore;

    #[tokio::test]
    async fn the_vector_of_a_forgotten_memory_stays_in_the_process() {
        let clock = Arc::new(SystemClock);
        let store = Arc::new(SqliteStore::in_memory(clock.clone()).await.unwrap());
        let tools = Arc::new(Toolbox::new());
        let services = Services::new(store.clone(), tools, Arc::new(DefaultPolicy), clock.clone(), WorkerId::new("w"));
        let ada = Author::new("ada", Channel::Program);
        let new = NewMemory::new(MemoryId::new(clock.random()), Content::new("shop", "tea"), clock.now());
        let vector = MemoryVector::new("m", vec![1.0, 0.0]);
        record_outside(&services, &ada, &[Outside::Remember(new.clone())]).await.unwrap();
        store.keep_vectors(&[(new.id, vector.clone())]).await.unwrap();
        let mut recall = Recall::new(vec!["shop".into()], "", clock.now());
        recall.vector = Some(vector);
        assert_eq!(store.recall(&recall).await.unwrap().len(), 1);
        let kept = async || {
            let model = store.vectors.models.lock().await["m"].clone();
            let model = model.lock().await;
            (model.places.len(), model.namespaces["shop"].numbers.len())
        };
        assert_eq!(kept().await, (1, 2));
        let content = store.list(&MemoryFilter::default()).await.unwrap()[0].commitment;
        let gone = Outside::Forget { id: new.id, content, note: None };
        record_outside(&services, &ada, &[gone]).await.unwrap();
        assert_eq!(kept().await, (0, 0));
    }

    #[test]
    fn the_closest_come_first_and_only_those_of_the_namespaces() {
        let mut model = Model { length: 9, ..Model::default() };
        let bytes = |numbers: [f32; 9]| numbers.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>();
        let unit = |at: usize, more: f32| {
            let mut numbers = [0.0; 9];
            (numbers[at], numbers[8]) = (1.0, more);
            numbers
        };
        for (key, namespace, numbers) in
            [(1, "a", unit(0, 0.0)), (2, "a", unit(0, 0.5)), (3, "b", unit(0, 0.9)), (4, "a", unit(1, 0.0))]
        {
            model.put(key, namespace.into(), &bytes(numbers));
        }
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let asked = unit(0, 1.0);
        assert_eq!(model.closest(&names(&["a"]), &asked, 9), [2, 1, 4]);
        assert_eq!(model.closest(&names(&["a", "b"]), &asked, 2), [3, 2]);
        assert_eq!(model.closest(&names(&["c"]), &asked, 9), [0; 0]);
        assert_eq!(model.closest(&names(&["a"]), &asked[..8], 9), [0; 0]);
        model.put(1, "a".into(), &bytes(unit(0, 0.8)));
        assert_eq!(model.closest(&names(&["a"]), &asked, 1), [1]);
        // What is gone leaves the others where they are found.
        model.forget(1);
        assert_eq!(model.closest(&names(&["a", "b"]), &asked, 9), [3, 2, 4]);
        model.put(4, "a".into(), &bytes(unit(0, 0.7)));
        assert_eq!(model.closest(&names(&["a"]), &asked, 9), [4, 2]);
        for gone in [4, 4, 2, 7] {
            model.forget(gone);
        }
        assert_eq!(model.closest(&names(&["a"]), &asked, 9), [0; 0]);
        assert!(model.namespaces["a"].numbers.is_empty() && model.places.len() == 1);
    }
}
