//! Answers requests together: each step of the model is a batch of what all of them have to compute next.
//!
//! Answers come first, with a token each and those that their constraints force; prompts fill up what is left, in turns, so that a
//! long one stalls nobody. A request begins with the cells of the longest beginning that it shares with another one, also with
//! one that still runs, and waits while another one computes what both begin with. It is let in when there are cells for
//! its prompt and all that it may answer, so that the cache is never full in the midst of an answer; what rests in the cache makes
//! room, the oldest first, and last what more requests are to come for. What has to go is kept outside the cache for a while.
//!
//! A batch is computed with one adapter; those that are asked for take turns, and what was computed with one is never used with another.
//!
//! Runs take turns, by what was read for each; of one run the request goes first for which most steps wait. While nobody asks, the
//! beginnings of prompts are read that will come.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use llama_cpp_2::context::session::SeqState;
use parkway_core::model::{ChatEnd, Hints, ModelError};
use tokio::sync::mpsc;

use crate::adapter::Adapter;
use crate::answer::{Answer, Next};
use crate::batch::Batch;
use crate::cold::{self, Cold};
use crate::constraint;
use crate::fairness::Fairness;
use crate::reading;
use crate::shifts::Shifts;
use crate::stats::{Counters, nanos};
use crate::tree::{Group, Seq, Tree};
use crate::worker::{Ready, Request};

/// Beginnings of prompts that are remembered to be read ahead.
const AHEAD: usize = 16;
/// A beginning that another one computes is worth waiting for when it has so many tokens more than what is ready.
const WORTH_WAITING: usize = 16;

pub(crate) struct Scheduler<'m> {
    batch: Batch<'m>,
    tree: Tree,
    waiting: Vec<Request>,
    /// Beginnings of prompts that will come, to be read while nobody asks.
    ahead: VecDeque<(Adapter, Vec<u32>)>,
    fairness: Fairness,
    shifts: Shifts,
    cold: Cold<SeqState>,
    running: Vec<Running>,
    counters: Arc<Counters>,
}

/// A request that has a sequence.
struct Running {
    seq: Seq,
    adapter: Adapter,
    answer: Answer,
    hints: Hints,
    group: Option<Group>,
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

