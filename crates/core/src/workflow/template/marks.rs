//! Where expressions begin and end in a text: `${{ … }}`, blocks `{% … %}`, and `$${{`, which stands for the mark itself.
//! Quotes and brackets inside an expression are followed, so that `${{ '}}' }}` and `${{ {'a': {}} }}` end where they seem to.

use super::span::{Problem, Span};

/// More `elif`s than anyone writes; each nests the rest of the text one level deeper.
const ELIFS: usize = 100;

/// A part of a text. The parts cover it wholly, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(Span),
    /// `$${{`
    Mark(Span),
    /// The whole, and what stands between the marks.
    Expression(Span, Span),
    Block(Span, Span),
    /// From `{% raw %}` to `{% endraw %}`.
    Raw(Span),
}

impl Part {
    pub(super) fn span(self) -> Span {
        match self {
            Part::Text(span) | Part::Mark(span) | Part::Raw(span) => span,
            Part::Expression(whole, _) | Part::Block(whole, _) => whole,
        }
    }
}

/// Finds the parts of a text.
pub(super) fn parts(text: &str) -> Result<Vec<Part>, Problem> {
    let mut parts = Vec::new();
    let (mut at, mut plain, mut elifs) = (0, 0, 0);
    if let Some(zero) = text.find('\0') {
        let message = "a text with a zero byte cannot be a template";
        return Err(Problem::new("template", Span::new(zero, zero + 1), message));
    }
    while let Some(found) = text[at..].find(['$', '{']) {
        let start = at + found;
        let rest = &text[start..];
        let part = if rest.starts_with("$${{") {
            Part::Mark(Span::new(start, start + 4))
        } else if rest.starts_with("${{") {
            let end = closing(text, start, 3, "}}")?;
            let inner = inner(text, start + 3, end - 2, true);
            Part::Expression(Span::new(start, end), inner)
        } else if rest.starts_with("{%") {
            match raw(text, start)? {
                Some(end) => Part::Raw(Span::new(start, end)),
                None => {
                    let end = closing(text, start, 2, "%}")?;
                    let inner = inner(text, start + 2, end - 2, false);
                    elifs += usize::from(text[inner.start..inner.end].starts_with("elif"));
                    Part::Block(Span::new(start, end), inner)
                }
            }
        } else {
            at = start + 1;
            continue;
        };
        if elifs > ELIFS {
            let message = format!("a text has more than {ELIFS} `elif`s");
            return Err(Problem::new("template", part.span(), message));
        }
        if plain < start {
            parts.push(Part::Text(Span::new(plain, start)));
        }
        at = part.span().end;
        plain = at;
        parts.push(part);
    }
    if plain < text.len() {
        parts.push(Part::Text(Span::new(plain, text.len())));
    }
    Ok(parts)
}

/// What stands between marks, without the signs `-` and `+` that trim the text around, and without spaces around it. In
/// `${{-5}}` the sign is the number's.
fn inner(text: &str, start: usize, end: usize, expression: bool) -> Span {
    let (mut start, mut end) = (start, end);
    let inside = &text[start..end];
    if inside.starts_with(['-', '+']) && (!expression || trims(inside)) {
        start += 1;
    }
    if end > start && text[start..end].ends_with(['-', '+']) {
        end -= 1;
    }
    let inside = &text[start..end];
    let start = start + (inside.len() - inside.trim_start().len());
    Span::new(start, start.max(start + text[start..end].trim_end().len()))
}

/// Whether what follows `${{` begins with a sign that trims the text before.
pub(super) fn trims(inside: &str) -> bool {
    inside.starts_with(['-', '+']) && inside[1..].starts_with(char::is_whitespace)
}

/// The end of `{% raw %} … {% endraw %}` that begins at `start`, if it does.
fn raw(text: &str, start: usize) -> Result<Option<usize>, Problem> {
    let opening = Span::new(start, start + 2);
    let Some(mut at) = tag(text, start, "raw") else { return Ok(None) };
    while let Some(found) = text[at..].find("{%") {
        match tag(text, at + found, "endraw") {
            Some(end) => return Ok(Some(end)),
            None => at += found + 2,
        }
    }
    Err(Problem::new("template", opening, "`{% raw %}` is not closed").help("write `{% endraw %}` where it ends"))
}

/// The end of the block `{% name %}` at `start`, if that is what stands there.
fn tag(text: &str, start: usize, name: &str) -> Option<usize> {
    let rest = &text[start + 2..];
    let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest).trim_ascii_start();
    let rest = rest.strip_prefix(name)?.trim_ascii_start();
    let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest).strip_prefix("%}")?;
    Some(text.len() - rest.len())
}

/// The end of what is opened at `start`, its mark included.
fn closing(text: &str, start: usize, mark: usize, close: &str) -> Result<usize, Problem> {
    let mut open: Vec<(usize, u8)> = Vec::new();
    let mut at = start + mark;
    let bytes = text.as_bytes();
    while let Some(byte) = bytes.get(at) {
        if open.is_empty() && text.as_bytes()[at..].starts_with(close.as_bytes()) {
            return Ok(at + close.len());
        }
        match byte {
            b'\'' | b'"' => match string_end(bytes, at) {
                Some(end) => {
                    at = end;
                    continue;
                }
                None => {
                    let quote = char::from(*byte);
                    let message = format!("the text that begins with {quote} here has no end");
                    let help = format!("close it with {quote}; inside of it, write \\{quote}");
                    return Err(Problem::new("template", Span::new(at, at + 1), message).help(help));
                }
            },
            b'(' | b'[' | b'{' => open.push((at, *byte)),
            b')' | b']' | b'}' => {
                let (at, message) = match open.pop() {
                    Some((_, b'(')) if *byte == b')' => (0, String::new()),
                    Some((_, b'[')) if *byte == b']' => (0, String::new()),
                    Some((_, b'{')) if *byte == b'}' => (0, String::new()),
                    Some((at, bracket)) => (at, format!("this `{}` is not closed", char::from(bracket))),
                    None => (at, format!("this `{}` closes nothing", char::from(*byte))),
                };
                if !message.is_empty() {
                    return Err(Problem::new("unclosed", Span::new(at, at + 1), message));
                }
            }
            _ => {}
        }
        at += 1;
    }
    let opening = &text[start..start + mark];
    let near: String = text[start..].chars().take_while(|c| *c != '\n').take(40).collect();
    let message = format!("`{opening}` is not closed by `{close}`, near `{near}`");
    let problem = Problem::new("unclosed", Span::new(start, start + mark), message);
    Err(match opening {
        "{%" => problem.help("to print `{%` itself, write `{% raw %}{%{% endraw %}`"),
        _ => problem.help("to print `${{` itself, write `$${{`"),
    })
}

