//! What the site's settings say of prices, and what a call costs by them.

use std::collections::BTreeMap;
use std::time::Duration;

use parkway_core::model::Usage;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::call::Call;
use super::listed::{AS_OF, Listed};
use super::spent::Spent;
use crate::settings::Settings;

/// Millijoules of a kilowatt-hour, which is also the microseconds of an hour.
const KWH_OR_HOUR: f64 = 3_600_000_000.0;

/// What the site says under `[cost]`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Rates {
    /// What the machine takes while a model computes, for calls that were not metered.
    pub watts: Option<f64>,
    /// The price of a kilowatt-hour.
    pub kwh: Option<f64>,
    /// The price of an hour of the machine.
    pub hour: Option<f64>,
    /// What these prices are in. Default: `USD`.
    pub currency: String,
    /// Prices of models by their names, before those of lists.
    pub models: BTreeMap<String, OwnPrice>,
}

/// A price of a model's tokens, per million of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnPrice {
    /// Of tokens of a prompt.
    pub input: f64,
    /// Of tokens of an answer.
    pub output: f64,
    /// Of tokens of a prompt that were not computed again; as much as others if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached: Option<f64>,
    /// The day of which the price is, as `2026-11-01`.
    pub as_of: String,
}

impl OwnPrice {
    /// What a call costs; `cached` says whether what was not computed again here counts as that.
    pub(super) fn amount(&self, usage: Usage, cached: bool) -> f64 {
        let again = if cached { usage.cached_tokens.min(usage.prompt_tokens) } else { 0 };
        let read = f64::from(usage.prompt_tokens - again) * self.input;
        let kept = f64::from(again) * self.cached.unwrap_or(self.input);
        (read + kept + f64::from(usage.output_tokens) * self.output) / 1e6
    }
}

impl Default for Rates {
    fn default() -> Self {
        Rates { watts: None, kwh: None, hour: None, currency: "USD".into(), models: BTreeMap::new() }
    }
}

impl Rates {
    /// What the settings say.
    pub fn of(settings: &Settings) -> Rates {
        let mut rates = Rates::default();
        for setting in settings.list() {
            match setting.key.as_str() {
                "cost.watts" => rates.watts = setting.value.as_f64(),
                "cost.kwh" => rates.kwh = setting.value.as_f64(),
                "cost.hour" => rates.hour = setting.value.as_f64(),
                "cost.currency" => rates.currency = setting.value.as_str().unwrap_or_default().to_owned(),
                key => {
                    let name = key.strip_prefix("cost.models.");
                    let price = name.and_then(|name| Some((name, own(&setting.value)?)));
                    rates.models.extend(price.map(|(name, price)| (name.to_owned(), price)));
                }
            }
        }
        rates
    }

    /// What a call took and cost. `machine` is its share of the time of this machine.
    pub(super) fn spent(&self, call: &Call, machine: Duration) -> Spent {
        let mut spent = Spent::of(call.usage, call.took, machine);
        match call.server() {
            Some(server) => self.pay_server(call, server, &mut spent),
            None => self.pay_here(call, &mut spent),
        }
        spent
    }

    fn pay_server(&self, call: &Call, server: &str, spent: &mut Spent) {
        let money = &mut spent.money;
        if let Some((name, price)) =
            [&call.name, &call.model].into_iter().find_map(|name| self.models.get_key_value(name))
        {
            money.put(&self.currency, price.amount(call.usage, true));
            money.estimate = call.usage.guessed;
            money.prices.insert(format!("{name}: your price of {}", price.as_of));
            return;
        }
        let listed = Listed::at(server, &call.name);
        match listed.as_ref().and_then(|listed| Some((listed, listed.amount(call.usage, Some(call.ended), true)?))) {
            Some((listed, amount)) => {
                money.put("USD", amount);
                money.estimate = true;
                money.prices.insert(format!("{}: list price, as known on {AS_OF}", listed.name()));
            }
            None => money.unpriced_calls = 1,
        }
    }

    fn pay_here(&self, call: &Call, spent: &mut Spent) {
        match (&call.energy, self.watts) {
            (Some(energy), _) => {
                spent.energy.measured_calls = 1;
                spent.energy.measured_mj = energy.mj;
                spent.energy.measured.insert(energy.of.clone());
            }
            (None, Some(watts)) => {
                spent.energy.estimate_calls = 1;
                spent.energy.estimate_mj = whole(watts * spent.machine.as_secs_f64() * 1_000.0);
            }
            (None, None) => spent.energy.unknown_calls = 1,
        }
        let known = spent.energy.unknown_calls == 0;
        let currency = &self.currency;
        if let Some(kwh) = self.kwh.filter(|_| known) {
            spent.money.put(currency, to_f64(spent.energy.known_mj()) / KWH_OR_HOUR * kwh);
            spent.money.estimate = call.energy.is_none();
            spent.money.prices.insert(format!("{kwh} {currency} a kWh"));
        }
        if let Some(hour) = self.hour {
            let share = spent.machine.as_secs_f64() * 1e6 / KWH_OR_HOUR;
            spent.money.put(currency, share * hour);
            spent.money.prices.insert(format!("{hour} {currency} an hour of this machine"));
        }
        let priced = if self.kwh.is_some() { known } else { self.hour.is_some() };
        spent.money.unpriced_calls = u64::from(!priced);
    }
}

/// The price that a setting says.
fn own(value: &Value) -> Option<OwnPrice> {
    serde_json::from_value(value.clone()).ok()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an energy is positive, and a sum of few years"
)]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

#[expect(clippy::cast_precision_loss, reason = "an energy of 2^53 millijoules is one of thousands of years")]
fn to_f64(number: u64) -> f64 {
    number as f64
}
