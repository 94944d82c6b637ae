//! A scheme as a Mermaid flowchart, for pages that draw one: their layout, our words.

use std::fmt::Write as _;

use super::scheme::{Look, Part, Scheme, Tone};
use crate::render::clean;

/// The flowchart of a scheme.
pub fn mermaid(scheme: &Scheme, title: &str) -> String {
    let mut chart = Chart { text: String::new(), next: 0, classes: Vec::new() };
    let title: String = clean(title).chars().map(quoted).collect();
    // Writing to a text does not fail.
    let _ = write!(chart.text, "---\ntitle: \"{title}\"\n---\nflowchart TD\n");
    chart.level(scheme, 1);
    for look in Look::ALL {
        let of_look: Vec<_> = chart.classes.iter().filter(|(_, other)| *other == look).map(|(id, _)| id).collect();
        if of_look.is_empty() {
            continue;
        }
        let names: Vec<_> = of_look.iter().map(|id| format!("s{id}")).collect();
        let (fill, stroke) = colours(look);
        let _ = writeln!(chart.text, "  classDef {} fill:{fill},stroke:{stroke},color:#1f2328", look.class());
        let _ = writeln!(chart.text, "  class {} {}", names.join(","), look.class());
    }
    chart.text
}

struct Chart {
    text: String,
    next: usize,
    classes: Vec<(usize, Look)>,
}

impl Chart {
    fn level(&mut self, scheme: &Scheme, depth: usize) {
        let indent = "  ".repeat(depth);
        let mut ids = Vec::new();
        for part in &scheme.parts {
            let id = self.next;
            self.next += 1;
            ids.push(id);
            self.classes.push((id, part.look));
            let label = label(part);
            if let Some(inner) = &part.inner {
                let _ = writeln!(self.text, "{indent}subgraph s{id}[\"{label}\"]\n{indent}  direction TB");
                self.level(inner, depth + 1);
                let _ = writeln!(self.text, "{indent}end");
            } else {
                let (open, close) = match part.look {
                    Look::Person => ("{{", "}}"),
                    Look::Model => ("(", ")"),
                    Look::Wait => ("([", "])"),
                    Look::Tool | Look::Data | Look::Group => ("[", "]"),
                    Look::Workflow => ("[[", "]]"),
                };
                let _ = writeln!(self.text, "{indent}s{id}{open}\"{label}\"{close}");
            }
        }
        for edge in &scheme.edges {
            let arrow = if edge.loose { "-.->" } else { "-->" };
            let _ = writeln!(self.text, "{indent}s{} {arrow} s{}", ids[edge.from], ids[edge.to]);
        }
    }
}

fn colours(look: Look) -> (&'static str, &'static str) {
    match look {
        Look::Tool => ("#ddebfb", "#0a5cb8"),
        Look::Model => ("#ebe1fb", "#7a3fd1"),
        Look::Person => ("#fde6d3", "#a34100"),
        Look::Wait => ("#fbf0c9", "#7a5c00"),
        Look::Data => ("#eceff2", "#4d5660"),
        Look::Group => ("#f6f8fa", "#3d5a73"),
        Look::Workflow => ("#d9f2ec", "#0b6a5b"),
    }
}

fn label(part: &Part) -> String {
    let mut lines = vec![escaped(&part.id), escaped(format!("{} {}", part.verb, part.what).trim_end())];
    let mark = |mark: &super::scheme::Mark| match mark.tone {
        Tone::Loud => escaped(&mark.text.to_uppercase()),
        Tone::Plain | Tone::Quiet => escaped(&mark.text),
    };
    let marks: Vec<_> = part.marks.iter().map(mark).collect();
    if !marks.is_empty() {
        lines.push(marks.join(", "));
    }
    lines.join("<br/>")
}

/// A label's text: what could end it, or be read as markup, is written as its number.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            c if c.is_ascii_alphanumeric() || " ._/,:()=".contains(c) || (!c.is_ascii() && !c.is_control()) => {
                escaped.push(c);
            }
            c => {
                let _ = write!(escaped, "#{};", u32::from(c));
            }
        }
    }
    escaped
}

/// A character of the title, in quotes.
fn quoted(c: char) -> String {
    if c.is_ascii_alphanumeric() || " ._/,:()=-".contains(c) || !c.is_ascii() {
        c.into()
    } else {
        format!("\\x{:02x}", u32::from(c))
    }
}
