//! A picture as SVG. It can be read without colour, by light and by dark, and aloud.

use std::fmt::Write as _;

use super::boxes::{Frame, ID_LINE, MARK_HEIGHT, PAD, Picture, WHAT_COLUMN, WHAT_LINE};
use super::route::{Line, Point};
use super::scheme::{Look, Scheme, Tone};
use crate::render::{Symbols, clean, cut, width, wrap};

/// Room around the picture.
const MARGIN: f64 = 28.0;
/// The line of the title, and of the first line of the description.
const TITLE: f64 = 22.0;
const DESCRIPTION: f64 = 42.0;
const DESCRIPTION_LINE: f64 = 18.0;
/// Columns of the description, at 13 pixels in any font.
const DESCRIPTION_COLUMN: f64 = 7.6;
/// Columns of the title.
const TITLE_COLUMN: f64 = 11.0;
const LEAST_WIDTH: f64 = 360.0;
/// How long an arrow's tip is, and half as wide.
const TIP: f64 = 8.0;
const TIP_HALF: f64 = 4.5;
/// How far a second outline stands out, where there are many of a step.
const MANY: f64 = 4.0;

/// Ink, paper and so on, by light and by dark.
const STYLE: [(&str, &str, &str); 9] = [
    (".pw-paper", "fill:#fff", "fill:#0d1117"),
    (".pw-ink", "fill:#1f2328", "fill:#e6edf3"),
    (".pw-soft", "fill:#59636e", "fill:#9198a1"),
    (".pw-line", "fill:none;stroke:#6e7781;stroke-width:1.5", "stroke:#8b949e"),
    (".pw-tip", "fill:#6e7781", "fill:#8b949e"),
    (".pw-box", "fill:#fff;stroke-width:1.5", "fill:#161b22"),
    (".pw-mark", "fill:#eef1f4;stroke:#afb8c1", "fill:#262c36;stroke:#57606a"),
    (".pw-loud", "fill:#b42318;stroke:#b42318", "fill:#b42318;stroke:#f97066"),
    (".pw-shout", "fill:#fff", "fill:#fff"),
];

/// The colour of each kind, by light and by dark, and its paper inside groups.
fn colours(look: Look) -> (&'static str, &'static str) {
    match look {
        Look::Tool => ("#0a5cb8", "#6cb6ff"),
        Look::Model => ("#7a3fd1", "#c297ff"),
        Look::Person => ("#a34100", "#f0a35e"),
        Look::Wait => ("#7a5c00", "#dbb842"),
        Look::Data => ("#4d5660", "#b0b8c1"),
        Look::Group => ("#3d5a73", "#8fb3d1"),
        Look::Workflow => ("#0b6a5b", "#56d4bd"),
    }
}

