//! Payloads as rows: the texts of runs, small ones in the row and large ones as blobs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parkway_core::clock::Clock;
use parkway_core::log::Commitment;
use parkway_core::store::StoreError;
use serde_json::json;

use super::blob::{self, LARGE, Name, Tenant, Uses};
use super::error::{corrupt, from_sqlx};
use super::insert::{ROWS, insert, insert_if, inserted};
use super::tx::Tx;

/// A payload that becomes a row.
pub(super) struct Row<'a> {
    pub(super) run: i64,
    pub(super) tenant: &'a str,
    pub(super) text: &'a Text,
}

/// What is kept of a payload.
pub(super) struct Text {
    pub(super) commitment: Commitment,
    pub(super) salt: [u8; 16],
    pub(super) codec: &'static str,
    pub(super) bytes: Arc<[u8]>,
}

/// The tenants whose keys are known.
pub(super) type Tenants = HashMap<String, Tenant>;

/// Writes the payloads that are not there yet. The same commitment is the same salt and text: there is nothing to change.
pub(super) async fn write(
    tx: &mut Tx,
    mut rows: Vec<Row<'_>>,
    tenants: &mut Tenants,
    clock: &dyn Clock,
) -> Result<(), StoreError> {
    let names = name_large(tx, &mut rows, tenants, clock).await?;
    for rows in rows.chunks(ROWS) {
        insert(tx, TABLE, COLUMNS, rows.len(), KNOWN).await?;
        rows.iter().for_each(|row| bind(tx, row, names.get(&row.text.commitment).copied()));
        inserted(tx, rows.len()).await?;
    }
    Ok(())
}

/// Gathers what writes a few small payloads if `condition` holds.
pub(super) fn write_if(tx: &mut Tx, rows: &[Row<'_>], condition: &str) {
    insert_if(tx, TABLE, COLUMNS, rows.len(), condition, KNOWN);
    rows.iter().for_each(|row| bind(tx, row, None));
}

const TABLE: &str = "parkway_payload (run, commitment, salt, codec, bytes, blob)";
const COLUMNS: usize = 6;
const KNOWN: &str = "ON CONFLICT (substr(commitment, 1, 16)) DO NOTHING";

fn bind(tx: &mut Tx, row: &Row<'_>, blob: Option<i64>) {
    let Row { run, text, .. } = row;
    tx.bind(*run).bind(beginning(&text.commitment).to_vec()).bind(text.salt.to_vec());
    tx.bind(text.codec).bind(blob.is_none().then(|| text.bytes.clone())).bind(blob);
}

/// What is kept of a commitment. The whole follows from the salt and the bytes.
pub(super) type Beginning = [u8; 16];

pub(super) fn beginning(commitment: &Commitment) -> Beginning {
    let mut beginning = Beginning::default();
    beginning.copy_from_slice(&commitment.as_bytes()[..16]);
    beginning
}

/// The kept beginning of a commitment; older rows have the whole.
pub(super) fn kept(stored: &[u8]) -> Result<Beginning, StoreError> {
    let beginning = stored.first_chunk().filter(|_| matches!(stored.len(), 16 | 32));
    beginning.copied().ok_or_else(|| corrupt("a commitment", "a blob"))
}

/// Writes the blobs of large payloads, and gives their keys. Takes out payloads that would count twice.
async fn name_large(
    tx: &mut Tx,
    rows: &mut Vec<Row<'_>>,
    tenants: &mut Tenants,
    clock: &dyn Clock,
) -> Result<HashMap<Commitment, i64>, StoreError> {
    let large = |row: &&Row<'_>| row.text.bytes.len() > LARGE;
    let asked: Vec<String> = rows.iter().filter(large).map(|row| row.text.commitment.to_string()).collect();
    if asked.is_empty() {
        return Ok(HashMap::new());
    }
    let mut there = known(tx, &asked).await?;
    rows.retain(|row| !large(&row) || there.insert(beginning(&row.text.commitment)));
    let (mut uses, mut names): (Uses<'_>, Vec<(Commitment, Name)>) = Default::default();
    for row in rows.iter().filter(large) {
        if !tenants.contains_key(row.tenant) {
            tenants.insert(row.tenant.to_owned(), blob::tenant(tx, row.tenant, clock).await?);
        }
        let Some(tenant) = tenants.get(row.tenant) else { continue };
        names.push((row.text.commitment, uses.add(tenant, &row.text.bytes)));
    }
    let keys = uses.write(tx).await?;
    Ok(names.into_iter().filter_map(|(commitment, name)| Some((commitment, *keys.get(&name)?))).collect())
}

/// Which of the commitments, in hex, have a payload.
async fn known(tx: &mut Tx, commitments: &[String]) -> Result<HashSet<Beginning>, StoreError> {
    let sql = "SELECT commitment FROM parkway_payload
        WHERE substr(commitment, 1, 16) IN (SELECT substr(unhex(value), 1, 16) FROM json_each($1))";
    let query = sqlx::query_scalar(sql).bind(json!(commitments).to_string());
    let found: Vec<Vec<u8>> = query.fetch_all(tx.statement().await?).await.map_err(|e| from_sqlx(&e))?;
    found.iter().map(|stored| kept(stored)).collect()
}
