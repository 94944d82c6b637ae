//! Names of things: runs, commits, workers, steps, digests, and points in time. All are strings on the wire.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// Text that is not an id of the kind expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct IdError {
    text: String,
    expected: &'static str,
}

macro_rules! string_serde {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }
    };
}

/// One execution of a workflow: a UUID of version 7, so that ids sort by creation time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(uuid::Uuid);

impl RunId {
    /// What happens to a store outside of its runs: memories that a person changes, texts that are erased. It has a log like a run, and is
    /// listed nowhere.
    pub const SYSTEM: RunId = RunId(uuid::Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0000));

    /// An id for a run created at `at`, made unique by `random`.
    pub fn new(at: Time, random: [u8; 16]) -> Self {
        let mut tail = [0; 10];
        tail.copy_from_slice(&random[..10]);
        let millis = u64::try_from(at.micros() / 1_000).unwrap_or(0);
        RunId(uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid())
    }

    /// The run that a step of this run has for itself: always the same one.
    pub fn child(self, step: &StepKey) -> Self {
        let digest = Digest::of(&[b"parkway-child-1\0", self.0.as_bytes(), step.to_string().as_bytes()]);
        let mut tail = [0; 10];
        tail.copy_from_slice(&digest.as_bytes()[..10]);
        // It sorts beside its parent.
        let millis = self.0.as_bytes()[..6].iter().fold(0, |millis, byte| millis << 8 | u64::from(*byte));
        RunId(uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid())
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for RunId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        uuid::Uuid::try_parse(text).map(RunId).map_err(|_| IdError { text: text.into(), expected: "a run id" })
    }
}
string_serde!(RunId);

/// The name of one commit, so that sending it twice changes nothing: 16 random bytes, hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CommitId([u8; 16]);

impl CommitId {
    /// An id from 16 random bytes.
    pub fn new(random: [u8; 16]) -> Self {
        CommitId(random)
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The name of a memory: 16 bytes, hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemoryId([u8; 16]);

impl MemoryId {
    /// An id from 16 random bytes.
    pub fn new(random: [u8; 16]) -> Self {
        MemoryId(random)
    }

    /// The memory that the call with this key writes: always the same one.
    pub fn of_call(key: &EffectKey) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&Digest::of(&[b"parkway-memory-id-1\0", key.to_string().as_bytes()]).as_bytes()[..16]);
        MemoryId(id)
    }

    /// Its 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for MemoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for MemoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MemoryId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = || IdError { text: text.into(), expected: "the id of a memory, which has 32 hexadecimal digits" };
        let mut id = [0; 16];
        hex::decode_to_slice(text, &mut id).map_err(|_| wrong())?;
        Ok(MemoryId(id))
    }
}
string_serde!(MemoryId);

/// The name of a process that executes runs; unique per process start.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WorkerId(String);

impl WorkerId {
    /// A worker named `name`; letters, digits, `-` and `_` are kept, anything else becomes `-`, so that it may name a file.
    pub fn new(name: impl AsRef<str>) -> Self {
        let keep = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
        WorkerId(name.as_ref().chars().map(keep).collect())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl $name {
            /// The number after this one.
            pub fn next(self) -> Self {
                $name(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                text.parse().map($name).map_err(|_| IdError { text: text.into(), expected: $expected })
            }
        }
        string_serde!($name);
    };
}

counter!(
    /// The place of an event in its run's log; the first event has 1, and 0 stands before it.
    Seq,
    "an event number"
);
counter!(
    /// Counts the owners that a run has had; only the holder of the newest fence can commit.
    Fence,
    "a fence"
);

/// A point in time: microseconds since 1970-01-01T00:00:00Z; RFC 3339 with six digits on the wire.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

impl Time {
    /// The point `micros` microseconds after the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Time(micros)
    }

    /// Microseconds since the epoch.
    pub fn micros(self) -> i64 {
        self.0
    }

    /// This point plus `duration`; stays at the last representable point.
    pub fn after(self, duration: Duration) -> Self {
        Time(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this point is; zero if it is not after it.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(timestamp) => write!(f, "{timestamp:.6}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Time {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        if let Some(micros) = text.strip_suffix("us").and_then(|n| n.parse().ok()) {
            return Ok(Time(micros));
        }
        match text.parse::<jiff::Timestamp>() {
            Ok(timestamp) => Ok(Time(timestamp.as_microsecond())),
            Err(_) => Err(IdError { text: text.into(), expected: "a time such as 2027-01-31T12:00:00Z" }),
        }
    }
}
string_serde!(Time);

/// A SHA-256 digest; 64 hexadecimal digits on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of the parts, one after the other.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        Digest(hasher.finalize().into())
    }

    /// A digest from its 32 bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Digest(bytes)
    }

    /// Its 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)
            .map(|()| Digest(bytes))
            .map_err(|_| IdError { text: text.into(), expected: "a SHA-256 digest" })
    }
}
string_serde!(Digest);

/// One level of a [`StepKey`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Segment {
    /// The step's id in its file.
    pub id: String,
    /// The round of a `repeat`; 0 elsewhere.
    pub iteration: u32,
    /// The item of a `for_each`; `None` for the step that fans out itself.
    pub item: Option<u32>,
}

