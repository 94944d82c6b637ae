//! What of an answer can be held against the results.

use std::ops::Range;

use serde_json::Value;

use super::date;
use super::deed;
use super::number::{self, Decimal};
use super::plain::{cut, fold};
use super::trace::Trace;

/// Something that an answer says.
#[derive(Debug)]
pub(super) struct Claim {
    /// Where it says so: the sentence, or the field.
    pub(super) place: String,
    /// What it says.
    pub(super) words: String,
    /// It is shown by any of these.
    pub(super) traces: Vec<Trace>,
}

/// A character that stands for each byte of a quote.
const QUOTE: char = '\u{1}';

/// A character that stands for each byte of a date.
pub(super) const DATE: char = '\u{2}';

/// Words in capitals that name nothing.
const NO_NAMES: [&str; 18] = [
    "ok", "id", "ids", "no", "yes", "not", "and", "or", "all", "fyi", "nb", "todo", "note", "ps", "ja", "nein", "am",
    "pm",
];

/// Words with a slash or a point that name nothing.
const NO_PATHS: [&str; 12] = [
    "and/or",
    "und/oder",
    "yes/no",
    "ja/nein",
    "n/a",
    "w/o",
    "read/write",
    "input/output",
    "true/false",
    "he/she",
    "s/he",
    "km/h",
];

/// Words whose point does not end a sentence.
const ABBREVIATED: [&str; 22] = [
    "dr", "mr", "mrs", "ms", "prof", "st", "no", "nos", "nr", "vs", "ca", "approx", "hr", "fr", "bzw", "inkl", "incl",
    "fig", "e.g", "i.e", "z.b", "d.h",
];

/// What a text of an answer says, with the sentence of each.
pub(super) fn of_text(text: &str) -> Vec<Claim> {
    let mut claims = Vec::new();
    let german = german(text);
    let mut fenced = false;
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            quote(line, line, &mut claims);
        } else {
            let heading = line.starts_with('#');
            let line = without_marker(line);
            let masked = mask(line, &mut claims);
            for sentence in sentences(&masked) {
                words(&masked[sentence.clone()], &line[sentence], Manner { heading, german }, &mut claims);
            }
        }
    }
    claims
}

/// What a number of an answer says; `name` is the field that it stands in.
pub(super) fn of_number(number: &serde_json::Number, name: &str) -> Claim {
    let words = number.to_string();
    let place = if name.is_empty() { words.clone() } else { cut(&format!("{name}: {words}")) };
    Claim { place, words, traces: Decimal::of(number).map(Trace::Number).into_iter().collect() }
}

/// The sentences of a plain text that say that something was changed.
pub(super) fn changes(text: &str) -> Vec<Claim> {
    let mut changes = Vec::new();
    let mut fenced = false;
    for line in text.lines().map(str::trim) {
        fenced = fenced != line.starts_with("```");
        if fenced {
            continue;
        }
        let line = without_marker(line);
        let masked = mask(line, &mut Vec::new());
        for at in sentences(&masked) {
            let Some(deed) = deed::claimed(&masked[at.clone()]) else { continue };
            let sentence = fold(line[at.clone()].trim_end_matches(['.', '!', ' ']));
            let mut traces = if deed.own { Vec::new() } else { vec![Trace::Term(deed.verb.clone())] };
            // Of somebody who stands there, as an author does, it is told what he did.
            traces.extend(deed.by.map(Trace::Whole));
            if sentence.split(' ').count() >= 3 {
                traces.push(Trace::Phrase(sentence));
            }
            changes.push(Claim { place: cut(&line[at]), words: deed.verb, traces });
        }
    }
    changes
}

/// What a field that is true says was changed.
pub(super) fn of_flag(name: &str) -> Option<Claim> {
    let verb = deed::field(name)?;
    Some(Claim { place: cut(&format!("{name}: true")), words: verb.clone(), traces: vec![Trace::Term(verb)] })
}

/// A line without what makes it an item, a heading or a quote in Markdown.
fn without_marker(line: &str) -> &str {
    let line = line.trim_start_matches(['#', '>', '-', '*', '+', '•', '–']);
    let rest = line.trim_start().trim_start_matches(['(', '[']);
    let after = rest.trim_start_matches(|char: char| char.is_ascii_digit());
    let digits = rest.len() - after.len();
    let marker = after.strip_prefix(['.', ')', ']']).filter(|text| text.is_empty() || text.starts_with(' '));
    match marker {
        Some(text) if (1..=3).contains(&digits) => text.trim(),
        // A number that was no marker keeps its sign.
        _ => line.trim(),
    }
}

