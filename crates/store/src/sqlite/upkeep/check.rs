//! Whether a store is what was written to it. It is read piece by piece, each piece for itself, so that a process that writes
//! meanwhile need not wait and its write-ahead log does not grow, and so that memory does not grow with the file.

use std::path::Path;

use parkway_core::id::RunId;
use parkway_core::log::{Codec, Commitment, Payload};
use parkway_core::store::{Message, StoreError};

use super::fold;
use super::report::{Checked, Depth};
use super::source::{Source, size, wal};

/// Rows that are read at once.
pub(super) const PAGE: i64 = 256;
/// Bytes of texts that are read at once, but for a text that alone has more.
const TOGETHER: u64 = 8 << 20;

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
    let part = fold::runs(source, depth, &mut checked).await;
    noted(part, &mut checked)?;
    let part = texts(source, depth, &mut checked).await;
    noted(part, &mut checked)?;
    let part = messages(source, &mut checked).await;
    noted(part, &mut checked)?;
    if depth == Depth::Quick {
        checked
            .unchecked
            .push("indexes against their tables, events, texts, and the runs' states: this was quick".into());
    }
    checked.unchecked.push("texts that no event points to".into());
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

type TextRow = (Vec<u8>, Vec<u8>, String, Vec<u8>, Option<String>);

async fn texts(source: &mut Source, depth: Depth, checked: &mut Checked) -> Result<(), StoreError> {
    let sql = "SELECT commitment, salt, codec, bytes, run.id
        FROM parkway_payload AS payload LEFT JOIN parkway_run AS run ON run.key = payload.run
        WHERE payload.rowid > $1 AND payload.rowid <= $2";
    let mut after = i64::MIN;
    while let Some((last, rows, bytes)) = span(source, after).await? {
        checked.counts.texts += rows;
        checked.counts.text_bytes += bytes;
        if depth == Depth::Full {
            let query = sqlx::query_as(sql).bind(after).bind(last);
            let rows: Vec<TextRow> = query.fetch_all(&mut source.connection).await.map_err(|e| source.told(&e))?;
            for (commitment, salt, codec, bytes, run) in rows {
                if let Err(what) = text(commitment, salt, &codec, bytes) {
                    checked.tell(run.and_then(|run| run.parse().ok()), None, what);
                }
            }
        }
        after = last;
    }
    Ok(())
}

/// The next rows of texts that fit into memory together: the last of them, how many they are, and their bytes.
async fn span(source: &mut Source, after: i64) -> Result<Option<(i64, u64, u64)>, StoreError> {
    // The length of a blob is known without reading it.
    let sql = "SELECT rowid, length(bytes) FROM parkway_payload WHERE rowid > $1 ORDER BY rowid LIMIT $2";
    let query = sqlx::query_as(sql).bind(after).bind(PAGE);
    let rows: Vec<(i64, i64)> = query.fetch_all(&mut source.connection).await.map_err(|e| source.told(&e))?;
    let mut span = None;
    for (row, length) in rows {
        let length = u64::try_from(length).unwrap_or_default();
        let (count, bytes) = span.map_or((0, 0), |(_, count, bytes)| (count, bytes));
        if count > 0 && bytes + length > TOGETHER {
            break;
        }
        span = Some((row, count + 1, bytes + length));
    }
    Ok(span)
}

/// What is wrong with a text.
fn text(commitment: Vec<u8>, salt: Vec<u8>, codec: &str, bytes: Vec<u8>) -> Result<(), String> {
    let wrong = |what: &str| format!("a text has {what}");
    let commitment = <[u8; 32]>::try_from(commitment).map_err(|_| wrong("a commitment of another length"))?;
    let salt = <[u8; 16]>::try_from(salt).map_err(|_| wrong("a salt of another length"))?;
    let codec = Codec::from_name(codec).ok_or_else(|| wrong("a codec that nobody knows"))?;
    Payload::stored(Commitment::from_bytes(commitment), salt, codec, bytes).map(drop).map_err(|e| e.to_string())
}

async fn messages(source: &mut Source, checked: &mut Checked) -> Result<(), StoreError> {
    let sql = "SELECT message.id, body, run.id FROM parkway_message AS message
        LEFT JOIN parkway_run AS run ON run.key = message.run
        WHERE message.id > $1 ORDER BY message.id LIMIT $2";
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
