//! Memories as lines of JSON, to be taken elsewhere and back.

use std::collections::HashMap;
use std::io::{BufRead, Write};

use parkway_core::id::{Digest, MemoryId, Time};
use parkway_core::label::Labels;
use serde::{Deserialize, Serialize};

use super::{Author, Content, Memories, MemoryFilter, MemoryKind, NewMemory, Remembered};
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
    /// By what it was superseded; lines that come later say when those hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    superseded_by: Vec<MemoryId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    contradicts: Vec<MemoryId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    known: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<String>,
}

impl Line {
    /// A memory as it was written; none if it says nothing any more.
    fn of(memory: Remembered) -> Option<Self> {
        let content = memory.content?;
        Some(Line {
            id: Some(memory.id),
            namespace: content.namespace,
            text: content.text,
            subject: content.subject,
            kind: memory.kind,
            from: Some(memory.from),
            until: memory.until,
            expires: memory.expires,
            pinned: memory.pinned,
            labels: memory.labels,
            superseded_by: memory.superseded.iter().map(|superseded| superseded.by).collect(),
            contradicts: memory.contradicts,
            known: Some(memory.known),
            run: Some(memory.run.to_string()),
        })
    }
}

/// What came of reading lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// Memories that were written.
    pub written: u64,
    /// Lines that say what was known already.
    pub known: u64,
    /// Lines of what has expired: nobody would recall it, and it was not written.
    pub expired: u64,
}

/// Lines that are read before they are written.
const PART: usize = 1_024;
/// The longest line.
const LONGEST: usize = 1 << 20;

/// What two lines have in common that are one memory.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Same {
    digest: Digest,
    kind: MemoryKind,
    /// None where a line does not say it.
    from: Option<Time>,
    until: Option<Time>,
    expires: Option<Time>,
    pinned: bool,
}

/// What was read so far.
#[derive(Default)]
struct Seen {
    /// The memories that lines are, which are written or were known.
    same: HashMap<Same, MemoryId>,
    /// What was said last of a subject of a namespace.
    about: HashMap<(String, String), Same>,
    /// What lines call memories, and what they are called here.
    names: HashMap<MemoryId, MemoryId>,
    /// Memories that lines say are superseded by one of this name, which comes later.
    ends: HashMap<MemoryId, Vec<MemoryId>>,
}

impl Memories {
    /// Writes memories as lines of JSON, oldest first. Gives how many.
    ///
    /// # Errors
    ///
    /// `out` or the store fails.
    pub async fn export(&self, out: &mut (dyn Write + Send), mut filter: MemoryFilter) -> Result<u64, Error> {
        let unwritten = |e: &dyn std::fmt::Display| Error::Memory(format!("the memories cannot be written: {e}"));
        let mut count = 0;
        loop {
            let page = self.page(&mut filter).await?;
            if page.is_empty() {
                break;
            }
            for line in page.into_iter().filter_map(Line::of) {
                let line = serde_json::to_string(&line).map_err(|e| unwritten(&e))?;
                writeln!(out, "{line}").map_err(|e| unwritten(&e))?;
                count += 1;
            }
        }
        out.flush().map_err(|e| unwritten(&e))?;
        Ok(count)
    }

    /// Remembers what lines of JSON say: `{"namespace": "shop", "text": "…"}`, with `subject`, `kind`, `from`, `until`, `expires`, `pinned`,
    /// `labels` and `contradicts` where they matter. What a namespace knows already, in the same words, of the same kind, for the same time and
    /// pinned alike, is not written again; nor is what has expired. It becomes known now, in the order of the lines; when a line says it was
    /// known counts for nothing, and the ids in it only tell the lines from each other.
    ///
    /// # Errors
    ///
    /// A line cannot be read, or would hold for no time: which one is said, and those before it that make a whole thousand are written. Or the
    /// store fails.
    pub async fn import(&self, by: &Author, mut lines: impl BufRead) -> Result<Imported, Error> {
        let (mut done, mut part, mut seen, mut number) = (Imported::default(), Vec::new(), Seen::default(), 0_u64);
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
                let memory = self.memory_of(&line);
                memory.check().map_err(wrong)?;
                part.push((line, memory));
            }
            if part.len() >= PART || read == 0 {
                let mut new = Vec::new();
                for (line, memory) in std::mem::take(&mut part) {
                    if memory.expires.is_some_and(|expires| expires <= self.services.clock.now()) {
                        done.expired += 1;
                    } else if let Some(memory) = self.news(line, memory, &mut seen).await? {
                        done.written += 1;
                        new.push(memory);
                    } else {
                        done.known += 1;
                    }
                }
                self.remember(by, new).await?;
            }
            if read == 0 {
                return Ok(done);
            }
        }
    }

    fn memory_of(&self, line: &Line) -> NewMemory {
        let mut content = Content::new(&line.namespace, &line.text);
        content.subject.clone_from(&line.subject);
        let mut memory = self.new_memory(content);
        memory.kind = line.kind;
        memory.from = line.from.unwrap_or(memory.from);
        (memory.until, memory.expires) = (line.until, line.expires);
        (memory.pinned, memory.labels) = (line.pinned, line.labels);
        memory
    }

    /// The memory that a line is, unless its namespace knows it already.
    async fn news(&self, line: Line, mut memory: NewMemory, seen: &mut Seen) -> Result<Option<NewMemory>, Error> {
        let same = Same {
            digest: memory.content.digest(),
            kind: memory.kind,
            from: line.from,
            until: memory.until,
            expires: memory.expires,
            pinned: memory.pinned,
        };
        // Of a subject, that counts which was said last.
        let about = memory.content.subject.clone().map(|subject| (line.namespace.clone(), subject));
        let last = about.as_ref().and_then(|about| seen.about.get(about));
        let known = match (seen.same.get(&same), last) {
            (_, Some(last)) if same.from.is_none() && *last != same => None,
            (Some(known), _) => Some(*known),
            (None, _) => self.kept(&memory, &same).await?,
        };
        let id = known.unwrap_or(memory.id);
        if let Some(about) = about {
            seen.about.insert(about, same.clone());
        }
        seen.same.insert(same, id);
        memory.contradicts = line.contradicts.iter().filter_map(|name| seen.names.get(name).copied()).collect();
        if let Some(name) = line.id {
            seen.names.insert(name, id);
            memory.supersedes = seen.ends.remove(&name).unwrap_or_default();
        }
        for by in line.superseded_by {
            seen.ends.entry(by).or_default().push(id);
        }
        Ok(known.is_none().then_some(memory))
    }

    /// The memory that is the same, if there is one. A line that says no time means now.
    async fn kept(&self, memory: &NewMemory, same: &Same) -> Result<Option<MemoryId>, Error> {
        let mut filter = MemoryFilter::of(&memory.content.namespace);
        filter.digest = Some(same.digest);
        filter.holds_from = same.from.is_none().then_some(memory.from);
        let is_same = |kept: &&Remembered| {
            let held = match same.from {
                Some(from) => kept.from == from,
                None => kept.holds(memory.from, Time::from_micros(i64::MAX)),
            };
            let of = (kept.kind, kept.until, kept.expires, kept.pinned);
            held && of == (same.kind, same.until, same.expires, same.pinned)
        };
        Ok(self.list(&filter).await?.iter().find(is_same).map(|kept| kept.id))
    }
}