/// The line with its quotes and dates masked, byte by byte; what they say is added to the claims.
fn mask(line: &str, claims: &mut Vec<Claim>) -> String {
    let mut masked = String::with_capacity(line.len());
    let mut at = 0;
    for (whole, inner) in quotes(line) {
        quote(&line[inner.clone()], line, claims);
        masked.push_str(&line[at..whole.start]);
        // A sentence may end in its quote.
        let end = usize::from(line[inner].ends_with(['.', '!', '?']));
        masked.extend(std::iter::repeat_n(QUOTE, whole.len() - end).chain(std::iter::repeat_n('.', end)));
        at = whole.end;
    }
    masked.push_str(&line[at..]);
    let mut whole = String::with_capacity(line.len());
    let mut at = 0;
    for (range, readings) in date::dates(&masked) {
        let words = &masked[range.clone()];
        let traces = readings.into_iter().map(Trace::Date).chain([Trace::Phrase(fold(words))]).collect();
        claims.push(Claim { place: cut(line), words: words.to_owned(), traces });
        whole.push_str(&masked[at..range.start]);
        whole.extend(std::iter::repeat_n(DATE, range.len()));
        at = range.end;
    }
    whole + &masked[at..]
}

/// Where quotes stand, with their marks and without.
fn quotes(line: &str) -> Vec<(Range<usize>, Range<usize>)> {
    const MARKS: [(char, &[char]); 8] = [
        ('"', &['"']),
        ('`', &['`']),
        ('\'', &['\'']),
        ('“', &['”', '“']),
        ('„', &['“', '”', '"']),
        ('«', &['»']),
        ('»', &['«']),
        ('「', &['」']),
    ];
    let mut found = Vec::new();
    let mut from = 0;
    let mut last = ' ';
    let mut none: Vec<char> = Vec::new();
    for (at, char) in line.char_indices() {
        let joined = std::mem::replace(&mut last, char).is_alphanumeric();
        let Some((_, closing)) = MARKS.iter().find(|(opening, _)| *opening == char) else { continue };
        if at < from || none.contains(&char) || (joined && matches!(char, '"' | '\'')) {
            continue;
        }
        let start = at + char.len_utf8();
        let close = line[start..].char_indices().find(|(place, other)| {
            let after = line[start + place + other.len_utf8()..].chars().next();
            closing.contains(other) && (*other != '\'' || !after.is_some_and(char::is_alphanumeric))
        });
        match close {
            Some((length, mark)) => {
                from = start + length + mark.len_utf8();
                found.push((at..from, start..start + length));
            }
            None => none.push(char),
        }
    }
    found
}

/// A quote stands somewhere, each of its parts where something is left out, or is a number or a date.
fn quote(text: &str, line: &str, claims: &mut Vec<Claim>) {
    for part in text.split(['…', '\u{1}']).flat_map(|part| part.split("...")) {
        let bare = part.trim().trim_matches(['[', ']']).trim_end_matches(['.', ',', ';', ':', '!', '?']).trim();
        if !bare.chars().any(char::is_alphanumeric) {
            continue;
        }
        let mut traces = vec![Trace::Phrase(fold(part)), Trace::Phrase(fold(bare))];
        traces.extend(
            number::written(bare).filter(|all| all.len() == 1).into_iter().flatten().flatten().map(Trace::Number),
        );
        let whole = |range: &Range<usize>| range.len() == bare.len();
        let dates = date::dates(bare).filter(|(range, _)| whole(range)).flat_map(|(_, readings)| readings);
        traces.extend(dates.map(Trace::Date));
        claims.push(Claim { place: cut(line), words: cut(bare), traces });
    }
}

/// What may stand behind the point of a sentence.
const CLOSING: [char; 6] = ['*', '_', ')', ']', '"', '\''];

/// Where the sentences of a masked line are.
fn sentences(line: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut chars = line.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        let end = at + char.len_utf8();
        let last = chars.peek().is_none_or(|(_, next)| next.is_whitespace() || CLOSING.contains(next));
        let ends = match char {
            '!' | '?' | '…' => last,
            '.' => last && !abbreviated(&line[start..at]),
            '。' | '！' | '？' | '|' => true,
            _ => false,
        };
        if ends {
            found.push(start..end);
            start = end;
        }
    }
    found.push(start..line.len());
    found.retain(|range| !line[range.clone()].trim().is_empty());
    found
}

fn abbreviated(before: &str) -> bool {
    let word = before.rsplit(|char: char| char.is_whitespace() || char == '(').next().unwrap_or(before);
    // An initial, as in `J. Smith`.
    (word.chars().count() == 1 && word.chars().all(char::is_uppercase))
        || ABBREVIATED.contains(&word.to_lowercase().as_str())
}

/// How a sentence is read.
#[derive(Clone, Copy)]
struct Manner {
    heading: bool,
    german: bool,
}

/// Whether most of the small words are German ones: there every noun has a capital.
fn german(text: &str) -> bool {
    const GERMAN: [&str; 22] = [
        "der",
        "die",
        "das",
        "und",
        "ist",
        "nicht",
        "ein",
        "eine",
        "mit",
        "von",
        "für",
        "auf",
        "im",
        "den",
        "wurde",
        "sind",
        "es",
        "zu",
        "hat",
        "habe",
        "insgesamt",
        "wurden",
    ];
    const ENGLISH: [&str; 16] =
        ["the", "and", "is", "of", "to", "in", "a", "was", "are", "with", "for", "has", "have", "that", "i", "it"];
    let (mut german, mut english) = (0, 0);
    for word in text.split_whitespace().map(str::to_lowercase) {
        german += usize::from(GERMAN.contains(&word.as_str()));
        english += usize::from(ENGLISH.contains(&word.as_str()));
    }
    german > english
}

