//! Times, zones, spans and forms as arguments say them.

use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Span, Timestamp, Zoned};
use parkway_core::id::Time;
use parkway_core::tool::ToolError;

/// The longest form of a time, in bytes.
const FORM: usize = 200;

/// The time that an argument says: RFC 3339.
pub(super) fn time(name: &str, text: &str) -> Result<Timestamp, ToolError> {
    text.trim().parse().map_err(|_| {
        let message = format!(
            "`{name}` is `{}`, which is no time with its zone; write it as 2027-01-31T10:00:00Z, or read it with `time.parse`",
            short(text)
        );
        ToolError::invalid("time", message)
    })
}

/// A time as every tool gives it: UTC, six digits.
pub(super) fn written(time: Timestamp) -> String {
    Time::from_micros(time.as_microsecond()).to_string()
}

/// The zone of an IANA name; UTC without one.
pub(super) fn zone(name: Option<&str>) -> Result<TimeZone, ToolError> {
    let Some(name) = name else { return Ok(TimeZone::UTC) };
    TimeZoneDatabase::bundled().get(name).map_err(|_| {
        let message = format!("there is no time zone `{}`; take a name as `Europe/Berlin` or `UTC`", short(name));
        ToolError::invalid("zone", message)
    })
}

/// The time in that zone.
pub(super) fn zoned(time: Timestamp, name: Option<&str>) -> Result<Zoned, ToolError> {
    Ok(time.to_zoned(zone(name)?))
}

/// A span of time: `3d`, `-2h30m`, `1 month`, or `P1DT2H` as ISO 8601 has it.
pub(super) fn span(name: &str, text: &str) -> Result<Span, ToolError> {
    text.trim().parse().map_err(|_| {
        let message =
            format!("`{name}` is `{}`, which is no span; write it as `3d`, `-2h30m`, `1mo` or `P1DT2H`", short(text));
        ToolError::invalid("span", message)
    })
}

/// Whether a form is not used to take memory: it is short, and no width in it has more than three digits.
pub(crate) fn modest(form: &str) -> bool {
    let mut rest = form;
    while let Some((_, after)) = rest.split_once('%') {
        let after = after.strip_prefix(['-', '_', '0', '^', '#']).unwrap_or(after).trim_start_matches(['.', ':']);
        if after.bytes().take_while(u8::is_ascii_digit).count() > 3 {
            return false;
        }
        rest = after.strip_prefix('%').unwrap_or(after);
    }
    form.len() <= FORM
}

/// A form that is not used to take memory.
pub(super) fn form(form: &str) -> Result<&str, ToolError> {
    if !modest(form) {
        let message = format!("the form `{}` is too long or has too large a width; use a shorter one", short(form));
        return Err(ToolError::invalid("form", message));
    }
    Ok(form)
}

/// The time in a form.
pub(super) fn formatted(time: &Zoned, written: &str) -> Result<String, ToolError> {
    let mut text = String::new();
    BrokenDownTime::from(time).format(form(written)?, &mut text).map_err(|error| {
        let message = format!("`{}` is no form of a time: {error}; write it as `%d.%m.%Y %H:%M`", short(written));
        ToolError::invalid("form", message)
    })?;
    Ok(text)
}

/// The beginning of an argument, for messages.
pub(super) fn short(text: &str) -> String {
    const MOST: usize = 40;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}
