//! A store in memory: what the ports mean, with nothing in the way. Other stores are right if they behave like it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::audit::{Audit, Leaf, SignedHead, TreeHead};
use crate::clock::Clock;
use crate::id::{CommitId, Digest, Fence, MemoryId, RunId, Seq, Time, WorkerId};
use crate::log::tree::{Frontier, Node, leaf_hash};
use crate::log::{Commitment, Event, EventKind, Payload, RunStatus};
use crate::memory::{Memory, MemoryFilter, MemoryVector, Recall, Recalled, Remembered};
use crate::store::{
    Claim, Commit, FIRST_LEASE, Lease, Log, Message, MessageId, NewRun, OutboxId, Outgoing, Queue, Received, Released,
    RunFilter, RunSummary, Snapshot, StoreError, Write,
};
use crate::testing::memories::Memories;

/// A [`Store`](crate::store::Store) that lives and dies with its process. It keeps events as their canonical bytes, as a
/// store on disk does.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    id: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    runs: BTreeMap<RunId, Run>,
    leaves: Vec<(RunId, Vec<u8>)>,
    payloads: HashMap<Commitment, Payload>,
    messages: u64,
    outbox: Vec<Outgoing>,
    outgoing: u64,
    snapshots: HashMap<RunId, Snapshot>,
    heads: BTreeMap<u64, SignedHead>,
    memories: Memories,
}

struct Run {
    new: NewRun,
    status: RunStatus,
    updated: Time,
    leaves: Vec<usize>,
    owner: Option<WorkerId>,
    fence: Fence,
    until: Time,
    wake: Option<Time>,
    last: Option<CommitId>,
    inbox: Vec<Received>,
}

impl Run {
    /// A run that nobody has begun, free to be claimed.
    fn pending(new: &NewRun) -> Self {
        Run {
            new: new.clone(),
            status: RunStatus::Pending,
            updated: new.at,
            leaves: Vec::new(),
            owner: None,
            fence: Fence(0),
            until: Time::default(),
            wake: Some(new.at),
            last: None,
            inbox: Vec::new(),
        }
    }

    fn head(&self) -> Seq {
        Seq(self.leaves.len() as u64)
    }

    fn held(&self, now: Time) -> bool {
        self.owner.is_some() && self.until > now && !self.status.ended()
    }

    /// Whether a worker that asks for any run may have this one.
    fn ready(&self, now: Time) -> bool {
        let called = self.wake.is_some_and(|wake| wake <= now) || !self.inbox.is_empty();
        !self.status.ended() && !self.held(now) && (self.owner.is_some() || called)
    }

    fn owned_by(&self, lease: &Lease) -> Result<(), StoreError> {
        if self.owner.as_ref() == Some(&lease.worker) && self.fence == lease.fence {
            return Ok(());
        }
        Err(StoreError::Fenced { run: lease.run })
    }
}

impl MemoryStore {
    /// An empty store that reads the time from `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let id = hex::encode(clock.random());
        MemoryStore { clock, id, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("runs", &self.state().runs.len()).finish_non_exhaustive()
    }
}

impl State {
    fn run(&self, run: RunId) -> Result<&Run, StoreError> {
        self.runs.get(&run).ok_or(StoreError::NoRun(run))
    }

    fn run_mut(&mut self, run: RunId) -> Result<&mut Run, StoreError> {
        self.runs.get_mut(&run).ok_or(StoreError::NoRun(run))
    }