/// Adds what the words of a sentence say.
fn words(masked: &str, sentence: &str, manner: Manner, claims: &mut Vec<Claim>) {
    let place = cut(sentence);
    let mut add = |words: &str, traces: Vec<Trace>| {
        claims.push(Claim { place: place.clone(), words: cut(words), traces });
    };
    let mut first = true;
    let mut after_name = false;
    // Letters without case have no spaces between words in many scripts.
    let apart = |char: char| {
        char.is_whitespace()
            || matches!(char, '—' | '、' | '，')
            || (char.is_alphabetic() && !char.is_lowercase() && !char.is_uppercase() && !matches!(char, 'º' | 'ª'))
    };
    for token in masked.split(apart).filter(|token| !token.is_empty()) {
        let begins = first || token.starts_with(['(', '[', '"']);
        first = token.ends_with([':', ';']) || (first && !token.contains(char::is_alphanumeric));
        let word = core(token);
        let name = word.chars().next().is_some_and(char::is_uppercase);
        let follows_name = std::mem::replace(&mut after_name, name && !begins);
        let lower = word.to_lowercase();
        if !word.contains(char::is_alphanumeric)
            || NO_NAMES.contains(&lower.as_str())
            || NO_PATHS.contains(&lower.as_str())
        {
            continue;
        }
        if let Some(numbers) = number::written(word) {
            numbers.into_iter().for_each(|one| add(word, one.into_iter().map(Trace::Number).collect()));
        } else if identifies(word) {
            add(word, forms(word));
        } else if !manner.heading {
            let named = |part: &&str| {
                let mut letters = part.chars();
                letters.next().is_some_and(char::is_uppercase) && letters.next().is_some_and(char::is_alphabetic)
            };
            let names = |part: &&str| named(part) && !begins && (!manner.german || follows_name);
            for part in word.split(['-', '/', '+', '&']).filter(|part| capitals(part) || names(part)) {
                let month = date::month(part).map(|month| Trace::Date(date::Date::of_month(month)));
                add(part, forms(part).into_iter().chain(month).collect());
            }
        }
    }
}

/// A word without the punctuation around it.
fn core(token: &str) -> &str {
    let leads =
        |char: char| matches!(char, '/' | '.' | '~' | '-' | '+' | '$' | '€' | '£' | '¥' | '₹' | '#' | '@' | '_');
    let trails = |char: char| matches!(char, '/' | '%' | '‰' | '_' | '°' | '€' | '$' | '£' | '¥' | '²' | '³');
    let word = token.trim_start_matches(|char: char| !char.is_alphanumeric() && !leads(char));
    let word = word.trim_end_matches(|char: char| !char.is_alphanumeric() && !trails(char));
    // `_Anna_` is emphasis, `_private` is a name.
    let word = word.strip_prefix('_').and_then(|rest| rest.strip_suffix('_')).unwrap_or(word);
    word.trim_end_matches('_').strip_suffix("'s").unwrap_or(word)
}

/// Whether it is a word that is not of the language: a path, a name in a program, a number of an invoice.
fn identifies(word: &str) -> bool {
    let letters: Vec<char> = word.chars().collect();
    let pair = |test: fn(char, char) -> bool| letters.windows(2).any(|pair| test(pair[0], pair[1]));
    let within = |mark: char| {
        letters.windows(3).any(|three| three[0].is_alphanumeric() && three[1] == mark && three[2].is_alphanumeric())
    };
    let initials = word.split('.').all(|part| part.chars().count() <= 1);
    letters.iter().any(char::is_ascii_digit)
        || word.contains("::")
        || word.contains(['\\', '@', '_'])
        || (word.contains('/') && word.len() > 1)
        || (within('.') && !initials)
        || (pair(|one, other| one.is_lowercase() && other.is_uppercase()) && !word.contains('\''))
}

fn capitals(part: &str) -> bool {
    let part = part.strip_suffix('s').unwrap_or(part);
    let letters = part.chars().filter(|char| char.is_alphabetic()).count();
    letters >= 2 && part.chars().all(char::is_uppercase)
}

/// The ways in which a source may write a word: without the ending of a genitive or of a plural, without `./`.
fn forms(word: &str) -> Vec<Trace> {
    let mut forms = vec![word];
    forms.extend(word.strip_prefix("./"));
    forms.extend(word.strip_suffix('/'));
    if word.chars().all(char::is_alphabetic) {
        forms.extend(["s", "es"].iter().filter_map(|ending| word.strip_suffix(ending)).filter(|form| form.len() > 1));
    }
    forms.into_iter().map(|form| Trace::Phrase(fold(form))).collect()
}

/// Each text and number of a JSON answer, with the name of the field that it stands in.
pub(super) fn leaves<'a>(value: &'a Value, name: &'a str, tell: &mut dyn FnMut(&'a str, &'a Value)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| leaves(item, name, tell)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| leaves(value, name, tell)),
        _ => tell(name, value),
    }
}