/// The picture of a scheme, with a title and what its author says about it.
pub fn svg(scheme: &Scheme, title: &str, description: Option<&str>) -> String {
    let picture = Picture::of(scheme);
    let wide = (picture.width + 2.0 * MARGIN).max(LEAST_WIDTH);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a width is a small positive number")]
    let columns = |column: f64| ((wide - 2.0 * MARGIN) / column) as usize;
    let shown_title = cut(&clean(title), columns(TITLE_COLUMN), Symbols::Unicode);
    let description = wrap(&clean(description.unwrap_or_default()), columns(DESCRIPTION_COLUMN), 3, Symbols::Unicode);
    let head = if description.is_empty() {
        TITLE + 22.0
    } else {
        DESCRIPTION + DESCRIPTION_LINE * (description.len() - 1) as f64 + 24.0
    };
    let high = picture.height + 2.0 * MARGIN + head;
    let mut text = String::new();
    let out = &mut text;
    line(
        out,
        &format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{wide}" height="{high}" viewBox="0 0 {wide} {high}">"#
        ),
    );
    line(out, &format!("<title>{}</title>", xml(&clean(title))));
    line(out, &format!("<desc>{}</desc>", xml(&aloud(scheme))));
    style(out);
    line(out, &format!(r#"<rect class="pw-paper" width="{wide}" height="{high}"/>"#));
    line(out, &format!(r#"<g transform="translate({MARGIN} {MARGIN})" class="pw-text">"#));
    line(out, &format!(r#"<text class="pw-ink pw-title" y="{}">{}</text>"#, TITLE - 6.0, xml(&shown_title)));
    for (number, row) in description.iter().enumerate() {
        let y = DESCRIPTION + DESCRIPTION_LINE * number as f64 - 4.0;
        line(out, &format!(r#"<text class="pw-soft pw-says" y="{y}">{}</text>"#, xml(row)));
    }
    let left = ((wide - 2.0 * MARGIN - picture.width) / 2.0).round();
    line(out, &format!(r#"<g transform="translate({left} {head})">"#));
    // A group covers the lines that are beside it in the file, and the lines inside cover the group.
    let deepest = picture.frames.iter().map(|frame| frame.depth).max().unwrap_or_default();
    for depth in 0..=deepest {
        for (from, to, loose, path) in &picture.lines {
            if picture.frames[*from].depth == depth {
                let ids = [&picture.frames[*from].part.id, &picture.frames[*to].part.id];
                arrow(out, path, *loose, ids);
            }
        }
        picture.frames.iter().filter(|frame| frame.depth == depth).for_each(|frame| draw(out, frame));
    }
    out.push_str("</g>\n</g>\n</svg>\n");
    text
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn style(out: &mut String) {
    out.push_str("<style>\n");
    out.push_str(".pw-text{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace}\n");
    out.push_str(
        ".pw-title{font-size:18px;font-weight:700}\n.pw-says{font-size:13px;font-family:system-ui,sans-serif}\n",
    );
    out.push_str(".pw-id{font-size:14px;font-weight:700}\n.pw-what{font-size:12px}\n.pw-verb{font-weight:700}\n");
    out.push_str(
        ".pw-word{font-size:11px}\n.pw-loose{stroke-dasharray:5 4}\n.pw-circle{stroke:#b42318;stroke-width:2.5}\n",
    );
    let mut dark = String::new();
    for (name, by_light, by_dark) in STYLE {
        // Writing to a text does not fail.
        let _ = writeln!(out, "{name}{{{by_light}}}");
        let _ = write!(dark, "{name}{{{by_dark}}}");
    }
    for look in Look::ALL {
        let (by_light, by_dark) = colours(look);
        for (rules, colour) in [(&mut *out, by_light), (&mut dark, by_dark)] {
            let class = look.class();
            let _ = write!(
                rules,
                ".pw-{class} .pw-box{{stroke:{colour}}}.pw-{class} .pw-verb,.pw-{class} .pw-stripe{{fill:{colour}}}"
            );
        }
        out.push('\n');
    }
    out.push_str(".pw-inside0{fill:#f6f8fa}.pw-inside1{fill:#fff}\n");
    dark.push_str(".pw-inside0{fill:#12171e}.pw-inside1{fill:#0d1117}");
    let _ = writeln!(out, "@media (prefers-color-scheme:dark){{{dark}}}\n</style>");
}

fn draw(out: &mut String, frame: &Frame<'_>) {
    let (part, rect) = (frame.part, frame.rect);
    line(out, &format!(r#"<g class="pw-{}">"#, part.look.class()));
    line(out, &format!("<title>{}</title>", xml(&tooltip(frame))));
    if part.many {
        outline(out, frame, MANY);
    }
    outline(out, frame, 0.0);
    // The stripe stands inside the corners.
    line(
        out,
        &format!(
            r#"<rect class="pw-stripe" x="{}" y="{}" width="4" height="{}" rx="2"/>"#,
            rect.x + 5.0,
            rect.y + 11.0,
            WHAT_LINE - 7.0
        ),
    );
    let x = rect.x + PAD;
    line(out, &format!(r#"<text class="pw-ink pw-id" x="{x}" y="{}">{}</text>"#, rect.y + ID_LINE, xml(&part.id)));
    let y = rect.y + WHAT_LINE;
    line(out, &format!(r#"<text class="pw-what pw-verb" x="{x}" y="{y}">{}</text>"#, xml(&part.verb)));
    if !part.what.is_empty() {
        let x = x + ((width(&part.verb) + 2) as f64 * WHAT_COLUMN).round();
        line(out, &format!(r#"<text class="pw-soft pw-what" x="{x}" y="{y}">{}</text>"#, xml(&part.what)));
    }
    for (mark, at) in part.marks.iter().zip(&frame.marks) {
        let (pill, ink) = match mark.tone {
            Tone::Quiet => (None, "pw-soft"),
            Tone::Plain => (Some("pw-mark"), "pw-ink"),
            Tone::Loud => (Some("pw-loud"), "pw-shout pw-verb"),
        };
        let pill = pill.unwrap_or("pw-mark pw-quiet");
        line(
            out,
            &format!(
                r#"<rect class="{pill}" x="{}" y="{}" width="{}" height="{}" rx="{}"/>"#,
                at.x,
                at.y,
                at.width,
                at.height,
                MARK_HEIGHT / 2.0
            ),
        );
        let (x, y) = (at.x + at.width / 2.0, at.y + 13.5);
        line(
            out,
            &format!(r#"<text class="{ink} pw-word" text-anchor="middle" x="{x}" y="{y}">{}</text>"#, xml(&mark.text)),
        );
    }
    line(out, "</g>");
}

/// The side of a box: people have cut corners, models round ones, and a workflow of its own a broken side.
fn outline(out: &mut String, frame: &Frame<'_>, shift: f64) {
    let Frame { part, rect, .. } = frame;
    let (x, y, w, h) = (rect.x + shift, rect.y + shift, rect.width, rect.height);
    let paper = match (&part.inner, frame.depth % 2) {
        (None, _) => "pw-box",
        (Some(_), 0) => "pw-box pw-inside0",
        (Some(_), _) => "pw-box pw-inside1",
    };
    let broken = if part.look == Look::Workflow { r#" stroke-dasharray="9 3""# } else { "" };
    if part.look == Look::Person {
        let cut = 10.0;
        line(
            out,
            &format!(
                r#"<path class="{paper}" d="M{} {y}H{}L{} {}V{}L{} {}H{}L{x} {}V{}Z"/>"#,
                x + cut,
                x + w - cut,
                x + w,
                y + cut,
                y + h - cut,
                x + w - cut,
                y + h,
                x + cut,
                y + h - cut,
                y + cut
            ),
        );
        return;
    }
    let round = match part.look {
        Look::Model => 16.0,
        Look::Group | Look::Workflow => 8.0,
        _ => 4.0,
    };
    line(out, &format!(r#"<rect class="{paper}" x="{x}" y="{y}" width="{w}" height="{h}" rx="{round}"{broken}/>"#));
}

fn arrow(out: &mut String, path: &Line, loose: bool, ids: [&String; 2]) {
    let points = &path.points;
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
    // The tip takes the place of the line's end.
    let back = if path.turned { 0.0 } else { TIP - 1.0 };
    let mut d = format!("M{} {}", first.x, first.y + if path.turned { TIP - 1.0 } else { 0.0 });
    for (number, pair) in points.windows(2).enumerate() {
        let end = if number + 2 == points.len() { Point { y: pair[1].y - back, ..pair[1] } } else { pair[1] };
        if number % 2 == 0 || pair[0].x == end.x {
            if number % 2 == 1 || pair[0].y != end.y {
                let _ = write!(d, "V{}", end.y);
            }
        } else {
            let bend = ((end.y - pair[0].y) * 0.55).round();
            let _ = write!(d, "C{} {} {} {} {} {}", pair[0].x, pair[0].y + bend, end.x, end.y - bend, end.x, end.y);
        }
    }
    let class = match (path.turned, loose) {
        (true, _) => "pw-line pw-circle",
        (false, true) => "pw-line pw-loose",
        (false, false) => "pw-line",
    };
    let (tip, sign) = if path.turned { (first, 1.0) } else { (last, -1.0) };
    let [from, to] = ids.map(|id| xml(id));
    line(out, &format!(r#"<g><title>{to} waits for {from}</title><path class="{class}" d="{d}"/>"#));
    line(
        out,
        &format!(
            r#"<path class="pw-tip" d="M{} {}L{} {}L{} {}Z"/></g>"#,
            tip.x,
            tip.y,
            tip.x - TIP_HALF,
            tip.y + sign * TIP,
            tip.x + TIP_HALF,
            tip.y + sign * TIP
        ),
    );
}

/// What a step is, in lines.
fn tooltip(frame: &Frame<'_>) -> String {
    let part = frame.part;
    let mut lines = vec![format!("{}: {} {}", part.id, part.verb, part.what).trim_end().to_owned()];
    lines.extend(part.about.iter().cloned());
    lines.extend(part.marks.iter().map(|mark| mark.text.clone()));
    if !frame.before.is_empty() {
        lines.push(format!("after {}", frame.before.join(", ")));
    }
    lines.join("\n")
}

/// The scheme in sentences.
fn aloud(scheme: &Scheme) -> String {
    let step = |(place, part): (usize, &super::scheme::Part)| {
        let mut said = format!("{}: {} {}", part.id, part.verb, part.what).trim_end().to_owned();
        for mark in &part.marks {
            let _ = write!(said, ", {}", mark.text);
        }
        let before = scheme.before(place);
        if !before.is_empty() {
            let _ = write!(said, ", after {}", before.join(" and "));
        }
        if let Some(inner) = &part.inner {
            let _ = write!(said, ", in it ({})", aloud(inner));
        }
        said
    };
    scheme.parts.iter().enumerate().map(step).collect::<Vec<_>>().join("; ")
}

/// Text inside a document: what XML has no place for is replaced.
fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' => escaped.push(c),
            '\u{fffe}' | '\u{ffff}' => escaped.push(char::REPLACEMENT_CHARACTER),
            c if c.is_control() => escaped.push(char::REPLACEMENT_CHARACTER),
            c => escaped.push(c),
        }
    }
    escaped
}
