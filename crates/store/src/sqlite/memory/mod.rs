//! What agents remember: rows beside the log that commits write, and the ways to find them.

mod find;
mod later;
mod row;
mod vectors;
mod write;

use async_trait::async_trait;
use parkway_core::id::MemoryId;
use parkway_core::memory::{Memory, MemoryFilter, MemoryVector, Recall, Recalled, Remembered};
use parkway_core::store::StoreError;

use super::SqliteStore;
use super::error::from_sqlx;
use super::tx::Tx;
use super::writer::Job;

pub(super) use self::vectors::Vectors;
pub(super) use self::write::{Change, fold, known};

#[async_trait]
impl Memory for SqliteStore {
    async fn recall(&self, recall: &Recall) -> Result<Vec<Recalled>, StoreError> {
        find::recall(&self.readers, &self.vectors, recall).await.map_err(|error| self.writer.told(error))
    }

    async fn list(&self, filter: &MemoryFilter) -> Result<Vec<Remembered>, StoreError> {
        row::list(&self.readers, filter).await.map_err(|error| self.writer.told(error))
    }

    async fn namespaces(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let sql = "SELECT namespace, count(*) FROM parkway_memory WHERE namespace IS NOT NULL GROUP BY namespace";
        let query = sqlx::query_as(sql);
        let found: Vec<(String, i64)> =
            query.fetch_all(&self.readers).await.map_err(|e| self.writer.told(from_sqlx(&e)))?;
        Ok(found.into_iter().map(|(name, count)| (name, u64::try_from(count).unwrap_or_default())).collect())
    }

    async fn without_vector(
        &self,
        model: &str,
        namespace: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Remembered>, StoreError> {
        let lacking = row::without_vector(&self.readers, model, namespace, after, limit).await;
        lacking.map_err(|error| self.writer.told(error))
    }

    async fn keep_vectors(&self, vectors: &[(MemoryId, MemoryVector)]) -> Result<(), StoreError> {
        self.writer.send(|reply| Job::Vectors(vectors.to_vec(), reply)).await
    }
}

/// Keeps vectors, all or none.
pub(super) async fn keep_vectors(
    tx: &mut Tx,
    vectors: &[(MemoryId, MemoryVector)],
) -> Result<Result<(), StoreError>, StoreError> {
    for (id, new) in vectors {
        let sql = "SELECT length(vector) FROM parkway_memory_vector WHERE model = $1 LIMIT 1";
        let query = sqlx::query_scalar(sql).bind(&new.model);
        let known: Option<i64> = query.fetch_optional(tx.statement().await?).await.map_err(|e| from_sqlx(&e))?;
        let bytes: Vec<u8> = new.vector.iter().flat_map(|x| x.to_le_bytes()).collect();
        if bytes.is_empty() || known.is_some_and(|known| usize::try_from(known) != Ok(bytes.len())) {
            let (has, model) = (new.vector.len(), &new.model);
            return Ok(Err(StoreError::Malformed(format!(
                "a vector of `{model}` has {has} numbers, and others of it another count"
            ))));
        }
        tx.gather(
            "INSERT OR REPLACE INTO parkway_memory_vector (memory, model, vector)
            SELECT key, ?, ? FROM parkway_memory WHERE id = ? AND namespace IS NOT NULL",
        );
        tx.bind(new.model.clone()).bind(bytes).bind(id.as_bytes().to_vec());
    }
    tx.done().await?;
    Ok(Ok(()))
}
