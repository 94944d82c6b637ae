//! A page of the web as Markdown. The converter goes down into elements within elements by calling itself, so a page is looked at
//! first: one that is nested too deeply would end the program.

use htmd::HtmlToMarkdown;
use htmd::options::Options;
use html5ever::tendril::{StrTendril, TendrilSink as _};
use html5ever::{ParseOpts, parse_document};
use markup5ever_rcdom::{Handle, RcDom};

/// The deepest that elements may be in each other; browsers cut there, too.
const DEEPEST: usize = 512;
/// The most elements and texts of a page: misplaced ones can be many more than are written.
const MOST: usize = 200_000;
/// The most bytes of a page.
const LARGEST: usize = 2 << 20;
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

fn bounded(page: &str) -> Result<(), String> {
    let mut parser = parse_document(RcDom::default(), ParseOpts::default());
    let mut rest = page;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(rest.floor_char_boundary(PIECE));
        parser.process(StrTendril::from(piece));
        look(&parser.tokenizer.sink.sink.document)?;
        rest = behind;
    }
    look(&parser.finish().document)
}

fn look(document: &Handle) -> Result<(), String> {
    let mut open = vec![(document.clone(), 0)];
    let mut seen = 0;
    while let Some((node, depth)) = open.pop() {
        seen += 1;
        if depth > DEEPEST {
            return Err(format!("its elements stand in each other more than {DEEPEST} deep"));
        }
        if seen > MOST {
            return Err(format!("it has more than {MOST} elements and texts"));
        }
        open.extend(node.children.borrow().iter().map(|child| (child.clone(), depth + 1)));
    }
    Ok(())
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
}
