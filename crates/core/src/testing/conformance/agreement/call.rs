//! What a sequence is made of. A call names runs, leases and messages by small numbers that mean whatever there is when it
//! is played, so that any part of a sequence is a sequence.

use crate::log::RunStatus;
use crate::testing::dice::Dice;

/// One thing to do to both stores.
#[derive(Clone, Debug)]
pub(super) enum Call {
    Commit(Making),
    /// Sends a commit again that was sent before.
    Again {
        commit: u8,
    },
    Claim {
        worker: u8,
        run: Option<u8>,
        ended: bool,
        seconds: u64,
    },
    Renew {
        lease: u8,
        seconds: u64,
    },
    Release {
        lease: u8,
        wake: Option<u64>,
    },
    Signal {
        run: u8,
        text: u8,
    },
    Delivered {
        entries: Vec<u8>,
    },
    KeepSnapshot {
        run: u8,
        text: u8,
    },
    Pass {
        seconds: u64,
    },
    Reopen,
    /// Reads everything.
    Look,
}

/// How a commit is made.
#[derive(Clone, Debug)]
pub(super) struct Making {
    pub(super) lease: u8,
    pub(super) base: Base,
    pub(super) events: u64,
    pub(super) flaw: Option<Flaw>,
    pub(super) payloads: u8,
    pub(super) writes: Vec<Doing>,
    pub(super) status: RunStatus,
    pub(super) wake: Option<u64>,
}

/// What a commit stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// The lease's run, where it is now.
    Head,
    /// Its beginning.
    Start,
    /// An event before, or behind.
    Behind,
    Ahead,
    /// A new run.
    New,
    /// A new run that is not enqueued.
    Unknown,
}

/// What is wrong with a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    Gap,
    EventOfAnotherRun,
    EventOfAnotherFence,
    OtherWorker,
    NewerFence,
    EnqueuesTwice,
}

/// A write of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    Enqueue { parent: bool },
    EnqueueAgain { run: u8 },
    Consume { message: u8 },
    ConsumeOfAnother { message: u8 },
    Send { run: u8, text: u8 },
    SendToNew { text: u8 },
    SendToNobody,
    Outbox { text: u8 },
    Sql,
    SqlRefused,
}

/// The sequence of a seed.
pub(super) fn sequence(seed: u64) -> Vec<Call> {
    let mut dice = Dice::new(seed);
    let mut calls: Vec<Call> = (0..8 + dice.below(40)).map(|_| call(&mut dice)).collect();
    // Most calls need a run, and most sequences something to find again.
    calls.insert(0, Call::Commit(Making { base: Base::New, flaw: None, events: 1, ..making(&mut dice) }));
    if dice.one_in(3) {
        let at = dice.below(calls.len() as u64) as usize;
        calls.insert(at, Call::Reopen);
    }
    calls.push(Call::Look);
    calls
}

fn call(dice: &mut Dice) -> Call {
    match dice.below(34) {
        0..=11 => Call::Commit(making(dice)),
        12..=13 => Call::Again { commit: small(dice) },
        14..=17 => {
            let run = (!dice.one_in(3)).then(|| small(dice));
            let worker = dice.below(3) as u8;
            Call::Claim { worker, run, ended: dice.one_in(3), seconds: seconds(dice) }
        }
        18..=19 => Call::Renew { lease: small(dice), seconds: seconds(dice) },
        20..=22 => Call::Release { lease: small(dice), wake: wake(dice) },
        23..=25 => Call::Signal { run: small(dice), text: small(dice) },
        26..=27 => Call::Delivered { entries: (0..dice.below(3)).map(|_| small(dice)).collect() },
        28 => Call::KeepSnapshot { run: small(dice), text: small(dice) },
        29..=31 => Call::Pass { seconds: seconds(dice) },
        _ => Call::Look,
    }
}

