//! A page of the web as Markdown. The converter goes down into elements within elements by calling itself, so a page is looked at
//! first: one that is nested too deeply would end the program.

use htmd::HtmlToMarkdown;
use htmd::options::Options;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use html5ever::tendril::{StrTendril, TendrilSink as _};
use html5ever::{ParseOpts, parse_document};
use markup5ever_rcdom::{Handle, NodeData, RcDom};

/// The deepest that elements may be in each other; browsers cut there, too.
const DEEPEST: usize = 512;
/// The most elements and texts of a page: misplaced ones can be many more than are written.
const MOST: usize = 200_000;
/// The most bytes of a page.
const LARGEST: usize = 2 << 20;
/// The most bytes of Markdown that a page becomes.
const LARGEST_TEXT: usize = 32 << 20;
/// How long a page may be looked at: one tag with many attributes, and tags that nobody closes, cost the parser their square.
const LONGEST: Duration = Duration::from_secs(5);
/// The bytes after which the page is looked at again: an element costs the parser as much time as it is deep.
const PIECE: usize = 8 << 10;
/// The stack of the thread that converts.
const STACK: usize = 32 << 20;

/// The page without its scripts and styles; an error says why it cannot be converted.
pub(super) fn markdown(page: &str) -> Result<String, String> {
    if page.len() > LARGEST {
        return Err(format!("it has {} bytes, and at most {LARGEST} (2 MiB) are converted", page.len()));
    }
    let convert = || {
        bounded(page)?;
        let options = Options { ul_bullet_spacing: 1, ol_number_spacing: 1, ..Options::default() };
        let skipped = vec!["script", "style", "noscript", "template", "svg", "iframe", "head"];
        let converter = HtmlToMarkdown::builder().options(options).skip_tags(skipped).build();
        converter.convert(page).map_err(|error| error.to_string())
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, convert);
        let thread = thread.map_err(|error| format!("no thread can be started: {error}"))?;
        thread.join().unwrap_or_else(|_| Err("the converter failed".into()))
    })
}

/// Refuses a page that would take too long, too deep a stack, or too much memory.
fn bounded(page: &str) -> Result<(), String> {
    let began = Instant::now();
    let mut parser = parse_document(RcDom::default(), ParseOpts::default());
    let mut rest = page;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(rest.floor_char_boundary(PIECE));
        parser.process(StrTendril::from(piece));
        look(&parser.tokenizer.sink.sink.document)?;
        if began.elapsed() > LONGEST {
            return Err(format!("it takes longer than {} seconds to read", LONGEST.as_secs()));
        }
        rest = behind;
    }
    let elements = look(&parser.finish().document)?;
    let size = size(&elements);
    match size > LARGEST_TEXT {
        true => {
            Err(format!("it would be some {} MiB of Markdown, and at most {} are made", size >> 20, LARGEST_TEXT >> 20))
        }
        false => Ok(()),
    }
}

/// What stands on a page, as far as it makes it longer.
struct Part {
    /// The part that it is in.
    around: usize,
    /// The table that it is in, if any.
    table: Option<usize>,
    kind: Kind,
    /// How many lists and quotes it is in: each of its lines begins with a mark for each.
    marks: usize,
    bytes: usize,
    lines: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Other,
    Cell,
}

/// All parts of a page, each behind the one that it is in.
fn look(document: &Handle) -> Result<Vec<Part>, String> {
    let mut open = vec![(document.clone(), 0, 0, None, 0)];
    let mut parts = Vec::new();
    while let Some((node, depth, around, table, marks)) = open.pop() {
        if depth > DEEPEST {
            return Err(format!("its elements stand in each other more than {DEEPEST} deep"));
        }
        if parts.len() >= MOST {
            return Err(format!("it has more than {MOST} elements and texts"));
        }
        let own = parts.len();
        let mut part = Part { around, table, kind: Kind::Other, marks, bytes: 0, lines: 0 };
        let (mut table_within, mut marks_within, mut hidden) = (table, marks, None);
        match &node.data {
            NodeData::Text { contents } => {
                let text = contents.borrow();
                (part.bytes, part.lines) = (text.len(), text.matches('\n').count());
            }
            NodeData::Element { name, template_contents, attrs, .. } => {
                // An address or a title is written out, too.
                part.bytes = attrs.borrow().iter().map(|attribute| attribute.value.len()).sum();
                match &*name.local {
                    "table" => table_within = Some(own),
                    "td" | "th" => part.kind = Kind::Cell,
                    "blockquote" | "ul" | "ol" => marks_within += 1,
                    _ => {}
                }
                hidden = template_contents.borrow().clone();
            }
            _ => {}
        }
        parts.push(part);
        let within = node.children.borrow().iter().cloned().chain(hidden).collect::<Vec<_>>();
        open.extend(within.into_iter().map(|child| (child, depth + 1, own, table_within, marks_within)));
    }
    Ok(parts)
}

