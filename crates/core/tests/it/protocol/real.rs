//! The model against a store: the same actions, in random orders, have the same answers.

use std::sync::Arc;
use std::time::Duration;

use parkway_core::clock::Clock;
use parkway_core::id::{CommitId, Fence, RunId, Seq, WorkerId};
use parkway_core::log::{Actor, Channel, Event, EventKind, RunStatus};
use parkway_core::store::{
    Claim, Commit, Lease, Log, Message, MessageId, NewRun, Queue, Released, RunFilter, StoreError, Write,
};
use parkway_core::testing::{FakeClock, MemoryStore};
use stateright::Model;

use super::model::{Action, Flaw, Protocol, State, Worker};

/// A store in the state that the model says.
struct Real {
    clock: Arc<FakeClock>,
    store: MemoryStore,
    run: RunId,
    messages: Vec<MessageId>,
    commits: u8,
}

const LEASE: Duration = Duration::from_secs(10);

impl Real {
    /// A run that nobody has begun.
    async fn new() -> Self {
        let clock = Arc::new(FakeClock::default());
        let store = MemoryStore::new(clock.clone());
        let run = RunId::new(clock.now(), [1; 16]);
        let other = RunId::new(clock.now(), [2; 16]);
        let enqueue = |run| {
            let (tenant, workflow, at) = ("default".to_owned(), "test".to_owned(), clock.now());
            Write::Enqueue(NewRun { run, tenant, workflow, at, parent: None })
        };
        let lease = Lease { run: other, worker: WorkerId::new("maker"), fence: Fence(1) };
        let mut commit = commit(&lease, Seq(0), Vec::new(), RunStatus::Running, 255);
        commit.writes = vec![enqueue(other), enqueue(run)];
        store.commit(commit).await.unwrap();
        Real { clock, store, run, messages: Vec::new(), commits: 0 }
    }

    fn lease(&self, worker: u8, fence: u8) -> Lease {
        Lease { run: self.run, worker: WorkerId::new(format!("w{worker}")), fence: Fence(u64::from(fence)) }
    }

    /// Does what the model has done, and compares the answers.
    async fn act(&mut self, action: Action, before: &State, after: &State) {
        let holding = |worker: u8| match &before.workers[usize::from(worker)] {
            Worker::Holds(holding) => holding.clone(),
            other => panic!("{action:?} of {other:?}"),
        };
        let idle = |worker: u8| after.workers[usize::from(worker)] == Worker::Idle;
        match action {
            Action::Claim(worker) => {
                let claim = Claim::new(WorkerId::new(format!("w{worker}")), Some(self.run), LEASE);
                let claimed = self.store.claim(&claim).await.unwrap();
                assert_eq!(claimed, Some(self.lease(worker, after.fence)));
            }
            Action::Load(_) => {
                let events = self.store.events(self.run, Seq(0)).await.unwrap();
                assert_eq!(events.len(), usize::from(before.head));
            }
            Action::Commit(worker) => {
                let holding = holding(worker);
                self.commits += 1;
                let consumed = holding.read.first().filter(|_| holding.begun);
                let writes = consumed.map(|message| Write::Consume(self.messages[usize::from(*message)]));
                let over = after.ended && !before.ended;
                let status = if over { RunStatus::Cancelled } else { RunStatus::Running };
                let lease = self.lease(worker, holding.fence);
                let seq = Seq(u64::from(holding.head));
                let commit = commit(&lease, seq, writes.into_iter().collect(), status, self.commits);
                let done = self.store.commit(commit).await;
                assert_eq!(done.is_ok(), after.head > before.head, "{done:?}");
                assert!(done.is_ok() || done == Err(StoreError::Fenced { run: self.run }), "{done:?}");
            }
            Action::Renew(worker) => {
                let renewed = self.store.renew(&self.lease(worker, holding(worker).fence), LEASE).await;
                assert_eq!(renewed.is_err(), idle(worker), "{renewed:?}");
            }
            Action::Release(worker) => {
                let released = self.store.release(&self.lease(worker, holding(worker).fence), None).await;
                let owned = before.owner.is_some() && after.owner.is_none();
                assert_eq!(released == Ok(Released::Free), owned, "{released:?}");
            }
            Action::Signal => {
                let message = Message::Cancel { note: None, by: "ada".into(), via: Channel::Command };
                self.messages.push(self.store.signal(self.run, message).await.unwrap());
            }
            // The store in memory knows of no processes: the lease of a dead one runs out.
            Action::Expire => self.clock.advance(LEASE),
            Action::Die(worker) if before.owner == Some(worker) => self.clock.advance(LEASE),
            Action::Die(_) | Action::Start(_) | Action::Answer(_) | Action::Read(_) => {}
        }
        self.compare(after).await;
    }

    async fn compare(&self, model: &State) {
        let events = self.store.events(self.run, Seq(0)).await.unwrap();
        assert_eq!(events.len(), usize::from(model.head));
        assert_eq!(events.last().map_or(0, |event| event.fence.0), u64::from(model.newest));
        assert!(events.is_sorted_by_key(|event| event.fence));
        let inbox: Vec<_> = self.store.inbox(self.run).await.unwrap().iter().map(|received| received.id).collect();
        let expected: Vec<_> = model.inbox.iter().map(|message| self.messages[usize::from(*message)]).collect();
        assert_eq!(inbox, expected);
        let listed = self.store.runs(&RunFilter { run: Some(self.run), ..RunFilter::default() }).await.unwrap();
        assert_eq!(listed[0].status.ended(), model.ended);
        let dead = model.owner.is_some_and(|owner| model.workers[usize::from(owner)] == Worker::Dead);
        let held = model.owner.is_some() && !model.expired && !dead && !model.orphaned && !model.ended;
        assert_eq!(listed[0].held, held, "{model:?}");
    }
}

fn commit(lease: &Lease, expect: Seq, writes: Vec<Write>, status: RunStatus, id: u8) -> Commit {
    let by = Actor::Engine;
    let kind = EventKind::RunClaimed { worker: lease.worker.clone() };
    let at = parkway_core::id::Time::default();
    let event = Event::new("default", lease.run, expect.next(), at, lease.fence, by, kind);
    Commit {
        id: CommitId::new([id; 16]),
        lease: lease.clone(),
        expect,
        events: vec![event],
        payloads: Vec::new(),
        writes,
        status,
        wake: None,
    }
}

#[tokio::test]
async fn the_store_answers_otherwise_than_the_model() {
    let protocol = Protocol { workers: 3, messages: 2, faults: 4, flaw: Flaw::None };
    let (mut ended, mut steps, mut chance) = (0, 0, 1_u64);
    for _ in 0..2_000 {
        let mut state = protocol.init_states().remove(0);
        let mut real = Real::new().await;
        loop {
            let mut actions = Vec::new();
            protocol.actions(&state, &mut actions);
            actions.retain(|action| protocol.next_state(&state, *action).is_some());
            if actions.is_empty() {
                break;
            }
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let action = actions[(chance >> 33) as usize % actions.len()];
            let next = protocol.next_state(&state, action).unwrap();
            real.act(action, &state, &next).await;
            (state, steps) = (next, steps + 1);
        }
        ended += u32::from(state.ended);
    }
    assert_eq!(ended, 2_000);
    assert!(steps > 20_000, "{steps} steps in all");
}
