//! Memories against the events that wrote them.

use std::collections::BTreeSet;

use parkway_core::id::{MemoryId, RunId, Seq, Time};
use parkway_core::log::{Codec, Commitment, Event, EventKind, Payload};
use parkway_core::memory::Content;
use parkway_core::store::StoreError;

use sqlx::AssertSqlSafe;

use super::check::PAGE;
use super::report::Checked;
use super::source::Source;
use super::told::Told;
use crate::sqlite::named::named_row;

named_row! {
    /// A memory as the tables have it, with its event and what it says.
    Row {
        key: i64,
        id: Vec<u8>,
        run_id: Option<String>,
        seq: i64,
        content: Vec<u8>,
        namespace: Option<String>,
        subject: Option<String>,
        digest: Option<Vec<u8>>,
        kind: String,
        untrusted: bool,
        secret: bool,
        pinned: bool,
        known: i64,
        valid_from: i64,
        valid_until: Option<i64>,
        expires: Option<i64>,
        forgotten: Option<i64>,
        leaf: Option<i64>,
        body: Option<Vec<u8>>,
        salt: Option<Vec<u8>>,
        bytes: Option<Vec<u8>>,
        text: Option<String>,
    }
}

const ROWS: &str =
    "SELECT memory.*, run.id AS run_id, log.leaf, log.body, payload.salt, coalesce(payload.bytes, blob.bytes) AS bytes,
        indexed.text
    FROM parkway_memory AS memory
        LEFT JOIN parkway_run AS run ON run.key = memory.run
        LEFT JOIN parkway_log AS log ON log.run = run.id AND log.seq = memory.seq
        LEFT JOIN parkway_payload AS payload ON substr(payload.commitment, 1, 16) = memory.content
        LEFT JOIN parkway_blob AS blob ON blob.key = payload.blob
        LEFT JOIN parkway_memory_text AS indexed ON indexed.rowid = memory.key
    WHERE memory.key > $1 ORDER BY memory.key LIMIT +$2";

/// Looks at all memories.
pub(super) async fn memories(source: &mut Source, told: &Told, checked: &mut Checked) -> Result<(), StoreError> {
    let mut after = i64::MIN;
    loop {
        let query = sqlx::query_as(ROWS).bind(after).bind(PAGE);
        let rows: Vec<Row> = query.fetch_all(&mut source.connection).await.map_err(|e| source.told(&e))?;
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { break };
        let supersedes = named(source, "supersession", (first.key, last.key)).await?;
        let contradicts = named(source, "contradiction", (first.key, last.key)).await?;
        after = last.key;
        for row in rows {
            checked.counts.memories += 1;
            let run = row.run_id.as_ref().and_then(|run| run.parse::<RunId>().ok());
            let seq = u64::try_from(row.seq).map(Seq).ok();
            let key = row.key;
            let of = |named: &[(i64, MemoryId)]| {
                named.iter().filter(|(memory, _)| *memory == key).map(|(_, other)| *other).collect()
            };
            let named = Named { supersedes: of(&supersedes), contradicts: of(&contradicts) };
            if let Err(what) = holds(source, row, told, &named).await? {
                checked.tell(run, seq, format!("memory {key}: {what}"));
            }
        }
    }
    if checked.counts.memories != told.written {
        let (there, written) = (checked.counts.memories, told.written);
        checked.problem(format!("there are {there} memories, and by the log {written} were written"));
    }
    let sql = "SELECT count(*) FROM parkway_memory_text WHERE rowid NOT IN
        (SELECT key FROM parkway_memory WHERE forgotten IS NULL)";
    let strange: i64 = sqlx::query_scalar(sql).fetch_one(&mut source.connection).await.map_err(|e| source.told(&e))?;
    if strange > 0 {
        checked.problem(format!("{strange} texts can be found that belong to no memory"));
    }
    if checked.counts.memories > 0 {
        checked.unchecked.push("the vectors of memories, and what a memory is found by beside its own words".into());
    }
    Ok(())
}

/// The others that a memory names, as a table says.
struct Named {
    supersedes: BTreeSet<MemoryId>,
    contradicts: BTreeSet<MemoryId>,
}

