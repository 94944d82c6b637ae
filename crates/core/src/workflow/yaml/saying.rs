//! What the YAML parser complains of, in our words.

use super::shown;
use crate::workflow::diagnostic::{Diagnostic, Place};

/// The parser's message in our words, with a hint for the mistakes that authors make most.
pub(super) fn in_our_words(source: &str, place: Option<Place>, message: &str) -> Diagnostic {
    // The parser appends its own place, which we show in our own way.
    let message = message.split(" at line ").next().unwrap_or(message).trim_end_matches(',');
    let yaml = |message: &str| Diagnostic::new("yaml", place, message);
    if message.starts_with("budget breached")
        || message.starts_with("alias replay limit")
        || message.starts_with("recursion limit")
        || message.contains("nesting")
    {
        let message = "the file nests too deep, or its aliases make too much of it";
        return Diagnostic::new("too-large", place, message).help("write what is needed, without aliases of aliases");
    }
    let number = place.map_or(0, |place| place.line as usize);
    let mut lines = source.lines().skip(number.saturating_sub(2));
    let before = if number > 1 { lines.next().unwrap_or_default() } else { "" };
    let line = lines.next().unwrap_or_default();
    let column = place.map_or(0, |place| place.column as usize - 1);
    let rest = line.char_indices().nth(column).map_or("", |(at, _)| &line[at..]);
    let says = |part: &str| message.contains(part);
    if says("multiple YAML documents") {
        return yaml("the file holds several documents").help("remove the `---` or `...`; one file is one workflow");
    }
    if says("alias references unknown anchor") {
        let name: String = rest.chars().skip(1).take_while(|c| !c.is_whitespace() && !",]}".contains(*c)).collect();
        let message = format!("nothing is anchored as `&{}` before this", shown(&name));
        return yaml(&message).help("put quotes around a text that begins with `*`");
    }
    if says("recursive references") {
        return yaml("an alias cannot stand within what it names").help("write the value out");
    }
    if says("BOM") {
        return yaml("a byte order mark stands in the middle of the file").help("remove this invisible character");
    }
    if line.starts_with('\t') || says("tabs disallowed") || says("tab") && line.contains('\t') {
        return yaml("a tab stands where spaces belong").help("indent with spaces");
    }
    if line.contains("${{") || (before.contains("${{") && !before.trim_end().ends_with(['"', '\''])) {
        let message =
            if line.contains("${{") { "this line is no YAML" } else { "this line, or the one before, is no YAML" };
        let help = "an expression that holds `: ` or ` #`, or stands inside braces or brackets, must be quoted: \"${{ … }}\"; or write nested YAML";
        return yaml(message).help(help);
    }
    match message {
        "unexpected end of input" => yaml("the file ends too early"),
        _ if says("mapping values are not allowed") => {
            // The colon is that of the line's key, and the line stands deeper than the one before.
            let indent = |text: &str| text.len() - text.trim_start().len();
            let key = line.trim_start().split(':').next().unwrap_or_default();
            let own = key.chars().count() + indent(line) == column && !key.contains(' ');
            if own && indent(line) > indent(before) {
                yaml("this line is indented, and the one before has its value already")
                    .help("the keys of one map begin in the same column")
            } else {
                yaml("a `: ` stands inside a value").help("quote the value")
            }
        }
        _ if says("did not find expected key") => yaml("this line begins in a column where no map or list has begun")
            .help("the keys of one map begin in the same column"),
        _ if says("did not find expected '-' indicator") => {
            yaml("this line stands among the items of a list, and is none")
                .help("begin it with `- `, or in the column of another key")
        }
        _ if says("simple key expect") => yaml("this line has no `: `").help("write `key: value`"),
        _ if says("did not find expected ',' or '}'") => {
            yaml("before this a `,` or a `}` is missing").help("close the `{` that was opened before")
        }
        _ if says("did not find expected ',' or ']'") => {
            yaml("before this a `,` or a `]` is missing").help("close the `[` that was opened before")
        }
        _ if says("unclosed bracket") || says("mismatched bracket") => {
            let bracket = if rest.starts_with('[') { '[' } else { '{' };
            let close = if bracket == '[' { ']' } else { '}' };
            yaml(&format!("this `{bracket}` is not closed")).help(format!("write the `{close}` that belongs to it"))
        }
        _ if says("unclosed quote") => yaml("this quote is not closed").help("write the quote that ends the text"),
        _ if says("trailing content after") => {
            yaml("the value goes on after its closing quote").help("put quotes around the whole value")
        }
        _ if says("escape") => yaml("in double quotes a `\\` begins an escape, and this one is none")
            .help("write `\\\\`, or put single quotes around the text: '…'"),
        _ if says("unexpected character") => {
            let first: String = rest.chars().take(1).collect();
            yaml(&format!("a value cannot begin with `{first}`")).help("put quotes around the value")
        }
        message => yaml(message),
    }
}
