//! `time.add`: a time moved by a span.

use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::stamp::{short, span, time, written, zoned};
use crate::builtin::Builtin;

/// Moves a time.
pub(crate) struct Add;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "time": "2027-01-31T10:00:00Z", "add": "1mo", "zone": "Europe/Berlin" }]))]
pub(crate) struct Input {
    /// The time, RFC 3339 with its zone: `2027-01-31T10:00:00Z`.
    time: String,
    /// How far it moves: `3d`, `-2h30m`, `1mo`, `P1DT2H`. A minus in front goes back.
    add: String,
    /// The zone by whose calendar days, weeks, months and years are counted: `Europe/Berlin`. UTC without it.
    zone: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The time in UTC, as RFC 3339 with six digits: `2027-01-31T12:00:00.000000Z`.
    time: String,
}

impl Builtin for Add {
    const NAME: &'static str = "time.add";
    const DESCRIPTION: &'static str = "Moves a time forward or back by a span such as 3d, -2h30m or 1mo, by the calendar of \
         a time zone. Use it to find due dates and the ends of periods.";
    const EFFECT: Effect = Effect::Pure;
    type Input = Input;
    type Output = Output;

    fn call(&self, input: Input, _context: &ToolContext) -> Result<Output, ToolError> {
        let start = zoned(time("time", &input.time)?, input.zone.as_deref())?;
        let moved = start.checked_add(span("add", &input.add)?).map_err(|_| {
            let message = format!(
                "`{}` leads out of the calendar, which goes from the year -9999 to 9999; add less",
                short(&input.add)
            );
            ToolError::invalid("span", message)
        })?;
        Ok(Output { time: written(moved.timestamp()) })
    }
}
