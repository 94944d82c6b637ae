//! The check, line by line.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, Read as _};

use serde_json::Value;

use crate::Trust;
use crate::chain::{KeyChain, Rotation};
use crate::export::Line;
use crate::note::{Head, decimal};
use crate::report::{Doubt, Report};
use crate::texts::Texts;
use crate::tree::{Hash, Tree, is_included, leaf_hash};

/// The longest line: a text may be long, and a file without ends of lines must not fill the memory.
const LONGEST: u64 = 256 * 1024 * 1024;
/// The most bytes of heads that nobody known has signed.
const STRANGE: usize = 64 * 1024 * 1024;
/// The run that stands for what happens outside of runs.
const SYSTEM: &str = "00000000-0000-7000-8000-000000000000";

/// Checks an export. Gives what holds, or the first thing that does not.
pub fn verify(export: impl BufRead, trust: &Trust) -> Result<Report, Doubt> {
    let mut check = Check::new(trust);
    let mut lines = Lines { export, number: 0 };
    while let Some(text) = lines.next()? {
        let line = lines.number;
        let doubt = |what| Doubt { line, what };
        check.line(Line::read(&text).map_err(doubt)?).map_err(doubt)?;
    }
    check.end().map_err(|what| Doubt { line: 0, what })
}

struct Lines<R> {
    export: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> Result<Option<String>, Doubt> {
        self.number += 1;
        let (line, mut bytes) = (self.number, Vec::new());
        let doubt = |what: String| Doubt { line, what };
        let read = self.export.by_ref().take(LONGEST).read_until(b'\n', &mut bytes);
        match read.map_err(|e| doubt(format!("the export cannot be read: {e}")))? {
            0 => Ok(None),
            _ if bytes.pop() != Some(b'\n') => {
                Err(doubt("the export ends, or goes on without an end, within a line".into()))
            }
            _ => String::from_utf8(bytes).map(Some).map_err(|_| doubt("no UTF-8".into())),
        }
    }
}

/// What is known of the log so far.
struct Check<'a> {
    trust: &'a Trust,
    /// The log's name, and whether all of its events are there.
    begun: Option<(String, bool)>,
    tree: Tree,
    /// The newest head that counts: in a part of a log all events are held against it.
    newest: Option<Head>,
    /// Heads from elsewhere that were not met yet, by their size.
    pinned: BTreeMap<u64, Vec<&'a Head>>,
    /// The newest event of each run, and its fence.
    runs: HashMap<String, (u64, u64)>,
    texts: Texts,
    last: Option<u64>,
    /// The keys that count so far.
    keys: KeyChain,
    /// Heads that nobody known so far has signed, and how long they are.
    strange: Vec<Head>,
    strange_bytes: usize,
    /// Runs whose first events are not there.
    headless: u64,
    ended: bool,
    report: Report,
}

impl<'a> Check<'a> {
    fn new(trust: &'a Trust) -> Self {
        let mut pinned: BTreeMap<u64, Vec<&Head>> = BTreeMap::new();
        trust.heads.iter().for_each(|head| pinned.entry(head.size).or_default().push(head));
        Check {
            trust,
            begun: None,
            tree: Tree::default(),
            newest: None,
            pinned,
            runs: HashMap::new(),
            texts: Texts::default(),
            last: None,
            keys: KeyChain::new(&trust.keys),
            strange: Vec::new(),
            strange_bytes: 0,
            headless: 0,
            ended: false,
            report: Report::default(),
        }
    }