/// What memories with keys in this range are said to name.
async fn named(
    source: &mut Source,
    table: &str,
    (first, last): (i64, i64),
) -> Result<Vec<(i64, MemoryId)>, StoreError> {
    let sql = format!(
        "SELECT named.memory, other.id FROM parkway_memory_{table} AS named
            JOIN parkway_memory AS other ON other.key = named.other
        WHERE named.memory BETWEEN $1 AND $2"
    );
    let query = sqlx::query_as(AssertSqlSafe(sql)).bind(first).bind(last);
    let rows: Vec<(i64, Vec<u8>)> = query.fetch_all(&mut source.connection).await.map_err(|e| source.told(&e))?;
    Ok(rows.into_iter().filter_map(|(memory, other)| Some((memory, id(&other)?))).collect())
}

fn id(bytes: &[u8]) -> Option<MemoryId> {
    <[u8; 16]>::try_from(bytes).ok().map(MemoryId::new)
}

/// Whether a memory is what the log says; the inner error tells what is not.
async fn holds(source: &mut Source, row: Row, told: &Told, named: &Named) -> Result<Result<(), String>, StoreError> {
    let event = row.body.as_ref().and_then(|body| Event::from_bytes(body).ok());
    let Some(event) = event else { return Ok(Err("its event is not there, or cannot be read".into())) };
    let EventKind::MemoryWritten {
        id: written,
        content,
        kind,
        from,
        until,
        expires,
        pinned,
        labels,
        supersedes,
        contradicts,
        ..
    } = &event.kind
    else {
        return Ok(Err(format!("its event is {}", event.kind.name())));
    };
    let micros = |time: Option<Time>| time.map(Time::micros);
    let as_written = id(&row.id) == Some(*written)
        && content.as_bytes().starts_with(&row.content)
        && row.content.len() == 16
        && row.kind == kind.as_str()
        && (row.untrusted, row.secret, row.pinned) == (labels.untrusted, labels.secret, *pinned)
        && (row.known, row.valid_from) == (event.at.micros(), from.micros())
        && (row.valid_until, row.expires) == (micros(*until), micros(*expires));
    if !as_written {
        return Ok(Err("it is another one than its event has written".into()));
    }
    let leaf = row.leaf.unwrap_or_default();
    let forgotten = told.forgotten.get(written).filter(|(at, _)| *at > leaf).map(|(_, at)| at.micros());
    if row.forgotten != forgotten {
        return Ok(Err("whether it is forgotten is not what the log says".into()));
    }
    for (what, said, found) in
        [("supersedes", supersedes, &named.supersedes), ("contradicts", contradicts, &named.contradicts)]
    {
        let mut expected = BTreeSet::new();
        for other in said.iter().filter(|other| *other != written) {
            let sql = "SELECT count(*) FROM parkway_memory WHERE id = $1 AND key < $2";
            let query = sqlx::query_scalar(sql).bind(other.as_bytes().to_vec()).bind(row.key);
            let there: i64 = query.fetch_one(&mut source.connection).await.map_err(|e| source.told(&e))?;
            expected.extend((there > 0).then_some(*other));
        }
        if *found != expected {
            return Ok(Err(format!("what it {what} is not what the log says")));
        }
    }
    if forgotten.is_some() {
        let nothing = row.namespace.is_none() && row.subject.is_none() && row.digest.is_none() && row.text.is_none();
        return Ok(if nothing { Ok(()) } else { Err("it is forgotten, and something of it is there".into()) });
    }
    // A text that is wrong is told of where texts are looked at.
    let Some(content) = said_by(*content, row.salt, row.bytes) else { return Ok(Ok(())) };
    let same = row.namespace.as_ref() == Some(&content.namespace)
        && row.subject == content.subject
        && row.digest.as_deref() == Some(&content.digest().as_bytes()[..16])
        && row.text.as_ref() == Some(&content.text);
    Ok(if same { Ok(()) } else { Err("it is found as something else than it says".into()) })
}

fn said_by(commitment: Commitment, salt: Option<Vec<u8>>, bytes: Option<Vec<u8>>) -> Option<Content> {
    let salt = <[u8; 16]>::try_from(salt?).ok()?;
    Payload::stored(commitment, salt, Codec::Json, bytes?).ok()?.value().ok()
}
