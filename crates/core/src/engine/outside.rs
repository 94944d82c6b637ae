//! What happens to a store outside of its runs. It has a log of its own, [`RunId::SYSTEM`], which is a run for the store and no one else: so
//! it is numbered, hashed and proven like all that happens.

use std::time::Duration;

use super::memories;
use crate::clock::Clock;
use crate::engine::recorder::Draft;
use crate::engine::services::Services;
use crate::id::{CommitId, Fence, MemoryId, RunId, Seq, Time};
use crate::label::Labels;
use crate::log::{Actor, Channel, Commitment, Event, EventKind, PayloadError, RunStatus};
use crate::memory::NewMemory;
use crate::store::{Claim, Commit, FIRST_LEASE, Lease, Log, NewRun, RunFilter, StoreError, Write};

/// The tenant of what happens outside of runs.
const TENANT: &str = "default";
/// What the log of it is called where a run has the name of its workflow.
pub const SYSTEM_WORKFLOW: &str = "parkway.system";

/// Something that happens outside of runs.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Outside {
    /// Something is remembered.
    Remember(NewMemory),
    /// A memory is forgotten.
    Forget {
        /// The memory.
        id: MemoryId,
        /// What it says.
        content: Commitment,
        /// Why.
        note: Option<String>,
    },
    /// Texts are erased.
    Erase {
        /// The texts.
        payloads: Vec<Commitment>,
        /// Why.
        note: String,
    },
    /// Nothing of a run may be erased, or of no run.
    PlaceHold {
        /// The run; every run if none.
        run: Option<RunId>,
        /// Why.
        note: String,
    },
    /// That may be done again.
    LiftHold {
        /// The run; every run if none.
        run: Option<RunId>,
        /// Why.
        note: String,
    },
    /// A key that signs heads gives way to another.
    RotateKey {
        /// The note that both have signed.
        rotation: String,
        /// Why.
        note: String,
    },
    /// The key of a sealed backup was destroyed.
    ShredBackup {
        /// The id of the backup.
        backup: String,
        /// Why.
        note: String,
    },
}

/// Who makes something happen outside of runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Author {
    /// The name.
    pub name: String,
    /// How the word came in.
    pub via: Channel,
}

impl Author {
    /// Somebody of this name.
    pub fn new(name: impl Into<String>, via: Channel) -> Self {
        Author { name: name.into(), via }
    }
}

/// How often a commit is tried that another process was quicker than.
const ATTEMPTS: u32 = 200;

/// Makes these things happen, in one commit. They are on disk when this returns.
pub async fn record_outside(services: &Services, by: &Author, what: &[Outside]) -> Result<(), StoreError> {
    if !what.is_empty() {
        record_outside_if(services, by, || std::future::ready(Ok(what.to_vec()))).await?;
    }
    Ok(())
}

/// Makes happen what `decide` says when it is its turn, in one commit, and gives what that was. Nothing else happens outside of runs between the
/// word of `decide` and the commit: it is asked again where another process was quicker.
pub async fn record_outside_if<F, W>(
    services: &Services,
    by: &Author,
    mut decide: F,
) -> Result<Vec<Outside>, StoreError>
where
    F: FnMut() -> W,
    W: Future<Output = Result<Vec<Outside>, StoreError>>,
{
    let id = CommitId::new(services.clock.random());
    for _ in 0..ATTEMPTS {
        let (lease, head, writes) = turn(services).await?;
        let what = decide().await?;
        if what.is_empty() {
            return Ok(what);
        }
        let draft = draft(&*services.clock, by, &what)?;
        let at = services.clock.now();
        let event = |(seq, (by, kind)): (u64, &(Option<Actor>, EventKind))| {
            Event::new(TENANT, RunId::SYSTEM, Seq(seq), at, lease.fence, by.clone().unwrap_or_default(), kind.clone())
        };
        let commit = Commit {
            id,
            expect: head,
            events: (head.0 + 1..).zip(&draft.events).map(event).collect(),
            payloads: draft.payloads,
            writes,
            status: RunStatus::Completed,
            wake: None,
            lease,
        };
        match Log::commit(&*services.store, commit).await {
            // Somebody else was quicker: the fence of whoever asks last is the one that counts.
            Err(StoreError::Fenced { .. } | StoreError::Conflict { .. }) => {
                tokio::time::sleep(services.clock.jitter(Duration::from_millis(20))).await;
            }
            done => return done.map(|()| what),
        }
    }
    let message = "other processes change the store without a pause; try again later".into();
    Err(StoreError::Backend { message, retryable: true })
}

/// Events that are read at once: a great many memories may have been written beside the few that are asked for.
const PAGE: u32 = 4_096;

