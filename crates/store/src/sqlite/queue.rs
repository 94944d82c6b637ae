//! Who may go on with a run: claims, renewals, releases and signals, each in the writer's transaction. The inner result is
//! the answer, the outer one fails the transaction.

use std::collections::{BTreeMap, HashMap};

use parkway_core::id::{Fence, RunId, Time};
use parkway_core::log::RunStatus;
use parkway_core::store::{Claim, Lease, MessageId, OutboxId, Released, StoreError};
use serde_json::json;

use super::error::{corrupt, from_sqlx};
use super::owner::Owners;
use super::tx::Tx;

type Answer<T> = Result<Result<T, StoreError>, StoreError>;

/// A run that the next worker may have: nobody's and called for, or of somebody whose lease has run out.
const ANY: &str = "SELECT key, id, fence FROM parkway_run AS run
    WHERE status IN ('pending', 'running', 'waiting') AND CASE
        WHEN owner IS NOT NULL THEN lease_until <= $1
        ELSE wake <= $1 OR EXISTS (SELECT 1 FROM parkway_message AS message WHERE message.run = run.key)
    END
    ORDER BY created, id LIMIT 1";
const ONE: &str = "SELECT key, id, fence FROM parkway_run
    WHERE id = $2 AND CASE
        WHEN status IN ('pending', 'running', 'waiting') THEN owner IS NULL OR lease_until <= $1
        ELSE $3
    END";

pub(super) async fn claim(tx: &mut Tx, claim: &Claim, now: Time, owners: &Owners) -> Answer<Option<Lease>> {
    bury(tx, claim.run, now, owners).await?;
    let query = match claim.run {
        Some(run) => sqlx::query_as(ONE).bind(now.micros()).bind(run.to_string()).bind(claim.ended),
        None => sqlx::query_as(ANY).bind(now.micros()),
    };
    let found: Option<(i64, String, i64)> =
        query.fetch_optional(tx.statement().await?).await.map_err(|e| from_sqlx(&e))?;
    let Some((key, id, fence)) = found else { return Ok(Ok(None)) };
    let fence = fence + 1;
    sqlx::query("UPDATE parkway_run SET owner = $1, fence = $2, lease_until = $3 WHERE key = $4")
        .bind(claim.worker.as_str().to_owned())
        .bind(fence)
        .bind(now.after(claim.lease).micros())
        .bind(key)
        .execute(tx.statement().await?)
        .await
        .map_err(|e| from_sqlx(&e))?;
    let run = id.parse().map_err(|_| corrupt("a run id", &id))?;
    let fence = Fence(u64::try_from(fence).map_err(|_| corrupt("a fence", fence))?);
    Ok(Ok(Some(Lease { run, worker: claim.worker.clone(), fence })))
}

/// Ends the leases of owners that have died, of `run` or of all runs.
async fn bury(tx: &mut Tx, run: Option<RunId>, now: Time, owners: &Owners) -> Result<(), StoreError> {
    let sql = "SELECT DISTINCT owner FROM parkway_run
        WHERE status IN ('pending', 'running', 'waiting') AND owner IS NOT NULL AND lease_until > $1
          AND ($2 IS NULL OR id = $2)";
    let query = sqlx::query_scalar(sql).bind(now.micros()).bind(run.map(|run| run.to_string()));
    let holders: Vec<String> = query.fetch_all(tx.statement().await?).await.map_err(|e| from_sqlx(&e))?;
    for dead in holders.into_iter().filter(|owner| !owners.alive(owner)) {
        sqlx::query("UPDATE parkway_run SET lease_until = $1 WHERE owner = $2 AND lease_until > $1")
            .bind(now.micros())
            .bind(dead)
            .execute(tx.statement().await?)
            .await
            .map_err(|e| from_sqlx(&e))?;
    }
    Ok(())
}

