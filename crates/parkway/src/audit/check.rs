//! The check of a store's log where it lies: every event against the tree, and the tree against the heads.

use std::collections::{BTreeMap, HashSet};

use parkway_core::audit::SignedHead;
use parkway_core::id::RunId;
use parkway_verify::KeyChain;
use parkway_verify::tree::{Tree, leaf_hash};

use super::{AuditLog, Doubt, Head, Report, Trust};
use crate::error::Error;

/// Events that are read at once.
const PAGE: u32 = 4_096;

impl AuditLog {
    /// Holds every event against the tree, the tree against the heads that are kept, and both against what is trusted. Gives what holds
    /// and what is not proven, or the first thing that is not as it should be: also that nothing is trusted. Texts, and what the
    /// tables of runs say, are not looked at: [`upkeep::check`](crate::upkeep::check) does that.
    pub async fn verify(&self, trust: &Trust) -> Result<Result<Report, Doubt>, Error> {
        if trust.keys.is_empty() && trust.heads.is_empty() {
            return Ok(Err(wrong(
                "no key for this log is known, and no head from elsewhere, so that nothing shows who wrote it: sign it \
                 (`parkway audit head`), or name a key or a head"
                    .into(),
            )));
        }
        let origin = self.origin().await?;
        let audit = self.store.audit();
        // What must hold when the log has so many events: kept heads, and those from elsewhere. They are read before the log, which may
        // grow meanwhile, and be signed.
        let (kept, keys) = match self.known(&trust.keys).await {
            Err(Error::Audit(what)) => return Ok(Err(wrong(what))),
            known => known?,
        };
        let mut due: BTreeMap<u64, Vec<Due>> = BTreeMap::new();
        for head in kept {
            due.entry(head.head.size).or_default().push(Due::Kept(head));
        }
        for head in &trust.heads {
            due.entry(head.size).or_default().push(Due::Pinned(head.clone()));
        }
        let end = audit.tree().await?;
        let mut check = Check { origin, keys, report: Report::default() };
        let (mut tree, mut runs) = (Tree::default(), HashSet::<RunId>::new());
        if let Some(doubt) = check.meet(&tree, due.remove(&0)) {
            return Ok(Err(doubt));
        }
        while tree.size() < end.size {
            let leaves = audit.leaves(tree.size(), PAGE).await?;
            if leaves.is_empty() {
                return Ok(Err(wrong(format!("event {} of {} is missing", tree.size(), end.size))));
            }
            for leaf in leaves.iter().filter(|leaf| leaf.index < end.size) {
                if leaf.index != tree.size() {
                    let what = format!("event {} is missing: event {} comes next", tree.size(), leaf.index);
                    return Ok(Err(wrong(what)));
                }
                tree.append(leaf_hash(&leaf.bytes));
                runs.insert(leaf.run);
                if let Some(doubt) = check.meet(&tree, due.remove(&tree.size())) {
                    return Ok(Err(doubt));
                }
            }
        }
        if end.root.as_bytes() != &tree.root() {
            return Ok(Err(wrong("the tree that the store has kept is not that of its events".into())));
        }
        if let Some((head, _)) = due.pop_first() {
            let what = format!("a head of {head} events is known, and the log has {}: its end was cut off", end.size);
            return Ok(Err(wrong(what)));
        }
        check.report.runs = runs.len() as u64;
        Ok(check.end(&tree))
    }

    /// The heads that are kept, smallest first.
    pub(super) async fn kept_heads(&self) -> Result<Vec<SignedHead>, Error> {
        let (mut all, mut above) = (Vec::new(), 0);
        loop {
            let page = self.store.audit().heads(above, PAGE).await?;
            let Some(last) = page.last() else { return Ok(all) };
            above = last.head.size;
            all.extend(page);
        }
    }
}

/// What must hold at some size.
enum Due {
    Kept(SignedHead),
    Pinned(Head),
}

