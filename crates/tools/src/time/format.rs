//! `time.format`: a time as people write it.

use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::stamp::{formatted, time, zoned};
use crate::builtin::Builtin;

/// Writes a time.
pub(crate) struct Format;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The time, RFC 3339 with its zone: `2027-01-31T10:00:00Z`.
    time: String,
    /// How to write it, as `strftime` has it: `%d.%m.%Y %H:%M`. Names of days and months are English.
    format: String,
    /// The zone whose clocks show it: `Europe/Berlin`. UTC without it.
    zone: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The time in that form.
    text: String,
}

impl Builtin for Format {
    const NAME: &'static str = "time.format";
    const DESCRIPTION: &'static str = "Writes a time in a given form and time zone, as 31.01.2027 10:00. Use it for letters, \
         reports and file names.";
    const EFFECT: Effect = Effect::Pure;
    type Input = Input;
    type Output = Output;

    fn call(&self, input: Input, _context: &ToolContext) -> Result<Output, ToolError> {
        let local = zoned(time("time", &input.time)?, input.zone.as_deref())?;
        Ok(Output { text: formatted(&local, &input.format)? })
    }
}