    /// How many tokens there are to compute.
    fn left(&self) -> usize {
        self.tokens.len() - self.computed
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
    /// A scheduler that keeps at most `cold` bytes of what has to leave the cache.
    pub(crate) fn new(batch: Batch<'m>, cold: usize, counters: Arc<Counters>) -> Self {
        let (waiting, running, ahead) = (Vec::new(), Vec::new(), VecDeque::new());
        let (tree, fairness, cold) = (Tree::new(), Fairness::default(), Cold::new(cold));
        let shifts = Shifts::new(batch.size.chunk);
        Scheduler { batch, tree, waiting, ahead, fairness, shifts, cold, running, counters }
    }

    /// Answers requests until no more come, or it is to stop.
    pub(crate) fn run(mut self, mut ready: mpsc::Receiver<Ready>, stop: &AtomicBool) {
        loop {
            self.tell();
            self.receive(&mut ready);
            if self.running.is_empty() && self.waiting.is_empty() {
                if let Some((adapter, prompt)) = self.ahead.pop_front() {
                    self.read_ahead(adapter, &prompt, &mut ready, stop);
                    continue;
                }
                let Some(next) = ready.blocking_recv() else { return };
                self.take(next);
            }
            self.drop_cancelled(stop.load(Ordering::Relaxed));
            self.admit();
            if let Err(error) = self.step() {
                self.fail(&error);
            }
        }
    }

    /// Takes what has come, without waiting.
    fn receive(&mut self, ready: &mut mpsc::Receiver<Ready>) {
        while let Ok(next) = ready.try_recv() {
            self.take(next);
        }
    }

    fn take(&mut self, ready: Ready) {
        match ready {
            Ready::Answer(request) => self.waiting.push(*request),
            Ready::Prefill(adapter, prompt) => {
                self.ahead.push_back((adapter, prompt));
                if self.ahead.len() > AHEAD {
                    self.ahead.pop_front();
                }
            }
        }
    }

    /// Reads the beginning of a prompt that will come, until somebody asks for something. Nothing that is kept for others makes room
    /// for it, but for what is oldest.
    fn read_ahead(&mut self, adapter: Adapter, prompt: &[u32], ready: &mut mpsc::Receiver<Ready>, stop: &AtomicBool) {
        let from = self.tree.find(adapter, prompt).ready;
        let depth = from.map_or(0, |(_, depth)| depth);
        if depth + WORTH_WAITING > prompt.len() || !self.make_room(prompt.len() - depth, from.map(|(seq, _)| seq)) {
            return;
        }
        let Some(seq) = self.tree.free(self.batch.size.sequences) else { return };
        if from.is_some_and(|(from, depth)| self.batch.share(from, seq, depth).is_err()) {
            return;
        }
        self.tree.begin(seq, adapter, from, prompt);
        let mut computed = depth;
        while computed < prompt.len() && self.waiting.is_empty() && !stop.load(Ordering::Relaxed) {
            let end = prompt.len().min(computed + self.batch.size.chunk);
            if self.read_chunk(seq, prompt, computed..end).is_err() {
                return self.forget();
            }
            computed = end;
            self.tree.computed(seq, computed);
            self.receive(ready);
        }
        self.tree.rest(seq);
    }

    fn read_chunk(&mut self, seq: Seq, prompt: &[u32], chunk: Range<usize>) -> Result<(), ModelError> {
        self.batch.begin(self.tree.adapter_of(seq));
        for position in chunk {
            self.batch.add(seq, position, prompt[position], false)?;
        }
        timed(&mut self.batch, &self.counters)
    }

    /// Says what there is now.
    fn tell(&self) {
        let say = |counter: &AtomicU64, number: usize| counter.store(number as u64, Ordering::Relaxed);
        say(&self.counters.cached_tokens, self.tree.tokens());
        say(&self.counters.cold_bytes, self.cold.bytes());
        say(&self.counters.sequences, self.tree.sequences());
        say(&self.counters.running, self.running.len());
        say(&self.counters.waiting, self.waiting.len());
    }

    /// Lets go what nobody waits for any more; `all` of it where the model is shut down. Its cells are free at once.
    fn drop_cancelled(&mut self, all: bool) {
        let gone = |answer: &Answer| all || answer.is_cancelled();
        for request in self.waiting.extract_if(.., |request| gone(&request.answer)) {
            request.answer.close(Err(ModelError::Cancelled));
        }
        let (dropped, kept) = std::mem::take(&mut self.running).into_iter().partition(|running| gone(&running.answer));
        self.running = kept;
        dropped.into_iter().for_each(|running| self.finish(running, Err(ModelError::Cancelled)));
    }

    /// Begins requests that wait, while there is room.
    fn admit(&mut self) {
        let asking = self.waiting.iter().map(|request| request.hints.run);
        self.fairness.asking(asking.chain(self.running.iter().map(|running| running.hints.run)));
        // Stable: what is equal stays in the order in which it came.
        let fairness = &self.fairness;
        self.waiting.sort_by_key(|Request { hints, .. }| (fairness.served(hints.run), Reverse(hints.chain)));
        let mut at = 0;
        while at < self.waiting.len() {
            if self.cold.keeps() {
                self.warm_up(at);
            }
            let ready = &self.waiting[at];
            // The last token of a prompt is computed in any case: it tells what follows.
            let prompt = &ready.prompt[..ready.prompt.len().saturating_sub(1)];
            let found = self.tree.find(ready.adapter, prompt);
            let depth = found.ready.map_or(0, |(_, depth)| depth);
            if found.coming >= depth + WORTH_WAITING {
                at += 1;
                continue;
            }
            let needed = ready.prompt.len() - depth + ready.answer.left();
            let from = found.ready;
            let mut leaves = None;
            if !self.make_room(needed, from.map(|(seq, _)| seq)) {
                // The one that it shares with may go, once it has been shared.
                leaves = from.map(|(seq, _)| seq).filter(|seq| self.tree.rests(*seq));
                if leaves.is_none() || !self.fits(self.tree.least(None), needed + depth) {
                    // Who comes later does not overtake.
                    return;
                }
                while let Some(oldest) = self.tree.oldest(leaves) {
                    self.cool_down(oldest);
                }
            }
            let request = self.waiting.remove(at);
            self.begin(request, from);
            if let Some(seq) = leaves {
                self.cool_down(seq);
            }
        }
    }

    /// Whether so many cells and a sequence are there beside these, and beside what those that run may still need.
    fn fits(&self, (tokens, sequences): (usize, usize), needed: usize) -> bool {
        let size = self.batch.size;
        let promised: usize = self.running.iter().map(|running| running.answer.left()).sum();
        tokens + promised + needed <= size.cells && sequences < size.sequences.unsigned_abs() as usize
    }

    /// Whether there is a sequence and so many cells, beside what those that run may still need. What rests makes room, but for
    /// `but`; where that would not do, it stays.
    fn make_room(&mut self, needed: usize, but: Option<Seq>) -> bool {
        let now = |tree: &Tree| (tree.tokens(), tree.sequences());
        if !self.fits(now(&self.tree), needed) && !self.fits(self.tree.least(but), needed) {
            return false;
        }
        while !self.fits(now(&self.tree), needed) {
            let Some(oldest) = self.tree.oldest(but) else { return false };
            self.cool_down(oldest);
        }
        true
    }

    /// Takes the oldest out of the cache where so much rests in it that all that is computed would take longer; what is kept for others
    /// stays, and so does `but`.
    fn thin_out(&mut self, but: Seq) {
        while self.tree.tokens() - self.tree.least(None).0 > self.batch.size.rests
            && let Some(oldest) = self.tree.oldest(Some(but)).filter(|seq| !self.tree.is_kept(*seq))
        {
            self.cool_down(oldest);
        }
    }

    /// Takes a sequence that rests out of the cache; what it alone holds is kept outside, if it is worth it.
    fn cool_down(&mut self, seq: Seq) {
        if self.cold.keeps() {
            let (adapter, (tokens, own)) = (self.tree.adapter_of(seq), self.tree.tokens_of(seq));
            if own >= cold::WORTH
                && !self.cold.has(adapter, &tokens)
                && let Some(state) = self.batch.copy_out(seq)
            {
                let bytes = state.byte_len();
                self.cold.keep(adapter, tokens, state, bytes);
            }
        }
        self.remove(seq);
    }

    /// Copies back what a request that waits begins with, where that is worth it beside what is there or is being read.
    fn warm_up(&mut self, at: usize) {
        let request = &self.waiting[at];
        let adapter = request.adapter;
        let (prompt, left) = (request.prompt[..request.prompt.len().saturating_sub(1)].to_vec(), request.answer.left());
        let coming = self.tree.find(adapter, &prompt).coming;
        let Some((all, _, shared)) = self.cold.find(adapter, &prompt, coming) else { return };
        // All of it is copied before what is not the prompt's is cut off, and the request must fit beside it.
        let needed = all.len().max(prompt.len() + 1 + left);
        if !self.make_room(needed, None) {
            return;
        }
        let free = self.tree.free(self.batch.size.sequences);
        // Making room may have taken it out.
        let (Some(seq), Some((_, state, _))) = (free, self.cold.find(adapter, &prompt, coming)) else { return };
        if !self.batch.copy_in(state, seq, shared) {
            // What cannot be copied back once cannot be at all.
            self.cold.clear();
            return;
        }
        self.tree.begin(seq, adapter, None, &prompt[..shared]);
        self.tree.computed(seq, shared);
        self.tree.rest(seq);
    }

    fn begin(&mut self, request: Request, from: Option<(Seq, usize)>) {
        let Request { prompt, adapter, mut answer, hints, group } = request;
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
        self.tree.begin(seq, adapter, from, &tokens);
        let prompt = prompt.len();
        self.running.push(Running { seq, adapter, answer, hints, group, tokens, prompt, computed, fed: 0, row: None });
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

    /// Fills the batch with what has the adapter whose turn it is: answers, and pieces of prompts.
    fn fill(&mut self) -> Result<(), ModelError> {
        let Scheduler { batch, tree, running, fairness, shifts, .. } = self;
        let adapter = shifts.next(running.iter().map(|running| running.adapter), batch.rows());
        batch.begin(adapter);
        let running = running.iter_mut().filter(|running| running.adapter == adapter);
        let (mut prompts, answers): (Vec<_>, Vec<_>) = running.partition(|running| running.reads());
        prompts.sort_by_key(|Running { hints, .. }| (fairness.served(hints.run), Reverse(hints.chain)));
        let size = batch.size;
        let left: Vec<usize> = prompts.iter().map(|running| running.left()).collect();
        let looked_at = |pieces: &[usize]| {
            let rows = prompts.iter().zip(pieces);
            let by_row = rows.clone().map(|(running, piece)| piece * (running.computed + piece)).sum();
            (by_row, tree.cells(rows.map(|(running, _)| running.seq)))
        };
        let rows = answers.iter().map(|running| running.left()).sum();
        let reading = reading::share_out(&left, rows, size.chunk, size.tiles, looked_at);
        let prompts = prompts.into_iter().zip(reading.pieces);
        let answers = answers.into_iter().map(|running| (running, size.rows));
        let all: Vec<_> =
            if reading.first { prompts.chain(answers).collect() } else { answers.chain(prompts).collect() };
        for (running, most) in all {
            let fed = running.feed(batch, most)?;
            if running.reads() {
                fairness.serve(running.hints.run, fed);
            }
        }
        Ok(())
    }

    /// Ends a request. What is computed of it stays for others, unless it went wrong.
    fn finish(&mut self, running: Running, result: Result<ChatEnd, ModelError>) {
        let Running { seq, answer, hints, group, .. } = running;
        match &result {
            Ok(_) | Err(ModelError::Cut { .. }) => {
                self.tree.rest(seq);
                if let Some(group) = group {
                    self.tree.keep_for(group, (hints.more > 0).then_some(seq));
                }
                self.thin_out(seq);
            }
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
