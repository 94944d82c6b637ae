//! Dates as they are written, in English and in German.

use std::ops::Range;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// A day, a month, or the day of a year that is not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Date {
    year: Option<u16>,
    month: u8,
    day: Option<u8>,
}

const MONTHS: [&[&str]; 12] = [
    &["january", "januar", "jänner", "jan"],
    &["february", "februar", "feb"],
    &["march", "märz", "mar", "mär"],
    &["april", "apr"],
    &["may", "mai"],
    &["june", "juni", "jun"],
    &["july", "juli", "jul"],
    &["august", "aug"],
    &["september", "sept", "sep"],
    &["october", "oktober", "oct", "okt"],
    &["november", "nov"],
    &["december", "dezember", "dec", "dez"],
];

#[expect(clippy::expect_used, reason = "the pattern is constant, and every test of an answer reads it")]
static WRITTEN: LazyLock<Regex> = LazyLock::new(|| {
    let month = MONTHS.concat().join("|");
    let pattern = format!(
        r"(?xi) \b(?: (?<iy>\d{{4}})-(?<im>\d\d)(?:-(?<id>\d\d))?
            | (?<dd>\d\d?)\.\ ?(?<dm>\d\d?)\.\ ?(?<dy>\d{{4}})
            | (?<sa>\d\d?)/(?<sb>\d\d?)/(?<sy>\d{{4}})
            | (?<fy>\d{{4}})/(?<fm>\d\d?)/(?<fd>\d\d?)
            | (?<ed>\d\d?)(?:st|nd|rd|th|\.)?\ (?:of\ )?(?<em>{month})\b\.?(?:,?\ (?<ey>\d{{4}}))?
            | (?<am>{month})\b\.?\ (?<ad>\d\d?)(?:st|nd|rd|th)?\b(?:,?\ (?<ay>\d{{4}}))?
            | (?<mm>{month})\b\.?\ (?<my>\d{{4}}) )(?:\b|[Tt])"
    );
    Regex::new(&pattern).expect("a constant pattern")
});

/// Where dates stand in a plain text, each with its readings: `3/4/2026` has two.
pub(super) fn dates(text: &str) -> impl Iterator<Item = (Range<usize>, Vec<Date>)> {
    WRITTEN.captures_iter(text).filter_map(|found| {
        let readings = readings(&found);
        let whole = found.get(0)?;
        // The `T` before a time.
        let time =
            whole.as_str().strip_suffix(['T', 't']).filter(|date| date.ends_with(|char: char| char.is_ascii_digit()));
        let end = whole.start() + time.unwrap_or(whole.as_str()).len();
        (!readings.is_empty()).then_some((whole.start()..end, readings))
    })
}

fn readings(found: &Captures<'_>) -> Vec<Date> {
    let text = |name: &str| found.name(name).map(|found| found.as_str());
    let number = |name: &str| text(name).and_then(|digits| digits.parse().ok());
    let year = |name: &str| text(name).and_then(|digits| digits.parse().ok());
    let of = |year: Option<u16>, month: Option<u8>, day: Option<u8>| {
        let possible = month.is_some_and(|month| (1..=12).contains(&month));
        let day_possible = day.is_none_or(|day| (1..=31).contains(&day));
        month.filter(|_| possible && day_possible).map(|month| Date { year, month, day })
    };
    let all = [
        of(year("iy"), number("im"), number("id")),
        of(year("dy"), number("dm"), number("dd")),
        of(year("sy"), number("sa"), number("sb")),
        of(year("sy"), number("sb"), number("sa")),
        of(year("fy"), number("fm"), number("fd")),
        of(year("ey"), text("em").and_then(month), number("ed")),
        of(year("ay"), text("am").and_then(month), number("ad")),
        of(year("my"), text("mm").and_then(month), None),
    ];
    all.into_iter().flatten().collect()
}

/// Which month has this name.
pub(super) fn month(name: &str) -> Option<u8> {
    let name = name.to_lowercase();
    let at = MONTHS.iter().position(|names| names.contains(&name.as_str()))?;
    u8::try_from(at + 1).ok()
}

impl Date {
    /// A month of any year.
    pub(super) fn of_month(month: u8) -> Date {
        Date { year: None, month, day: None }
    }

    /// All that may be said of a day that is known.
    pub(super) fn parts(self) -> [Date; 4] {
        [self, Date { day: None, ..self }, Date { year: None, ..self }, Date::of_month(self.month)]
    }
}
