//! A group of commits in one transaction: everything that decides is read in one query, decided here, and written in a few
//! statements of many rows. A commit that is refused leaves nothing, and takes no other with it.

use std::collections::HashMap;

use parkway_core::clock::Clock;
use parkway_core::id::{Fence, MemoryId, RunId, Seq, Time, WorkerId};
use parkway_core::log::tree::Frontier;
use parkway_core::log::{Event, Payload, RunStatus};
use parkway_core::store::{Commit, FIRST_LEASE, Lease, Message, MessageId, NewRun, StoreError, Write};
use parkway_core::write::OutboxEntry;

use super::blob::LARGE;
use super::error::corrupt;
use super::insert::FEW;
use super::leaves::{self, Leaf};
use super::memory::{self, Change};
use super::payload::{self, Tenants, Text};
use super::reach::Reach;
use super::rows::{self, Found};
use super::statement::Statement;
use super::tx::Tx;

/// A commit that is well formed, with its events as the bytes that are kept.
pub(super) struct Prepared {
    pub(super) id: String,
    pub(super) lease: Lease,
    pub(super) expect: Seq,
    pub(super) head: Seq,
    pub(super) leaves: Vec<Leaf>,
    pub(super) updated: Option<Time>,
    pub(super) texts: Vec<Text>,
    pub(super) own: Option<NewRun>,
    pub(super) others: Vec<NewRun>,
    pub(super) consumes: Vec<MessageId>,
    pub(super) statements: Vec<Statement>,
    /// The first of the writes that is a statement which SQLite is not even shown, and why.
    pub(super) flaw: Option<(usize, String)>,
    pub(super) sends: Vec<Send>,
    pub(super) outbox: Vec<OutboxEntry>,
    /// What its events change beside the log.
    pub(super) changes: Vec<Change>,
    pub(super) status: RunStatus,
    pub(super) wake: Option<Time>,
}

impl Prepared {
    pub(super) fn new(commit: Commit) -> Result<Self, StoreError> {
        commit.check()?;
        let changes = Change::all_of(&commit);
        let leaf = |event: &Event| Ok(Leaf::new(event.to_bytes()?));
        let leaves: Vec<Leaf> = commit.events.iter().map(leaf).collect::<Result<_, StoreError>>()?;
        let (mut own, mut others, mut consumes) = (None, Vec::new(), Vec::new());
        let (mut statements, mut sends, mut outbox) = (Vec::new(), Vec::new(), Vec::new());
        let mut flaw = None;
        for (write, what) in commit.writes.into_iter().enumerate() {
            match what {
                Write::Enqueue(new) if new.run == commit.lease.run => own = Some(new),
                Write::Enqueue(new) => others.push(new),
                Write::Consume(message) => consumes.push(message),
                Write::Sql(sql) => match Statement::new(write, sql) {
                    Ok(statement) => statements.push(statement),
                    Err(why) => flaw = flaw.or(Some((write, why))),
                },
                Write::Send(to, message) => sends.push(Send { write, to, body: body(&message)? }),
                Write::Outbox(entry) => outbox.push(entry),
                other => return Err(StoreError::Malformed(format!("this store cannot do {other:?}"))),
            }
        }
        let text = |payload: Payload| Text {
            commitment: payload.commitment,
            salt: payload.salt,
            codec: payload.codec.as_str(),
            bytes: payload.bytes.into(),
        };
        Ok(Prepared {
            id: commit.id.to_string(),
            expect: commit.expect,
            head: Seq(commit.expect.0 + leaves.len() as u64),
            updated: commit.events.last().map(|event| event.at),
            texts: commit.payloads.into_iter().map(text).collect(),
            status: commit.status,
            wake: commit.wake,
            lease: commit.lease,
            leaves,
            own,
            others,
            consumes,
            statements,
            flaw,
            sends,
            outbox,
            changes,
        })
    }