/// Renews leases until these times, and gives an answer for each: the runs of a process are renewed at the same moment.
pub(super) async fn renew(tx: &mut Tx, leases: &[(&Lease, Time)]) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    let holders = holders(tx, leases.iter().map(|(lease, _)| *lease)).await?;
    let held: Vec<_> = leases.iter().map(|(lease, _)| held(&holders, lease)).collect();
    let renewed =
        |(held, (_, until)): (&Result<&Holder, _>, &(_, Time))| Some((held.as_ref().ok()?.key, until.micros()));
    // Of two renewals of one lease the later one counts.
    let renewed: BTreeMap<i64, i64> = held.iter().zip(leases).filter_map(renewed).collect();
    if !renewed.is_empty() {
        let sql = "UPDATE parkway_run SET lease_until = new.value ->> 1
            FROM json_each(?) AS new WHERE parkway_run.key = new.value ->> 0";
        tx.gather(sql).bind(json!(Vec::from_iter(renewed)).to_string());
        tx.done().await?;
    }
    Ok(held.into_iter().map(|held| held.map(|_| ())).collect())
}

pub(super) async fn release(tx: &mut Tx, lease: &Lease, wake: Option<Time>) -> Answer<Released> {
    let holders = holders(tx, [lease].into_iter()).await?;
    let &Holder { key, ended, .. } = match held(&holders, lease) {
        Ok(holder) => holder,
        Err(e) => return Ok(Err(e)),
    };
    let sql = "UPDATE parkway_run SET owner = NULL, lease_until = 0, wake = $1
        WHERE key = $2 AND ($3 OR NOT EXISTS (SELECT 1 FROM parkway_message WHERE run = $2))";
    let query = sqlx::query(sql).bind(wake.map(Time::micros)).bind(key).bind(ended);
    let freed = query.execute(tx.statement().await?).await.map_err(|e| from_sqlx(&e))?.rows_affected();
    Ok(Ok(if freed == 1 { Released::Free } else { Released::Unread }))
}

/// A run and who holds it.
struct Holder {
    key: i64,
    ended: bool,
    owner: Option<String>,
    fence: i64,
}

/// Who holds the runs of these leases, of those that there are.
async fn holders(tx: &mut Tx, leases: impl Iterator<Item = &Lease>) -> Result<HashMap<String, Holder>, StoreError> {
    let runs: Vec<String> = leases.map(|lease| lease.run.to_string()).collect();
    let sql = "SELECT id, key, status, owner, fence FROM parkway_run WHERE id IN (SELECT value FROM json_each(?))";
    tx.gather(sql).bind(json!(runs).to_string());
    let rows: Vec<(String, i64, String, Option<String>, i64)> = tx.fetch().await?;
    let holder = |(id, key, status, owner, fence): (_, _, String, _, _)| {
        let ended = RunStatus::from_name(&status).ok_or_else(|| corrupt("a status", &status))?.ended();
        Ok((id, Holder { key, ended, owner, fence }))
    };
    rows.into_iter().map(holder).collect()
}

/// The holder, if that is who has the lease.
fn held<'a>(holders: &'a HashMap<String, Holder>, lease: &Lease) -> Result<&'a Holder, StoreError> {
    let holder = holders.get(&lease.run.to_string()).ok_or(StoreError::NoRun(lease.run))?;
    let same =
        holder.owner.as_deref() == Some(lease.worker.as_str()) && u64::try_from(holder.fence) == Ok(lease.fence.0);
    if same { Ok(holder) } else { Err(StoreError::Fenced { run: lease.run }) }
}

pub(super) async fn signal(tx: &mut Tx, run: RunId, body: &str, now: Time) -> Answer<MessageId> {
    let sql = "INSERT INTO parkway_message (run, at, body)
        SELECT key, $2, $3 FROM parkway_run WHERE id = $1 RETURNING id";
    let query = sqlx::query_scalar(sql).bind(run.to_string()).bind(now.micros()).bind(body.to_owned());
    let id: Option<i64> = query.fetch_optional(tx.statement().await?).await.map_err(|e| from_sqlx(&e))?;
    let Some(id) = id else { return Ok(Err(StoreError::NoRun(run))) };
    Ok(Ok(MessageId(u64::try_from(id).map_err(|_| corrupt("a message number", id))?)))
}

pub(super) async fn delivered(tx: &mut Tx, entries: &[OutboxId]) -> Result<(), StoreError> {
    let entries: Vec<u64> = entries.iter().map(|entry| entry.0).collect();
    let sql = "DELETE FROM parkway_outbox WHERE id IN (SELECT value FROM json_each($1))";
    let query = sqlx::query(sql).bind(serde_json::json!(entries).to_string());
    query.execute(tx.statement().await?).await.map_err(|e| from_sqlx(&e))?;
    Ok(())
}