fn making(dice: &mut Dice) -> Making {
    let base = match dice.below(16) {
        0..=2 => Base::New,
        3 => Base::Start,
        4 => Base::Behind,
        5 => Base::Ahead,
        6 => Base::Unknown,
        _ => Base::Head,
    };
    let flaw = match dice.below(30) {
        0 => Some(Flaw::Gap),
        1 => Some(Flaw::EventOfAnotherRun),
        2 => Some(Flaw::EventOfAnotherFence),
        3 => Some(Flaw::OtherWorker),
        4 => Some(Flaw::NewerFence),
        5 => Some(Flaw::EnqueuesTwice),
        _ => None,
    };
    let status = match dice.below(10) {
        0 => RunStatus::Completed,
        1 => RunStatus::Failed,
        2 => RunStatus::Cancelled,
        3..=5 => RunStatus::Waiting,
        _ => RunStatus::Running,
    };
    Making {
        // The newest lease twice as often as any other.
        lease: if dice.one_in(2) { 0 } else { small(dice) },
        base,
        events: dice.below(4),
        flaw,
        payloads: dice.below(4) as u8,
        writes: (0..dice.below(5)).map(|_| doing(dice)).collect(),
        status,
        wake: wake(dice),
    }
}

fn small(dice: &mut Dice) -> u8 {
    dice.below(256) as u8
}

fn seconds(dice: &mut Dice) -> u64 {
    [0, 1, 10, 60, 600][dice.below(5) as usize]
}

fn wake(dice: &mut Dice) -> Option<u64> {
    (!dice.one_in(3)).then(|| seconds(dice))
}

fn doing(dice: &mut Dice) -> Doing {
    match dice.below(26) {
        0..=3 => Doing::Enqueue { parent: dice.one_in(2) },
        4 => Doing::EnqueueAgain { run: small(dice) },
        5..=9 => Doing::Consume { message: small(dice) },
        10 => Doing::ConsumeOfAnother { message: small(dice) },
        11..=14 => Doing::Send { run: small(dice), text: small(dice) },
        15 => Doing::SendToNew { text: small(dice) },
        16 => Doing::SendToNobody,
        17..=21 => Doing::Outbox { text: small(dice) },
        22..=24 => Doing::Sql,
        _ => Doing::SqlRefused,
    }
}

/// The call on what came last, where it is about something that came before: what lies between may then be left out.
fn of_the_newest(call: &Call) -> Option<Call> {
    match call {
        Call::Commit(making) if making.lease > 0 => Some(Call::Commit(Making { lease: 0, ..making.clone() })),
        Call::Again { commit: 1.. } => Some(Call::Again { commit: 0 }),
        Call::Renew { lease: 1.., seconds } => Some(Call::Renew { lease: 0, seconds: *seconds }),
        Call::Release { lease: 1.., wake } => Some(Call::Release { lease: 0, wake: *wake }),
        Call::Signal { run: 1.., text } => Some(Call::Signal { run: 0, text: *text }),
        _ => None,
    }
}

/// Shorter sequences, the much shorter ones first.
pub(super) fn simpler(calls: &[Call]) -> Vec<Vec<Call>> {
    let mut all = Vec::new();
    let mut size = calls.len() / 2;
    while size > 0 {
        for start in (0..calls.len()).step_by(size) {
            let end = (start + size).min(calls.len());
            all.push([&calls[..start], &calls[end..]].concat());
        }
        size /= 2;
    }
    for (at, call) in calls.iter().enumerate() {
        if let Some(newest) = of_the_newest(call) {
            let mut same = calls.to_vec();
            same[at] = newest;
            all.push(same);
        }
        let Call::Commit(making) = call else { continue };
        let mut with = |making: Making| {
            let mut shorter = calls.to_vec();
            shorter[at] = Call::Commit(making);
            all.push(shorter);
        };
        for write in 0..making.writes.len() {
            let mut fewer = making.clone();
            fewer.writes.remove(write);
            with(fewer);
        }
        if making.payloads > 0 {
            with(Making { payloads: 0, ..making.clone() });
        }
        if making.events > 1 {
            with(Making { events: 1, ..making.clone() });
        }
        if making.flaw.is_some() {
            with(Making { flaw: None, ..making.clone() });
        }
    }
    all
}