    /// Whether the commit may become true; `false` if it already has.
    fn accepts(&self, commit: &Commit) -> Result<bool, StoreError> {
        let id = commit.lease.run;
        match self.runs.get(&id) {
            Some(run) => {
                if run.last == Some(commit.id) {
                    return Ok(false);
                }
                if commit.creates().is_none() {
                    run.owned_by(&commit.lease)?;
                }
                if commit.creates().is_some() || run.head() != commit.expect {
                    return Err(StoreError::Conflict { run: id, expected: commit.expect, found: run.head() });
                }
            }
            None if commit.expect > Seq(0) => return Err(StoreError::NoRun(id)),
            None if commit.creates().is_none() => {
                return Err(StoreError::Malformed(format!("run {id} begins without being enqueued")));
            }
            None => {}
        }
        for event in &commit.events {
            if let EventKind::MemoryWritten { id, .. } = &event.kind
                && self.memories.has(*id)
            {
                return Err(StoreError::Malformed(format!("memory {id} exists already")));
            }
        }
        let enqueued = |write: &Write| if let Write::Enqueue(new) = write { Some(new.run) } else { None };
        let enqueued: Vec<RunId> = commit.writes.iter().filter_map(enqueued).collect();
        for write in &commit.writes {
            match write {
                Write::Enqueue(new) if self.runs.contains_key(&new.run) => {
                    return Err(StoreError::Malformed(format!("run {} exists already", new.run)));
                }
                Write::Consume(message) if !self.in_inbox(id, *message) => {
                    return Err(StoreError::Malformed(format!("message {} is not in the inbox of {id}", message.0)));
                }
                Write::Enqueue(_) | Write::Consume(_) | Write::Sql(_) | Write::Send(..) | Write::Outbox(_) => {}
            }
        }
        // A commit that is malformed is refused for that, whatever else would refuse it.
        for (write, what) in commit.writes.iter().enumerate() {
            let message = match what {
                Write::Sql(_) => "the store in memory has no SQL".to_owned(),
                Write::Send(to, _) if !self.runs.contains_key(to) && !enqueued.contains(to) => {
                    format!("there is no run {to} to send a message to")
                }
                Write::Enqueue(_) | Write::Consume(_) | Write::Send(..) | Write::Outbox(_) => continue,
            };
            return Err(StoreError::Refused { write, message });
        }
        Ok(true)
    }

    fn send(&mut self, run: RunId, message: Message, at: Time) -> Result<MessageId, StoreError> {
        let id = MessageId(self.messages + 1);
        self.run_mut(run)?.inbox.push(Received { id, at, message });
        self.messages = id.0;
        Ok(id)
    }

    fn in_inbox(&self, run: RunId, message: MessageId) -> bool {
        self.runs.get(&run).is_some_and(|run| run.inbox.iter().any(|received| received.id == message))
    }

    fn take(&mut self, commit: Commit, bytes: Vec<Vec<u8>>, now: Time) -> Result<(), StoreError> {
        let id = commit.lease.run;
        for write in &commit.writes {
            if let Write::Enqueue(new) = write {
                let mut run = Run::pending(new);
                if new.run == id {
                    run.owner = Some(commit.lease.worker.clone());
                    run.fence = commit.lease.fence;
                    run.until = now.after(FIRST_LEASE);
                }
                self.runs.insert(new.run, run);
            }
        }
        for write in &commit.writes {
            match write {
                Write::Send(to, message) => drop(self.send(*to, message.clone(), now)?),
                Write::Outbox(entry) => {
                    self.outgoing += 1;
                    let id = OutboxId(self.outgoing);
                    self.outbox.push(Outgoing { id, run: commit.lease.run, at: now, entry: entry.clone() });
                }
                Write::Enqueue(_) | Write::Consume(_) | Write::Sql(_) => {}
            }
        }
        let first = self.leaves.len();
        self.leaves.extend(bytes.into_iter().map(|body| (id, body)));
        let leaves = first..self.leaves.len();
        for event in &commit.events {
            let content = || match &event.kind {
                EventKind::MemoryWritten { content, .. } => commit.content(*content),
                _ => None,
            };
            self.memories.apply(event, content);
        }
        self.payloads.extend(commit.payloads.into_iter().map(|payload| (payload.commitment, payload)));
        for event in &commit.events {
            let erased = match &event.kind {
                EventKind::MemoryForgotten { id, .. } => self.memories.commitment(*id).into_iter().collect(),
                kind => kind.erased().to_vec(),
            };
            erased.iter().for_each(|erased| drop(self.payloads.remove(erased)));
        }
        let run = self.run_mut(id)?;
        run.leaves.extend(leaves);
        run.inbox.retain(|received| !commit.writes.contains(&Write::Consume(received.id)));
        run.status = commit.status;
        run.wake = commit.wake;
        run.last = Some(commit.id);
        run.updated = commit.events.last().map_or(run.updated, |event| event.at);
        Ok(())
    }
}

