//! Memories as lines of JSON, to be taken elsewhere and back.

use std::collections::HashSet;
use std::io::{BufRead, Write};

use parkway_core::id::{MemoryId, Time};
use parkway_core::label::Labels;
use serde::{Deserialize, Serialize};

use super::{Author, Content, Memories, MemoryFilter, MemoryKind, NewMemory};
use crate::error::Error;

/// A line. What is said only for the reader is passed over when it is read.
#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<MemoryId>,
    namespace: String,
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(default)]
    kind: MemoryKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<Time>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pinned: bool,
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    labels: Labels,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    known: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<String>,
}

/// What came of reading lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// Memories that were written.
    pub written: u64,
    /// Lines that say what was known already.
    pub known: u64,
}

/// Lines that are read before they are written.
const PART: usize = 1_024;
/// The longest line.
const LONGEST: usize = 1 << 20;

impl Memories {
    /// Writes memories as lines of JSON, oldest first. Gives how many.
    ///
    /// # Errors
    ///
    /// `out` or the store fails.
    pub async fn export(&self, out: &mut (dyn Write + Send), mut filter: MemoryFilter) -> Result<u64, Error> {
        let unwritten = |e: &dyn std::fmt::Display| Error::Memory(format!("the memories cannot be written: {e}"));
        let mut count = 0;
        filter.limit = 1_000;
        loop {
            let page = self.list(&filter).await?;
            let Some(last) = page.last() else { break };
            filter.after = last.number;
            for memory in page {
                let Some(content) = memory.content else { continue };
                let until = memory.superseded.map(|superseded| superseded.from).into_iter().chain(memory.until).min();
                let line = Line {
                    id: Some(memory.id),
                    namespace: content.namespace,
                    text: content.text,
                    subject: content.subject,
                    kind: memory.kind,
                    from: Some(memory.from),
                    until,
                    expires: memory.expires,
                    pinned: memory.pinned,
                    labels: memory.labels,
                    known: Some(memory.known),
                    run: Some(memory.run.to_string()),
                };
                let line = serde_json::to_string(&line).map_err(|e| unwritten(&e))?;
                writeln!(out, "{line}").map_err(|e| unwritten(&e))?;
                count += 1;
            }
        }
        out.flush().map_err(|e| unwritten(&e))?;
        Ok(count)
    }

    /// Remembers what lines of JSON say: `{"namespace": "shop", "text": "…"}`, with `subject`, `kind`, `from`, `until`, `expires`, `pinned` and
    /// `labels` where they matter. What a namespace knows already, in the same words, is not written again. It becomes known now; when a line says
    /// it was known, and under which id, counts for nothing.
    ///
    /// # Errors
    ///
    /// A line cannot be read: which one is said, and those before it that make a whole thousand are written. Or the store fails.
    pub async fn import(&self, by: &Author, mut lines: impl BufRead) -> Result<Imported, Error> {
        let (mut done, mut part, mut seen, mut number) = (Imported::default(), Vec::new(), HashSet::new(), 0_u64);
        loop {
            let mut text = Vec::new();
            number += 1;
            let wrong = |what: String| Error::Memory(format!("line {number}: {what}"));
            let mut within = std::io::Read::take(&mut lines, LONGEST as u64 + 1);
            let read = within.read_until(b'\n', &mut text).map_err(|e| wrong(format!("it cannot be read: {e}")))?;
            if read > LONGEST {
                return Err(wrong(format!("it has more than {LONGEST} bytes")));
            }
            if read > 0 && !text.trim_ascii().is_empty() {
                let line: Line = serde_json::from_slice(&text).map_err(|e| wrong(format!("it is no memory: {e}")))?;
                let memory = self.memory_of(line);
                memory.content.check().map_err(wrong)?;
                part.push(memory);
            }
            if part.len() >= PART || read == 0 {
                let mut new = Vec::new();
                for memory in std::mem::take(&mut part) {
                    if self.is_known(&memory, &mut seen).await? {
                        done.known += 1;
                    } else {
                        done.written += 1;
                        new.push(memory);
                    }
                }
                self.remember(by, new).await?;
            }
            if read == 0 {
                return Ok(done);
            }
        }
    }

    fn memory_of(&self, line: Line) -> NewMemory {
        let mut content = Content::new(line.namespace, line.text);
        content.subject = line.subject;
        let mut memory = self.new_memory(content);
        memory.kind = line.kind;
        memory.from = line.from.unwrap_or(memory.from);
        (memory.until, memory.expires) = (line.until, line.expires);
        (memory.pinned, memory.labels) = (line.pinned, line.labels);
        memory
    }

    /// Whether its namespace says the same already.
    async fn is_known(&self, memory: &NewMemory, seen: &mut HashSet<parkway_core::id::Digest>) -> Result<bool, Error> {
        let digest = memory.content.digest();
        if !seen.insert(digest) {
            return Ok(true);
        }
        let mut same = MemoryFilter::of(&memory.content.namespace);
        (same.digest, same.limit) = (Some(digest), 1);
        Ok(!self.list(&same).await?.is_empty())
    }
}