    /// Whether a text is to be gone when it has become true.
    pub(super) fn erases(&self) -> bool {
        self.changes.iter().any(Change::erases)
    }

    /// The memories that say nothing any more when it has become true.
    pub(super) fn forgets(&self) -> Vec<MemoryId> {
        self.changes.iter().filter_map(Change::forgets).collect()
    }

    /// Whether it makes a run with this id.
    fn creates(&self, run: &RunId) -> bool {
        self.own.iter().chain(&self.others).any(|new| new.run == *run)
    }

    /// Whether it writes a few events and small texts of a run that there is, and nothing else.
    fn is_plain(&self) -> bool {
        let Prepared { own, others, consumes, statements, flaw, sends, outbox, changes, .. } = self;
        let small = |text: &Text| text.bytes.len() <= LARGE;
        own.is_none()
            && flaw.is_none()
            && others.is_empty()
            && consumes.is_empty()
            && statements.is_empty()
            && sends.is_empty()
            && outbox.is_empty()
            && changes.is_empty()
            && (1..=FEW).contains(&self.leaves.len())
            && self.texts.len() <= FEW
            && self.texts.iter().all(small)
    }

    /// The first of its writes that is a statement.
    pub(super) fn statement(&self) -> Option<usize> {
        self.statements.first().map(|statement| statement.write)
    }

    /// The worker that owns the run which the commit creates.
    pub(super) fn creator(&self) -> Option<&WorkerId> {
        self.own.as_ref().map(|_| &self.lease.worker)
    }

    pub(super) fn bytes(&self) -> usize {
        let texts: usize = self.texts.iter().map(|text| text.bytes.len()).sum();
        texts + self.leaves.iter().map(|leaf| leaf.body.len()).sum::<usize>()
    }
}

/// A message that a commit sends.
pub(super) struct Send {
    /// Which of the commit's writes it is.
    pub(super) write: usize,
    pub(super) to: RunId,
    pub(super) body: String,
}

/// A message as it is kept.
pub(super) fn body(message: &Message) -> Result<String, StoreError> {
    serde_json::to_string(message).map_err(|e| StoreError::Malformed(format!("a message that cannot be written: {e}")))
}

/// What the accepted commits of a transaction have added.
#[derive(Default)]
pub(super) struct Written {
    pub(super) commits: u64,
    pub(super) events: u64,
}

/// A run as the commits so far leave it.
pub(super) struct Run {
    /// `None` until it is inserted.
    pub(super) key: Option<i64>,
    pub(super) new: Option<NewRun>,
    pub(super) tenant: String,
    pub(super) status: RunStatus,
    pub(super) updated: Time,
    pub(super) head: Seq,
    pub(super) owner: Option<String>,
    pub(super) fence: Fence,
    pub(super) until: Time,
    pub(super) wake: Option<Time>,
    pub(super) last: Option<String>,
    pub(super) changed: bool,
}

impl Run {
    fn pending(new: &NewRun) -> Self {
        Run {
            key: None,
            new: Some(new.clone()),
            tenant: new.tenant.clone(),
            status: RunStatus::Pending,
            updated: new.at,
            head: Seq(0),
            owner: None,
            fence: Fence(0),
            until: Time::default(),
            wake: Some(new.at),
            last: None,
            changed: false,
        }
    }
}

/// What the writer knows of the database from one transaction to the next. After one that failed it knows nothing.
#[derive(Default)]
pub(super) struct Known {
    frontier: Frontier,
    /// What never changes of runs that were written to.
    runs: HashMap<RunId, (i64, String)>,
    tenants: Tenants,
    reach: Reach,
}

/// How many runs are known at once.
const RUNS: usize = 4_096;