#[async_trait]
impl Log for MemoryStore {
    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        commit.check()?;
        let bytes = commit.events.iter().map(Event::to_bytes).collect::<Result<Vec<_>, _>>()?;
        let now = self.clock.now();
        let mut state = self.state();
        if state.accepts(&commit)? { state.take(commit, bytes, now) } else { Ok(()) }
    }

    async fn events(&self, run: RunId, after: Seq) -> Result<Vec<Event>, StoreError> {
        let state = self.state();
        let skip = usize::try_from(after.0).unwrap_or(usize::MAX);
        let leaves = state.run(run)?.leaves.iter().skip(skip);
        leaves.map(|leaf| Ok(Event::from_bytes(&state.leaves[*leaf].1)?)).collect()
    }

    async fn payloads(&self, commitments: &[Commitment]) -> Result<Vec<Option<Payload>>, StoreError> {
        let state = self.state();
        Ok(commitments.iter().map(|commitment| state.payloads.get(commitment).cloned()).collect())
    }

    async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, StoreError> {
        let now = self.clock.now();
        let state = self.state();
        let mut runs: Vec<_> = state
            .runs
            .values()
            .filter(|run| filter.run.map_or(run.new.run != RunId::SYSTEM, |wanted| wanted == run.new.run))
            .filter(|run| !filter.open || !run.status.ended())
            .map(|run| RunSummary::new(run.new.clone(), run.status, run.updated, run.head(), run.held(now)))
            .collect();
        runs.sort_by_key(|run| std::cmp::Reverse((run.created, run.run)));
        if filter.limit > 0 {
            runs.truncate(filter.limit as usize);
        }
        Ok(runs)
    }

    async fn tail(&self, after: u64, limit: u32) -> Result<Vec<(u64, Event)>, StoreError> {
        let state = self.state();
        let leaves = (1..).zip(&state.leaves).filter(|(leaf, _)| *leaf > after).take(limit as usize);
        leaves.map(|(leaf, (_, body))| Ok((leaf, Event::from_bytes(body)?))).collect()
    }

    fn audit(&self) -> &dyn Audit {
        self
    }

    fn memory(&self) -> &dyn Memory {
        self
    }

    async fn snapshot(&self, run: RunId) -> Result<Option<Snapshot>, StoreError> {
        Ok(self.state().snapshots.get(&run).cloned())
    }

    async fn keep_snapshot(&self, run: RunId, snapshot: Snapshot) -> Result<(), StoreError> {
        self.state().snapshots.insert(run, snapshot);
        Ok(())
    }
}

impl State {
    /// The tree over the first `size` events.
    fn tree(&self, size: u64) -> TreeHead {
        let mut tree = Frontier::default();
        let leaves = self.leaves.iter().take(usize::try_from(size).unwrap_or(usize::MAX));
        leaves.for_each(|(_, body)| drop(tree.append(leaf_hash(body))));
        TreeHead { size: tree.size(), root: tree.root() }
    }

    fn leaf(&self, index: usize) -> Option<Leaf> {
        let (run, bytes) = self.leaves.get(index)?;
        let place = self.runs.get(run)?.leaves.iter().position(|leaf| *leaf == index)?;
        Some(Leaf { index: index as u64, run: *run, seq: Seq(place as u64 + 1), bytes: bytes.clone() })
    }
}

#[async_trait]
impl Audit for MemoryStore {
    async fn log_id(&self) -> Result<String, StoreError> {
        Ok(self.id.clone())
    }

    async fn tree(&self) -> Result<TreeHead, StoreError> {
        Ok(self.state().tree(u64::MAX))
    }

    async fn nodes(&self, nodes: &[Node]) -> Result<BTreeMap<Node, Digest>, StoreError> {
        let state = self.state();
        let hash = |node: &Node| {
            let (first, last) = (node.index << node.level, node.last_leaf());
            let leaves = state.leaves.get(usize::try_from(first).ok()?..=usize::try_from(last).ok()?)?;
            let mut tree = Frontier::default();
            leaves.iter().for_each(|(_, body)| drop(tree.append(leaf_hash(body))));
            Some((*node, tree.root()))
        };
        let missing = || StoreError::Malformed("a node of the tree is asked for that is not complete".into());
        nodes.iter().map(|node| hash(node).ok_or_else(missing)).collect()
    }

    async fn leaves(&self, from: u64, limit: u32) -> Result<Vec<Leaf>, StoreError> {
        let state = self.state();
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        Ok((from..state.leaves.len()).take(limit as usize).filter_map(|index| state.leaf(index)).collect())
    }

    async fn leaves_of(&self, run: RunId, after: Seq, limit: u32) -> Result<Vec<Leaf>, StoreError> {
        let state = self.state();
        let skip = usize::try_from(after.0).unwrap_or(usize::MAX);
        let leaves = state.run(run)?.leaves.iter().skip(skip).take(limit as usize);
        Ok(leaves.filter_map(|index| state.leaf(*index)).collect())
    }

    async fn keep_head(&self, head: &SignedHead) -> Result<(), StoreError> {
        let mut state = self.state();
        if head.head.size == 0 || state.tree(head.head.size) != head.head {
            return Err(StoreError::Malformed(format!("the log never had this head of {} events", head.head.size)));
        }
        state.heads.insert(head.head.size, head.clone());
        Ok(())
    }

