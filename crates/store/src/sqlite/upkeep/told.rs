//! What the events of all runs say of things that lie beside the runs: texts that are gone, memories.

use std::collections::{HashMap, HashSet};

use parkway_core::id::{MemoryId, RunId, Seq, Time};
use parkway_core::log::{Commitment, Event, EventKind};
use parkway_core::store::StoreError;
use serde_json::json;

use super::report::Checked;
use super::source::Source;

/// What events say. It grows with what was forgotten and erased, not with the log.
#[derive(Default)]
pub(super) struct Told {
    /// How many memories were written.
    pub(super) written: u64,
    /// The first event by which a memory was forgotten: its leaf and its time.
    pub(super) forgotten: HashMap<MemoryId, (i64, Time)>,
    erased: HashSet<Commitment>,
    /// Texts that are not there, and the events that point to them.
    pub(super) missing: Vec<(RunId, Seq, Commitment)>,
}

/// Commitments that are asked for at once.
const TOGETHER: usize = 1_024;

impl Told {
    /// Takes an event in.
    pub(super) fn take(&mut self, leaf: i64, event: &Event) {
        self.erased.extend(event.kind.erased());
        match &event.kind {
            EventKind::MemoryWritten { .. } => self.written += 1,
            EventKind::MemoryForgotten { id, .. } => {
                let first = self.forgotten.entry(*id).or_insert((leaf, event.at));
                if leaf < first.0 {
                    *first = (leaf, event.at);
                }
            }
            _ => {}
        }
    }

    /// Tells of texts that are not there although nothing says that they were erased, and of those that are there although something does.
    pub(super) async fn gone(&self, source: &mut Source, checked: &mut Checked) -> Result<(), StoreError> {
        checked.counts.erased = self.erased.len() as u64;
        for (run, seq, text) in self.missing.iter().filter(|(_, _, text)| !self.erased.contains(text)) {
            checked.tell(Some(*run), Some(*seq), format!("the text {text} that it points to is not there"));
        }
        let erased: Vec<&Commitment> = self.erased.iter().collect();
        for part in erased.chunks(TOGETHER) {
            let sql = match source.schema {
                // The first version has whole commitments, and nothing that was erased.
                1 => return Ok(()),
                _ => {
                    "SELECT value FROM json_each($1) WHERE EXISTS
                        (SELECT 1 FROM parkway_payload WHERE substr(commitment, 1, 16) = substr(unhex(value), 1, 16))"
                }
            };
            let query = sqlx::query_scalar(sql).bind(json!(part).to_string());
            let there: Vec<String> = query.fetch_all(&mut source.connection).await.map_err(|e| source.told(&e))?;
            for text in there {
                checked.problem(format!("the text {text} was erased, and is there"));
            }
        }
        Ok(())
    }
}
