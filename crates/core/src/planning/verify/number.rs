//! Numbers as they are written: exact, whatever their separators.

use serde_json::Number;

/// Places behind the point that a sum has at most.
const SCALE: i32 = 9;

/// An exact number: `1,234`, `1234` and `1234.0` are the same one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Decimal {
    negative: bool,
    /// Without zeros at either end; empty for 0.
    digits: String,
    exponent: i32,
}

impl Decimal {
    /// `-12.50`, `3e8`. No separators but a point.
    pub(super) fn parse(text: &str) -> Option<Decimal> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, power) = match text.split_once(['e', 'E']) {
            Some((mantissa, power)) => (mantissa, power.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all: String = [whole, part].concat();
        if whole.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let kept = all.trim_end_matches('0');
        let moved = (all.len() - kept.len()).checked_sub(part.len()).map_or_else(
            || i32::try_from(part.len() + kept.len() - all.len()).ok().map(|by| -by),
            |by| i32::try_from(by).ok(),
        )?;
        let digits = kept.trim_start_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Decimal { negative: false, digits, exponent: 0 });
        }
        Some(Decimal { negative, digits, exponent: power.checked_add(moved)? })
    }

    pub(super) fn of(number: &Number) -> Option<Decimal> {
        Decimal::parse(&number.to_string())
    }

    pub(super) fn count(count: usize) -> Option<Decimal> {
        Decimal::parse(&count.to_string())
    }

    /// Without its sign: a fall of 5 is a change of -5.
    pub(super) fn size(&self) -> Decimal {
        Decimal { negative: false, ..self.clone() }
    }

    fn signed(self, negative: bool) -> Decimal {
        let negative = negative && !self.digits.is_empty();
        Decimal { negative, ..self }
    }

    fn percent(&self) -> Option<Decimal> {
        let exponent = if self.digits.is_empty() { 0 } else { self.exponent.checked_sub(2)? };
        Some(Decimal { exponent, ..self.clone() })
    }

    /// In units of 10⁻⁹, for sums; none if it is too large or too fine for that.
    pub(super) fn scaled(&self) -> Option<i128> {
        let power = u32::try_from(self.exponent.checked_add(SCALE)?).ok()?;
        if self.digits.is_empty() {
            return Some(0);
        }
        let value = self.digits.parse::<i128>().ok()?.checked_mul(10i128.checked_pow(power)?)?;
        Some(if self.negative { -value } else { value })
    }

    pub(super) fn unscaled(sum: i128) -> Option<Decimal> {
        Decimal::parse(&format!("{sum}e-{SCALE}"))
    }
}

/// Tells of each number of a plain text in all ways in which it can be read: `1.234` is one thing in English and another in German.
/// What stands within a word or has many points, as a version has, is no number.
pub(super) fn each(text: &str, tell: &mut dyn FnMut(Decimal)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(next) = bytes.get(at..).and_then(|rest| rest.iter().position(u8::is_ascii_digit)) {
        let start = at + next;
        let run = run(&text[start..]);
        at = start + run.len();
        let before = bytes[..start].last().copied().unwrap_or(b' ');
        if before.is_ascii_alphabetic() || before == b'_' || zeros(run) {
            continue;
        }
        let further = bytes[..start].len().checked_sub(2).and_then(|place| bytes.get(place)).copied().unwrap_or(b' ');
        let negative = before == b'-' && !(further.is_ascii_alphanumeric() || further == b'-');
        let (power, length) = power(&text[at..]);
        at += length;
        for reading in readings(run).unwrap_or_default() {
            let Some(number) = Decimal::parse(&(reading + power)) else { continue };
            tell(number.signed(negative));
        }
    }
}

