//! What the second version of the schema needs and no script can do: hashes of the events that there are, and blobs of the
//! large texts.

use std::collections::HashMap;

use parkway_core::clock::Clock;
use parkway_core::id::RunId;
use parkway_core::log::tree::Frontier;
use parkway_core::log::{Codec, Commitment};
use parkway_core::store::StoreError;

use super::error::{corrupt, from_sqlx};
use super::leaves::{self, Leaf};
use super::payload::{self, Tenants, Text};
use super::tx::Tx;

/// Rows that are in memory at once.
const PART: i64 = 1_024;

/// Removes the tables that the script has put aside.
pub(super) const TAKEN_OVER: &str = "DROP TABLE parkway_event_1; DROP TABLE parkway_payload_1";

/// Copies the tables that the script has put aside into the new ones, and removes them.
pub(super) async fn leaves_and_blobs(tx: &mut Tx, clock: &dyn Clock) -> Result<(), StoreError> {
    copy_events(tx).await?;
    copy_payloads(tx, clock).await?;
    sqlx::raw_sql(TAKEN_OVER).execute(tx.statement().await?).await.map_err(|e| from_sqlx(&e))?;
    Ok(())
}

type EventRow = (i64, i64, i64, Vec<u8>, Option<String>, Option<String>);

async fn copy_events(tx: &mut Tx) -> Result<(), StoreError> {
    let (mut frontier, mut after) = (Frontier::default(), 0);
    loop {
        let sql = "SELECT leaf, old.run, seq, body, run.id, tenant
            FROM parkway_event_1 AS old LEFT JOIN parkway_run AS run ON run.key = old.run
            WHERE leaf > $1 ORDER BY leaf LIMIT +$2";
        let query = sqlx::query_as(sql).bind(after).bind(PART);
        let part: Vec<EventRow> = query.fetch_all(tx.statement().await?).await.map_err(|e| from_sqlx(&e))?;
        let Some((last, ..)) = part.last() else { return Ok(()) };
        after = *last;
        let event = |(leaf, key, seq, body, id, tenant): EventRow| {
            let run = id.and_then(|id| id.parse::<RunId>().ok()).zip(tenant);
            let (run, tenant) = run.ok_or_else(|| corrupt("the run of an event", format!("leaf {leaf}")))?;
            Ok((key, run, tenant, seq, Leaf::new(body)))
        };
        let events: Vec<_> = part.into_iter().map(event).collect::<Result<_, StoreError>>()?;
        let rows: Vec<leaves::Row<'_>> = events
            .iter()
            .map(|(key, run, tenant, seq, leaf)| leaves::Row { key: *key, run: *run, tenant, seq: *seq, leaf })
            .collect();
        leaves::append(tx, &mut frontier, &rows).await?;
    }
}

type PayloadRow = (i64, i64, String, Vec<u8>, Vec<u8>, String, Vec<u8>);

async fn copy_payloads(tx: &mut Tx, clock: &dyn Clock) -> Result<(), StoreError> {
    let (mut tenants, mut after): (Tenants, i64) = (HashMap::new(), 0);
    loop {
        let sql = "SELECT old.rowid, old.run, tenant, commitment, salt, codec, bytes
            FROM parkway_payload_1 AS old JOIN parkway_run AS run ON run.key = old.run
            WHERE old.rowid > $1 ORDER BY old.rowid LIMIT +$2";
        let query = sqlx::query_as(sql).bind(after).bind(PART);
        let part: Vec<PayloadRow> = query.fetch_all(tx.statement().await?).await.map_err(|e| from_sqlx(&e))?;
        let Some((last, ..)) = part.last() else { return Ok(()) };
        after = *last;
        let text = |(_, run, tenant, commitment, salt, codec, bytes): PayloadRow| {
            let commitment = commitment.try_into().map_err(|_| corrupt("a commitment", "a blob"))?;
            let commitment = Commitment::from_bytes(commitment);
            let salt = salt.try_into().map_err(|_| corrupt("the salt of a payload", commitment))?;
            let codec = Codec::from_name(&codec).ok_or_else(|| corrupt("the codec of a payload", &codec))?.as_str();
            Ok((run, tenant, Text { commitment, salt, codec, bytes: bytes.into() }))
        };
        let texts: Vec<(i64, String, Text)> = part.into_iter().map(text).collect::<Result<_, StoreError>>()?;
        let rows = texts.iter().map(|(run, tenant, text)| payload::Row { run: *run, tenant, text });
        payload::write(tx, rows.collect(), &mut tenants, clock).await?;
    }
}
