//! What came of several goals, counted.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use parkway_examples::plain;

use crate::pursue::{Outcome, short};

/// Right or wrong, and how it ended.
#[derive(Debug, Default)]
pub(crate) struct Matrix {
    outcomes: Vec<Outcome>,
}

impl Matrix {
    pub(crate) fn add(&mut self, outcome: Outcome) {
        self.outcomes.push(outcome);
    }

    pub(crate) fn all(&self) -> usize {
        self.outcomes.len()
    }

    /// How many answers the engine let stand.
    pub(crate) fn supported(&self) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.code.is_none()).count()
    }

    pub(crate) fn right_and_supported(&self) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.code.is_none() && outcome.right).count()
    }

    /// How many ended in each way, of those that are right or that are not. An end without an answer is neither.
    fn row(&self, right: Option<bool>) -> [usize; 3] {
        let mut row = [0; 3];
        for outcome in self.outcomes.iter().filter(|outcome| outcome.answer.as_ref().map(|_| outcome.right) == right) {
            let column = match outcome.code.as_deref() {
                None => 0,
                Some("unverified") => 1,
                Some(_) => 2,
            };
            row[column] += 1;
        }
        row
    }

    /// The codes of all ends but that of a refused answer, each with how often.
    fn codes(&self) -> BTreeMap<&str, usize> {
        let mut codes = BTreeMap::new();
        for code in self.outcomes.iter().filter_map(|outcome| outcome.code.as_deref()) {
            if code != "unverified" {
                *codes.entry(code).or_default() += 1;
            }
        }
        codes
    }
}

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "             supported  unverified  another end")?;
        for (title, right) in [("right", Some(true)), ("wrong", Some(false)), ("no answer", None)] {
            let [supported, unverified, other] = self.row(right);
            writeln!(f, "  {title:10} {supported:9} {unverified:11} {other:12}")?;
        }
        for (code, times) in self.codes() {
            writeln!(f, "  another end: {} × {times}", plain(code))?;
        }
        for outcome in self.outcomes.iter().filter(|outcome| outcome.code.is_none() && !outcome.right) {
            let answer = outcome.answer.as_deref().unwrap_or_default();
            writeln!(f, "  wrong, but supported: {}: {}", outcome.name, short(answer))?;
        }
        let took: Duration = self.outcomes.iter().map(|outcome| outcome.took).sum();
        let tokens: u32 = self.outcomes.iter().map(|outcome| outcome.tokens).sum();
        writeln!(f, "  in all: {:.1} s, {tokens} tokens", took.as_secs_f32())
    }
}