fn string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let quote = bytes[start];
    let mut at = start + 1;
    loop {
        match *bytes.get(at)? {
            b'\\' => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// A template that prints a text as it is, whatever marks are in it.
pub fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (marked, written) = match rest.as_bytes() {
            [b'$', b'{', b'{', ..] => (3, "$${{"),
            [b'{', b'%', ..] => (2, "${{ '{%' }}"),
            _ => (c.len_utf8(), &rest[..c.len_utf8()]),
        };
        out.push_str(written);
        rest = &rest[marked..];
    }
    out
}

/// The text that minijinja reads: `$${{` is an expression that prints the mark, and a sign that is the number's stands apart
/// from the mark. With it goes the way back to places in the text as it was written.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    pub(super) source: String,
    /// Where the two texts part: the place here, and the one in the text as written.
    shifts: Vec<(usize, usize)>,
}

impl Prepared {
    pub(super) fn new(text: &str, parts: &[Part]) -> Prepared {
        let mut prepared = Prepared { source: String::with_capacity(text.len()), shifts: Vec::new() };
        for part in parts {
            let span = part.span();
            prepared.shifts.push((prepared.source.len(), span.start));
            match part {
                Part::Mark(_) => prepared.source.push_str("${{\"${{\"}}"),
                Part::Expression(..) if !trims(&text[span.start + 3..span.end - 2]) => {
                    prepared.source.push_str("${{ ");
                    prepared.shifts.push((prepared.source.len(), span.start + 3));
                    prepared.source.push_str(&text[span.start + 3..span.end]);
                }
                _ => prepared.source.push_str(&text[span.start..span.end]),
            }
        }
        prepared
    }

    /// The place in the text as written.
    pub(super) fn written(&self, at: usize) -> usize {
        let next = self.shifts.partition_point(|(here, _)| *here <= at);
        let (here, there) = next.checked_sub(1).map_or((0, 0), |i| self.shifts[i]);
        let most = self.shifts.get(next).map_or(usize::MAX, |(_, there)| *there);
        (there + (at - here)).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<&str> {
        let quote = |span: Span| &text[span.start..span.end];
        let parts = parts(text).unwrap();
        let whole: String = parts.iter().map(|part| quote(part.span())).collect();
        assert_eq!(whole, text, "the parts cover the text");
        parts
            .into_iter()
            .map(|part| match part {
                Part::Expression(_, inner) | Part::Block(_, inner) => quote(inner),
                other => quote(other.span()),
            })
            .collect()
    }

    #[test]
    fn marks_in_quotes_and_braces_do_not_end_an_expression() {
        assert_eq!(shown("a ${{ '}}' }} b"), ["a ", "'}}'", " b"]);
        assert_eq!(shown("${{ {'a': {'b': 1}} }}"), ["{'a': {'b': 1}}"]);
        assert_eq!(shown("$${{ x }}"), ["$${{", " x }}"]);
        assert_eq!(shown("{% raw %}${{ {% endraw %}!"), ["{% raw %}${{ {% endraw %}", "!"]);
        assert_eq!(shown("{# no comment #} {{ x }} $"), ["{# no comment #} {{ x }} $"]);
        assert_eq!(shown("${{-5}} ${{- x -}}"), ["-5", " ", "x"]);
        assert_eq!(shown(r#"${{ "\"}}" }}"#), [r#""\"}}""#]);
    }

    #[test]
    fn what_is_not_closed_is_told_with_its_place() {
        let problem =
            |text: &str| parts(text).map(|_| ()).map_err(|p| (p.code, p.span.start, p.help.unwrap_or_default()));
        assert_eq!(problem("ab ${{ x"), Err(("unclosed", 3, "to print `${{` itself, write `$${{`".into())));
        assert_eq!(problem("${{ (x }}"), Err(("unclosed", 4, String::new())));
        assert_eq!(problem("${{ x) }}"), Err(("unclosed", 5, String::new())));
        assert!(matches!(problem("${{ 'x }}"), Err(("template", 4, _))));
        assert!(matches!(problem("{% if x"), Err(("unclosed", 0, _))));
        assert!(matches!(problem("{% raw %} x"), Err(("template", 0, _))));
        assert!(matches!(problem("${{ '\\"), Err(("template", 4, _))));
    }

    #[test]
    fn places_are_those_of_the_text_as_written() {
        let text = "$${{ ä ${{-5}} b ${{ x }}";
        let prepared = Prepared::new(text, &parts(text).unwrap());
        assert_eq!(prepared.source, "${{\"${{\"}} ä ${{ -5}} b ${{  x }}");
        for word in ["ä", "-5", "b", "x"] {
            assert_eq!(prepared.written(prepared.source.find(word).unwrap()), text.find(word).unwrap(), "{word}");
        }
    }
}
