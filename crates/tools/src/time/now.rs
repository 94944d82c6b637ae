//! `time.now`: the recorded time of the attempt.

use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::builtin::Builtin;

/// Tells the time.
pub(crate) struct Now;

/// Nothing.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The time in UTC, as RFC 3339 with six digits: `2027-01-31T12:00:00.000000Z`.
    now: String,
}

impl Builtin for Now {
    const NAME: &'static str = "time.now";
    const DESCRIPTION: &'static str = "Tells the date and time in UTC at which this step began.";
    const EFFECT: Effect = Effect::Read;
    type Input = Input;
    type Output = Output;

    fn call(&self, Input {}: Input, context: &ToolContext) -> Result<Output, ToolError> {
        Ok(Output { now: context.now.to_string() })
    }
}
