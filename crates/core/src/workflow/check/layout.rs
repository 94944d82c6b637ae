//! Whether a prompt begins with what is the same each time: a model reads a beginning that many prompts share only once.

use std::collections::BTreeSet;

use crate::workflow::compile::Compiled;
use crate::workflow::definition::VerbDef;
use crate::workflow::diagnostic::Diagnostic;
use crate::workflow::graph::{Chat, Graph, NodeIndex, Verb};
use crate::workflow::template::{Reference, Template};

/// Characters that are worth to be read once: some hundred tokens.
const WORTH: usize = 400;

/// Warns of prompts that say something else each time before they say what is the same each time.
pub(super) fn check(compiled: &Compiled<'_>) -> Vec<(usize, Diagnostic)> {
    let mut found = Vec::new();
    for (index, node) in compiled.graph.iter() {
        let origin = compiled.origin(index);
        let (Verb::Chat(chat), Some(VerbDef::Chat(def))) = (&node.verb, &origin.step.verb) else { continue };
        let Some(layout) = layout(chat, &changing(&compiled.graph, index)) else { continue };
        if layout.behind < WORTH || layout.before >= layout.behind {
            continue;
        }
        let when = if layout.each_run { "in each run" } else { "each time" };
        let message = format!(
            "{} characters that are always the same stand behind `{}`, which is something else {when}, so that the model reads them anew",
            layout.behind, layout.first
        );
        let help = "say first what is always the same, best in `system`, and what changes last";
        found.push((origin.frame, Diagnostic::warning("prompt-layout", def.place, message).help(help)));
    }
    found
}

/// The names that stand for something else each time a node is begun.
fn changing(graph: &Graph, index: NodeIndex) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut at = Some(index);
    while let Some(index) = at {
        let node = graph.node(index);
        if let Some(each) = &node.for_each {
            names.extend([each.item.clone(), "index".into()]);
        }
        if node.repeat.is_some() {
            names.extend(["index".into(), "previous".into()]);
        }
        at = node.parent;
    }
    names
}

/// Where a prompt begins to differ.
struct Layout {
    /// The expression that does.
    first: String,
    /// Whether it is the same for all that a run asks.
    each_run: bool,
    /// Characters of plain text before and behind it.
    before: usize,
    behind: usize,
}

fn layout(chat: &Chat, changing: &BTreeSet<String>) -> Option<Layout> {
    let mut layout: Option<Layout> = None;
    let mut before = 0;
    for said in &chat.messages {
        for piece in pieces(&said.content.text) {
            match (piece, &mut layout) {
                (Piece::Text(text), None) => before += text.chars().count(),
                (Piece::Text(text), Some(layout)) => layout.behind += text.chars().count(),
                (Piece::Code(code), None) => {
                    let references = Template::Text(&code).references().unwrap_or_default();
                    let changes = references.iter().any(|named| changing.contains(&named.root));
                    if changes || references.iter().any(tells_the_run) {
                        layout = Some(Layout { first: code, each_run: !changes, before, behind: 0 });
                    }
                }
                (Piece::Code(_), Some(_)) => {}
            }
        }
    }
    layout
}

/// The time and the name of a run.
fn tells_the_run(named: &Reference) -> bool {
    named.root == "run"
}

enum Piece<'a> {
    Text(&'a str),
    /// An expression in its braces, or all that follows the first block.
    Code(String),
}

fn pieces(template: &str) -> Vec<Piece<'_>> {
    let (plain, blocks) = match template.find("{%") {
        Some(at) => template.split_at(at),
        None => (template, ""),
    };
    let mut pieces = Vec::new();
    let mut parts = plain.split("${{");
    pieces.push(Piece::Text(parts.next().unwrap_or_default()));
    for part in parts {
        let (code, text) = part.split_once("}}").unwrap_or((part, ""));
        pieces.push(Piece::Code(format!("${{{{{code}}}}}")));
        pieces.push(Piece::Text(text));
    }
    if !blocks.is_empty() {
        pieces.push(Piece::Code(blocks.to_owned()));
    }
    pieces
}
