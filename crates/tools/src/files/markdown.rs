//! The parts of a Markdown text: front matter, and sections with their lines.

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer};
use serde_json::{Map, Value};

use super::json::Strict;

/// How deep the values of front matter may nest: each level of YAML takes much of the stack.
const DEPTH: usize = 16;
/// How many values front matter may have, and how many of them aliases may repeat.
const NODES: usize = 10_000;

/// A text with its front matter taken off.
pub(super) struct Markdown<'a> {
    pub(super) front_matter: Option<Map<String, Value>>,
    /// What stands behind the front matter.
    pub(super) body: &'a str,
    /// The line in which that begins, from 1.
    pub(super) line: usize,
}

/// A heading and what stands under it, up to the next one.
#[derive(Debug, PartialEq)]
pub(super) struct Part<'a> {
    /// 1 to 6, or 0 for what stands before the first heading.
    pub(super) level: u8,
    pub(super) title: String,
    pub(super) text: &'a str,
    pub(super) line: usize,
}

/// Why front matter cannot be read, and in which line. It quotes nothing of the text: errors carry no labels.
#[derive(Debug, PartialEq)]
pub(super) struct Flaw {
    pub(super) line: usize,
    pub(super) what: &'static str,
}

impl<'a> Markdown<'a> {
    pub(super) fn new(text: &'a str) -> Result<Self, Flaw> {
        let whole = Markdown { front_matter: None, body: text, line: 1 };
        let Some((yaml, body)) = fenced(text) else { return Ok(whole) };
        let FrontMatter(value) = serde_saphyr::from_str_with_options(yaml, options()).map_err(|e| {
            let within = e.location().and_then(|place| usize::try_from(place.line()).ok()).unwrap_or(1);
            Flaw { line: within + 1, what: what_of(&e) }
        })?;
        let front_matter = match value {
            Value::Object(map) => Some(map),
            Value::Null => None,
            // Two rules with a text between them.
            _ => return Ok(whole),
        };
        let before = &text[..text.len() - body.len()];
        Ok(Markdown { front_matter, body, line: before.lines().count() + 1 })
    }

    /// Headings within quotes and lists are none of the document's.
    pub(super) fn parts(&self) -> Vec<Part<'a>> {
        let body = self.body;
        let mut headings: Vec<Heading> = Vec::new();
        let (mut depth, mut inside) = (0_usize, false);
        for (event, range) in Parser::new_ext(body, Options::ENABLE_HEADING_ATTRIBUTES).into_offset_iter() {
            match event {
                Event::Start(tag) => {
                    if let Tag::Heading { level, .. } = tag
                        && depth == 0
                    {
                        headings.push(Heading { level, title: String::new(), start: range.start, end: range.end });
                        inside = true;
                    }
                    depth += 1;
                }
                Event::End(tag) => {
                    depth = depth.saturating_sub(1);
                    inside &= !matches!(tag, TagEnd::Heading(_));
                }
                Event::Text(text) | Event::Code(text) if inside => {
                    headings.last_mut().into_iter().for_each(|heading| heading.title.push_str(&text));
                }
                Event::SoftBreak | Event::HardBreak if inside => {
                    headings.last_mut().into_iter().for_each(|heading| heading.title.push(' '));
                }
                _ => {}
            }
        }
        let mut lines = Lines { body, at: 0, line: self.line };
        let first = headings.first().map_or(body.len(), |heading| heading.start);
        let mut parts = Vec::new();
        if let Some((offset, text)) = trimmed(&body[..first]) {
            parts.push(Part { level: 0, title: String::new(), text, line: lines.of(offset) });
        }
        let ends: Vec<usize> = headings.iter().skip(1).map(|heading| heading.start).chain([body.len()]).collect();
        for (Heading { level, title, start, end }, next) in headings.into_iter().zip(ends) {
            let text = trimmed(&body[end..next]).map_or("", |(_, text)| text);
            parts.push(Part { level: number(level), title: title.trim().to_owned(), text, line: lines.of(start) });
        }
        parts
    }
}

struct Heading {
    level: HeadingLevel,
    title: String,
    start: usize,
    end: usize,
}

/// Counts lines on the way through a text.
struct Lines<'a> {
    body: &'a str,
    at: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line of an offset that is no smaller than the one before.
    fn of(&mut self, offset: usize) -> usize {
        self.line += self.body[self.at..offset].matches('\n').count();
        self.at = offset;
        self.line
    }
}

/// The text without empty lines around it, and where it begins; `None` if there is nothing else.
fn trimmed(text: &str) -> Option<(usize, &str)> {
    let end = text.trim_end().len();
    let mut start = 0;
    for line in text[..end].split_inclusive('\n') {
        if !line.trim().is_empty() {
            return Some((start, &text[start..end]));
        }
        start += line.len();
    }
    None
}

fn number(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}

