//! The log as lines of JSON, for who checks it elsewhere. The page on the audit log in the book tells their form.

use std::collections::HashSet;
use std::io::Write;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use parkway_core::audit::{Leaf, SignedHead, hashes};
use parkway_core::id::{RunId, Seq};
use parkway_core::log::{Commitment, proof};
use serde_json::{Value, json};

use super::{AuditLog, Head};
use crate::error::Error;

/// The version of the form.
const VERSION: u64 = 1;
/// Events that are read at once.
const PAGE: u32 = 512;

/// Which events are exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Extent {
    /// All, from the first: an auditor can check everything about them.
    Whole,
    /// Those of one run, each with a proof that it stands in the log.
    Run(RunId),
    /// One event of a run, with its proof.
    Event(RunId, Seq),
}

/// What was exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exported {
    /// Events.
    pub events: u64,
    /// Texts that they point to, each once; those that were erased are not there.
    pub texts: u64,
    /// Signed heads.
    pub heads: u64,
}

impl AuditLog {
    /// Writes events, the texts that they point to, and the heads that prove them.
    ///
    /// # Errors
    ///
    /// `out` or the store fails; of one run, the newest head does not cover all of its events: [`sign`](AuditLog::sign) first.
    pub async fn export(&self, out: &mut (dyn Write + Send), extent: Extent) -> Result<Exported, Error> {
        let mut lines = Lines { log: self, out, seen: HashSet::new(), done: Exported::default() };
        let (origin, whole) = (self.origin().await?, extent == Extent::Whole);
        lines.line(&json!({ "parkway_audit": VERSION, "origin": origin, "whole": whole }))?;
        match extent {
            Extent::Whole => lines.whole().await?,
            Extent::Run(run) => lines.run(run, Seq(0), u64::MAX).await?,
            Extent::Event(run, seq) => {
                lines.run(run, Seq(seq.0.saturating_sub(1)), 1).await?;
                if lines.done.events == 0 {
                    return Err(Error::Audit(format!("run {run} has no event {seq}")));
                }
            }
        }
        lines.line(&json!({ "end": lines.done.events.to_string() }))?;
        lines.out.flush().map_err(|e| unwritten(&e))?;
        Ok(lines.done)
    }
}

fn unwritten(error: &std::io::Error) -> Error {
    Error::Audit(format!("the export cannot be written: {error}"))
}

struct Lines<'a> {
    log: &'a AuditLog,
    out: &'a mut (dyn Write + Send),
    /// Texts that were written.
    seen: HashSet<Commitment>,
    done: Exported,
}

