//! The protocol between workers and a store, as a state machine that a model checker explores: one run, a few workers,
//! messages, and faults that come at the worst time.
//!
//! What each action stands for in the code:
//!
//! | action | code |
//! |---|---|
//! | `Claim` | `Executor::take_over` up to the answer of `Queue::claim`; `ready` and `held` of the store in memory, `queue::claim` and `bury` of that on SQLite |
//! | `Load` | `Executor::continue_log`: the events are read, and `RunClaimed` follows them |
//! | `Commit` | `Committer::commit`, and the store's `accepts` and `take`: the fence, the head and the messages are looked at and everything is changed at once |
//! | `Answer` | `Committer::commit` returns: watchers are told, so that the events count as acknowledged |
//! | `Read` | `Executor::read_inbox` |
//! | `Renew` | the renewal in `Executor::drive`, when it comes late; one that comes in time changes nothing |
//! | `Release` | `Executor::give_back`, and the store's `release` |
//! | `Signal` | `Queue::signal` |
//! | `Expire` | the lease's time is over: a process was stopped, or the machine too slow |
//! | `Die` | the process ends, and its owner lock with it |
//! | `Start` | a process is started in place of a dead one: a new worker that knows nothing |
//!
//! The store takes one action at a time, as its writer and its lock do. An executor has one commit under way at most, and
//! releases only what is written (`Recorder::written`); it reads, renews and dies meanwhile.

use stateright::{Model, Property};

/// What a store, or a worker, may get wrong: each must be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Nothing.
    None,
    /// A commit is not held against the fence.
    NoFence,
    /// A commit is not held against the head, nor against the fence.
    NoFenceNorHead,
    /// A commit may consume what was consumed before, by a worker that lost the run.
    NoFenceNorInbox,
    /// A run is given back although messages came meanwhile, and nobody is called for them.
    ReleasesUnread,
    /// A run with a lease that has not run out is given to whoever asks.
    ClaimsHeld,
    /// The lease of a dead process never ends.
    DeadHolds,
    /// Watchers are told before the commit is on disk.
    TellsEarly,
}

/// What a worker does, as it sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Worker {
    Idle,
    Dead,
    /// Has a lease, and has not read the log.
    Claimed {
        fence: u8,
    },
    Holds(Holding),
}

/// What a worker knows of the run that it thinks it has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Holding {
    pub(super) fence: u8,
    pub(super) head: u8,
    /// Messages that it has read and not consumed, oldest first.
    pub(super) read: Vec<u8>,
    /// Messages that the log says were consumed.
    pub(super) known: u8,
    /// Whether the answer to a commit has not come.
    pub(super) waits: bool,
    /// Whether it has recorded that it has the run.
    pub(super) begun: bool,
    /// Whether the event under way, or the last one, ends the run.
    pub(super) over: bool,
}

/// The store, the workers, and what has gone wrong for good. The log is known by its length and its newest fence, so that
/// there are fewer states.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) head: u8,
    /// The fence of the newest event.
    pub(super) newest: u8,
    pub(super) owner: Option<u8>,
    pub(super) fence: u8,
    pub(super) expired: bool,
    /// Whether the owner's process, which is dead by now, was replaced by another one.
    pub(super) orphaned: bool,
    pub(super) inbox: Vec<u8>,
    pub(super) sent: u8,
    /// How often each message was consumed.
    pub(super) consumed: Vec<u8>,
    pub(super) ended: bool,
    /// Whether the run is called for although it has no message: it is new.
    pub(super) wake: bool,
    pub(super) workers: Vec<Worker>,
    /// How many events, from the first, were acknowledged.
    pub(super) told: u8,
    pub(super) faults: u8,
    /// An event came after one of a newer fence.
    pub(super) disorder: bool,
    /// An acknowledged event is not in the log, or no longer.
    pub(super) lost: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    Claim(u8),
    Load(u8),
    Commit(u8),
    Answer(u8),
    Read(u8),
    Renew(u8),
    Release(u8),
    Signal,
    Expire,
    Die(u8),
    Start(u8),
}

/// How large a world is explored.
#[derive(Clone, Debug)]
pub(super) struct Protocol {
    pub(super) workers: u8,
    pub(super) messages: u8,
    /// How often a lease may run out or a process die.
    pub(super) faults: u8,
    pub(super) flaw: Flaw,
}