/// The name of a step within a run, one segment a level: `intake[3].extract`, `poll#2.fetch`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepKey {
    path: Vec<Segment>,
}

impl StepKey {
    /// The key of the top-level step `id`.
    pub fn root(id: &str) -> Self {
        StepKey { path: vec![Segment { id: id.into(), iteration: 0, item: None }] }
    }

    /// The key of the step `id` inside this one.
    pub fn child(&self, id: &str) -> Self {
        let mut path = self.path.clone();
        path.push(Segment { id: id.into(), iteration: 0, item: None });
        StepKey { path }
    }

    /// The key of item `index` of this step.
    pub fn item(&self, index: u32) -> Self {
        let mut path = self.path.clone();
        if let Some(last) = path.last_mut() {
            last.item = Some(index);
        }
        StepKey { path }
    }

    /// The key of round `number` of this step, from 1.
    pub(crate) fn round(&self, number: u32) -> Self {
        let mut path = self.path.clone();
        if let Some(last) = path.last_mut() {
            last.iteration = number;
        }
        StepKey { path }
    }

    /// The key of the step that this is a round of; the key itself if it is no round.
    pub(crate) fn repeated(&self) -> Self {
        self.round(0)
    }

    /// The key of the step that this is an item of; the key itself if it is no item.
    pub fn fan_out(&self) -> Self {
        let mut path = self.path.clone();
        if let Some(last) = path.last_mut() {
            last.item = None;
        }
        StepKey { path }
    }

    /// The same step of the plan, whichever item or round it is.
    pub(crate) fn plain(&self) -> Self {
        let plain = |segment: &Segment| Segment { id: segment.id.clone(), iteration: 0, item: None };
        StepKey { path: self.path.iter().map(plain).collect() }
    }

    /// The segments, outermost first; never empty.
    pub fn path(&self) -> &[Segment] {
        &self.path
    }

    /// The last segment.
    pub fn last(&self) -> Option<&Segment> {
        self.path.last()
    }
}

impl fmt::Display for StepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.path.iter().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            f.write_str(&segment.id)?;
            if segment.iteration > 0 {
                write!(f, "#{}", segment.iteration)?;
            }
            if let Some(item) = segment.item {
                write!(f, "[{item}]")?;
            }
        }
        Ok(())
    }
}

impl FromStr for StepKey {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let bad = || IdError { text: text.into(), expected: "a step such as `confirm` or `intake[3].extract`" };
        let mut path = Vec::new();
        for part in text.split('.') {
            let (rest, item) = match part.strip_suffix(']').and_then(|p| p.split_once('[')) {
                Some((rest, item)) => (rest, Some(item.parse().map_err(|_| bad())?)),
                None => (part, None),
            };
            let (id, iteration) = match rest.split_once('#') {
                Some((id, iteration)) => (id, iteration.parse().map_err(|_| bad())?),
                None => (rest, 0),
            };
            if !is_step_id(id) {
                return Err(bad());
            }
            path.push(Segment { id: id.into(), iteration, item });
        }
        Ok(StepKey { path })
    }
}
string_serde!(StepKey);

/// Whether `id` may name a step: `[a-z][a-z0-9_]*`.
pub(crate) fn is_step_id(id: &str) -> bool {
    let mut chars = id.chars();
    chars.next().is_some_and(|c| c.is_ascii_lowercase())
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// What makes an effect recognisable to the system that it happens in: the same over retries, crashes and workers.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EffectKey(Digest);

impl EffectKey {
    /// The key of `step` in `run`; `redo` counts how often a person said to do it again.
    pub fn new(run: RunId, step: &StepKey, redo: u32) -> Self {
        EffectKey(Digest::of(&[
            b"parkway-effect-1\0",
            run.to_string().as_bytes(),
            b"\0",
            step.to_string().as_bytes(),
            b"\0",
            redo.to_string().as_bytes(),
        ]))
    }
}

impl fmt::Display for EffectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for EffectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_keys_survive_text() {
        for text in ["a", "intake[3]", "intake[3].extract", "poll#2.fetch", "a#1[7].b_2[0].c"] {
            assert_eq!(text.parse::<StepKey>().unwrap().to_string(), text);
        }
        for text in ["", ".", "A", "a..b", "a[", "a[x]", "a]", "1a", "a b", "a[-1]"] {
            assert!(text.parse::<StepKey>().is_err(), "{text}");
        }
    }

    #[test]
    fn times_survive_text() {
        let time = Time::from_micros(1_795_000_000_123_456);
        assert_eq!(time.to_string(), "2026-11-18T11:06:40.123456Z");
        assert_eq!(time.to_string().parse::<Time>().unwrap(), time);
        assert_eq!(Time::from_micros(i64::MAX).to_string().parse::<Time>().unwrap(), Time::from_micros(i64::MAX));
    }

    #[test]
    fn run_ids_sort_by_time() {
        let early = RunId::new(Time::from_micros(1_000_000), [255; 16]);
        let late = RunId::new(Time::from_micros(2_000_000), [0; 16]);
        assert!(early < late && early.to_string() < late.to_string());
    }
}
