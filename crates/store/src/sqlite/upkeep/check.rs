//! Whether a store is what was written to it. It is read piece by piece, each piece for itself, so that a process that writes
//! meanwhile need not wait and its write-ahead log does not grow, and so that memory does not grow with the file.

use std::path::Path;

use parkway_core::id::RunId;
use parkway_core::store::{Message, StoreError};

use super::fold;
use super::memories;
use super::report::{Checked, Depth};
use super::source::{Source, size, wal};
use super::{schema, texts, tree};
use crate::sqlite::schema::newest;

/// Rows that are read at once.
pub(super) const PAGE: i64 = 256;

/// Looks at the store at `path`, which others may be using, and changes nothing.
///
/// First SQLite's own checks of its structure; then each run's events, without gaps and readable, its log folded and held
/// against what listings show, the texts that it points to; each text against its commitment; each message.
///
/// # Errors
///
/// There is no such file, it is no store, a newer version wrote it, or it cannot be read at all. Damage that leaves something
/// to be read is no error but a [`Problem`](super::Problem).
pub async fn check(path: &Path, depth: Depth) -> Result<Checked, StoreError> {
    let mut source = Source::open(path, true).await?;
    let looked = look(&mut source, depth).await;
    source.close().await?;
    looked
}

async fn look(source: &mut Source, depth: Depth) -> Result<Checked, StoreError> {
    let mut checked = Checked {
        schema: source.schema,
        file_bytes: size(&source.path),
        wal_bytes: size(&wal(&source.path)),
        ..Checked::default()
    };
    if source.frozen {
        checked.unchecked.push("what others write meanwhile: the file cannot be locked here".into());
    }
    let part = structure(source, depth, &mut checked).await;
    noted(part, &mut checked)?;
    let part = foreign_keys(source, &mut checked).await;
    noted(part, &mut checked)?;
    if depth == Depth::Full {
        let part = schema::parts(source, &mut checked).await;
        noted(part, &mut checked)?;
    }
    // What the first version has written is laid out differently, and is brought up to date when a store is opened.
    let older = source.schema < 2;
    let depth = if older { Depth::Quick } else { depth };
    let told = match fold::runs(source, depth, &mut checked).await {
        Ok(told) => Some(told),
        Err(e) => noted(Err(e), &mut checked).map(|()| None)?,
    };
    let part = messages(source, &mut checked).await;
    noted(part, &mut checked)?;
    if older {
        let what = format!(
            "events, texts and the runs' states: they have the form of version {}, and get that of {} when the store is opened",
            source.schema,
            newest()
        );
        checked.unchecked.push(what);
        return Ok(checked);
    }
    let part = tree::leaves(source, depth, &mut checked).await;
    noted(part, &mut checked)?;
    let part = texts::texts(source, depth, &mut checked).await;
    noted(part, &mut checked)?;
    let part = texts::blobs(source, depth, &mut checked).await;
    noted(part, &mut checked)?;
    let part = outbox(source, &mut checked).await;
    noted(part, &mut checked)?;
    if source.schema == 5 {
        let newest = newest();
        checked.unchecked.push(format!(
            "memories: they have the form of version 5, and get that of {newest} when the store is opened"
        ));
    }
    if let Some(told) = told.filter(|_| source.schema >= 6 && depth == Depth::Full) {
        let part = memories::memories(source, &told, &mut checked).await;
        noted(part, &mut checked)?;
    }
    let part = snapshots(source, &mut checked).await;
    noted(part, &mut checked)?;
    if depth == Depth::Quick {
        let what = "indexes against their tables, events and their tree, texts, memories, and the runs' states: this was quick";
        checked.unchecked.push(what.into());
    }
    checked.unchecked.push("texts that no event points to, and what snapshots say".into());
    Ok(checked)
}

/// A part of the file that cannot be read is a problem, and does not keep the others from being looked at.
fn noted(part: Result<(), StoreError>, checked: &mut Checked) -> Result<(), StoreError> {
    match part {
        Err(StoreError::Corrupt(what)) => {
            checked.problem(what);
            Ok(())
        }
        part => part,
    }
}

