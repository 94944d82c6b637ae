//! What was spent, with what is known of it and what is not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use parkway_core::model::Usage;
use serde::{Serialize, Serializer};

/// What calls of models have taken.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Spent {
    /// Answers of models. One that never came whole is not counted: nobody told its tokens.
    pub calls: u64,
    /// Of these, answers of servers that count no tokens. What they stand with here was guessed from the length of the texts.
    pub guessed_calls: u64,
    /// Tokens of prompts, as the models counted them.
    pub prompt_tokens: u64,
    /// Of these, tokens that were not computed again.
    pub cached_tokens: u64,
    /// Tokens of answers.
    pub output_tokens: u64,
    /// Of these, tokens that the form left no choice about.
    pub forced_tokens: u64,
    /// How long the calls took, one after the other.
    #[serde(rename = "model_ms", serialize_with = "millis")]
    pub model: Duration,
    /// How long this machine computed for them. Calls at the same time share it; those to servers have none of it.
    #[serde(rename = "machine_ms", serialize_with = "millis")]
    pub machine: Duration,
    /// The energy of this machine.
    pub energy: EnergySpent,
    /// What it cost.
    pub money: Money,
}

/// Energy of this machine, in millijoules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EnergySpent {
    /// Calls that were metered.
    pub measured_calls: u64,
    /// What the meters counted for them.
    pub measured_mj: u64,
    /// What was metered: `cpu`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub measured: BTreeSet<String>,
    /// Calls of this machine's models that were not metered, where the settings say its watts.
    pub estimate_calls: u64,
    /// An estimate for them: these watts for the time of the machine.
    pub estimate_mj: u64,
    /// Calls of this machine's models that were not metered, where the settings say no watts.
    pub unknown_calls: u64,
}

/// What something cost, in each currency that it was paid in.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Money {
    /// By currencies.
    #[serde(serialize_with = "amounts")]
    pub amounts: BTreeMap<String, f64>,
    /// Whether a part of it is an estimate: energy that was not metered, tokens that nobody counted, or a list price, which need
    /// not be what was billed.
    pub estimate: bool,
    /// Calls for which no price is known, or not the whole of it. What is not known is not in the amounts, and not free.
    pub unpriced_calls: u64,
    /// The prices, each with its date where it has one.
    pub prices: BTreeSet<String>,
}

impl Spent {
    /// What one call took, without energy and money.
    pub(super) fn of(usage: Usage, model: Duration, machine: Duration) -> Spent {
        Spent {
            calls: 1,
            guessed_calls: usage.guessed.into(),
            prompt_tokens: usage.prompt_tokens.into(),
            cached_tokens: usage.cached_tokens.into(),
            output_tokens: usage.output_tokens.into(),
            forced_tokens: usage.forced_tokens.into(),
            model,
            machine,
            ..Spent::default()
        }
    }

    /// Adds what else was spent.
    pub fn add(&mut self, other: &Spent) {
        self.calls += other.calls;
        self.guessed_calls += other.guessed_calls;
        self.prompt_tokens += other.prompt_tokens;
        self.cached_tokens += other.cached_tokens;
        self.output_tokens += other.output_tokens;
        self.forced_tokens += other.forced_tokens;
        self.model += other.model;
        self.machine += other.machine;
        self.energy.add(&other.energy);
        self.money.add(&other.money);
    }

    /// All of these together.
    pub(super) fn sum<'a>(all: impl IntoIterator<Item = &'a Spent>) -> Spent {
        all.into_iter().fold(Spent::default(), |mut sum, one| {
            sum.add(one);
            sum
        })
    }
}

impl EnergySpent {
    fn add(&mut self, other: &EnergySpent) {
        self.measured_calls += other.measured_calls;
        self.measured_mj += other.measured_mj;
        self.measured.extend(other.measured.iter().cloned());
        self.estimate_calls += other.estimate_calls;
        self.estimate_mj += other.estimate_mj;
        self.unknown_calls += other.unknown_calls;
    }

    /// What is known, measured or not.
    pub fn known_mj(&self) -> u64 {
        self.measured_mj + self.estimate_mj
    }
}

impl Money {
    fn add(&mut self, other: &Money) {
        for (currency, amount) in &other.amounts {
            self.put(currency, *amount);
        }
        self.estimate |= other.estimate;
        self.unpriced_calls += other.unpriced_calls;
        self.prices.extend(other.prices.iter().cloned());
    }

    pub(super) fn put(&mut self, currency: &str, amount: f64) {
        *self.amounts.entry(currency.to_owned()).or_default() += amount;
    }
}

pub(super) fn millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

fn amounts<S: Serializer>(amounts: &BTreeMap<String, f64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(amounts.iter().map(|(currency, amount)| (currency, rounded(*amount))))
}

/// The amount without the last digits, in which sums of the same parts may differ.
pub(super) fn rounded(amount: f64) -> f64 {
    (amount * 1e9).round() / 1e9
}
