//! `time.between`: how long it is from one time to another.

use jiff::{Unit, ZonedDifference};
use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::stamp::{time, zoned};
use crate::builtin::Builtin;

/// Measures between two times.
pub(crate) struct Between;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The time from which it is counted, RFC 3339 with its zone: `2027-01-31T10:00:00Z`.
    from: String,
    /// The time up to which it is counted.
    to: String,
    /// The zone by whose calendar days are counted: `Europe/Berlin`. UTC without it.
    zone: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The seconds from one to the other; negative if `to` is earlier.
    seconds: f64,
    /// The whole days, as the calendar of the zone has them; negative if `to` is earlier.
    days: i64,
    /// In words: `3d 4h`, with `ago` behind it if `to` is earlier.
    text: String,
}

impl Builtin for Between {
    const NAME: &'static str = "time.between";
    const DESCRIPTION: &'static str = "Tells how long it is from one time to another, in seconds, in whole days and in \
         words. Use it for ages, delays and what is left until a date.";
    const EFFECT: Effect = Effect::Pure;
    type Input = Input;
    type Output = Output;

    fn call(&self, input: Input, _context: &ToolContext) -> Result<Output, ToolError> {
        let from = zoned(time("from", &input.from)?, input.zone.as_deref())?;
        let to = zoned(time("to", &input.to)?, input.zone.as_deref())?;
        let span = from.until(ZonedDifference::new(&to).largest(Unit::Day)).map_err(|error| {
            ToolError::invalid("span", format!("the times cannot be compared: {error}; give times that lie closer"))
        })?;
        let seconds = from.duration_until(&to).as_secs_f64();
        Ok(Output { seconds, days: span.get_days().into(), text: format!("{span:#}") })
    }
}