/// Gathers all that makes a commit true that is alone in its transaction, which saves the way to SQLite and back for what
/// decides: SQLite decides on the way, and [`was_taken`] tells. Gives the tree's edge as it is then, or `None` if the commit is not
/// of that kind or too little is known: then nothing was gathered.
pub(super) fn gather_alone(tx: &mut Tx, commit: &Prepared, known: &Known) -> Result<Option<Frontier>, StoreError> {
    let Some((key, tenant)) = known.runs.get(&commit.lease.run).filter(|_| commit.is_plain()) else { return Ok(None) };
    let mut frontier = known.frontier.clone();
    let number = |seq: Seq| i64::try_from(seq.0).map_err(|_| corrupt("an event number", seq.0));
    let (before, head) = (number(commit.expect)?, number(commit.head)?);
    let fence = i64::try_from(commit.lease.fence.0).map_err(|_| corrupt("a fence", commit.lease.fence.0))?;
    let size = frontier.size();
    let leaves = i64::try_from(size).map_err(|_| corrupt("a leaf number", size))?;
    tx.gather(
        "UPDATE parkway_run SET status = ?, updated = ?, head = ?, wake = ?, last_commit = ?
        WHERE key = ? AND last_commit IS NOT ? AND owner = ? AND fence = ? AND head = ?
            AND (SELECT max(leaf) FROM parkway_event) = ?",
    );
    tx.bind(commit.status.as_str()).bind(commit.updated.map(Time::micros)).bind(head);
    tx.bind(commit.wake.map(Time::micros)).bind(commit.id.clone());
    tx.bind(*key).bind(commit.id.clone()).bind(commit.lease.worker.as_str().to_owned());
    tx.bind(fence).bind(before).bind(leaves);
    let row = |(seq, leaf)| leaves::Row { key: *key, run: commit.lease.run, tenant, seq, leaf };
    let rows: Vec<leaves::Row<'_>> = (before + 1..).zip(&commit.leaves).map(row).collect();
    // Each statement does something if the one before it did.
    leaves::append_if(tx, &mut frontier, &rows, "changes() = 1")?;
    let texts: Vec<_> = commit.texts.iter().map(|text| payload::Row { run: *key, tenant, text }).collect();
    if !texts.is_empty() {
        payload::write_if(tx, &texts, &format!("changes() = {}", rows.len()));
    }
    Ok(Some(frontier))
}

/// Whether a commit that was gathered alone has become true, by how many rows each statement of its transaction has changed.
pub(super) fn was_taken(changed: &[u64]) -> bool {
    changed.get(1) == Some(&1)
}

impl Known {
    /// After a commit that was alone.
    pub(super) fn grown(&mut self, commit: &Prepared, frontier: Frontier) {
        self.frontier = frontier;
        if commit.status.ended() {
            self.runs.remove(&commit.lease.run);
        }
    }

    /// Keeps what never changes of the commit's run, while there will be more commits to it.
    fn learn(&mut self, commit: &Prepared, runs: &HashMap<RunId, Run>) {
        let id = commit.lease.run;
        if commit.status.ended() {
            self.runs.remove(&id);
        } else if !self.runs.contains_key(&id) {
            // Runs that nobody goes on with are known, too.
            if self.runs.len() >= RUNS {
                self.runs.clear();
            }
            let run = runs.get(&id).and_then(|run| Some((run.key?, run.tenant.clone())));
            self.runs.extend(run.map(|run| (id, run)));
        }
    }
}