impl Protocol {
    /// Whether a claim succeeds now.
    pub(super) fn claimable(&self, state: &State) -> bool {
        if state.ended {
            return false;
        }
        match state.owner {
            Some(owner) => {
                let dead = state.orphaned || state.workers[usize::from(owner)] == Worker::Dead;
                let buried = dead && self.flaw != Flaw::DeadHolds;
                let over = state.expired && !(dead && self.flaw == Flaw::DeadHolds);
                over || buried || self.flaw == Flaw::ClaimsHeld
            }
            None => state.wake || !state.inbox.is_empty() && self.flaw != Flaw::ReleasesUnread,
        }
    }

    /// Whether the store accepts the next commit of a worker.
    fn accepts(&self, state: &State, worker: u8, holding: &Holding) -> bool {
        let owned = state.owner == Some(worker) && state.fence == holding.fence && !state.orphaned;
        let at_head = state.head == holding.head;
        let there = consumes(holding).is_none_or(|message| state.inbox.contains(&message));
        match self.flaw {
            Flaw::NoFence => at_head && there,
            Flaw::NoFenceNorHead => there,
            Flaw::NoFenceNorInbox => at_head || !there,
            _ => owned && at_head && there,
        }
    }
}

/// The message that the next commit of a worker consumes.
fn consumes(holding: &Holding) -> Option<u8> {
    holding.read.first().copied().filter(|_| holding.begun)
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            head: 0,
            newest: 0,
            owner: None,
            fence: 0,
            expired: false,
            orphaned: false,
            inbox: Vec::new(),
            sent: 0,
            consumed: vec![0; usize::from(self.messages)],
            ended: false,
            wake: true,
            workers: vec![Worker::Idle; usize::from(self.workers)],
            told: 0,
            faults: 0,
            disorder: false,
            lost: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.sent < self.messages && !state.ended {
            actions.push(Action::Signal);
        }
        let may_fail = state.faults < self.faults;
        if state.owner.is_some() && !state.expired && !state.ended && may_fail {
            actions.push(Action::Expire);
        }
        for (worker, is) in (0..).zip(&state.workers) {
            match is {
                Worker::Idle => {
                    if self.claimable(state) {
                        actions.push(Action::Claim(worker));
                    }
                }
                Worker::Dead => actions.push(Action::Start(worker)),
                Worker::Claimed { .. } => actions.push(Action::Load(worker)),
                Worker::Holds(holding) => {
                    let unread = state.inbox.iter().any(|message| !holding.read.contains(message));
                    let finished = holding.known == self.messages;
                    match holding.waits {
                        true => actions.push(Action::Answer(worker)),
                        false if !holding.begun || !holding.read.is_empty() || finished => {
                            actions.push(Action::Commit(worker));
                        }
                        false => actions.push(Action::Release(worker)),
                    }
                    if unread {
                        actions.push(Action::Read(worker));
                    }
                    if state.expired {
                        actions.push(Action::Renew(worker));
                    }
                }
            }
            if !matches!(is, Worker::Idle | Worker::Dead) && may_fail {
                actions.push(Action::Die(worker));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let (Action::Claim(at)
        | Action::Load(at)
        | Action::Commit(at)
        | Action::Answer(at)
        | Action::Read(at)
        | Action::Renew(at)
        | Action::Release(at)
        | Action::Die(at)
        | Action::Start(at)) = action
        else {
            match action {
                Action::Signal => {
                    state.inbox.push(state.sent);
                    state.sent += 1;
                }
                _ => {
                    state.expired = true;
                    state.faults += 1;
                }
            }
            return Some(state);
        };
        let index = usize::from(at);
        match (action, last.workers[index].clone()) {
            (Action::Claim(_), _) => {
                state.fence += 1;
                (state.owner, state.expired, state.orphaned) = (Some(at), false, false);
                state.workers[index] = Worker::Claimed { fence: state.fence };
            }
            (Action::Load(_), Worker::Claimed { fence }) => {
                state.workers[index] = Worker::Holds(Holding {
                    fence,
                    head: last.head,
                    read: Vec::new(),
                    known: last.consumed.iter().filter(|times| **times > 0).count() as u8,
                    waits: false,
                    begun: false,
                    over: last.ended,
                });
            }
            (Action::Commit(_), Worker::Holds(mut holding)) => {
                if !self.accepts(last, at, &holding) {
                    // It is told so, and forgets the run.
                    state.workers[index] = Worker::Idle;
                    state.lost |= self.flaw == Flaw::TellsEarly;
                    return Some(state);
                }
                // Where nobody looks at the head, the event takes the place of what stands there.
                state.lost |= holding.head < last.told;
                state.disorder |= holding.fence < last.newest;
                (state.head, state.newest) = (holding.head + 1, holding.fence);
                let finishes = holding.begun && holding.read.is_empty();
                if let Some(message) = consumes(&holding) {
                    state.inbox.retain(|other| *other != message);
                    state.consumed[usize::from(message)] += 1;
                    holding.read.remove(0);
                    holding.known += 1;
                }
                state.wake = false;
                state.ended |= finishes;
                (holding.begun, holding.over) = (true, finishes);
                holding.waits = true;
                state.workers[index] = Worker::Holds(holding);
            }
            (Action::Answer(_), Worker::Holds(mut holding)) => {
                holding.waits = false;
                holding.head += 1;
                state.lost |= last.head < holding.head;
                state.told = last.told.max(holding.head);
                state.workers[index] = if holding.over { Worker::Idle } else { Worker::Holds(holding) };
            }
            (Action::Read(_), Worker::Holds(mut holding)) => {
                let new = last.inbox.iter().filter(|message| !holding.read.contains(message));
                holding.read.extend(new.copied().collect::<Vec<_>>());
                state.workers[index] = Worker::Holds(holding);
            }
            (Action::Renew(_), Worker::Holds(holding)) => {
                if last.owner == Some(at) && last.fence == holding.fence && !last.orphaned {
                    state.expired = false;
                } else {
                    state.workers[index] = Worker::Idle;
                }
            }
            (Action::Release(_), Worker::Holds(holding)) => {
                let owned = last.owner == Some(at) && last.fence == holding.fence && !last.orphaned;
                if owned && !last.inbox.is_empty() && self.flaw != Flaw::ReleasesUnread {
                    // Refused: it looks at the inbox again.
                    return None;
                }
                if owned {
                    state.owner = None;
                    state.expired = false;
                }
                state.workers[index] = Worker::Idle;
            }
            (Action::Die(_), _) => {
                state.workers[index] = Worker::Dead;
                state.faults += 1;
            }
            (Action::Start(_), _) => {
                state.workers[index] = Worker::Idle;
                state.orphaned |= last.owner == Some(at);
            }
            (_, Worker::Idle | Worker::Dead | Worker::Claimed { .. } | Worker::Holds(_)) => return None,
        }
        Some(state)
    }

    /// A flaw may make the world endless.
    fn within_boundary(&self, state: &State) -> bool {
        state.fence <= 2 + self.faults + self.messages && state.head <= 20
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_WRITER, |_: &Protocol, state: &State| !state.disorder),
            Property::always(TAKEN_WHILE_ALIVE, |_: &Protocol, state: &State| {
                // A newer fence is given only where a lease ran out, was given back, or its process had died.
                let faults = usize::from(state.faults);
                usize::from(state.fence) <= 1 + faults + usize::from(state.sent)
            }),
            Property::always(MESSAGES, |_: &Protocol, state: &State| {
                (0..state.sent).all(|message| {
                    let waits = state.inbox.iter().filter(|other| **other == message).count();
                    waits + usize::from(state.consumed[usize::from(message)]) == 1
                })
            }),
            Property::always(CALLED_FOR, |model: &Protocol, state: &State| {
                let left = state.owner.is_none() && !state.inbox.is_empty() && !state.ended;
                !left || model.claimable(state)
            }),
            Property::always(ACKNOWLEDGED, |_: &Protocol, state: &State| !state.lost),
            Property::always(DEAD, |model: &Protocol, state: &State| {
                let dead = |owner: u8| state.orphaned || state.workers[usize::from(owner)] == Worker::Dead;
                state.ended || !state.owner.is_some_and(dead) || model.claimable(state)
            }),
            Property::eventually(PROGRESS, |_: &Protocol, state: &State| state.ended),
        ]
    }
}

pub(super) const ONE_WRITER: &str = "no event of an old fence comes after one of a newer";
pub(super) const TAKEN_WHILE_ALIVE: &str = "a run is taken from nobody whose lease runs";
pub(super) const MESSAGES: &str = "each message waits, or was acted on once";
pub(super) const CALLED_FOR: &str = "a run that was given back with a message is called for";
pub(super) const ACKNOWLEDGED: &str = "what was acknowledged stands in the log";
pub(super) const DEAD: &str = "the run of a dead worker can be claimed";
pub(super) const PROGRESS: &str = "the run ends";
