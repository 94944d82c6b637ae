//! What a query may use: steps, stack, and the size of each value. jaq has no such limits of its own, so every program gets
//! filters that count (see `instrument`).

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jaq_core::box_iter::box_once;
use jaq_core::data::HasLut;
use jaq_core::native::{Fun, v};
use jaq_core::{Cv, DataT, Error, Exn, Lut, Native, ValR, ValX};
use jaq_json::{Num, Val};
use parkway_core::tool::ToolError;

use super::search::{Give, search};

/// The steps of a query: a call costs [`CALL`], and a value that is made costs one for each value in it and for each 16
/// bytes of text.
const STEPS: u64 = 40_000_000;
/// What a call costs: about so much more time than looking at one value.
const CALL: u64 = 10;
/// The most values, and 16 bytes of text, that one value holds; what is shared counts as often as it is seen.
const HOLDS: u64 = 2_000_000;
/// How deep lists and objects are nested at most.
pub(super) const DEEPEST: u32 = 256;
/// The longest whole number, in bits.
const BITS: u64 = 4096;
/// The stack of a thread that runs a query, in bytes. Only what is used of it takes memory.
pub(super) const STACK: usize = 256 << 20;
/// What calls may use of the stack; the rest is for filters of jaq that go down a value.
const FOR_CALLS: usize = STACK / 2;

/// The types that filters work on.
pub(super) struct Metered;

impl DataT for Metered {
    type V<'a> = Val;
    type Data<'a> = Data<'a>;
}

/// What every filter can reach.
#[derive(Clone)]
pub(super) struct Data<'a> {
    pub(super) lut: &'a Lut<Metered>,
    pub(super) meter: &'a Meter,
}

impl<'a> HasLut<'a, Metered> for Data<'a> {
    fn lut(&self) -> &'a Lut<Metered> {
        self.lut
    }
}

/// Counts what one query uses, on the thread that runs it.
pub(super) struct Meter {
    left: Cell<u64>,
    /// Where the stack begins.
    base: usize,
    stop: Arc<AtomicBool>,
    stopped: Cell<Option<Stop>>,
}

/// Why a query was ended.
#[derive(Clone, Copy)]
pub(super) enum Stop {
    Steps,
    Stack,
    Size,
    Depth,
    Asked,
}

pub(super) type Halt = Exn<'static, Val>;

impl Meter {
    /// A meter for the calling thread; a raised `stop` ends the query.
    pub(super) fn new(stop: Arc<AtomicBool>) -> Self {
        Meter { left: Cell::new(STEPS), base: stack(), stop, stopped: Cell::new(None) }
    }

    pub(super) fn halt(&self, why: Stop) -> Halt {
        self.stopped.set(Some(why));
        // Unlike an error, `try` does not catch this.
        Exn::halt(1)
    }

    fn spend(&self, steps: u64) -> Result<(), Halt> {
        match self.left.get().checked_sub(steps) {
            Some(left) => self.left.set(left),
            None => {
                self.left.set(0);
                return Err(self.halt(Stop::Steps));
            }
        }
        Ok(())
    }

    fn call(&self) -> Result<(), Halt> {
        self.spend(CALL)?;
        if self.stop.load(Ordering::Relaxed) {
            return Err(self.halt(Stop::Asked));
        }
        if self.base.abs_diff(stack()) > FOR_CALLS {
            return Err(self.halt(Stop::Stack));
        }
        Ok(())
    }

    /// Counts a value that was made, and refuses one that is too large for filters that go through all of it.
    fn made(&self, value: &Val) -> Result<u64, Halt> {
        let mut room = HOLDS.min(self.left.get());
        let before = room;
        match hold(value, DEEPEST, &mut room) {
            Ok(()) => {}
            Err(Stop::Size) if before < HOLDS => return Err(self.halt(Stop::Steps)),
            Err(why) => return Err(self.halt(why)),
        }
        self.spend(before - room)?;
        Ok(before - room)
    }

    /// The error of a query that was ended.
    pub(super) fn error(&self) -> ToolError {
        let (code, message) = match self.stopped.get() {
            Some(Stop::Steps) => (
                "too_long",
                format!("the query was ended after {STEPS} steps; it may have no end, or be too much for the value. \
                     Select first; and make a list by `[.[] | …]`, as one that grows in `reduce` costs its length each time"),
            ),
            Some(Stop::Stack) => (
                "too_deep",
                "the query calls itself too deep; let the call be the last thing that a definition does, or use `reduce`"
                    .into(),
            ),
            Some(Stop::Size) => (
                "too_large",
                format!("the query makes a value of more than {HOLDS} parts, or a whole number of more than {BITS} bits; \
                     let it pick what is needed first"),
            ),
            Some(Stop::Depth) => (
                "too_deep",
                format!("the query makes a value that is nested more than {DEEPEST} deep; keep it flat, for example as a \
                     list of paths"),
            ),
            Some(Stop::Asked) | None => ("cancelled", "the query was ended, as its run is".into()),
        };
        ToolError::invalid(code, message)
    }
}