/// The most bytes of Markdown that a page can become: the converter begins each line with the marks that it is in, and makes each
/// cell of a table as wide as the widest one.
fn size(parts: &[Part]) -> usize {
    let mut bytes: Vec<usize> = parts.iter().map(|part| part.bytes).collect();
    let mut tables: HashMap<usize, (usize, usize)> = HashMap::new();
    for (own, part) in parts.iter().enumerate().rev() {
        if let (Kind::Cell, Some(table)) = (part.kind, part.table) {
            let (cells, widest) = tables.entry(table).or_default();
            (*cells, *widest) = (*cells + 1, bytes[own].max(*widest));
        }
        if own > 0 {
            bytes[part.around] += bytes[own];
        }
    }
    let marked: usize = parts.iter().map(|part| part.bytes + (part.lines + 1) * part.marks * 4).sum();
    tables.values().fold(marked, |size, (cells, widest)| size.saturating_add(cells.saturating_mul(*widest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_without_what_nobody_sees() {
        let page = "<html><head><title>t</title><style>p {}</style></head><body><h1>Prices</h1><script>alert(1)</script>\
                    <p>A <b>bold</b> <a href=\"/x\">link</a>.</p><ul><li>one</li><li>two</li></ul>\
                    <table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table></body></html>";
        let expected = "# Prices\n\nA **bold** [link](/x).\n\n* one\n* two\n\n| a | b |\n| - | - |\n| 1 | 2 |";
        assert_eq!(markdown(page).unwrap(), expected);
    }

    #[test]
    fn boxes_in_boxes_are_no_end_of_the_program() {
        for (open, close) in
            [("<div>", "</div>"), ("<b>", ""), ("<table><tr><td>", ""), ("<svg><g>", ""), ("<ul><li>", "")]
        {
            let page = |deep: usize| format!("{}deep{}", open.repeat(deep), close.repeat(deep));
            assert!(markdown(&page(100)).unwrap().contains("deep") || open == "<svg><g>", "{open}");
            let error = markdown(&page(20_000)).unwrap_err();
            assert!(error.contains("in each other") || error.contains("elements and texts"), "{open}: {error}");
        }
        let deepest = format!("{}deep", "<div>".repeat(DEEPEST - 4));
        assert_eq!(markdown(&deepest).unwrap(), "deep");
        // Each block begins with all of what was left open before it.
        let open: String = (0..400).map(|number| format!("<b id={number}>")).collect();
        let error = markdown(&format!("<p>{open}</p>{}", "<p>x</p>".repeat(1_000))).unwrap_err();
        assert!(error.contains("elements and texts"), "{error}");
    }

    #[test]
    fn a_small_page_does_not_become_a_large_text() {
        let wide = format!("<table><tr><th>{}{}</table>", "a".repeat(20_000), "<tr><td>x".repeat(5_000));
        assert!(markdown(&wide).unwrap_err().contains("95 MiB of Markdown"));
        let quoted = format!("{}<pre>{}</pre>", "<blockquote>".repeat(400), "a\n".repeat(40_000));
        assert!(markdown(&quoted).unwrap_err().contains("of Markdown"));
        // A page that is laid out by a table is none of these.
        let laid_out = format!("<table><tr><td>menu</td><td>{}</td></tr></table>", "<p>some words</p>".repeat(2_000));
        assert!(markdown(&laid_out).is_ok());
    }

    #[test]
    fn what_costs_the_parser_its_square_ends() {
        let began = Instant::now();
        let names: String = (0..200_000).map(|number| format!(" a{number}")).collect();
        let within = format!("<template>{}</template>", "<div>".repeat(100_000));
        for page in [format!("<a{names}>"), within] {
            assert!(markdown(&page).is_err());
        }
        // The second of these is found by its depth, at once.
        assert!(began.elapsed() < 12 * LONGEST, "{:?}", began.elapsed());
    }
}