struct Check {
    origin: String,
    keys: KeyChain,
    report: Report,
}

fn wrong(what: String) -> Doubt {
    Doubt { line: 0, what }
}

impl Check {
    /// Holds what is known of the log at its present size against it.
    fn meet(&mut self, tree: &Tree, due: Option<Vec<Due>>) -> Option<Doubt> {
        due.into_iter().flatten().find_map(|due| {
            let held = match due {
                Due::Kept(kept) => self.kept(tree, &kept),
                Due::Pinned(head) => self.pinned(tree, &head),
            };
            held.err().map(wrong)
        })
    }

    fn kept(&mut self, tree: &Tree, kept: &SignedHead) -> Result<(), String> {
        let size = tree.size();
        let head: Head = kept.note.parse().map_err(|why| format!("the head of {size} events that is kept: {why}"))?;
        self.is_head(tree, &head, "kept")?;
        if head.root != *kept.head.root.as_bytes() {
            return Err(format!("the store says something else of the head of {size} events than its note"));
        }
        let signers = self.keys.signers(&head).map_err(|why| format!("the head of {size} events: {why}"))?;
        if let (true, Some(rotation)) = (signers.is_empty(), self.keys.retired(&head)) {
            let (from, to) = (&rotation.from, &rotation.to);
            return Err(format!("the head of {size} events is signed by {from}, which had given way to {to} before"));
        }
        if signers.is_empty() && !self.keys.is_empty() {
            return Err(format!(
                "the head of {size} events is not signed by a key that is trusted; another key of this log is named with `--key`"
            ));
        }
        let signed = !signers.is_empty();
        self.report.keys.extend(signers.iter().map(ToString::to_string));
        if signed {
            self.report.heads += 1;
            self.report.newest = Some((size, head.root));
        }
        Ok(())
    }

    fn pinned(&mut self, tree: &Tree, head: &Head) -> Result<(), String> {
        self.is_head(tree, head, "known from elsewhere")?;
        (self.report.pinned, self.report.pinned_size) = (self.report.pinned + 1, tree.size());
        Ok(())
    }

    fn is_head(&self, tree: &Tree, head: &Head, whose: &str) -> Result<(), String> {
        let size = tree.size();
        if head.origin != self.origin {
            return Err(format!("the head of {size} events that is {whose} is of the log {}", head.origin));
        }
        if head.size != size || head.root != tree.root() {
            return Err(format!(
                "the first {size} events are not those of the head that is {whose}: the log, or the head, was changed"
            ));
        }
        Ok(())
    }

    fn end(self, tree: &Tree) -> Result<Report, Doubt> {
        let mut report = self.report;
        // Whoever has a key for this log has signed it, so that heads are missing where there is none.
        if report.heads == 0 && !self.keys.is_empty() {
            return Err(wrong(
                "a key for this log is known, and no head that it has signed is kept: they were deleted, or never made"
                    .into(),
            ));
        }
        // Behind the newest head that counts whoever has the old key could have written anything, and moved the note of both there.
        if let Some((behind, rotation)) = self.keys.uncovered(report.newest.map_or(0, |(size, _)| size)) {
            let (from, to) = (&rotation.from, &rotation.to);
            return Err(wrong(format!(
                "{from} gave way to {to} in event {behind}, and no head that the new key has signed covers that: `parkway audit rotate` was \
                 interrupted (begin it once more, and it goes on from there), or the log was changed"
            )));
        }
        report.origin = self.origin;
        report.events = tree.size();
        if self.keys.is_empty() {
            report.open.push("who has signed the heads that are kept: no key is known here".into());
        }
        let covered = report.newest.map_or(report.pinned_size, |(size, _)| size.max(report.pinned_size));
        if covered < tree.size() {
            let behind = tree.size() - covered;
            report.open.push(format!("what the newest {behind} events say: no head that is known covers them"));
        }
        report.past(tree.size());
        Ok(report)
    }
}