/// What a value may still hold while it is made.
pub(super) struct Room<'m> {
    meter: &'m Meter,
    left: u64,
}

impl<'m> Room<'m> {
    pub(super) fn new(meter: &'m Meter) -> Self {
        Room { meter, left: HOLDS.min(meter.left.get()) }
    }

    /// Takes the room of a part; the whole is counted when it is made.
    pub(super) fn take(&mut self, part: &Val) -> Result<(), Halt> {
        hold(part, DEEPEST, &mut self.left).map_err(|why| match why {
            Stop::Size if self.meter.left.get() < HOLDS => self.meter.halt(Stop::Steps),
            why => self.meter.halt(why),
        })
    }
}

/// Takes what the value holds from `room`.
fn hold(value: &Val, deepest: u32, room: &mut u64) -> Result<(), Stop> {
    let take = |room: &mut u64, parts: usize| match room.checked_sub(parts as u64) {
        Some(left) => {
            *room = left;
            Ok(())
        }
        None => Err(Stop::Size),
    };
    let below = |room: &mut u64, value: &Val| match deepest.checked_sub(1) {
        Some(deepest) => hold(value, deepest, room),
        None => Err(Stop::Depth),
    };
    match value {
        Val::Null | Val::Bool(_) | Val::Num(Num::Int(_) | Num::Float(_)) => take(room, 1),
        Val::Num(Num::BigInt(number)) if number.bits() > BITS => Err(Stop::Size),
        Val::Num(Num::BigInt(_)) => take(room, 8),
        Val::Num(Num::Dec(digits)) => take(room, 1 + digits.len() / 16),
        Val::BStr(bytes) | Val::TStr(bytes) => take(room, 1 + bytes.len() / 16),
        Val::Arr(items) => {
            take(room, 1)?;
            items.iter().try_for_each(|item| below(room, item))
        }
        Val::Obj(fields) => {
            take(room, 1)?;
            fields.iter().try_for_each(|(name, value)| {
                below(room, name)?;
                below(room, value)
            })
        }
    }
}

/// Where the stack is at the moment.
fn stack() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(black_box(&here)).addr()
}

/// A filter that looks at the value and passes it on, in a path as well.
macro_rules! through {
    ($check:expr) => {{
        fn check(meter: &Meter, value: &Val) -> Result<(), Halt> {
            let check: fn(&Meter, &Val) -> Result<(), Halt> = $check;
            check(meter, value)
        }
        Native::new(|cv: Cv<'_, Metered>| box_once(check(cv.0.data().meter, &cv.1).map(|()| cv.1)))
            .with_paths(|cv| box_once(check(cv.0.data().meter, &cv.1.0).map(|()| cv.1)))
            .with_update(|cv, update| match check(cv.0.data().meter, &cv.1) {
                Ok(()) => update(cv.1),
                Err(halt) => box_once(Err(halt)),
            })
    }};
}

/// A filter that looks for a pattern, with its flags.
macro_rules! searching {
    ($give:expr) => {
        Native::new(|mut cv: Cv<'_, Metered>| {
            let (flags, pattern) = (cv.0.pop_var(), cv.0.pop_var());
            box_once(search(cv.0.data().meter, &cv.1, &pattern, &flags, $give))
        })
    };
}