/// Applies the commits in order. The outer error fails the transaction; the inner ones are the commits' own.
pub(super) async fn apply(
    tx: &mut Tx,
    commits: &[&Prepared],
    now: Time,
    clock: &dyn Clock,
    known: &mut Known,
    written: &mut Written,
) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    let Found { mut runs, mut messages, leaves } = rows::load(tx, commits).await?;
    let (mut outcomes, mut accepted) = (Vec::with_capacity(commits.len()), Vec::new());
    for commit in commits {
        let mut verdict = accepts(commit, &runs, &messages);
        if verdict == Ok(true) && !commit.statements.is_empty() {
            verdict = known.reach.execute(tx, &commit.statements).await?.map(|()| true);
        }
        if verdict == Ok(true)
            && let Some(id) = memory::known(tx, &commit.changes).await?
        {
            verdict = Err(StoreError::Malformed(format!("memory {id} exists already")));
        }
        if verdict == Ok(true) {
            take(commit, &mut runs, now);
            messages.retain(|message, _| !commit.consumes.contains(message));
            accepted.push(*commit);
            written.commits += 1;
            written.events += commit.leaves.len() as u64;
        }
        outcomes.push(verdict.map(|_| ()));
    }
    rows::insert_runs(tx, &mut runs).await?;
    for commit in &accepted {
        known.learn(commit, &runs);
    }
    rows::insert_events(tx, &accepted, &runs, leaves, &mut known.frontier).await?;
    rows::insert_payloads(tx, &accepted, &runs, &mut known.tenants, clock).await?;
    for commit in accepted.iter().filter(|commit| !commit.changes.is_empty()) {
        memory::fold(tx, rows::key_of(&runs, commit.lease.run)?, &commit.changes).await?;
    }
    rows::delete_messages(tx, &accepted);
    rows::insert_messages(tx, &accepted, &runs, now)?;
    rows::insert_outbox(tx, &accepted, &runs, now)?;
    rows::update_runs(tx, &runs);
    Ok(outcomes)
}

/// Whether the commit may become true; `false` if it already has.
fn accepts(
    commit: &Prepared,
    runs: &HashMap<RunId, Run>,
    messages: &HashMap<MessageId, RunId>,
) -> Result<bool, StoreError> {
    let id = commit.lease.run;
    match runs.get(&id) {
        Some(run) => {
            if run.last.as_ref() == Some(&commit.id) {
                return Ok(false);
            }
            let holds = run.owner.as_deref() == Some(commit.lease.worker.as_str()) && run.fence == commit.lease.fence;
            if commit.own.is_none() && !holds {
                return Err(StoreError::Fenced { run: id });
            }
            if commit.own.is_some() || run.head != commit.expect {
                return Err(StoreError::Conflict { run: id, expected: commit.expect, found: run.head });
            }
        }
        None if commit.expect > Seq(0) => return Err(StoreError::NoRun(id)),
        None if commit.own.is_none() => {
            return Err(StoreError::Malformed(format!("run {id} begins without being enqueued")));
        }
        None => {}
    }
    if let Some(new) = commit.others.iter().find(|new| runs.contains_key(&new.run)) {
        return Err(StoreError::Malformed(format!("run {} exists already", new.run)));
    }
    if let Some(message) = commit.consumes.iter().find(|message| messages.get(message) != Some(&id)) {
        return Err(StoreError::Malformed(format!("message {} is not in the inbox of {id}", message.0)));
    }
    // A commit that is malformed is refused for that, whatever else would refuse it.
    let exists = |run: &RunId| runs.contains_key(run) || commit.creates(run);
    let lost = commit.sends.iter().find(|send| !exists(&send.to)).map(|send| {
        let message = format!("there is no run {} to send a message to; `parkway runs` lists them", send.to);
        (send.write, message)
    });
    match lost.into_iter().chain(commit.flaw.clone()).min() {
        Some((write, message)) => Err(StoreError::Refused { write, message }),
        None => Ok(true),
    }
}

fn take(commit: &Prepared, runs: &mut HashMap<RunId, Run>, now: Time) {
    for new in &commit.others {
        runs.insert(new.run, Run::pending(new));
    }
    if let Some(new) = &commit.own {
        let mut run = Run::pending(new);
        run.owner = Some(commit.lease.worker.as_str().to_owned());
        run.fence = commit.lease.fence;
        run.until = now.after(FIRST_LEASE);
        runs.insert(new.run, run);
    }
    if let Some(run) = runs.get_mut(&commit.lease.run) {
        run.status = commit.status;
        run.updated = commit.updated.unwrap_or(run.updated);
        run.head = commit.head;
        run.wake = commit.wake;
        run.last = Some(commit.id.clone());
        run.changed = true;
    }
}
