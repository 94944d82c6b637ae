//! Large texts, kept once however many payloads have them. A blob is named by a MAC under its tenant's key, so that nobody
//! can tell from the name what is in it, and no tenant can tell whether another has the same.

use std::collections::HashMap;

use hmac::{Hmac, KeyInit, Mac};
use parkway_core::clock::Clock;
use parkway_core::store::StoreError;
use sha2::Sha256;

use super::error::{corrupt, from_sqlx};
use super::insert::{ROWS, insert};
use super::tx::Tx;

/// The size above which a payload's bytes become a blob. Its row and the index over the MACs take some 110 bytes, which
/// are to be little beside the bytes.
pub(super) const LARGE: usize = 1_024;

/// A tenant's row, and the key that its blobs are named under.
pub(super) struct Tenant {
    key: i64,
    secret: [u8; 32],
}

/// The tenant called `name`, with a new key where it is not known yet.
pub(super) async fn tenant(tx: &mut Tx, name: &str, clock: &dyn Clock) -> Result<Tenant, StoreError> {
    let mut secret = [0; 32];
    secret[..16].copy_from_slice(&clock.random());
    secret[16..].copy_from_slice(&clock.random());
    // The update changes nothing, and makes the row that is there come back.
    let sql = "INSERT INTO parkway_tenant (name, secret) VALUES ($1, $2)
        ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING key, secret";
    let query = sqlx::query_as(sql).bind(name.to_owned()).bind(secret.to_vec());
    let (key, secret): (i64, Vec<u8>) = query.fetch_one(tx.statement().await?).await.map_err(|e| from_sqlx(&e))?;
    let secret = secret.try_into().map_err(|_| corrupt("the key of a tenant", name))?;
    Ok(Tenant { key, secret })
}

/// The name of a blob.
pub(super) type Name = [u8; 32];

impl Tenant {
    /// The tenant of a row.
    pub(super) fn stored(key: i64, secret: Vec<u8>) -> Option<Self> {
        Some(Tenant { key, secret: secret.try_into().ok()? })
    }

    /// The name of `bytes` among this tenant's blobs.
    pub(super) fn name(&self, bytes: &[u8]) -> Name {
        // HMAC fills shorter keys with zeros up to the block of its hash.
        let mut block = [0; 64];
        block[..32].copy_from_slice(&self.secret);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(bytes);
        mac.finalize().into_bytes().into()
    }
}

/// Blobs that more payloads are to name, each with how many.
#[derive(Default)]
pub(super) struct Uses<'a> {
    rows: Vec<(i64, Name, i64, &'a [u8])>,
    places: HashMap<Name, usize>,
}

impl<'a> Uses<'a> {
    /// One more use of the tenant's `bytes`; gives the blob's name.
    pub(super) fn add(&mut self, tenant: &Tenant, bytes: &'a [u8]) -> Name {
        let name = tenant.name(bytes);
        let place = *self.places.entry(name).or_insert(self.rows.len());
        match self.rows.get_mut(place) {
            Some(row) => row.2 += 1,
            None => self.rows.push((tenant.key, name, 1, bytes)),
        }
        name
    }

    /// Writes them, and gives the key of each.
    pub(super) async fn write(&self, tx: &mut Tx) -> Result<HashMap<Name, i64>, StoreError> {
        let mut keys = HashMap::new();
        for rows in self.rows.chunks(ROWS) {
            let then = "ON CONFLICT (mac) DO UPDATE SET uses = uses + excluded.uses RETURNING key, mac";
            // Its rows are to be the only ones that come back.
            tx.done().await?;
            insert(tx, "parkway_blob (tenant, mac, uses, bytes)", 4, rows.len(), then).await?;
            for (tenant, name, uses, bytes) in rows {
                tx.bind(*tenant).bind(name.to_vec()).bind(*uses).bind(bytes.to_vec());
            }
            for (key, name) in tx.fetch::<(i64, Vec<u8>)>().await? {
                keys.insert(name.try_into().map_err(|_| corrupt("the name of a blob", key))?, key);
            }
        }
        Ok(keys)
    }
}