/// The filters that count, and those that stand in for filters of jaq. Their names begin with a character that no query can
/// write, but for `fromjson` and those that look for patterns.
pub(super) fn filters() -> Vec<Fun<Metered>> {
    vec![
        ("!tick", v(0), through!(|meter, _| meter.call())),
        ("!made", v(0), through!(|meter, value| meter.call().and_then(|()| meter.made(value)).map(|_| ()))),
        (
            "!key",
            v(0),
            through!(|_, key| match key {
                Val::Arr(_) => Err(no_place()),
                _ => Ok(()),
            }),
        ),
        (
            "!square",
            v(1),
            Native::new(|mut cv| {
                let other = cv.0.pop_var();
                let meter = cv.0.data().meter;
                box_once(square(meter, &cv.1, &other).map(|()| cv.1))
            }),
        ),
        (
            "!search",
            v(1),
            Native::new(|mut cv| {
                let pattern = cv.0.pop_var();
                let meter = cv.0.data().meter;
                box_once(meter.spend(cost(&cv.1, &pattern)).map(|()| cv.1))
            }),
        ),
        (
            "!place",
            v(1),
            Native::new(|mut cv| {
                let place = cv.0.pop_var();
                box_once(match (&cv.1, place) {
                    (Val::Arr(_), Val::Arr(_)) => Err(no_place()),
                    _ => Ok(cv.1),
                })
            }),
        ),
        (
            "!letters",
            v(0),
            Native::new(|cv| {
                let meter = cv.0.data().meter;
                box_once(match &cv.1 {
                    Val::TStr(text) if text.len() as u64 > HOLDS => Err(meter.halt(Stop::Size)),
                    _ => Ok(cv.1),
                })
            }),
        ),
        (
            "!form",
            v(1),
            Native::new(|mut cv| {
                let form = cv.0.pop_var();
                box_once(match form {
                    Val::TStr(form) if !std::str::from_utf8(&form).is_ok_and(crate::time::modest) => {
                        Err(Error::str("the form of a time is too long or has too large a width").into())
                    }
                    // The rules of a zone come from files of the system.
                    Val::TStr(form) if form.contains(&b'Q') => {
                        Err(Error::str("a form of a time has no `Q` here, as zones are not known").into())
                    }
                    _ => Ok(cv.1),
                })
            }),
        ),
        (
            "!times",
            v(2),
            Native::new(|mut cv| {
                let (right, left) = (cv.0.pop_var(), cv.0.pop_var());
                box_once(times(cv.0.data().meter, left, right))
            }),
        ),
        (
            "!divided",
            v(2),
            Native::new(|mut cv| {
                let (right, left) = (cv.0.pop_var(), cv.0.pop_var());
                box_once(divided(cv.0.data().meter, left, right))
            }),
        ),
        ("matches", v(2), searching!(Give { rest: false, matches: true })),
        ("split_matches", v(2), searching!(Give { rest: true, matches: true })),
        ("split_", v(2), searching!(Give { rest: true, matches: false })),
        ("fromjson", v(0), Native::new(|cv| box_once(from_json(&cv.1).map_err(Exn::from)))),
    ]
}

/// What filters cost that compare each part of one value with each of another.
fn square<'a>(meter: &Meter, one: &Val, other: &Val) -> Result<(), Exn<'a, Val>> {
    let (one, other) = (meter.made(one)?, meter.made(other)?);
    meter.spend(one.saturating_mul(other))
}

/// What a search for a regular expression costs: the length of the text for each state, of which a pattern has about as many
/// as bytes, times the counts of its repetitions.
fn cost(text: &Val, pattern: &Val) -> u64 {
    let (Val::TStr(text), Val::TStr(pattern)) = (text, pattern) else { return 0 };
    let repeated = pattern.split(|byte| *byte == b'{').skip(1).filter_map(|rest| {
        let inside = rest.split(|byte| *byte == b'}').next().and_then(|inside| std::str::from_utf8(inside).ok())?;
        inside.rsplit(',').find(|count| !count.is_empty())?.trim().parse::<u64>().ok()
    });
    let states = repeated.fold(pattern.len() as u64 + 1, |states, count| states.saturating_mul(count.max(1)));
    states.saturating_mul(text.len() as u64) / 16 + states
}

/// A product, which may be a text that is much longer than its factors.
fn times<'a>(meter: &Meter, left: Val, right: Val) -> ValX<'a, Val> {
    let length = match (&left, &right) {
        (Val::TStr(text) | Val::BStr(text), Val::Num(count)) | (Val::Num(count), Val::TStr(text) | Val::BStr(text)) => {
            // A count that is no number of this machine is larger than any text may be, or no count at all.
            let count = count.as_isize().map_or(u64::MAX, |count| count.max(0).unsigned_abs() as u64);
            count.saturating_mul(text.len() as u64)
        }
        _ => 0,
    };
    if length / 16 > HOLDS {
        return Err(meter.halt(Stop::Size));
    }
    Ok((left * right)?)
}

/// A quotient; that of two texts is a list of what stands between the separators.
fn divided<'a>(meter: &Meter, left: Val, right: Val) -> ValX<'a, Val> {
    if let (Val::TStr(text), Val::TStr(separator)) | (Val::BStr(text), Val::BStr(separator)) = (&left, &right) {
        let parts = match (std::str::from_utf8(text), std::str::from_utf8(separator)) {
            (_, Ok("")) => text.len(),
            (Ok(text), Ok(separator)) => text.matches(separator).count() + 1,
            _ => text.len() / separator.len().max(1) + 1,
        };
        if parts as u64 + text.len() as u64 / 16 > HOLDS {
            return Err(meter.halt(Stop::Size));
        }
    }
    Ok((left / right)?)
}

fn no_place<'a>() -> Exn<'a, Val> {
    Error::str("a list is no place in a list; `indices` tells where one stands in another").into()
}

fn from_json(text: &Val) -> ValR<Val> {
    let Val::TStr(bytes) = text else { return Err(Error::typ(text.clone(), "string")) };
    let value = serde_json::from_slice(bytes).map_err(|e| Error::str(format_args!("cannot parse as JSON: {e}")))?;
    super::values::into_jaq(value).map_err(Error::str)
}
