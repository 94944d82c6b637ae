//! Each run's log: its events without gaps and readable, its state as listings show it, the texts that it points to.

use std::sync::Arc;

use parkway_core::engine::SYSTEM_WORKFLOW;
use parkway_core::id::{RunId, Seq, Time};
use parkway_core::log::tree::leaf_hash;
use parkway_core::log::{Codec, Commitment, Event, EventKind, Payload, RunState, RunStatus};
use parkway_core::store::StoreError;
use parkway_core::workflow::Plan;
use serde_json::{Value, json};

use super::bare::{Bare, other_parent};
use super::check::PAGE;
use super::report::{Checked, Depth};
use super::source::Source;
use super::told::Told;

/// A run as the tables have it at one moment, with how many events it has there.
struct Row {
    id: String,
    tenant: String,
    status: String,
    updated: i64,
    head: i64,
    fence: i64,
    events: i64,
    first: Option<i64>,
    last: Option<i64>,
    parent: Option<String>,
    workflow: String,
    created: i64,
}

type Columns = (i64, String, String, String, i64, i64, i64, i64, Option<i64>, Option<i64>, Option<String>, String, i64);

impl From<Columns> for Row {
    fn from(columns: Columns) -> Self {
        let (_, id, tenant, status, updated, head, fence, events, first, last, parent, workflow, created) = columns;
        Row { id, tenant, status, updated, head, fence, events, first, last, parent, workflow, created }
    }
}

/// The rows after a key. An older version has no column for the parent.
fn rows(schema: u32) -> &'static str {
    match schema {
        1 => {
            "SELECT key, id, tenant, status, updated, head, fence,
                (SELECT count(*) FROM parkway_event WHERE run = key) AS events,
                (SELECT min(seq) FROM parkway_event WHERE run = key) AS first,
                (SELECT max(seq) FROM parkway_event WHERE run = key) AS last, NULL, workflow, created
            FROM parkway_run WHERE key > $1 ORDER BY key LIMIT +$2"
        }
        _ => {
            "SELECT key, id, tenant, status, updated, head, fence,
                (SELECT count(*) FROM parkway_event WHERE run = key) AS events,
                (SELECT min(seq) FROM parkway_event WHERE run = key) AS first,
                (SELECT max(seq) FROM parkway_event WHERE run = key) AS last, parent, workflow, created
            FROM parkway_run WHERE key > $1 ORDER BY key LIMIT +$2"
        }
    }
}

/// Looks at all runs. Gives what their events say of things beside them.
pub(super) async fn runs(source: &mut Source, depth: Depth, checked: &mut Checked) -> Result<Told, StoreError> {
    let (mut after, mut unfolded, mut told) = (i64::MIN, 0, Told::default());
    loop {
        let query = sqlx::query_as(rows(source.schema)).bind(after).bind(PAGE);
        let rows: Vec<Columns> = query.fetch_all(&mut source.connection).await.map_err(|e| source.told(&e))?;
        let Some(columns) = rows.last() else { break };
        after = columns.0;
        for row in rows.into_iter().map(Row::from) {
            let parsed = row.id.parse::<RunId>();
            // What happens outside of runs is no run.
            checked.counts.runs += u64::from(parsed != Ok(RunId::SYSTEM));
            let Ok(run) = parsed else {
                checked.problem(format!("`{}` stands where the id of a run belongs", row.id));
                continue;
            };
            let Some(status) = RunStatus::from_name(&row.status) else {
                checked.tell(Some(run), None, format!("`{}` stands where a status belongs", row.status));
                continue;
            };
            let whole = row.first.unwrap_or(1) == 1 && row.last.unwrap_or(0) == row.head && row.events == row.head;
            if !whole {
                let what = format!(
                    "it has {} events, from {} to {}, and {} belong to it",
                    row.events,
                    row.first.unwrap_or(0),
                    row.last.unwrap_or(0),
                    row.head
                );
                checked.tell(Some(run), None, what);
            }
            if row.head == 0 && status != RunStatus::Pending {
                checked.tell(Some(run), None, format!("it has no events, and is listed as {}", status.as_str()));
            }
            // The id of a run that a step has for itself has the time of the run that it is a part of.
            let (created, named) = (row.created / 1_000, milliseconds(&row.id).unwrap_or_default());
            if created < named || (created != named && row.parent.is_none()) {
                let listed = Time::from_micros(row.created);
                checked.tell(
                    Some(run),
                    None,
                    format!("it is listed as created at {listed}, which its id does not say"),
                );
            }
            match depth {
                Depth::Full => log(source, (run, status, &row, whole), checked, &mut unfolded, &mut told).await?,
                Depth::Quick => checked.counts.events += u64::try_from(row.events).unwrap_or_default(),
            }
        }
    }
    told.gone(source, checked).await?;
    if unfolded > 0 {
        checked.unchecked.push(format!("the states of {unfolded} runs whose plan is not there to be read"));
    }
    Ok(told)
}