    async fn heads(&self, above: u64, limit: u32) -> Result<Vec<SignedHead>, StoreError> {
        let state = self.state();
        let heads = state.heads.values().filter(|head| head.head.size > above);
        Ok(heads.take(limit as usize).cloned().collect())
    }

    async fn newest_head(&self) -> Result<Option<SignedHead>, StoreError> {
        Ok(self.state().heads.values().next_back().cloned())
    }
}

#[async_trait]
impl Memory for MemoryStore {
    async fn recall(&self, recall: &Recall) -> Result<Vec<Recalled>, StoreError> {
        Ok(self.state().memories.recall(recall))
    }

    async fn list(&self, filter: &MemoryFilter) -> Result<Vec<Remembered>, StoreError> {
        Ok(self.state().memories.list(filter))
    }

    async fn namespaces(&self) -> Result<Vec<(String, u64)>, StoreError> {
        Ok(self.state().memories.namespaces())
    }

    async fn without_vector(
        &self,
        model: &str,
        namespace: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Remembered>, StoreError> {
        Ok(self.state().memories.without_vector(model, namespace, after, limit))
    }

    async fn keep_vectors(&self, vectors: &[(MemoryId, MemoryVector)]) -> Result<(), StoreError> {
        self.state().memories.keep_vectors(vectors)
    }
}

#[async_trait]
impl Queue for MemoryStore {
    async fn claim(&self, claim: &Claim) -> Result<Option<Lease>, StoreError> {
        let now = self.clock.now();
        let mut state = self.state();
        let run = match claim.run {
            Some(id) => {
                let free = |run: &&mut Run| if run.status.ended() { claim.ended } else { !run.held(now) };
                state.runs.get_mut(&id).filter(free)
            }
            None => {
                let ready = state.runs.values_mut().filter(|run| run.ready(now));
                ready.min_by_key(|run| (run.new.at, run.new.run))
            }
        };
        Ok(run.map(|run| {
            run.owner = Some(claim.worker.clone());
            run.fence = run.fence.next();
            run.until = now.after(claim.lease);
            Lease { run: run.new.run, worker: claim.worker.clone(), fence: run.fence }
        }))
    }

    async fn renew(&self, lease: &Lease, duration: Duration) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut state = self.state();
        let run = state.run_mut(lease.run)?;
        run.owned_by(lease)?;
        run.until = now.after(duration);
        Ok(())
    }

    async fn release(&self, lease: &Lease, wake: Option<Time>) -> Result<Released, StoreError> {
        let mut state = self.state();
        let run = state.run_mut(lease.run)?;
        run.owned_by(lease)?;
        if !run.inbox.is_empty() && !run.status.ended() {
            return Ok(Released::Unread);
        }
        run.owner = None;
        run.wake = wake;
        Ok(Released::Free)
    }

    async fn signal(&self, run: RunId, message: Message) -> Result<MessageId, StoreError> {
        let now = self.clock.now();
        self.state().send(run, message, now)
    }

    async fn inbox(&self, run: RunId) -> Result<Vec<Received>, StoreError> {
        Ok(self.state().run(run)?.inbox.clone())
    }

    async fn outbox(&self, limit: u32) -> Result<Vec<Outgoing>, StoreError> {
        Ok(self.state().outbox.iter().take(limit as usize).cloned().collect())
    }

    async fn delivered(&self, entries: &[OutboxId]) -> Result<(), StoreError> {
        self.state().outbox.retain(|outgoing| !entries.contains(&outgoing.id));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeClock;
    use crate::testing::conformance::{CASES, Subject, agrees_with_model};

    struct InMemory(Arc<FakeClock>, Arc<MemoryStore>);

    #[async_trait]
    impl Subject for InMemory {
        fn store(&self) -> Arc<dyn crate::store::Store> {
            self.1.clone()
        }

        fn now(&self) -> Time {
            self.0.now()
        }

        async fn advance(&self, by: Duration) {
            self.0.advance(by);
        }
    }

    fn fresh() -> Box<dyn Subject> {
        let clock = Arc::new(FakeClock::default());
        Box::new(InMemory(clock.clone(), Arc::new(MemoryStore::new(clock))))
    }

    #[tokio::test]
    async fn the_store_in_memory_passes_the_suite() {
        for case in CASES {
            println!("{}", case.name);
            (case.run)(fresh()).await;
        }
    }

    #[tokio::test]
    async fn the_store_in_memory_is_not_like_itself() {
        agrees_with_model(async || fresh(), 0..500).await;
    }
}
