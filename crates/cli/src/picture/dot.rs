//! A scheme in the language of Graphviz: its layout, our words.

use std::fmt::Write as _;

use super::scheme::{Look, Part, Scheme, Tone};
use crate::render::clean;

/// The graph of a scheme.
pub fn dot(scheme: &Scheme, title: &str) -> String {
    let mut graph = Graph { text: String::new(), next: 0 };
    let _ = writeln!(graph.text, "digraph {} {{", quoted(&clean(title)));
    graph.text.push_str("  graph [rankdir=TB, compound=true, fontname=\"sans-serif\", nodesep=0.35, ranksep=0.5];\n");
    graph.text.push_str("  node [shape=box, style=filled, fillcolor=white, fontname=\"sans-serif\", fontsize=11];\n");
    graph.text.push_str("  edge [color=\"#6e7781\", arrowsize=0.7];\n");
    let _ = writeln!(graph.text, "  label={}; labelloc=t;", quoted(&clean(title)));
    graph.level(scheme, 1);
    graph.text.push_str("}\n");
    graph.text
}

struct Graph {
    text: String,
    next: usize,
}

/// Where lines begin and end that concern a box: at a node, for a group at one inside it.
struct Anchor {
    top: usize,
    bottom: usize,
    cluster: Option<usize>,
}

impl Graph {
    fn level(&mut self, scheme: &Scheme, depth: usize) -> Vec<Anchor> {
        let indent = "  ".repeat(depth);
        let mut anchors = Vec::new();
        for part in &scheme.parts {
            let id = self.next;
            self.next += 1;
            let (shape, colour) = look(part.look);
            // Writing to a text does not fail.
            if let Some(inner) = &part.inner {
                let _ = writeln!(self.text, "{indent}subgraph cluster_{id} {{");
                let label = label(part);
                let _ = writeln!(self.text, "{indent}  label={label}; color={colour}; style=rounded; fontsize=11;");
                let within = self.level(inner, depth + 1);
                let _ = writeln!(self.text, "{indent}}}");
                let first = |place: &usize| inner.edges.iter().all(|edge| edge.to != *place);
                let last = |place: &usize| inner.edges.iter().all(|edge| edge.from != *place);
                let places = 0..within.len();
                let top = places.clone().find(first).unwrap_or_default();
                let bottom = places.rev().find(last).unwrap_or_default();
                anchors.push(Anchor { top: within[top].top, bottom: within[bottom].bottom, cluster: Some(id) });
            } else {
                let label = label(part);
                let _ = writeln!(self.text, "{indent}s{id} [label={label}, {shape}, color={colour}];");
                anchors.push(Anchor { top: id, bottom: id, cluster: None });
            }
        }
        for edge in &scheme.edges {
            let (from, to) = (&anchors[edge.from], &anchors[edge.to]);
            let mut looks = Vec::new();
            looks.extend(from.cluster.map(|id| format!("ltail=cluster_{id}")));
            looks.extend(to.cluster.map(|id| format!("lhead=cluster_{id}")));
            looks.extend(edge.loose.then(|| "style=dashed".to_owned()));
            let looks = if looks.is_empty() { String::new() } else { format!(" [{}]", looks.join(", ")) };
            let _ = writeln!(self.text, "{indent}s{} -> s{}{looks};", from.bottom, to.top);
        }
        anchors
    }
}

fn look(look: Look) -> (&'static str, &'static str) {
    match look {
        Look::Tool => ("shape=box", "\"#0a5cb8\""),
        Look::Model => ("shape=box, style=\"filled,rounded\"", "\"#7a3fd1\""),
        Look::Person => ("shape=octagon", "\"#a34100\""),
        Look::Wait => ("shape=oval", "\"#7a5c00\""),
        Look::Data => ("shape=note", "\"#4d5660\""),
        Look::Group => ("shape=folder", "\"#3d5a73\""),
        Look::Workflow => ("shape=component", "\"#0b6a5b\""),
    }
}

fn label(part: &Part) -> String {
    let mut lines = vec![part.id.clone(), format!("{} {}", part.verb, part.what).trim_end().to_owned()];
    for mark in &part.marks {
        lines.push(if mark.tone == Tone::Loud { mark.text.to_uppercase() } else { mark.text.clone() });
    }
    quoted(&lines.join("\n"))
}

/// A text in quotes. Graphviz reads escapes and the entities of HTML inside them.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '&' => quoted.push_str("&amp;"),
            '\n' => quoted.push_str("\\n"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
