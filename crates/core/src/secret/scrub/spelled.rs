//! A value as texts spell it, character by character: in JSON, in addresses, in pages.

use super::ENCODED;

/// The beginning of a secret that a text was cut after is taken out from this length on, if it is two thirds of the secret or
/// more: less of an address may be known to everybody.
const CUT: usize = 8;
/// A text that was quoted in a text six times has fewer backslashes in a row.
pub(super) const BACKSLASHES: usize = 64;

/// Where a value ends that is spelled in a text from `at` on.
pub(super) fn spelling(text: &str, at: usize, value: &[char]) -> Option<usize> {
    let any_case = value.iter().map(|c| c.len_utf8()).sum::<usize>() >= ENCODED;
    // Mostly one place: a value that looks encoded itself can be read in two ways.
    let mut places = vec![at];
    for (count, c) in value.iter().enumerate() {
        let mut next = Vec::new();
        for place in &places {
            next.extend(ways(&text[*place..], *c, any_case).into_iter().map(|length| place + length));
        }
        next.sort_unstable();
        next.dedup();
        if next.is_empty() {
            let is_cut = |place: &&usize| ["", "…", "...", " …", " ..."].contains(&&text[**place..]);
            let enough = count >= CUT && count * 3 >= value.len() * 2;
            return places.iter().rfind(is_cut).filter(|_| enough).copied();
        }
        places = next;
    }
    places.last().copied()
}

/// How many bytes at the beginning of a text spell a character, in each of the ways that do.
fn ways(text: &str, c: char, any_case: bool) -> Vec<usize> {
    let same = |other: char| other == c || any_case && (other.eq_ignore_ascii_case(&c) || is_other_case(other, c));
    let Some(first) = text.chars().next() else { return Vec::new() };
    let mut ways = Vec::from_iter(same(first).then(|| first.len_utf8()));
    match first {
        '%' => ways.extend(in_percent(text, c.len_utf8()).filter(|(other, _)| same(*other)).map(|(_, length)| length)),
        '\\' => in_json(text, same, &mut ways),
        '&' => ways.extend(in_page(text).filter(|(other, _)| same(*other)).map(|(_, length)| length)),
        '+' if c == ' ' => ways.push(1),
        _ => {}
    }
    ways
}

/// Whether two characters beyond ASCII differ in their case alone.
fn is_other_case(a: char, b: char) -> bool {
    !a.is_ascii() && !b.is_ascii() && a.to_lowercase().eq(b.to_lowercase())
}

/// The bytes with which a spelling of a value may begin.
pub(super) fn beginnings(value: &[char]) -> Vec<u8> {
    let Some(first) = value.first() else { return Vec::new() };
    let cases = [*first].into_iter().chain(first.to_lowercase()).chain(first.to_uppercase());
    let byte = |c: char| c.encode_utf8(&mut [0; 4]).as_bytes()[0];
    cases.map(byte).chain(*b"%\\&+").collect()
}

/// A value as it is in an address, where what it holds of `%` and two digits stands for a byte.
pub(super) fn from_percent(value: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), value.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// As addresses have it: `%` and two digits for each byte. The character, and how long it is.
fn in_percent(text: &str, bytes: usize) -> Option<(char, usize)> {
    let byte = |index: usize| {
        let digits = text.get(index * 3..index * 3 + 3)?.strip_prefix('%')?;
        u8::from_str_radix(digits, 16).ok()
    };
    let bytes: Vec<u8> = (0..bytes).map(byte).collect::<Option<_>>()?;
    let c = std::str::from_utf8(&bytes).ok()?.chars().next()?;
    Some((c, bytes.len() * 3))
}

/// As JSON has it, behind backslashes: one, or more where a text was quoted in a text.
fn in_json(text: &str, same: impl Fn(char) -> bool, ways: &mut Vec<usize>) {
    // A longer row is none that was quoted, and is not counted to its end from each of its places.
    let before = text.bytes().take(BACKSLASHES).take_while(|byte| *byte == b'\\').count();
    if same('\\') {
        ways.extend((1..4).map(|times| 1 << times).filter(|length| *length <= before));
    }
    if before == BACKSLASHES {
        return;
    }
    let rest = &text[before..];
    let short = match rest.chars().next() {
        Some('n') => '\n',
        Some('t') => '\t',
        Some('r') => '\r',
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('u') => {
            let unit = |at: usize| u16::from_str_radix(rest.get(at + 1..at + 5)?, 16).ok();
            let Some(first) = unit(0) else { return };
            // The second half of a character beyond the first 65,536, behind as many backslashes.
            let second = rest[5..].strip_prefix(&text[..before]).and_then(|_| unit(5 + before));
            for units in [vec![first], [Some(first), second].into_iter().flatten().collect()] {
                let length = units.len() * (before + 5);
                let c = char::decode_utf16(units).collect::<Result<Vec<_>, _>>();
                ways.extend(c.ok().filter(|c| c.len() == 1 && same(c[0])).map(|_| length));
            }
            ways.dedup();
            return;
        }
        // Markdown does the same with every sign.
        Some(c) if c.is_ascii_punctuation() => c,
        _ => return,
    };
    ways.extend(same(short).then_some(before + 1));
}

/// The names that pages have for signs of ASCII (HTML, named character references).
const NAMES: [(&str, char); 35] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("sol", '/'),
    ("bsol", '\\'),
    ("plus", '+'),
    ("equals", '='),
    ("num", '#'),
    ("percnt", '%'),
    ("quest", '?'),
    ("excl", '!'),
    ("colon", ':'),
    ("semi", ';'),
    ("comma", ','),
    ("period", '.'),
    ("dollar", '$'),
    ("commat", '@'),
    ("ast", '*'),
    ("lowbar", '_'),
    ("lpar", '('),
    ("rpar", ')'),
    ("lsqb", '['),
    ("rsqb", ']'),
    ("lbrack", '['),
    ("rbrack", ']'),
    ("lcub", '{'),
    ("rcub", '}'),
    ("lbrace", '{'),
    ("rbrace", '}'),
    ("verbar", '|'),
    ("vert", '|'),
    ("grave", '`'),
    ("Hat", '^'),
];

/// As pages have it: between `&` and `;`. The character, and how long it is.
fn in_page(text: &str) -> Option<(char, usize)> {
    let name = &text[1..text.bytes().take(10).position(|byte| byte == b';')?];
    let c = match name.strip_prefix('#') {
        Some(number) => char::from_u32(match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16).ok()?,
            None => number.parse().ok()?,
        })?,
        None => NAMES.iter().find(|(known, _)| *known == name)?.1,
    };
    Some((c, name.len() + 2))
}
