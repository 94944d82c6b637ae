//! The tree over all events: leaves without gaps, each with the nodes that it completes.

use parkway_core::id::{Digest, Seq};
use parkway_core::log::tree::Frontier;
use parkway_core::store::StoreError;

use super::check::PAGE;
use super::report::{Checked, Depth};
use super::source::Source;

/// Builds the tree anew from the hashes of the leaves, and holds the stored nodes against it. That the hashes are those of the
/// events is seen where these are read.
pub(super) async fn leaves(source: &mut Source, depth: Depth, checked: &mut Checked) -> Result<(), StoreError> {
    if depth == Depth::Quick {
        let sql = "SELECT count(*), ifnull(min(leaf), 1), ifnull(max(leaf), 0) FROM parkway_event";
        let (count, first, last): (i64, i64, i64) =
            sqlx::query_as(sql).fetch_one(&mut source.connection).await.map_err(|e| source.told(&e))?;
        if first != 1 || last != count {
            checked.problem(format!("there are {count} events, and their leaves are {first} to {last}"));
        }
        return Ok(());
    }
    let sql = "SELECT leaf, seq, hash, run.id FROM parkway_event LEFT JOIN parkway_run AS run ON run.key = run
        WHERE leaf > $1 ORDER BY leaf LIMIT +$2";
    let (mut frontier, mut after) = (Frontier::default(), 0);
    loop {
        let query = sqlx::query_as(sql).bind(after).bind(PAGE);
        let rows: Vec<(i64, i64, Vec<u8>, Option<String>)> =
            query.fetch_all(&mut source.connection).await.map_err(|e| source.told(&e))?;
        let Some((last, ..)) = rows.last() else { return Ok(()) };
        after = *last;
        for (leaf, seq, hash, run) in rows {
            let (run, seq) = (run.and_then(|run| run.parse().ok()), u64::try_from(seq).map(Seq).ok());
            let expected = frontier.size() + 1;
            if u64::try_from(leaf) != Ok(expected) {
                // Every node behind it would be another one.
                checked.tell(run, seq, format!("its leaf is {leaf}, and {expected} is the next; the tree ends there"));
                return Ok(());
            }
            let Some((own, nodes)) = hash.split_first_chunk::<32>() else {
                checked.tell(run, seq, "it has no hash; the tree ends there");
                return Ok(());
            };
            let complete: Vec<u8> =
                frontier.append(Digest::from_bytes(*own)).iter().flat_map(|node| *node.as_bytes()).collect();
            if complete != nodes {
                checked.tell(run, seq, format!("the nodes of the tree that leaf {leaf} completes are others"));
            }
        }
    }
}
