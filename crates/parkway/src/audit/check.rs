//! The check of a store's log where it lies: every event against the tree, and the tree against the heads.

use std::collections::{BTreeMap, HashSet};

use parkway_core::id::RunId;
use parkway_verify::tree::{Tree, leaf_hash};

use super::{AuditLog, Doubt, Head, Report, Trust};
use crate::error::Error;

/// Events that are read at once.
const PAGE: u32 = 4_096;

impl AuditLog {
    /// Holds every event against the tree, the tree against the heads that are kept, and both against what is trusted. Gives what holds
    /// and what is not proven, or the first thing that is not as it should be. Texts, and what the tables of runs say, are not looked at:
    /// [`upkeep::check`](crate::upkeep::check) does that.
    pub async fn verify(&self, trust: &Trust) -> Result<Result<Report, Doubt>, Error> {
        let origin = self.origin().await?;
        let audit = self.store.audit();
        let size = audit.tree().await?.size;
        // What must hold when the log has so many events: kept heads, and those from elsewhere.
        let mut due: BTreeMap<u64, Vec<Due>> = BTreeMap::new();
        for (at, head) in self.kept_heads().await? {
            due.entry(at).or_default().push(Due::Kept(head));
        }
        for head in &trust.heads {
            due.entry(head.size).or_default().push(Due::Pinned(head.clone()));
        }
        let mut check = Check { origin, trust, report: Report::default() };
        let (mut tree, mut runs) = (Tree::default(), HashSet::<RunId>::new());
        if let Some(doubt) = check.meet(&tree, due.remove(&0)) {
            return Ok(Err(doubt));
        }
        while tree.size() < size {
            let leaves = audit.leaves(tree.size(), PAGE).await?;
            if leaves.is_empty() {
                return Ok(Err(wrong(format!("event {} of {size} is missing", tree.size()))));
            }
            for leaf in leaves.iter().filter(|leaf| leaf.index < size) {
                if leaf.index != tree.size() {
                    return Ok(Err(wrong(format!(
                        "event {} is missing: event {} comes next",
                        tree.size(),
                        leaf.index
                    ))));
                }
                tree.append(leaf_hash(&leaf.bytes));
                runs.insert(leaf.run);
                if let Some(doubt) = check.meet(&tree, due.remove(&tree.size())) {
                    return Ok(Err(doubt));
                }
            }
        }
        if audit.tree().await?.root.as_bytes() != &tree.root() && audit.tree().await?.size == size {
            return Ok(Err(wrong("the tree that the store has kept is not that of its events".into())));
        }
        if let Some((head, _)) = due.pop_first() {
            return Ok(Err(wrong(format!(
                "a head of {head} events is known, and the log has {size}: its end was cut off"
            ))));
        }
        check.report.runs = runs.len() as u64;
        Ok(check.end(&tree))
    }
}

/// What must hold at some size.
enum Due {
    Kept(Result<Head, String>),
    Pinned(Head),
}

struct Check<'a> {
    origin: String,
    trust: &'a Trust,
    report: Report,
}

fn wrong(what: String) -> Doubt {
    Doubt { line: 0, what }
}

impl Check<'_> {
    /// Holds what is known of the log at its present size against it.
    fn meet(&mut self, tree: &Tree, due: Option<Vec<Due>>) -> Option<Doubt> {
        due.into_iter().flatten().find_map(|due| self.hold(tree, due).err().map(wrong))
    }

    fn hold(&mut self, tree: &Tree, due: Due) -> Result<(), String> {
        let size = tree.size();
        let (head, pinned) = match due {
            Due::Kept(Ok(head)) => (head, false),
            Due::Pinned(head) => (head, true),
            Due::Kept(Err(why)) => return Err(format!("the head of {size} events that is kept: {why}")),
        };
        let whose = if pinned { "known from elsewhere" } else { "kept" };
        if head.origin != self.origin {
            return Err(format!("the head of {size} events that is {whose} is of the log {}", head.origin));
        }
        if head.size != size || head.root != tree.root() {
            return Err(format!(
                "the first {size} events are not those of the head that is {whose}: the log, or the head, was changed"
            ));
        }
        if pinned {
            self.report.pinned += 1;
            return Ok(());
        }
        let mut signed = false;
        for key in &self.trust.keys {
            signed |= head.note.is_signed_by(key).map_err(|why| format!("the head of {size} events: {why}"))?;
        }
        if !signed && !self.trust.keys.is_empty() {
            return Err(format!("the head of {size} events is not signed by a key that is trusted"));
        }
        self.report.heads += u64::from(signed);
        if signed {
            (self.report.size, self.report.root) = (size, head.root);
        }
        Ok(())
    }

    fn end(self, tree: &Tree) -> Result<Report, Doubt> {
        let mut report = self.report;
        // Whoever has a key for this log has signed it, so that heads are missing where there is none.
        if report.heads == 0 && !self.trust.keys.is_empty() && tree.size() > 0 {
            return Err(wrong(
                "a key for this log is known, and no head that it has signed is kept: they were deleted, or never made"
                    .into(),
            ));
        }
        report.origin = self.origin;
        report.events = tree.size();
        if self.trust.keys.is_empty() {
            report.open.push("who has signed the heads: no key is known here".into());
        }
        let behind = tree.size() - report.size;
        if report.heads == 0 {
            report
                .open
                .push("that the log was not written anew: no head of it is signed by a key that is known".into());
        } else if behind > 0 {
            report.open.push(format!("the newest {behind} events: nobody has signed them yet"));
        }
        if report.pinned == 0 {
            report.open.push(
                "that this is the log that was there before: who has the key, or an older copy of the store, could have put \
                 another in its place; a head that was kept elsewhere shows it"
                    .into(),
            );
        }
        Ok(report)
    }
}
