//! Filters for times. A time is a text, RFC 3339 in UTC; nothing here asks a clock or a table of time zones.

use jiff::civil::{Date, DateTime};
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use minijinja::{Environment, Error, ErrorKind, Value};

use super::texts::text_of;
use crate::workflow::unit::parse_duration;

/// The longest form.
const FORM: usize = 200;

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("parse_time", parse_time);
    environment.add_filter("format_time", format_time);
    environment.add_filter("add_time", |value: &Value, duration: &str| moved(value, duration, "add_time", 1));
    environment.add_filter("subtract_time", |value: &Value, by: &str| moved(value, by, "subtract_time", -1));
    environment.add_filter("seconds_since", seconds_since);
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// The time that a text says: RFC 3339, or a date and its midnight.
fn time(value: &Value, filter: &str) -> Result<Timestamp, Error> {
    let text = text_of(value, filter)?.trim();
    let date = || text.parse::<Date>().ok().filter(|_| text.len() <= 10).and_then(midnight);
    text.parse::<Timestamp>().ok().or_else(date).ok_or_else(|| {
        let short: String = text.chars().take(40).collect();
        wrong(format!("`{short}` is no time; write it as 2026-01-31T10:00:00Z, or give `parse_time` its form"))
    })
}

fn midnight(date: Date) -> Option<Timestamp> {
    TimeZone::UTC.to_timestamp(date.to_datetime(jiff::civil::Time::midnight())).ok()
}

fn short_form(form: &str) -> Result<&str, Error> {
    // A width in a form is a way to take memory.
    let wide = form.as_bytes().windows(4).any(|four| four.iter().all(u8::is_ascii_digit));
    if form.len() > FORM || wide {
        Err(wrong(format!("the form of a time is too long: `{form:.40}`")))
    } else {
        Ok(form)
    }
}

fn parse_time(value: &Value, form: Option<&str>) -> Result<String, Error> {
    let Some(form) = form else { return Ok(time(value, "parse_time")?.to_string()) };
    let text = text_of(value, "parse_time")?;
    let parsed = BrokenDownTime::parse(short_form(form)?, text);
    let broken = parsed.map_err(|error| wrong(format!("`{text:.40}` is no time of the form `{form}`: {error}")))?;
    let stamp = broken.to_timestamp().or_else(|_| {
        let civil =
            broken.to_datetime().or_else(|_| broken.to_date().map(|d| d.to_datetime(jiff::civil::Time::midnight())));
        civil.and_then(|civil: DateTime| TimeZone::UTC.to_timestamp(civil))
    });
    let stamp = stamp.map_err(|error| wrong(format!("`{text:.40}` does not say a time: {error}")))?;
    Ok(stamp.to_string())
}

fn format_time(value: &Value, form: &str) -> Result<String, Error> {
    let zoned = time(value, "format_time")?.to_zoned(TimeZone::UTC);
    let mut out = String::new();
    let written = BrokenDownTime::from(&zoned).format(short_form(form)?, &mut out);
    written.map_err(|error| wrong(format!("`{form}` is no form of a time: {error}")))?;
    Ok(out)
}

fn moved(value: &Value, duration: &str, filter: &str, sign: i64) -> Result<String, Error> {
    let start = time(value, filter)?;
    let no_duration = || wrong(format!("`{duration:.40}` is no duration; write 500ms, 2s, 10m, 24h, 7d"));
    let length = parse_duration(duration.trim()).ok_or_else(no_duration)?;
    let millis = i64::try_from(length.as_millis()).map_err(|_| no_duration())?;
    let moved = start.checked_add(SignedDuration::from_millis(sign * millis));
    moved.map(|time| time.to_string()).map_err(|_| wrong(format!("`{duration:.40}` leads out of the calendar")))
}

fn seconds_since(value: &Value, earlier: &Value) -> Result<f64, Error> {
    let length = time(value, "seconds_since")?.duration_since(time(earlier, "seconds_since")?);
    Ok(length.as_secs_f64())
}