/// The numbers that a word of an answer is, each with its readings: one of `47`, `$1,234.50`, `45%`, `10ms`, `5-day`, two of `3-5` and
/// of `3/4`, none of `3rd`, which is a place. Nothing if the word is something else, as `INV-5`, `1.2.3`, `007` and `10:30` are.
pub(super) fn written(word: &str) -> Option<Vec<Vec<Decimal>>> {
    const MONEY: [char; 5] = ['$', '€', '£', '¥', '₹'];
    let mut rest = word.trim_start_matches(['~', '≈', '<', '>', '=', '±', '#']).trim_start_matches(MONEY);
    let negative = rest.starts_with('-');
    rest = rest.trim_start_matches(['-', '+']).trim_start_matches(MONEY);
    let mut numbers = Vec::new();
    loop {
        let run = run(rest);
        if run.is_empty() || zeros(run) {
            return None;
        }
        let (power, length) = power(&rest[run.len()..]);
        let read = readings(run)?.into_iter().filter_map(|reading| Decimal::parse(&(reading + power)));
        let mut read: Vec<Decimal> = read.map(|number| number.signed(negative && numbers.is_empty())).collect();
        rest = &rest[run.len() + length..];
        if let Some(after) = rest.strip_prefix(['%', '‰']) {
            read.extend(read.iter().filter_map(Decimal::percent).collect::<Vec<_>>());
            rest = after;
        }
        numbers.push(read);
        rest = rest.trim_start_matches(MONEY);
        let more =
            rest.strip_prefix(['-', '/', '×', 'x']).filter(|more| more.starts_with(|char: char| char.is_ascii_digit()));
        match more {
            Some(more) if numbers.len() < 3 => rest = more,
            Some(_) => return None,
            None => break,
        }
    }
    let unit = rest.strip_prefix('-').map_or((rest, 4), |day| (day, 20));
    match unit.0 {
        "st" | "nd" | "rd" | "th" => Some(Vec::new()),
        letters if letters.chars().all(char::is_alphabetic) && letters.chars().count() <= unit.1 => Some(numbers),
        "°C" | "°F" | "°" | "m²" | "m³" => Some(numbers),
        _ => None,
    }
}

/// Whether it is a name of digits, as `007` is.
fn zeros(run: &str) -> bool {
    run.len() > 1 && run.starts_with('0') && run.bytes().all(|byte| byte.is_ascii_digit())
}

/// Digits at the beginning of a text, with separators between them.
fn run(text: &str) -> &str {
    let mut end = 0;
    for (at, char) in text.char_indices() {
        match char {
            '0'..='9' => end = at + 1,
            ',' | '.' | '\'' | '_' | '\u{a0}' if at == end => {}
            _ => break,
        }
    }
    &text[..end]
}

/// `e21`, `E-7`, where no word goes on after it.
fn power(text: &str) -> (&str, usize) {
    let Some(rest) = text.strip_prefix(['e', 'E']) else { return ("", 0) };
    let digits = rest.trim_start_matches(['-', '+']);
    let length = digits.len() - digits.trim_start_matches(|char: char| char.is_ascii_digit()).len();
    let whole = rest.len() - digits.len() <= 1 && (1..=9).contains(&length);
    if !whole || digits[length..].starts_with(char::is_alphanumeric) {
        return ("", 0);
    }
    let length = text.len() - digits.len() + length;
    (&text[..length], length)
}

/// What digits with separators may mean, with a point and no other separator. None where they are no number.
fn readings(run: &str) -> Option<Vec<String>> {
    let strip = |text: &str| text.replace([',', '.', '\'', '_', '\u{a0}'], "");
    let marks: Vec<char> = run.chars().filter(|char| !char.is_ascii_digit()).collect();
    let Some(last) = marks.last().copied() else { return Some(vec![run.to_owned()]) };
    let (whole, part) = run.rsplit_once(last)?;
    let grouped = |text: &str| {
        let mut groups = text.split(|char: char| !char.is_ascii_digit());
        let first = groups.next().is_some_and(|group| group.len() <= 3);
        let rest: Vec<usize> = groups.map(str::len).collect();
        first && rest.last().is_none_or(|last| *last == 3) && rest.iter().all(|length| matches!(length, 2 | 3))
    };
    let alike = marks.iter().all(|mark| *mark == last);
    let mut found = Vec::new();
    if matches!(last, ',' | '.') && !marks[..marks.len() - 1].contains(&last) && grouped(whole) {
        found.push(format!("{}.{part}", strip(whole)));
    } else if matches!(last, ',' | '.') && marks.len() == 1 {
        found.push(format!("{whole}.{part}"));
    }
    if alike && grouped(run) {
        found.push(strip(run));
    }
    (!found.is_empty()).then_some(found)
}
