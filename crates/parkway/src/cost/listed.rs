//! List prices of models at servers: the table that the crate `genai-prices` brings with it. Nothing is fetched.

use std::time::{Duration, SystemTime};

use genai_prices::{Calculator, PriceRequest, Usage as Amounts, UsageKey};
use parkway_core::id::Time;
use parkway_core::model::Usage;

/// The day on which the version of the table that is built in was released: its prices are those known by then.
pub(super) const AS_OF: &str = "2026-10-30";
/// The same day at noon, in seconds since 1970.
const NOON: u64 = 1_793_361_600;

/// A model with a list price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    provider: String,
    /// As it was asked for: the provider's rules know it by that.
    asked: String,
    model: String,
}

impl Listed {
    /// The model of this name, with or without its provider before it: `gpt-5`, `openai/gpt-5`.
    pub(super) fn named(name: &str) -> Option<Listed> {
        let table = Calculator::bundled();
        let split = name.split_once('/');
        let provider = split.filter(|(provider, _)| table.providers().any(|known| known.id() == *provider));
        match provider {
            Some((provider, model)) => Listed::find(PriceRequest::new(model, &probe()).with_provider_id(provider)),
            None => Listed::find(PriceRequest::new(name, &probe())),
        }
    }

    /// What a server at this place calls so, if it is one with list prices.
    pub(super) fn at(server: &str, name: &str) -> Option<Listed> {
        Listed::find(PriceRequest::new(name, &probe()).with_provider_api_url(server))
    }

    /// A model without a price per token may be paid for otherwise: it is not known to be free.
    fn find(request: PriceRequest<'_>) -> Option<Listed> {
        let found = Calculator::bundled().calculate(&request.clone().with_timestamp(time(None))).ok()?;
        let asked = request.model.to_owned();
        (found.total_price > 0.0).then_some(Listed { provider: found.provider_id, asked, model: found.model_id })
    }

    /// `openai/gpt-5`.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.provider, self.model)
    }

    /// What a call costs in US dollars, by the price of that time, else by the newest; `cached` says whether what was not computed
    /// again here counts as that.
    pub(super) fn amount(&self, usage: Usage, at: Option<Time>, cached: bool) -> Option<f64> {
        let mut amounts = Amounts::from([
            (UsageKey::INPUT_TOKENS, f64::from(usage.prompt_tokens)),
            (UsageKey::OUTPUT_TOKENS, f64::from(usage.output_tokens)),
        ]);
        if cached && usage.cached_tokens > 0 {
            let again = usage.cached_tokens.min(usage.prompt_tokens);
            amounts.insert(UsageKey::CACHE_READ_TOKENS, f64::from(again));
        }
        let request =
            PriceRequest::new(&self.asked, &amounts).with_provider_id(&self.provider).with_timestamp(time(at));
        Calculator::bundled().calculate(&request).ok().map(|price| price.total_price)
    }

    /// The names of all models.
    pub(super) fn names() -> Vec<String> {
        let of = |provider: genai_prices::ProviderInfo<'static>| {
            provider.models().map(move |model| format!("{}/{}", provider.id(), model.id()))
        };
        Calculator::bundled().providers().flat_map(of).collect()
    }
}

/// Usage that costs something wherever tokens do.
fn probe() -> Amounts {
    Amounts::from([(UsageKey::INPUT_TOKENS, 1e6), (UsageKey::OUTPUT_TOKENS, 1e6)])
}

fn time(at: Option<Time>) -> SystemTime {
    let since_1970 = match at {
        Some(at) => at.since(Time::default()),
        None => Duration::from_secs(NOON),
    };
    SystemTime::UNIX_EPOCH + since_1970
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_of_the_prices_is_not_that_of_the_table() {
        let day: Time = format!("{AS_OF}T12:00:00Z").parse().unwrap();
        assert_eq!(day.micros(), i64::try_from(NOON * 1_000_000).unwrap());
        // Who takes another version of the table looks up the day of its release.
        let manifest = include_str!("../../../../Cargo.toml");
        assert!(manifest.contains("genai-prices = \"=0.2.1\""));
    }

    #[test]
    fn a_model_without_a_price_is_free() {
        assert_eq!(Listed::named("gpt-4o-mini").unwrap().name(), "openai/gpt-4o-mini");
        assert_eq!(Listed::named("azure/gpt-4o-mini").unwrap().name(), "azure/gpt-4o-mini");
        // It is paid for by a subscription.
        assert_eq!(Listed::named("github-copilot/gpt-4o-mini"), None);
        assert_eq!(Listed::named("gpt-no-such"), None);
        assert_eq!(Listed::named("no-such"), None);
    }

    #[test]
    fn a_server_of_ones_own_is_billed_by_a_list() {
        assert_eq!(Listed::at("https://api.openai.com", "gpt-4o-mini").unwrap().name(), "openai/gpt-4o-mini");
        assert_eq!(Listed::at("http://127.0.0.1:8080", "gpt-4o-mini"), None);
    }

    #[test]
    fn tokens_that_are_kept_are_paid_for_as_others() {
        let usage =
            Usage { prompt_tokens: 1_000_000, cached_tokens: 400_000, output_tokens: 100_000, ..Usage::default() };
        let mini = Listed::named("gpt-4o-mini").unwrap();
        let near = |amount: Option<f64>, expected: f64| (amount.unwrap() - expected).abs() < 1e-9;
        assert!(near(mini.amount(usage, None, false), 0.15 + 0.06));
        assert!(near(mini.amount(usage, None, true), 0.09 + 0.03 + 0.06));
    }
}