impl Lines<'_> {
    fn line(&mut self, line: &Value) -> Result<(), Error> {
        writeln!(self.out, "{line}").map_err(|e| unwritten(&e))
    }

    async fn whole(&mut self) -> Result<(), Error> {
        let audit = self.log.store.audit();
        // What is appended meanwhile is for the next export: each event up to this size is there, and each head.
        let size = audit.tree().await?.size;
        let mut heads = audit.heads(0, PAGE).await?.into_iter().peekable();
        let (mut at, mut above) = (0, 0);
        while at < size {
            let mut leaves = audit.leaves(at, PAGE).await?;
            leaves.retain(|leaf| leaf.index < size);
            let Some(last) = leaves.last() else { break };
            at = last.index + 1;
            let texts = self.texts(&leaves).await?;
            for (leaf, texts) in leaves.iter().zip(texts) {
                self.event(leaf, None, &texts)?;
                while let Some(head) = heads.next_if(|head| head.head.size == leaf.index + 1) {
                    above = head.head.size;
                    self.line(&json!({ "head": head.note }))?;
                    self.done.heads += 1;
                }
                if heads.peek().is_none() {
                    heads = audit.heads(above.max(leaf.index + 1), PAGE).await?.into_iter().peekable();
                }
            }
        }
        Ok(())
    }

    /// At most so many events of a run behind `after`.
    async fn run(&mut self, run: RunId, mut after: Seq, mut most: u64) -> Result<(), Error> {
        let audit = self.log.store.audit();
        let unsigned = |what: &str| Error::Audit(format!("{what}: sign the log first (`parkway audit head`)"));
        let Some(head) = audit.newest_head().await? else { return Err(unsigned("nothing of the log is signed")) };
        self.line(&json!({ "head": head.note }))?;
        self.done.heads += 1;
        loop {
            let leaves = audit.leaves_of(run, after, PAGE.min(u32::try_from(most).unwrap_or(PAGE))).await?;
            let Some(last) = leaves.last() else { return Ok(()) };
            (after, most) = (last.seq, most - leaves.len() as u64);
            let texts = self.texts(&leaves).await?;
            for (leaf, texts) in leaves.iter().zip(texts) {
                let Some(path) = proof::inclusion(leaf.index, head.head.size) else {
                    return Err(unsigned(&format!("event {} of run {run} is newer than the newest head", leaf.seq)));
                };
                let path = hashes(audit, &path).await?;
                let path = path.iter().map(|hash| BASE64_STANDARD.encode(hash.as_bytes())).collect();
                self.event(leaf, Some(path), &texts)?;
            }
        }
    }

    /// The texts that these events point to and that were not written yet, event by event.
    async fn texts(&mut self, leaves: &[Leaf]) -> Result<Vec<Vec<Value>>, Error> {
        let mut wanted = Vec::with_capacity(leaves.len());
        for leaf in leaves {
            let event: Value = serde_json::from_slice(&leaf.bytes).unwrap_or_default();
            let mut new = Commitment::within(&event["kind"]);
            new.retain(|text| self.seen.insert(*text));
            wanted.push(new);
        }
        let all: Vec<Commitment> = wanted.iter().flatten().copied().collect();
        let mut found = self.log.store.payloads(&all).await?.into_iter();
        let mut texts = Vec::with_capacity(leaves.len());
        for wanted in &wanted {
            let here = found.by_ref().take(wanted.len()).flatten();
            let text = |payload: parkway_core::log::Payload| {
                json!({
                    "payload": payload.commitment.to_string(),
                    "salt": hex::encode(payload.salt),
                    "bytes": String::from_utf8_lossy(&payload.bytes),
                })
            };
            texts.push(here.map(text).collect());
        }
        Ok(texts)
    }

    fn event(&mut self, leaf: &Leaf, proof: Option<Vec<String>>, texts: &[Value]) -> Result<(), Error> {
        let mut line = json!({ "leaf": leaf.index.to_string(), "event": String::from_utf8_lossy(&leaf.bytes) });
        if let Some(proof) = proof {
            line["proof"] = json!(proof);
        }
        self.line(&line)?;
        self.done.events += 1;
        texts.iter().try_for_each(|text| self.line(text))?;
        self.done.texts += texts.len() as u64;
        Ok(())
    }
}

/// A head as its note says it, which must be what the store says of it.
fn read(kept: &SignedHead) -> Result<Head, String> {
    let head: Head = kept.note.parse()?;
    match head.size == kept.head.size && head.root == *kept.head.root.as_bytes() {
        true => Ok(head),
        false => Err("the store says something else of it than its note".into()),
    }
}

impl AuditLog {
    /// The heads that are kept, smallest first, as they are: a note that cannot be read is told.
    pub(super) async fn kept_heads(&self) -> Result<Vec<(u64, Result<Head, String>)>, Error> {
        let (mut all, mut above) = (Vec::new(), None);
        loop {
            let page = self.store.audit().heads(above.unwrap_or(0), PAGE).await?;
            let Some(last) = page.last() else { return Ok(all) };
            above = Some(last.head.size);
            all.extend(page.iter().map(|kept| (kept.head.size, read(kept))));
        }
    }
}
