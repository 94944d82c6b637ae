//! The arguments of `parkway cost`.

use std::time::Duration;

use clap::Args as ClapArgs;
use parkway::id::Time;

use crate::out::now;

const COST_EXAMPLES: &str = "\
Examples:
  parkway cost                              all, and what a completed run costs
  parkway cost last                         a run, step by step
  parkway cost last --versus gpt-4o-mini --versus claude-sonnet-4-5
  parkway cost --workflow intake --since 7d
  parkway cost --since 2026-11-01 --json | jq .total";

#[derive(Debug, ClapArgs)]
#[command(before_help = COST_EXAMPLES)]
pub(crate) struct CostArgs {
    /// The run: its id, the beginning or end of it, or `last`; without it all
    pub(crate) run: Option<String>,
    /// Say what the same tokens would have cost of this model, as an estimate; repeatable
    #[arg(long, value_name = "MODEL", num_args = 1..)]
    pub(crate) versus: Vec<String>,
    /// Only runs of this workflow
    #[arg(long, value_name = "NAME", conflicts_with = "run")]
    pub(crate) workflow: Option<String>,
    /// Only runs that were started since: `7d`, `12h`, a day or a time, in UTC
    #[arg(long, value_name = "WHEN", conflicts_with = "run", value_parser = since)]
    pub(crate) since: Option<Time>,
    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// A time of the past.
fn since(text: &str) -> Result<Time, String> {
    if let Some(ago) = ago(text) {
        let ago = i64::try_from(ago.as_micros()).unwrap_or(i64::MAX);
        return Ok(Time::from_micros(now().micros().saturating_sub(ago)));
    }
    let day = format!("{text}T00:00:00Z").parse();
    day.or_else(|_| text.parse()).map_err(|_| "write it like 7d, 12h, 2026-11-01 or 2026-11-01T08:00:00Z".to_owned())
}

fn ago(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_taken_for_another() {
        assert_eq!(since("2026-11-01").unwrap().to_string(), "2026-11-01T00:00:00.000000Z");
        assert_eq!(since("2026-11-01T08:00:00Z").unwrap().to_string(), "2026-11-01T08:00:00.000000Z");
        assert_eq!(ago("2w"), Some(Duration::from_secs(14 * 86_400)));
        for wrong in ["", "d", "7", "7y", "-7d", "2026-13-01", "gestern", "7ü"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }
}
