//! Makes a commit of what a call says about it.

use std::time::Duration;

use super::call::{Base, Doing, Flaw, Making};
use super::play::{FIRST_FENCE, NO_MESSAGE, Player, Sent, picked, refusable, without_sql};
use crate::id::{CommitId, Fence, RunId, Seq, WorkerId};
use crate::log::Payload;
use crate::store::{Commit, Lease, NewRun, Write};
use crate::testing::conformance::room::{cancel, event};
use crate::write::{OutboxEntry, SqlWrite};

impl Player {
    /// `None` where there is nothing to commit to.
    pub(super) async fn make(&mut self, making: &Making) -> Result<Option<Sent>, String> {
        let mut own = None;
        let lease = match making.base {
            Base::New | Base::Unknown => {
                let new = self.new_run(None).await?;
                let lease = Lease { run: new.run, worker: self.worker(making.lease % 3), fence: FIRST_FENCE };
                self.keep_lease(lease.clone());
                own = (making.base == Base::New).then_some(new);
                lease
            }
            _ => match self.lease(making.lease) {
                Some(lease) => lease.clone(),
                None => return Ok(None),
            },
        };
        let lease = match making.flaw {
            Some(Flaw::OtherWorker) => Lease { worker: WorkerId::new("stranger"), ..lease },
            Some(Flaw::NewerFence) => Lease { fence: lease.fence.next(), ..lease },
            _ => lease,
        };
        let head = self.listed(lease.run).await?.map_or(Seq(0), |run| run.head);
        let expect = match making.base {
            Base::Start | Base::New => Seq(0),
            Base::Behind => Seq(head.0.saturating_sub(1)),
            Base::Ahead | Base::Unknown => head.next(),
            Base::Head => head,
        };
        // Each has the store's write, the model's, and whether it is a statement that the model does not need to see.
        let (mut writes, mut rows) = (Vec::new(), Vec::new());
        writes.extend(own.map(|new| (Write::Enqueue(new), None, false)));
        let mut refused = false;
        for doing in &making.writes {
            if refusable(*doing) && std::mem::replace(&mut refused, true) {
                continue;
            }
            self.write(&lease, *doing, &mut writes, &mut rows).await?;
        }
        if making.flaw == Some(Flaw::EnqueuesTwice) {
            writes.extend(writes.iter().find(|(write, ..)| matches!(write, Write::Enqueue(_))).cloned());
        }
        let theirs = writes.iter().map(|(write, ..)| write.clone()).collect();
        let ours: Vec<_> = writes.into_iter().map(|(store, model, sql)| (model.unwrap_or(store), sql)).collect();
        let (ours, kept) = without_sql(&ours);
        let store = Commit {
            id: CommitId::new(self.random()),
            expect,
            events: self.events(making, &lease, expect),
            payloads: (0..making.payloads).map(|n| self.payload(n)).collect::<Result<_, _>>()?,
            writes: theirs,
            status: making.status,
            wake: making.wake.map(|seconds| self.now().after(Duration::from_secs(seconds))),
            lease,
        };
        let model = Commit { writes: ours, ..store.clone() };
        Ok(Some(Sent { store, model, kept, rows }))
    }

    fn events(&self, making: &Making, lease: &Lease, expect: Seq) -> Vec<crate::log::Event> {
        let at = self.now();
        let mut events: Vec<_> = (1..=making.events).map(|n| event(lease, Seq(expect.0 + n), at)).collect();
        if let Some(last) = events.last_mut() {
            match making.flaw {
                Some(Flaw::Gap) => last.seq = last.seq.next(),
                Some(Flaw::EventOfAnotherRun) => last.run = RunId::new(at, [9; 16]),
                Some(Flaw::EventOfAnotherFence) => last.fence = Fence(77),
                _ => {}
            }
        }
        events
    }

    fn payload(&mut self, n: u8) -> Result<Payload, String> {
        // Now and then the same one again, and now and then a large one.
        let salt = if n == 1 { [1; 16] } else { self.random() };
        let text = "x".repeat(if n == 2 { 5_000 } else { 10 });
        let payload = Payload::json(&text, salt).map_err(|e| e.to_string())?;
        self.payloads.push(payload.commitment);
        Ok(payload)
    }

    async fn new_run(&mut self, parent: Option<RunId>) -> Result<NewRun, String> {
        // No two runs are of one time: which is the older one is the same to all.
        self.pass(Duration::from_millis(1)).await?;
        let at = self.now();
        let run = RunId::new(at, self.random());
        self.runs.push(run);
        Ok(NewRun { run, tenant: "tenant".into(), workflow: format!("flow {}", self.runs.len()), at, parent })
    }

    async fn write(
        &mut self,
        lease: &Lease,
        doing: Doing,
        writes: &mut Vec<(Write, Option<Write>, bool)>,
        rows: &mut Vec<u64>,
    ) -> Result<(), String> {
        match doing {
            Doing::Enqueue { parent } => {
                let new = self.new_run(parent.then_some(lease.run)).await?;
                writes.push((Write::Enqueue(new), None, false));
            }
            Doing::EnqueueAgain { run } => {
                if let Some(run) = self.run(run) {
                    let new = NewRun { run, ..self.new_run(None).await? };
                    writes.push((Write::Enqueue(new), None, false));
                }
            }
            Doing::Consume { message } => self.consume(lease.run, message, writes).await?,
            Doing::ConsumeOfAnother { message } => {
                if let Some(run) = self.run(message) {
                    self.consume(run, message, writes).await?;
                }
            }
            Doing::Send { run, text } => {
                if let Some(run) = self.run(run) {
                    writes.push((Write::Send(run, cancel(&text.to_string())), None, false));
                }
            }
            Doing::SendToNew { text } => {
                let new = self.new_run(None).await?;
                writes.push((Write::Send(new.run, cancel(&text.to_string())), None, false));
                writes.push((Write::Enqueue(new), None, false));
            }
            Doing::SendToNobody => {
                let nobody = RunId::new(self.now(), self.random());
                writes.push((Write::Send(nobody, cancel("nobody")), None, false));
            }
            Doing::Outbox { text } => {
                let entry = OutboxEntry::new(format!("topic {}", text % 3), text.into());
                writes.push((Write::Outbox(entry), None, false));
            }
            Doing::Sql => {
                if self.table {
                    let row = self.draw();
                    let insert = SqlWrite::new("INSERT INTO suite_row (id) VALUES ($1)").bind(row).expect_rows(1);
                    writes.push((Write::Sql(insert), None, true));
                    rows.push(row);
                }
            }
            Doing::SqlRefused => {
                let statement = match self.draw() % 3 {
                    0 if self.table => SqlWrite::new("INSERT INTO suite_row (id) VALUES (0)"),
                    1 if self.table => SqlWrite::new("DELETE FROM suite_row WHERE id < 0").expect_rows(1),
                    _ => SqlWrite::new("DELETE FROM suite_no_such_table"),
                };
                writes.push((Write::Sql(statement), None, false));
            }
        }
        Ok(())
    }

    async fn consume(
        &mut self,
        run: RunId,
        message: u8,
        writes: &mut Vec<(Write, Option<Write>, bool)>,
    ) -> Result<(), String> {
        let inbox = self.inboxes(run).await?;
        let none = message.is_multiple_of(16).then_some(NO_MESSAGE);
        if let Some((theirs, ours)) = picked(&inbox, message).copied().or(none) {
            writes.push((Write::Consume(theirs), Some(Write::Consume(ours)), false));
        }
        Ok(())
    }
}