async fn structure(source: &mut Source, depth: Depth, checked: &mut Checked) -> Result<(), StoreError> {
    let sql = match depth {
        Depth::Full => "PRAGMA integrity_check(100)",
        Depth::Quick => "PRAGMA quick_check(100)",
    };
    let query = sqlx::query_scalar(sql);
    let found: Vec<String> = query.fetch_all(&mut source.connection).await.map_err(|e| source.told(&e))?;
    for text in found.iter().filter(|text| *text != "ok") {
        checked.problem(format!("the file's structure: {text}"));
    }
    Ok(())
}

async fn foreign_keys(source: &mut Source, checked: &mut Checked) -> Result<(), StoreError> {
    let sql = "SELECT \"table\", rowid, \"parent\" FROM pragma_foreign_key_check LIMIT 1000";
    let query = sqlx::query_as(sql);
    let found: Vec<(String, Option<i64>, String)> =
        query.fetch_all(&mut source.connection).await.map_err(|e| source.told(&e))?;
    for (table, row, parent) in found {
        let row = row.map_or_else(|| "a row".to_owned(), |row| format!("row {row}"));
        checked.problem(format!("{row} of {table} belongs to something that is not in {parent}"));
    }
    Ok(())
}

async fn messages(source: &mut Source, checked: &mut Checked) -> Result<(), StoreError> {
    let sql = "SELECT message.id, body, run.id FROM parkway_message AS message
        LEFT JOIN parkway_run AS run ON run.key = message.run
        WHERE message.id > $1 ORDER BY message.id LIMIT +$2";
    let (mut last, mut newer) = (0, 0);
    loop {
        let query = sqlx::query_as(sql).bind(last).bind(PAGE);
        let rows: Vec<(i64, String, Option<String>)> =
            query.fetch_all(&mut source.connection).await.map_err(|e| source.told(&e))?;
        let Some((id, ..)) = rows.last() else { break };
        last = *id;
        for (id, body, run) in rows {
            checked.counts.messages += 1;
            let run = run.and_then(|run| run.parse::<RunId>().ok());
            match serde_json::from_str(&body) {
                Ok(Message::Unknown) => newer += 1,
                Ok(_) => {}
                Err(e) => checked.tell(run, None, format!("message {id} cannot be read: {e}")),
            }
        }
    }
    if newer > 0 {
        checked.unchecked.push(format!("{newer} messages that a newer version has sent"));
    }
    Ok(())
}

async fn outbox(source: &mut Source, checked: &mut Checked) -> Result<(), StoreError> {
    let sql = "SELECT id, body FROM parkway_outbox WHERE id > $1 ORDER BY id LIMIT +$2";
    let mut last = 0;
    loop {
        let query = sqlx::query_as(sql).bind(last).bind(PAGE);
        let rows: Vec<(i64, String)> = query.fetch_all(&mut source.connection).await.map_err(|e| source.told(&e))?;
        let Some((id, _)) = rows.last() else { return Ok(()) };
        last = *id;
        for (id, body) in rows {
            checked.counts.outbox += 1;
            if let Err(e) = serde_json::from_str::<serde_json::Value>(&body) {
                checked.problem(format!("outbox entry {id} cannot be read: {e}"));
            }
        }
    }
}

async fn snapshots(source: &mut Source, checked: &mut Checked) -> Result<(), StoreError> {
    let sql = "SELECT run.id, seq, head FROM parkway_snapshot JOIN parkway_run AS run ON run.key = run
        WHERE seq > head LIMIT 1000";
    let found: Vec<(String, i64, i64)> =
        sqlx::query_as(sql).fetch_all(&mut source.connection).await.map_err(|e| source.told(&e))?;
    for (run, seq, head) in found {
        let what = format!("its snapshot is of event {seq}, and it has {head}; a snapshot may be deleted at any time");
        checked.tell(run.parse().ok(), None, what);
    }
    Ok(())
}