/// What stands between a first line `---` and the next line `---` or `...`, and what follows it.
fn fenced(text: &str) -> Option<(&str, &str)> {
    let first = text.split_inclusive('\n').next()?;
    if first.trim_end() != "---" {
        return None;
    }
    let inner = &text[first.len()..];
    let mut end = 0;
    for line in inner.split_inclusive('\n') {
        let after = end + line.len();
        if matches!(line.trim_end(), "---" | "...") {
            return Some((&inner[..end], &inner[after..]));
        }
        end = after;
    }
    None
}

struct FrontMatter(Value);

impl<'de> Deserialize<'de> for FrontMatter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Strict { depth: DEPTH }.deserialize(deserializer).map(FrontMatter)
    }
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        strict_booleans: true,
        underscored_numbers_as_strings: true,
        ignore_binary_tag_for_string: true,
        merge_keys: serde_saphyr::MergeKeyPolicy::Error,
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
        with_snippet: false,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: NODES },
        budget: serde_saphyr::budget! { max_depth: DEPTH, flow_nesting_limit: DEPTH, max_nodes: NODES },
    }
}

fn what_of(error: &serde_saphyr::Error) -> &'static str {
    let said = error.to_string();
    let says = |part: &str| said.contains(part);
    if says("duplicate") {
        "a key of the front matter stands here twice; rename one"
    } else if says("budget") || says("alias replay") || says("nest") || says("recursion") {
        "the front matter nests too deep, or its aliases make too much of it; write less of it"
    } else if says("merge key") {
        "the front matter has a merge key (`<<`); write the keys out"
    } else {
        "the front matter is no YAML here; put quotes around texts, or correct it"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let said = match Markdown::new(text) {
            Ok(markdown) => {
                let shown = |part: Part| format!("{}:{} [{}] {:?}", part.line, part.level, part.title, part.text);
                let parts: Vec<_> = markdown.parts().into_iter().map(shown).collect();
                let front = markdown.front_matter.map(|map| Value::Object(map).to_string());
                format!("{}{}", front.map(|map| format!("{map} ")).unwrap_or_default(), parts.join(", "))
            }
            Err(Flaw { line, what }) => format!("{line}: {}", what.split(';').next().unwrap()),
        };
        assert_eq!(said, expected);
    }

    #[test]
    fn a_section_goes_to_the_next_heading() {
        check(
            "intro\n\n# One\n\ntext\n## Two\n  more\n\n# Three",
            r#"1:0 [] "intro", 3:1 [One] "text", 6:2 [Two] "  more", 9:1 [Three] """#,
        );
        check("\n\nTitle *of*\nall\n====\n\ntext\n", r#"3:1 [Title of all] "text""#);
        check("# `code` and **bold** &amp; [link](x) {#id}\nx", r#"1:1 [code and bold & link] "x""#);
        check("#\n\nx", r#"1:1 [] "x""#);
        check("# a\r\nx\r\n## b\r\ny\r\n", r#"1:1 [a] "x", 3:2 [b] "y""#);
        check("", "");
        check(" \n\n", "");
    }

    #[test]
    fn a_hash_that_is_no_heading_cuts_nothing() {
        check(
            "# a\n```sh\n# comment\n```\n    # code\n#no\n\\# no\n",
            r##"1:1 [a] "```sh\n# comment\n```\n    # code\n#no\n\\# no""##,
        );
        check("# a\n> # quoted\n\n- # item\n", r##"1:1 [a] "> # quoted\n\n- # item""##);
        check("<!--\n# a\n-->\n", r##"1:0 [] "<!--\n# a\n-->""##);
    }

    #[test]
    fn front_matter_moves_no_line() {
        check(
            "---\ntitle: A\ntags: [x, 1]\nyes: no\nday: 2026-01-31\n---\n\n# B\n",
            r#"{"title":"A","tags":["x",1],"yes":"no","day":"2026-01-31"} 8:1 [B] """#,
        );
        check("---\r\na: 1\r\n...\r\nx", r#"{"a":1} 4:0 [] "x""#);
        check("---\n---\nx", r#"3:0 [] "x""#);
        check("---\nnot closed: 1\n\n# B", r#"1:0 [] "---\nnot closed: 1", 4:1 [B] """#);
        check("---\nA text\n---\nx", r#"1:0 [] "---", 2:2 [A text] "x""#);
        check(" ---\na: 1\n---\n", r#"1:0 [] " ---", 2:2 [a: 1] """#);
    }

    #[test]
    fn front_matter_that_cannot_be_read_is_named() {
        check("---\na: 1\na: 2\n---\n", "3: a key of the front matter stands here twice");
        check("---\na: 1\nb: c: d\n---\n", "3: the front matter is no YAML here");
        check("---\na: .nan\n---\n", "2: the front matter is no YAML here");
        check("---\na: &x [1]\n<<: *x\n---\n", "3: the front matter has a merge key (`<<`)");
        check(
            &format!("---\na: {}{}\n---\n", "[".repeat(5000), "]".repeat(5000)),
            "2: the front matter nests too deep, or its aliases make too much of it",
        );
        let bomb: String =
            (1..9).map(|i| format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", "))).collect();
        check(
            &format!("---\na0: &a0 [x, x, x, x]\n{bomb}---\n"),
            "6: the front matter nests too deep, or its aliases make too much of it",
        );
    }
}
