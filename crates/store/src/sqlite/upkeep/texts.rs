//! Each text against its commitment, each blob against its name and the texts that name it.

use parkway_core::log::{Codec, Commitment};
use parkway_core::store::StoreError;

use super::check::PAGE;
use super::report::{Checked, Depth};
use super::source::Source;
use crate::sqlite::blob::Tenant;

/// Bytes that are read at once, but for a text that alone has more.
const TOGETHER: u64 = 8 << 20;

/// Keys and lengths; the length of a blob is known without reading it.
const TEXTS: &str = "SELECT payload.key, ifnull(length(payload.bytes), ifnull(length(blob.bytes), 0))
    FROM parkway_payload AS payload LEFT JOIN parkway_blob AS blob ON blob.key = payload.blob
    WHERE payload.key > $1 ORDER BY payload.key LIMIT +$2";
const BLOBS: &str = "SELECT key, length(bytes) FROM parkway_blob WHERE key > $1 ORDER BY key LIMIT +$2";

type TextRow = (Vec<u8>, Vec<u8>, String, Option<Vec<u8>>, Option<String>);

/// Looks at all texts.
pub(super) async fn texts(source: &mut Source, depth: Depth, checked: &mut Checked) -> Result<(), StoreError> {
    let sql = "SELECT commitment, salt, codec, ifnull(payload.bytes, blob.bytes), run.id
        FROM parkway_payload AS payload LEFT JOIN parkway_blob AS blob ON blob.key = payload.blob
            LEFT JOIN parkway_run AS run ON run.key = payload.run
        WHERE payload.key > $1 AND payload.key <= $2";
    let mut after = i64::MIN;
    while let Some(span) = span(source, TEXTS, after).await? {
        checked.counts.texts += span.rows;
        checked.counts.text_bytes += span.bytes;
        if depth == Depth::Full {
            let query = sqlx::query_as(sql).bind(after).bind(span.last);
            let rows: Vec<TextRow> = query.fetch_all(&mut source.connection).await.map_err(|e| source.told(&e))?;
            for (commitment, salt, codec, bytes, run) in rows {
                if let Err(what) = text(commitment, salt, &codec, bytes) {
                    checked.tell(run.and_then(|run| run.parse().ok()), None, what);
                }
            }
        }
        after = span.last;
    }
    Ok(())
}

/// What is wrong with a text.
fn text(commitment: Vec<u8>, salt: Vec<u8>, codec: &str, bytes: Option<Vec<u8>>) -> Result<(), String> {
    let wrong = |what: &str| format!("a text has {what}");
    if !matches!(commitment.len(), 16 | 32) {
        return Err(wrong("a commitment of another length"));
    }
    let named: String = commitment.iter().map(|byte| format!("{byte:02x}")).collect();
    let salt = <[u8; 16]>::try_from(salt).map_err(|_| wrong("a salt of another length"))?;
    Codec::from_name(codec).ok_or_else(|| wrong("a codec that nobody knows"))?;
    let bytes = bytes.ok_or_else(|| format!("the blob of payload {named} is gone"))?;
    match Commitment::of(&salt, &bytes).as_bytes().starts_with(&commitment) {
        true => Ok(()),
        false => Err(format!("payload {named} was altered: its bytes do not match its commitment")),
    }
}

type BlobRow = (i64, i64, Option<Vec<u8>>, Vec<u8>, Vec<u8>);

/// Looks at all blobs.
pub(super) async fn blobs(source: &mut Source, depth: Depth, checked: &mut Checked) -> Result<(), StoreError> {
    let sql = "SELECT blob.key, blob.tenant, tenant.secret, mac, bytes
        FROM parkway_blob AS blob LEFT JOIN parkway_tenant AS tenant ON tenant.key = blob.tenant
        WHERE blob.key > $1 AND blob.key <= $2";
    let mut after = i64::MIN;
    while let Some(span) = span(source, BLOBS, after).await? {
        checked.counts.blobs += span.rows;
        if depth == Depth::Full {
            let query = sqlx::query_as(sql).bind(after).bind(span.last);
            let rows: Vec<BlobRow> = query.fetch_all(&mut source.connection).await.map_err(|e| source.told(&e))?;
            for (key, tenant, secret, mac, bytes) in rows {
                let named = secret.and_then(|secret| Tenant::stored(tenant, secret)).map(|tenant| tenant.name(&bytes));
                if named.is_none_or(|named| named[..] != mac) {
                    checked.problem(format!("the bytes of blob {key} are not those that it is named after"));
                }
            }
        }
        after = span.last;
    }
    uses(source, checked).await
}

/// That blobs are counted, and named by texts of their own tenant.
async fn uses(source: &mut Source, checked: &mut Checked) -> Result<(), StoreError> {
    let sql = "SELECT key, uses, ifnull(n, 0) FROM parkway_blob LEFT JOIN
            (SELECT blob, count(*) AS n FROM parkway_payload WHERE blob IS NOT NULL GROUP BY blob) AS counted
            ON counted.blob = key
        WHERE uses <> ifnull(n, 0) LIMIT 1000";
    let found: Vec<(i64, i64, i64)> =
        sqlx::query_as(sql).fetch_all(&mut source.connection).await.map_err(|e| source.told(&e))?;
    for (key, uses, texts) in found {
        checked.problem(format!("blob {key} counts {uses} texts, and {texts} name it"));
    }
    let sql = "SELECT run.id, blob.key FROM parkway_payload AS payload JOIN parkway_run AS run ON run.key = payload.run
            JOIN parkway_blob AS blob ON blob.key = payload.blob JOIN parkway_tenant AS tenant ON tenant.key = blob.tenant
        WHERE tenant.name <> run.tenant LIMIT 1000";
    let found: Vec<(String, i64)> =
        sqlx::query_as(sql).fetch_all(&mut source.connection).await.map_err(|e| source.told(&e))?;
    for (run, key) in found {
        checked.tell(run.parse().ok(), None, format!("a text of it is in blob {key}, which is another tenant's"));
    }
    Ok(())
}

/// Rows that fit into memory together.
struct Span {
    last: i64,
    rows: u64,
    bytes: u64,
}

/// The next rows after a key; `sql` gives their keys and lengths.
async fn span(source: &mut Source, sql: &'static str, after: i64) -> Result<Option<Span>, StoreError> {
    let query = sqlx::query_as(sql).bind(after).bind(PAGE);
    let rows: Vec<(i64, i64)> = query.fetch_all(&mut source.connection).await.map_err(|e| source.told(&e))?;
    let mut span: Option<Span> = None;
    for (last, length) in rows {
        let length = u64::try_from(length).unwrap_or_default();
        let (rows, bytes) = span.as_ref().map_or((0, 0), |span| (span.rows, span.bytes));
        if rows > 0 && bytes + length > TOGETHER {
            break;
        }
        span = Some(Span { last, rows: rows + 1, bytes: bytes + length });
    }
    Ok(span)
}
