//! Answers requests together: each step of the model is a batch of what all of them have to compute next.
//!
//! Answers come first, with a token each and those that their constraints force; prompts fill up what is left, in turns, so that a
//! long one stalls nobody. A request begins with the cells of the longest beginning that it shares with another one, also with
//! one that still runs, and waits while another one computes what both begin with. It is let in when there are cells for
//! its prompt and all that it may answer, so that the cache is never full in the midst of an answer; what rests in the cache makes
//! room, the oldest first.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use parkway_core::model::{ChatEnd, ModelError};
use tokio::sync::mpsc;

use crate::answer::{Answer, Next};
use crate::batch::Batch;
use crate::constraint;
use crate::stats::{Counters, nanos};
use crate::tree::{Seq, Tree};
use crate::worker::Ready;

/// A beginning that another one computes is worth waiting for when it has so many tokens more than what is ready.
const WORTH_WAITING: usize = 16;

pub(crate) struct Scheduler<'m> {
    batch: Batch<'m>,
    tree: Tree,
    waiting: VecDeque<Ready>,
    running: Vec<Running>,
    /// Whose prompt is first in the next batch.
    turn: usize,
    counters: Arc<Counters>,
}

/// A request that has a sequence.
struct Running {
    seq: Seq,
    answer: Answer,
    /// All tokens of the sequence.
    tokens: Vec<u32>,
    /// How many of them are the prompt's.
    prompt: usize,
    /// How many of them are in the context.
    computed: usize,
    /// How many the batch computes.
    fed: usize,
    /// The row of the batch that tells what follows the last token.
    row: Option<i32>,
}

impl Running {
    fn reads(&self) -> bool {
        self.computed < self.prompt
    }

    /// Puts its next tokens into the batch, at most so many, and tells how many those were.
    fn feed(&mut self, batch: &mut Batch<'_>, most: usize) -> Result<usize, ModelError> {
        let most = most.min(batch.size.rows - batch.rows());
        let next = self.tokens.iter().enumerate().skip(self.computed).take(most);
        for (position, &token) in next {
            let last = position + 1 == self.tokens.len();
            let row = batch.add(self.seq, position, token, last)?;
            self.row = last.then_some(row);
            self.fed += 1;
        }
        Ok(self.fed)
    }
}

impl<'m> Scheduler<'m> {
    pub(crate) fn new(batch: Batch<'m>, counters: Arc<Counters>) -> Self {
        counters.cache_size.store(batch.size.cells as u64, Ordering::Relaxed);
        Scheduler { batch, tree: Tree::new(), waiting: VecDeque::new(), running: Vec::new(), turn: 0, counters }
    }

    /// Answers requests until no more come, or it is to stop.
    pub(crate) fn run(mut self, mut ready: mpsc::Receiver<Ready>, stop: &AtomicBool) {
        loop {
            self.tell();
            if self.running.is_empty() && self.waiting.is_empty() {
                let Some(next) = ready.blocking_recv() else { return };
                self.waiting.push_back(next);
            }
            while let Ok(next) = ready.try_recv() {
                self.waiting.push_back(next);
            }
            self.drop_cancelled(stop.load(Ordering::Relaxed));
            self.admit();
            if let Err(error) = self.step() {
                self.fail(&error);
            }
        }
    }

    /// Says what there is now.
    fn tell(&self) {
        let say = |counter: &AtomicU64, number: usize| counter.store(number as u64, Ordering::Relaxed);
        say(&self.counters.cached_tokens, self.tree.tokens());
        say(&self.counters.sequences, self.tree.sequences());
        say(&self.counters.running, self.running.len());
        say(&self.counters.waiting, self.waiting.len());
    }

    /// Lets go what nobody waits for any more; `all` of it where the model is shut down. Its cells are free at once.
    fn drop_cancelled(&mut self, all: bool) {
        let gone = |answer: &Answer| all || answer.is_cancelled();
        for _ in 0..self.waiting.len() {
            let Some(ready) = self.waiting.pop_front() else { break };
            match gone(&ready.answer) {
                true => ready.answer.close(Err(ModelError::Cancelled)),
                false => self.waiting.push_back(ready),
            }
        }
        let (dropped, kept) = std::mem::take(&mut self.running).into_iter().partition(|running| gone(&running.answer));
        self.running = kept;
        dropped.into_iter().for_each(|running| self.finish(running, Err(ModelError::Cancelled)));
    }

    /// Begins requests that wait, in their order, while there is room.
    fn admit(&mut self) {
        let mut at = 0;
        while let Some(ready) = self.waiting.get(at) {
            // The last token of a prompt is computed in any case: it tells what follows.
            let prompt = &ready.prompt[..ready.prompt.len().saturating_sub(1)];
            let found = self.tree.find(prompt);
            let depth = found.ready.map_or(0, |(_, depth)| depth);
            if found.coming >= depth + WORTH_WAITING {
                at += 1;
                continue;
            }
            let needed = ready.prompt.len() - depth + ready.answer.left();
            let mut from = found.ready;
            if !self.make_room(needed, from.map(|(seq, _)| seq)) {
                if !self.running.is_empty() {
                    // Who comes later does not overtake.
                    return;
                }
                // Only what it would share is in its way.
                self.forget();
                from = None;
            }
            let Some(ready) = self.waiting.remove(at) else { return };
            self.begin(ready, from);
        }
    }