    fn line(&mut self, line: Line) -> Result<(), String> {
        if self.ended {
            return Err("the export goes on behind its end".into());
        }
        let whole = match (&self.begun, &line) {
            (None, Line::Begin { .. }) => false,
            (None, _) => return Err("the export does not begin with `parkway_audit`".into()),
            (Some(_), Line::Begin { .. }) => return Err("the export begins twice".into()),
            (Some((_, whole)), _) => *whole,
        };
        match line {
            Line::Begin { origin, whole } => {
                self.report.origin.clone_from(&origin);
                self.begun = Some((origin, whole));
                self.meet()
            }
            Line::Head { note } => self.head(&note, whole),
            Line::Event { leaf, bytes, proof } => self.event(leaf, &bytes, proof.as_deref(), whole),
            Line::Payload { commitment, salt, bytes } => {
                self.report.payloads += u64::from(self.texts.text(commitment, &salt, &bytes)?);
                Ok(())
            }
            Line::End { events } => {
                self.ended = true;
                match events == self.report.events {
                    true => Ok(()),
                    false => Err(format!("the export ends after {} events, and says {events}", self.report.events)),
                }
            }
        }
    }

    fn head(&mut self, note: &str, whole: bool) -> Result<(), String> {
        let head: Head = note.parse()?;
        if Some(&head.origin) != self.begun.as_ref().map(|(origin, _)| origin) {
            return Err(format!("the head is of the log {}", head.origin));
        }
        if whole && (head.size != self.tree.size() || head.root != self.tree.root()) {
            let (size, at) = (head.size, self.tree.size());
            return Err(format!("a head of {size} events is not that of the first {at} events of the export"));
        }
        if !whole && self.newest.is_some() {
            return Err("a part of a log has one head".into());
        }
        if whole {
            self.keys.met(head.size, head.root);
        }
        if self.counts(&head)? {
            self.newest = Some(head);
        } else if whole {
            self.strange_bytes += note.len();
            if self.strange_bytes > STRANGE {
                return Err(format!("more than {STRANGE} bytes of heads are signed by nobody who is known"));
            }
            self.strange.push(head);
        } else {
            return Err(
                "the export's head has no signature of a key that is trusted; where the log's key gave way to \
                 another since, a part of the log is checked by the newest one, or the log exported whole"
                    .into(),
            );
        }
        Ok(())
    }

    /// Whether a key that counts has signed a head; it is noted if so.
    fn counts(&mut self, head: &Head) -> Result<bool, String> {
        let signers = self.keys.signers(head)?;
        self.report.heads += u64::from(!signers.is_empty());
        self.report.keys.extend(signers.iter().map(ToString::to_string));
        Ok(!signers.is_empty())
    }

    /// A key gives way to another, behind as many events as there are. In a part of the log there is nothing to hold that against, and the
    /// newest head counts by itself.
    fn rotated(&mut self, leaf: u64, event: &Value, whole: bool) -> Result<(), String> {
        let note = event["kind"]["rotation"].as_str().unwrap_or_default();
        let rotation: Rotation = note.parse().map_err(|why| format!("event {leaf}: {why}"))?;
        let origin = self.begun.as_ref().map(|(origin, _)| origin);
        if Some(&rotation.origin) != origin {
            return Err(format!("event {leaf}: the keys are those of the log {}", rotation.origin));
        }
        if whole && self.keys.rotate(leaf, rotation).map_err(|why| format!("event {leaf}: {why}"))? {
            // A key that leads to a trusted one may have signed earlier heads.
            for head in std::mem::take(&mut self.strange) {
                if !self.counts(&head)? {
                    self.strange.push(head);
                }
            }
        }
        Ok(())
    }

    fn event(&mut self, leaf: u64, bytes: &str, proof: Option<&[Hash]>, whole: bool) -> Result<(), String> {
        let hash = leaf_hash(bytes.as_bytes());
        if whole {
            let expected = self.tree.size();
            if leaf != expected {
                return Err(format!("event {leaf} stands where {expected} belongs"));
            }
            self.tree.append(hash);
        } else {
            let Some(head) = &self.newest else { return Err("an event comes before any head".into()) };
            if self.last.is_some_and(|last| leaf <= last) {
                return Err(format!("event {leaf} is out of order, or there twice"));
            }
            if !is_included(&hash, leaf, head.size, proof.unwrap_or_default(), &head.root) {
                return Err(format!("nothing shows that event {leaf} stands in the log of {} events", head.size));
            }
        }
        self.last = Some(leaf);
        self.report.events += 1;
        let event: Value = serde_json::from_str(bytes).map_err(|e| format!("event {leaf} is no JSON: {e}"))?;
        self.run(leaf, &event, whole)?;
        self.texts.event(&event);
        if event["run"] == SYSTEM && event["kind"]["type"] == "key_rotated" {
            self.rotated(leaf, &event, whole)?;
        }
        self.meet()
    }

