//! The search for a regular expression as jaq has it, but for its limits: jaq makes a value of every match before anything can be
//! counted, and takes memory for each group times each state of the pattern.

use jaq_core::{Error, Exn, ValT as _, ValX};
use jaq_json::Val;
use jaq_std::ValT as _;
use regex::Captures;

use super::meter::{Meter, Room, Stop};
use crate::text::effort::Effort;
use crate::text::pattern::{Places, pattern};

/// What a search gives.
#[derive(Clone, Copy)]
pub(super) struct Give {
    /// What stands before, between and behind the matches.
    pub(super) rest: bool,
    /// The matches.
    pub(super) matches: bool,
}

/// What `pattern` finds in a text, as a list.
pub(super) fn search<'a>(meter: &Meter, value: &Val, written: &Val, flags: &Val, give: Give) -> ValX<'a, Val> {
    let text = text(value)?;
    let flags = Flags::of(self::text(flags)?)?;
    let written = format!("{}{}", flags.inline, self::text(written)?);
    let pattern = pattern(&written).map_err(|error| Error::str(error.message))?;
    let names: Vec<Option<&str>> = pattern.capture_names().collect();
    let (mut room, mut effort) = (Room::new(meter), Effort::new(&written, text));
    let (mut found, mut from, mut searched, mut places) = (Vec::new(), 0, 0, Places::new(text));
    for captures in pattern.captures_iter(text) {
        let Some(whole) = captures.get(0) else { continue };
        effort.searched(searched).map_err(|_| meter.halt(Stop::Steps))?;
        searched = whole.end();
        if flags.filled && whole.is_empty() {
            continue;
        }
        if give.rest {
            let before = value.as_sub_str(&text.as_bytes()[from..whole.start()]);
            room.take(&before)?;
            found.push(before);
            from = whole.end();
        }
        if give.matches {
            let matched = groups(value, text, &captures, &names, places.at(whole.start()).0)?;
            room.take(&matched)?;
            found.push(matched);
        }
        if !flags.all {
            break;
        }
    }
    if give.rest {
        found.push(value.as_sub_str(&text.as_bytes()[from..]));
    }
    Ok(found.into_iter().collect())
}

/// The match and its groups, each with its place; `before` characters stand before the match.
fn groups<'a>(
    value: &Val,
    text: &str,
    captures: &Captures<'_>,
    names: &[Option<&str>],
    before: usize,
) -> ValX<'a, Val> {
    let begin = captures.get(0).map_or(0, |whole| whole.start());
    let groups = captures.iter().zip(names).filter_map(|(group, name)| Some((group?, name))).map(|(group, name)| {
        let offset = before + text[begin..group.start()].chars().count();
        let fields = [
            ("offset", Val::from(offset)),
            ("length", Val::from(group.as_str().chars().count())),
            ("string", value.as_sub_str(group.as_str().as_bytes())),
        ];
        let name = name.map(|name| ("name", Val::from(name.to_owned())));
        Val::from_map(fields.into_iter().chain(name).map(|(key, value)| (Val::from(key.to_owned()), value)))
    });
    Ok(groups.collect::<Result<Val, Error<Val>>>()?)
}

fn text(value: &Val) -> Result<&str, Exn<'static, Val>> {
    let Val::TStr(bytes) = value else { return Err(Error::typ(value.clone(), "string").into()) };
    std::str::from_utf8(bytes).map_err(|error| Error::str(error).into())
}

/// The flags of jq.
struct Flags {
    /// All matches are looked for, not the first one only.
    all: bool,
    /// Only matches that are not empty count.
    filled: bool,
    /// The others, as they stand in front of a pattern.
    inline: String,
}

impl Flags {
    fn of(written: &str) -> Result<Self, Exn<'static, Val>> {
        let (mut flags, mut inline) = (Flags { all: false, filled: false, inline: String::new() }, String::new());
        for flag in written.chars() {
            match flag {
                'g' => flags.all = true,
                'n' => flags.filled = true,
                'l' => inline.push('U'),
                'p' => inline.push_str("ms"),
                'i' | 'm' | 's' | 'x' => inline.push(flag),
                other => return Err(Error::str(format_args!("invalid regex flag: {other}")).into()),
            }
        }
        // The same flag twice is an error in a pattern.
        let mut once: Vec<char> = inline.chars().collect();
        once.sort_unstable();
        once.dedup();
        if !once.is_empty() {
            flags.inline = format!("(?{})", String::from_iter(once));
        }
        Ok(flags)
    }
}