    /// Whether there is a sequence and so many cells, beside what those that run may still need. What rests makes room, but for
    /// `but`; where that would not do, it stays.
    fn make_room(&mut self, needed: usize, but: Option<Seq>) -> bool {
        let size = self.batch.size;
        let promised: usize = self.running.iter().map(|running| running.answer.left()).sum();
        let fits = |(tokens, sequences): (usize, usize)| {
            tokens + promised + needed <= size.cells && sequences < size.sequences.unsigned_abs() as usize
        };
        if !fits((self.tree.tokens(), self.tree.sequences())) && !fits(self.tree.least(but)) {
            return false;
        }
        while !fits((self.tree.tokens(), self.tree.sequences())) {
            let Some(oldest) = self.tree.oldest(but) else { return false };
            self.remove(oldest);
        }
        true
    }

    fn begin(&mut self, ready: Ready, from: Option<(Seq, usize)>) {
        let Ready { prompt, mut answer } = ready;
        let forced = match answer.begin() {
            Ok(Next::Feed(forced)) => forced,
            Ok(Next::End(end)) => return answer.close(Ok(end)),
            Err(error) => return answer.close(Err(error)),
        };
        let Some(seq) = self.tree.free(self.batch.size.sequences) else { return };
        let computed = from.map_or(0, |(_, depth)| depth);
        if let Some((from, depth)) = from
            && let Err(error) = self.batch.share(from, seq, depth)
        {
            return answer.close(Err(error));
        }
        answer.shares(computed);
        let tokens = [prompt.as_slice(), &forced].concat();
        self.tree.begin(seq, from, &tokens);
        self.running.push(Running { seq, answer, tokens, prompt: prompt.len(), computed, fed: 0, row: None });
    }

    /// Computes one batch and goes on with what it tells.
    fn step(&mut self) -> Result<(), ModelError> {
        self.fill()?;
        if self.batch.rows() == 0 {
            return Ok(());
        }
        let guided = |running: &&mut Running| running.row.is_some() && running.answer.is_guided();
        let guided: Vec<&mut Answer> =
            self.running.iter_mut().filter(guided).map(|running| &mut running.answer).collect();
        let (batch, counters) = (&mut self.batch, &self.counters);
        if guided.is_empty() {
            timed(batch, counters)?;
        } else {
            let decoded = thread::scope(|scope| {
                // Where the system has no thread for it, each answer looks when it goes on.
                let looking = thread::Builder::new().stack_size(constraint::STACK);
                let _ = looking.spawn_scoped(scope, || guided.into_iter().for_each(Answer::look_ahead));
                timed(batch, counters).map(|()| Instant::now())
            })?;
            counters.mask_wait_nanos.fetch_add(nanos(decoded.elapsed()), Ordering::Relaxed);
        }
        for mut running in std::mem::take(&mut self.running) {
            running.computed += std::mem::take(&mut running.fed);
            self.tree.computed(running.seq, running.computed);
            running.answer.reads(running.computed, self.batch.size.chunk);
            match running.row.take().map(|row| running.answer.go_on(self.batch.logits(row))) {
                None => self.running.push(running),
                Some(Ok(Next::Feed(tokens))) => {
                    self.tree.extend(running.seq, &tokens);
                    running.tokens.extend(tokens);
                    self.running.push(running);
                }
                Some(Ok(Next::End(end))) => self.finish(running, Ok(end)),
                Some(Err(error)) => self.finish(running, Err(error)),
            }
        }
        Ok(())
    }

    /// Fills the batch: answers, then prompts.
    fn fill(&mut self) -> Result<(), ModelError> {
        let Scheduler { batch, running, turn, .. } = self;
        batch.begin();
        let size = batch.size;
        for running in running.iter_mut().filter(|running| !running.reads()) {
            running.feed(batch, size.rows)?;
        }
        let mut left = size.chunk;
        let among = running.len().max(1);
        for at in 0..among {
            let next = running.get_mut((*turn + at) % among).filter(|running| running.reads() && left > 0);
            if let Some(running) = next {
                left -= running.feed(batch, left)?;
            }
        }
        *turn = (*turn + 1) % among;
        Ok(())
    }

    /// Ends a request. What is computed of it stays for others, unless it went wrong.
    fn finish(&mut self, running: Running, result: Result<ChatEnd, ModelError>) {
        let Running { seq, answer, .. } = running;
        match &result {
            Ok(_) | Err(ModelError::Cut { .. }) => self.tree.rest(seq),
            Err(_) => self.remove(seq),
        }
        answer.close(result);
    }

    /// Ends all that run, after a batch that failed: what is in the context then is not known.
    fn fail(&mut self, error: &ModelError) {
        for running in std::mem::take(&mut self.running) {
            running.answer.close(Err(error.clone()));
        }
        self.forget();
    }

    fn remove(&mut self, seq: Seq) {
        self.tree.remove(seq);
        self.batch.remove(seq);
    }

    fn forget(&mut self) {
        self.tree.clear();
        self.batch.clear();
    }
}

/// Computes the batch in its turn, and counts that.
fn timed(batch: &mut Batch<'_>, counters: &Counters) -> Result<(), ModelError> {
    let _turn = batch.turn();
    let (rows, started) = (batch.rows(), Instant::now());
    let decoded = batch.decode();
    counters.decoded(rows, started.elapsed());
    decoded
}
