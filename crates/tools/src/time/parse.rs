//! `time.parse`: the time that a text says.

use jiff::civil::{self, Date, DateTime};
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::stamp::{form, formatted, short, written, zone, zoned};
use crate::builtin::Builtin;

/// Reads a time.
pub(crate) struct Parse;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The text: `2027-01-31T10:00:00Z`, `2027-01-31 10:00`, `2027-01-31`, or what `format` says.
    text: String,
    /// How the text is written, as `strptime` has it: `%d.%m.%Y`. Without it, the year comes first.
    format: Option<String>,
    /// The zone that is meant where the text says none, and that `date` and `weekday` are told in: `Europe/Berlin`. UTC
    /// without it.
    zone: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The time in UTC, as RFC 3339 with six digits: `2027-01-31T12:00:00.000000Z`.
    time: String,
    /// The date in the zone: `2027-01-31`.
    date: String,
    /// The time of day in the zone: `12:00:00`.
    clock: String,
    /// The day of the week in the zone, in English: `Sunday`.
    weekday: String,
    /// The week of the year by ISO 8601, with its year: `2027-W04`.
    week: String,
    /// How many seconds have passed since 1970 began in UTC.
    unix: i64,
    /// Whether the text says a time of day; midnight is taken where it does not.
    has_clock: bool,
}

impl Builtin for Parse {
    const NAME: &'static str = "time.parse";
    const DESCRIPTION: &'static str = "Reads a date or time from a text, in a given form if it is not written year first, \
         and tells it in UTC with its date and weekday. Use it before comparing or calculating with times.";
    const EFFECT: Effect = Effect::Pure;
    type Input = Input;
    type Output = Output;

    fn call(&self, input: Input, _context: &ToolContext) -> Result<Output, ToolError> {
        let zone_meant = zone(input.zone.as_deref())?;
        let (time, has_clock) = match &input.format {
            Some(format) => by_form(&input.text, format, &zone_meant)?,
            None => year_first(&input.text, &zone_meant)?,
        };
        let local = zoned(time, input.zone.as_deref())?;
        Ok(Output {
            time: written(time),
            date: local.date().to_string(),
            clock: formatted(&local, "%H:%M:%S")?,
            weekday: formatted(&local, "%A")?,
            week: formatted(&local, "%G-W%V")?,
            unix: time.as_second(),
            has_clock,
        })
    }
}

fn year_first(text: &str, zone: &TimeZone) -> Result<(Timestamp, bool), ToolError> {
    let trimmed = text.trim();
    if let Ok(time) = trimmed.parse::<Timestamp>() {
        return Ok((time, true));
    }
    // A text with a zone in brackets may name one, which the compiled database is asked for.
    let year = trimmed.as_bytes().get(..5).is_some_and(|y| y[..4].iter().all(u8::is_ascii_digit) && y[4] == b'-');
    let plain = year && !trimmed.contains(['[', 'Z', 'z', '+']);
    let date_only = trimmed.len() == 10;
    if let (true, Ok(civil)) = (plain, trimmed.parse::<DateTime>()) {
        return Ok((local(text, civil, zone)?, !date_only));
    }
    let message = format!(
        "`{}` is not written year first, as `2027-01-31` or `2027-01-31T10:00:00Z`; say how it is written with `format`, as \
         `%d.%m.%Y` or `%m/%d/%Y`",
        short(text)
    );
    Err(ToolError::invalid("time", message))
}

fn by_form(text: &str, format: &str, zone: &TimeZone) -> Result<(Timestamp, bool), ToolError> {
    let failed = |error: jiff::Error| {
        let message =
            format!("`{}` is no time of the form `{}`: {error}; correct `format`", short(text), short(format));
        ToolError::invalid("time", message)
    };
    let form = form(format)?;
    if form.contains("%Q") || form.contains("%:Q") {
        let message = "a form with the name of a zone, `%Q`, cannot be read; leave it out and give `zone`";
        return Err(ToolError::invalid("form", message));
    }
    let read = BrokenDownTime::parse(form, text.trim()).map_err(failed)?;
    let has_clock = read.hour().is_some();
    if let Ok(time) = read.to_timestamp() {
        return Ok((time, has_clock));
    }
    let date = read.to_date().map_err(failed)?;
    let clock = if has_clock { read.to_time().map_err(failed)? } else { civil::Time::midnight() };
    Ok((local(text, Date::to_datetime(date, clock), zone)?, has_clock))
}

/// The one time at which clocks in the zone show this.
fn local(text: &str, civil: DateTime, zone: &TimeZone) -> Result<Timestamp, ToolError> {
    let ambiguous = zone.to_ambiguous_zoned(civil);
    if ambiguous.is_ambiguous() && civil.time() != civil::Time::midnight() {
        let message = format!(
            "`{}` is skipped or comes twice in that zone, as clocks are changed; write the offset, as `+01:00`",
            short(text)
        );
        return Err(ToolError::invalid("ambiguous", message));
    }
    ambiguous.compatible().map(|zoned: Zoned| zoned.timestamp()).map_err(|error| {
        ToolError::invalid(
            "time",
            format!("`{}` is out of the calendar: {error}; give a date of the years 1 to 9999", short(text)),
        )
    })
}