/// What has happened outside of runs of these names ([`EventKind::name`]), in order, each with its number over all runs, from 0: of
/// number `from` or later.
pub async fn happened_outside(log: &dyn Log, names: &[&str], from: u64) -> Result<Vec<(u64, Event)>, StoreError> {
    let mut happened = happened_since(log, names, &mut place(log, from).await?).await?;
    happened.retain(|(index, _)| *index >= from);
    Ok(happened)
}

/// What has happened behind this event, which becomes the newest one.
pub(super) async fn happened_since(
    log: &dyn Log,
    names: &[&str],
    after: &mut Seq,
) -> Result<Vec<(u64, Event)>, StoreError> {
    let marks: Vec<String> = names.iter().map(|name| format!("\"type\":\"{name}\"")).collect();
    let mut happened = Vec::new();
    loop {
        let page = match log.audit().leaves_of(RunId::SYSTEM, *after, PAGE).await {
            Err(StoreError::NoRun(_)) => return Ok(happened),
            page => page?,
        };
        let Some(last) = page.last() else { return Ok(happened) };
        *after = last.seq;
        for leaf in &page {
            // Most events are about something else, and need not be read.
            let text = String::from_utf8_lossy(&leaf.bytes);
            if marks.iter().any(|mark| text.contains(mark)) {
                happened.push((leaf.index, Event::from_bytes(&leaf.bytes)?));
            }
        }
    }
}

/// The last event of the system run before number `from` over all runs. Looked for in ever larger steps and then in ever smaller ones:
/// what lies before it need not be read.
async fn place(log: &dyn Log, from: u64) -> Result<Seq, StoreError> {
    if from == 0 {
        return Ok(Seq(0));
    }
    let earlier = async |seq: u64| match log.audit().leaves_of(RunId::SYSTEM, Seq(seq - 1), 1).await {
        Err(StoreError::NoRun(_)) => Ok(false),
        next => next.map(|next| next.first().is_some_and(|leaf| leaf.index < from)),
    };
    let (mut last, mut step) = (0, 1);
    while earlier(last + step).await? {
        (last, step) = (last + step, step * 2);
    }
    while step > 1 {
        step /= 2;
        if earlier(last + step).await? {
            last += step;
        }
    }
    Ok(Seq(last))
}

/// The right to write, and behind which event.
async fn turn(services: &Services) -> Result<(Lease, Seq, Vec<Write>), StoreError> {
    // It has always ended, so that no worker takes it up and nobody who died keeps it.
    let mut claim = Claim::new(services.worker.clone(), Some(RunId::SYSTEM), FIRST_LEASE);
    claim.ended = true;
    let filter = RunFilter { run: Some(RunId::SYSTEM), ..RunFilter::default() };
    if let Some(lease) = services.store.claim(&claim).await?
        && let Some(system) = services.store.runs(&filter).await?.first()
    {
        return Ok((lease, system.head, Vec::new()));
    }
    let lease = Lease { run: RunId::SYSTEM, worker: services.worker.clone(), fence: Fence(1) };
    let new = NewRun {
        run: RunId::SYSTEM,
        tenant: TENANT.into(),
        workflow: SYSTEM_WORKFLOW.into(),
        at: Time::default(),
        parent: None,
    };
    Ok((lease, Seq(0), vec![Write::Enqueue(new)]))
}

fn draft(clock: &dyn Clock, by: &Author, what: &[Outside]) -> Result<Draft, PayloadError> {
    let mut draft = Draft::default();
    let by = Actor::Person { name: draft.payload(clock, &by.name)?, via: by.via };
    for what in what {
        match what {
            Outside::Remember(memory) => {
                memories::remember(&mut draft, clock, (&by, None), memory, Labels::NONE)?;
            }
            Outside::Forget { id, content, note } => {
                memories::forget(&mut draft, clock, (&by, None), (*id, *content), note.as_deref())?;
            }
            Outside::Erase { payloads, note } => {
                let note = draft.payload(clock, note)?;
                draft.event_by(by.clone(), EventKind::PayloadErased { payloads: payloads.clone(), note });
            }
            Outside::PlaceHold { run, note } => {
                let note = draft.payload(clock, note)?;
                draft.event_by(by.clone(), EventKind::HoldPlaced { run: *run, note });
            }
            Outside::LiftHold { run, note } => {
                let note = draft.payload(clock, note)?;
                draft.event_by(by.clone(), EventKind::HoldLifted { run: *run, note });
            }
            Outside::RotateKey { rotation, note } => {
                let note = draft.payload(clock, note)?;
                draft.event_by(by.clone(), EventKind::KeyRotated { rotation: rotation.clone(), note });
            }
            Outside::ShredBackup { backup, note } => {
                let note = draft.payload(clock, note)?;
                draft.event_by(by.clone(), EventKind::BackupShredded { backup: backup.clone(), note });
            }
        }
    }
    Ok(draft)
}