/// How far a run's log is folded.
enum Fold {
    /// Nothing was read yet.
    Begin,
    State(Box<RunState>),
    /// It is the log of what happens outside of runs.
    System {
        updated: Time,
    },
    /// It cannot go on; why was said.
    Stopped,
}

/// Reads a run's events up to its head.
async fn log(
    source: &mut Source,
    (run, status, row, whole): (RunId, RunStatus, &Row, bool),
    checked: &mut Checked,
    unfolded: &mut u64,
    told: &mut Told,
) -> Result<(), StoreError> {
    let sql = match source.schema {
        ..3 => {
            "SELECT leaf, seq, hash, body FROM parkway_event
            WHERE run = (SELECT key FROM parkway_run WHERE id = $1) AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT +$4"
        }
        _ => {
            "SELECT leaf, seq, hash, body FROM parkway_log
            WHERE run = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT +$4"
        }
    };
    let mut fold = if whole { Fold::Begin } else { Fold::Stopped };
    let mut bare = whole.then(Bare::default);
    let (mut after, mut leaf, mut fence) = (0, 0, 0);
    loop {
        let query = sqlx::query_as(sql).bind(&row.id).bind(after).bind(row.head).bind(PAGE);
        let events: Vec<(i64, i64, Vec<u8>, Vec<u8>)> =
            query.fetch_all(&mut source.connection).await.map_err(|e| source.told(&e))?;
        let Some((_, seq, ..)) = events.last() else { break };
        after = *seq;
        let mut references = Vec::new();
        for (number, seq, hash, body) in events {
            checked.counts.events += 1;
            let seq = Seq(u64::try_from(seq).unwrap_or_default());
            let mut wrong = |what: String| checked.tell(Some(run), Some(seq), what);
            if number <= leaf {
                wrong(format!("its leaf is {number}, and that of an earlier event {leaf}"));
            }
            leaf = number;
            if !hash.starts_with(leaf_hash(&body).as_bytes()) {
                wrong("its hash is that of other bytes".into());
            }
            let event = match Event::from_bytes(&body) {
                Ok(event) => event,
                // What a newer version has written could say anything of the run. It is looked at by that one.
                Err(e) => {
                    wrong(e.to_string());
                    (fold, bare) = (Fold::Stopped, None);
                    continue;
                }
            };
            if event.run != run || event.seq != seq || event.tenant != row.tenant {
                wrong(format!("it says that it is event {} of run {} of `{}`", event.seq, event.run, event.tenant));
                fold = Fold::Stopped;
            }
            if event.fence.0 < fence || i64::try_from(event.fence.0).is_ok_and(|fence| fence > row.fence) {
                let (held, before) = (row.fence, fence);
                wrong(format!("its fence is {}; the run's is {held}, that of an earlier event {before}", event.fence));
            }
            fence = event.fence.0;
            references.extend(event.texts().into_iter().map(|(_, text)| (seq, text)));
            bare.iter_mut().for_each(|bare| bare.take(&event));
            told.take(number, &event);
            fold = match fold {
                Fold::Begin | Fold::System { .. } if run == RunId::SYSTEM => {
                    if !happens_outside(&event.kind) {
                        let what = format!(
                            "{} is what a run does, and this is the log of what happens outside",
                            event.kind.name()
                        );
                        checked.tell(Some(run), Some(seq), what);
                    }
                    Fold::System { updated: event.at }
                }
                Fold::System { updated } => Fold::System { updated },
                Fold::Begin => begin(source, run, &event, checked, unfolded).await?,
                Fold::State(mut state) => match state.apply(&event) {
                    Ok(()) => Fold::State(state),
                    Err(e) => {
                        checked.tell(Some(run), Some(seq), format!("{} cannot happen there: {}", e.kind, e.why));
                        Fold::Stopped
                    }
                },
                Fold::Stopped => Fold::Stopped,
            };
        }
        missing(source, run, &references, checked, told).await?;
    }
    if let Fold::System { updated } = fold
        && (status != RunStatus::Completed
            || updated.micros() != row.updated
            || row.workflow != SYSTEM_WORKFLOW
            || row.parent.is_some())
    {
        checked.tell(Some(run), None, "the log of what happens outside of runs is listed as something else");
    }
    if let (Fold::Stopped, Some(bare)) = (&fold, &bare) {
        bare.compare(run, (status, row.updated, row.parent.as_deref()), checked);
    }
    if let Fold::State(state) = fold {
        checked.counts.folded += 1;
        if state.status() != status {
            let (listed, folded) = (status.as_str(), state.status().as_str());
            checked.tell(Some(run), None, format!("it is listed as {listed}, and is {folded} by its log"));
        }
        if state.updated().micros() != row.updated {
            let what = format!("its newest event was recorded at {}, and another time is listed", state.updated());
            checked.tell(Some(run), None, what);
        }
        if state.plan().workflow != row.workflow {
            let (listed, said) = (&row.workflow, &state.plan().workflow);
            checked.tell(Some(run), None, format!("it is listed as a run of `{listed}`, and its plan is of `{said}`"));
        }
        let parent = state.parent().map(|parent| parent.run.to_string());
        if parent != row.parent {
            checked.tell(Some(run), None, other_parent(row.parent.as_deref(), parent.as_deref()));
        }
    }
    Ok(())
}

