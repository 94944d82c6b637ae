//! What the same tokens would have cost elsewhere.

use parkway_core::model::Usage;
use serde::Serialize;

use super::listed::{AS_OF, Listed};
use super::rates::{OwnPrice, Rates};
use super::spent::rounded;

/// So many names are told of models that are called alike.
const NEAR: usize = 5;
/// How alike names must be, from 0 to 1.
const LIKE: f64 = 0.85;

/// The price of a model: the settings' own, else that of the list.
#[derive(Clone, Debug)]
pub struct Price {
    name: String,
    rate: Rate,
}

#[derive(Clone, Debug)]
enum Rate {
    Own { price: OwnPrice, currency: String },
    Listed(Listed),
}

/// What the same tokens would have cost. Always an estimate: another model would have written other tokens, and counts them otherwise.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Elsewhere {
    /// The model, with its provider where the list knows it.
    pub model: String,
    /// Where the price is from: `list` or `settings`.
    pub from: &'static str,
    /// The day of which the price is, or by which it was known.
    pub as_of: String,
    /// What it is in.
    pub currency: String,
    /// What it would have cost with nothing kept from earlier requests.
    pub amount: f64,
    /// What it would have cost if what was kept from earlier requests here had been kept there.
    pub amount_if_cached: f64,
    /// Calls that cannot be priced so.
    pub unpriced_calls: u64,
    /// That it is an estimate.
    pub estimate: bool,
}

/// No price is known for a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no price is known for a model called `{name}`")]
#[non_exhaustive]
pub struct UnknownPrice {
    /// The name.
    pub name: String,
    /// Models that are called alike.
    pub near: Vec<String>,
}

impl Price {
    /// The price of the model of this name, with or without its provider before it: `gpt-5`, `openai/gpt-5`.
    ///
    /// # Errors
    ///
    /// [`UnknownPrice`], where neither the settings nor the list knows it, or where it has no price per token.
    pub fn find(name: &str, rates: &Rates) -> Result<Price, UnknownPrice> {
        if let Some(price) = rates.models.get(name) {
            let rate = Rate::Own { price: price.clone(), currency: rates.currency.clone() };
            return Ok(Price { name: name.to_owned(), rate });
        }
        match Listed::named(name) {
            Some(listed) => Ok(Price { name: listed.name(), rate: Rate::Listed(listed) }),
            None => Err(UnknownPrice { name: name.to_owned(), near: near(name, rates) }),
        }
    }

    /// What calls with this usage would have cost.
    pub(super) fn of(&self, calls: impl Iterator<Item = Usage>) -> Elsewhere {
        let (from, as_of, currency) = match &self.rate {
            Rate::Own { price, currency } => ("settings", price.as_of.as_str(), currency.as_str()),
            Rate::Listed(_) => ("list", AS_OF, "USD"),
        };
        let (mut amount, mut amount_if_cached, mut unpriced_calls) = (0.0, 0.0, 0);
        // Call by call: some prices depend on how long a prompt is.
        for usage in calls {
            match (self.amount(usage, false), self.amount(usage, true)) {
                (Some(whole), Some(cached)) => {
                    amount += whole;
                    amount_if_cached += cached;
                }
                _ => unpriced_calls += 1,
            }
        }
        Elsewhere {
            model: self.name.clone(),
            from,
            as_of: as_of.to_owned(),
            currency: currency.to_owned(),
            amount: rounded(amount),
            amount_if_cached: rounded(amount_if_cached),
            unpriced_calls,
            estimate: true,
        }
    }

    fn amount(&self, usage: Usage, cached: bool) -> Option<f64> {
        match &self.rate {
            Rate::Own { price, .. } => Some(price.amount(usage, cached)),
            Rate::Listed(listed) => listed.amount(usage, None, cached),
        }
    }
}

/// Names of models with a price that are like this one, the likest first.
fn near(name: &str, rates: &Rates) -> Vec<String> {
    let short = |known: &str| known.rsplit('/').next().unwrap_or(known).to_lowercase();
    let (whole, wanted) = (name.to_lowercase(), short(name));
    let like = |known: &str| {
        let model = short(known);
        let like = strsim::jaro_winkler(&wanted, &model).max(strsim::jaro_winkler(&whole, &known.to_lowercase()));
        if model.contains(&wanted) { like + 1.0 } else { like }
    };
    let known = rates.models.keys().cloned().chain(Listed::names());
    let mut known: Vec<_> = known.map(|known| (like(&known), known)).filter(|(like, _)| *like > LIKE).collect();
    known.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| (a.1.len(), &a.1).cmp(&(b.1.len(), &b.1))));
    // What has no price per token would not be found either.
    let priced = |name: &String| rates.models.contains_key(name) || Listed::named(name).is_some();
    known.into_iter().map(|(_, name)| name).filter(priced).take(NEAR).collect()
}
