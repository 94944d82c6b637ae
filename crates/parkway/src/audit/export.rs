//! The log as lines of JSON, for who checks it elsewhere. The page on the audit log in the book tells their form.

use std::collections::HashSet;
use std::io::Write;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use parkway_core::audit::{Leaf, SignedHead, hashes};
use parkway_core::id::{RunId, Seq};
use parkway_core::log::{Commitment, Event, proof};
use serde_json::{Value, json};

use super::AuditLog;
use crate::error::Error;

/// The version of the form.
const VERSION: u64 = 1;
/// Events that are read at once.
const PAGE: u32 = 64;

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
    /// Writes events, as far as the newest head covers them, the texts that they point to, and the heads that prove them.
    ///
    /// # Errors
    ///
    /// `out` or the store fails, or nothing of what is asked for is signed: [`sign`](AuditLog::sign) first.
    pub async fn export(&self, out: &mut (dyn Write + Send), extent: Extent) -> Result<Exported, Error> {
        let mut lines = Lines { log: self, out, seen: HashSet::new(), done: Exported::default() };
        let (origin, whole) = (self.origin().await?, extent == Extent::Whole);
        lines.line(&json!({ "parkway_audit": VERSION, "origin": origin, "whole": whole }))?;
        let asked = match extent {
            Extent::Whole => {
                lines.whole().await?;
                "the log has no event".to_owned()
            }
            Extent::Run(run) => {
                lines.run(run, Seq(1), u64::MAX).await?;
                format!("no event of run {run} is signed yet: sign the log first (`parkway audit head`)")
            }
            Extent::Event(run, seq) => {
                lines.run(run, seq, 1).await?;
                format!("run {run} has no event {seq} that is signed")
            }
        };
        if lines.done.events == 0 {
            return Err(Error::Audit(asked));
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

    /// All events that the newest head covers, each head behind the last event that it covers.
    async fn whole(&mut self) -> Result<(), Error> {
        let audit = self.log.store.audit();
        let size = self.newest().await?.head.size;
        let mut at = 0;
        while at < size {
            let leaves = audit.leaves(at, PAGE).await?;
            let Some(last) = leaves.last() else { break };
            let mut heads = audit.heads(at, PAGE).await?.into_iter().peekable();
            at = last.index + 1;
            let texts = self.texts(&leaves).await?;
            for (leaf, texts) in leaves.iter().zip(texts).filter(|(leaf, _)| leaf.index < size) {
                self.event(leaf, None, &texts)?;
                if let Some(head) = heads.next_if(|head| head.head.size == leaf.index + 1) {
                    self.head(&head)?;
                }
            }
        }
        Ok(())
    }

    /// At most so many events of a run from number `from` on, as far as the newest head covers them.
    async fn run(&mut self, run: RunId, from: Seq, most: u64) -> Result<(), Error> {
        let audit = self.log.store.audit();
        let head = self.newest().await?;
        self.head(&head)?;
        let (mut next, mut left) = (from, most);
        loop {
            let page = PAGE.min(u32::try_from(left).unwrap_or(PAGE));
            let leaves = audit.leaves_of(run, Seq(next.0.saturating_sub(1)), page).await?;
            let texts = self.texts(&leaves).await?;
            for (leaf, texts) in leaves.iter().zip(texts) {
                // What is newer than the head, and what is not the event that was asked for, ends it.
                let path = proof::inclusion(leaf.index, head.head.size).filter(|_| leaf.seq == next);
                let Some(path) = path else { return Ok(()) };
                let path = hashes(audit, &path).await?;
                let path = path.iter().map(|hash| BASE64_STANDARD.encode(hash.as_bytes())).collect();
                self.event(leaf, Some(path), &texts)?;
                (next, left) = (next.next(), left - 1);
            }
            if leaves.is_empty() || left == 0 {
                return Ok(());
            }
        }
    }

    async fn newest(&self) -> Result<SignedHead, Error> {
        let newest = self.log.store.audit().newest_head().await?;
        newest.ok_or_else(|| Error::Audit("nothing of the log is signed: sign it first (`parkway audit head`)".into()))
    }

    fn head(&mut self, head: &SignedHead) -> Result<(), Error> {
        self.done.heads += 1;
        self.line(&json!({ "head": head.note }))
    }

    /// The texts that these events point to and that were not written yet, event by event.
    async fn texts(&mut self, leaves: &[Leaf]) -> Result<Vec<Vec<Value>>, Error> {
        let mut wanted = Vec::with_capacity(leaves.len());
        for leaf in leaves {
            // What cannot be read is exported as it is, and points to nothing.
            let texts = Event::from_bytes(&leaf.bytes).map(|event| event.texts()).unwrap_or_default();
            let new = texts.into_iter().map(|(_, text)| text).filter(|text| self.seen.insert(*text));
            wanted.push(new.collect::<Vec<_>>());
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