    /// The events of a run come one after the other, none missing, and under a fence that never sinks.
    fn run(&mut self, leaf: u64, event: &Value, whole: bool) -> Result<(), String> {
        let number = |key: &str| event[key].as_str().and_then(decimal);
        let (Some(run), Some(seq), Some(fence)) = (event["run"].as_str(), number("seq"), number("fence")) else {
            return Err(format!("event {leaf} does not say its run, its place in it, and its fence"));
        };
        let before = self.runs.insert(run.to_owned(), (seq, fence));
        let (last, under) = before.unwrap_or((0, 0));
        // In a part of a log the first event that is there need not be the first one.
        if last.checked_add(1) != Some(seq) && (whole || before.is_some()) {
            return Err(format!("event {leaf} is number {seq} of run {run:?}, after number {last}"));
        }
        if before.is_none() && seq != 1 {
            self.headless += 1;
        }
        if fence < under {
            return Err(format!("event {leaf} of run {run:?} has the fence {fence}, after {under}"));
        }
        Ok(())
    }

    /// Holds heads from elsewhere against a whole log when it has as many events.
    fn meet(&mut self) -> Result<(), String> {
        let Some((origin, true)) = &self.begun else { return Ok(()) };
        let size = self.tree.size();
        for head in self.pinned.remove(&size).into_iter().flatten() {
            if head.root != self.tree.root() || head.origin != *origin {
                return Err(format!(
                    "the log is not the one of the head of {size} events that is known from elsewhere"
                ));
            }
            self.report.pinned += 1;
            self.report.pinned_size = size;
        }
        Ok(())
    }

    fn end(self) -> Result<Report, String> {
        let Some((origin, whole)) = self.begun.clone() else { return Err("the export is empty".into()) };
        if !self.ended {
            return Err("the export has no last line: it was cut off".into());
        }
        if let Some((size, heads)) = self.pinned.first_key_value() {
            let other = heads.iter().find(|head| head.origin != origin);
            return Err(match (other, whole) {
                (Some(head), _) => format!("a head from elsewhere is of the log {}", head.origin),
                (None, true) => {
                    format!("the log has {} events, and once had {size}: its end was cut off", self.tree.size())
                }
                (None, false) => format!(
                    "the head of {size} events from elsewhere cannot be held against a part of the log: export it whole"
                ),
            });
        }
        let Some(newest) = &self.newest else {
            let why = if self.trust.keys.is_empty() { "no key is trusted" } else { "no trusted key has signed a head" };
            return Err(format!("{why}: that the export is whole in itself says nothing about who made it"));
        };
        if whole && newest.size < self.tree.size() {
            let behind = self.tree.size() - newest.size;
            return Err(format!(
                "the last {behind} events stand behind the newest head: nobody who is trusted has signed them"
            ));
        }
        let (size, root) = (newest.size, newest.root);
        let mut report = self.report;
        report.runs = self.runs.len() as u64;
        report.newest = Some((size, root));
        if !whole {
            let rest = size.saturating_sub(report.events);
            report.open.push(format!("what the other {rest} events of the log say, and whether these runs go on"));
        }
        if self.headless > 0 {
            report.open.push(format!("how {} of these runs began: their first events are not here", self.headless));
        }
        if !self.strange.is_empty() {
            report.open.push(format!("who has signed {} of the heads", self.strange.len()));
        }
        report.open.extend(self.texts.end(whole)?);
        report.past(size);
        Ok(report)
    }
}