/// The time in a run's id, which is a UUID of version 7.
fn milliseconds(id: &str) -> Option<i64> {
    let digits = format!("{}{}", id.get(..8)?, id.get(9..13)?);
    i64::from_str_radix(&digits, 16).ok()
}

/// The state after the first event, which points to the run's plan.
async fn begin(
    source: &mut Source,
    run: RunId,
    event: &Event,
    checked: &mut Checked,
    unfolded: &mut u64,
) -> Result<Fold, StoreError> {
    let EventKind::RunCreated { plan, .. } = &event.kind else {
        checked.tell(Some(run), Some(event.seq), format!("the log begins with {}", event.kind.name()));
        return Ok(Fold::Stopped);
    };
    let sql = "SELECT salt, codec, ifnull(payload.bytes, blob.bytes)
        FROM parkway_payload AS payload LEFT JOIN parkway_blob AS blob ON blob.key = payload.blob
        WHERE substr(commitment, 1, 16) = substr($1, 1, 16)";
    let query = sqlx::query_as(sql).bind(plan.as_bytes().to_vec());
    let found: Option<(Vec<u8>, String, Option<Vec<u8>>)> =
        query.fetch_optional(&mut source.connection).await.map_err(|e| source.told(&e))?;
    let value = found.and_then(|(salt, codec, bytes)| {
        // What is wrong with the text itself is said where texts are looked at.
        let (salt, codec) = (<[u8; 16]>::try_from(salt).ok()?, Codec::from_name(&codec)?);
        Payload::stored(*plan, salt, codec, bytes?).ok()?.value::<Value>().ok()
    });
    let Some(value) = value else {
        *unfolded += 1;
        return Ok(Fold::Stopped);
    };
    match Plan::from_value(value) {
        Ok(plan) => {
            let mut state = RunState::new(run, Arc::new(plan));
            Ok(match state.apply(event) {
                Ok(()) => Fold::State(Box::new(state)),
                Err(e) => {
                    checked.tell(Some(run), Some(event.seq), format!("{} cannot happen there: {}", e.kind, e.why));
                    Fold::Stopped
                }
            })
        }
        Err(why) => {
            checked.tell(Some(run), Some(event.seq), format!("its plan cannot be read: {why}"));
            Ok(Fold::Stopped)
        }
    }
}

/// Whether it is something that happens outside of runs.
fn happens_outside(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::MemoryWritten { key: None, .. }
            | EventKind::MemoryForgotten { key: None, .. }
            | EventKind::PayloadErased { .. }
            | EventKind::HoldPlaced { .. }
            | EventKind::HoldLifted { .. }
            | EventKind::KeyRotated { .. }
            | EventKind::BackupShredded { .. }
    )
}

/// Notes which of the texts are not there.
async fn missing(
    source: &mut Source,
    run: RunId,
    references: &[(Seq, Commitment)],
    checked: &mut Checked,
    told: &mut Told,
) -> Result<(), StoreError> {
    checked.counts.references += references.len() as u64;
    if references.is_empty() {
        return Ok(());
    }
    let asked: Vec<String> = references.iter().map(|(_, text)| text.to_string()).collect();
    let sql = "SELECT key FROM json_each($1) AS asked
        WHERE NOT EXISTS (SELECT 1 FROM parkway_payload
            WHERE substr(commitment, 1, 16) = substr(unhex(asked.value), 1, 16))";
    let query = sqlx::query_scalar(sql).bind(json!(asked).to_string());
    let lost: Vec<i64> = query.fetch_all(&mut source.connection).await.map_err(|e| source.told(&e))?;
    for place in lost {
        if let Some((seq, text)) = usize::try_from(place).ok().and_then(|place| references.get(place)) {
            told.missing.push((run, *seq, *text));
        }
    }
    Ok(())
}
