//! The tools of a large catalogue that matter for a goal: BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25
//! and Beyond", 2009), with a tool as the document.

use std::collections::HashMap;

use serde_json::Value;

use crate::tool::ToolSpec;

/// How soon a word that comes again stops to count.
const K1: f64 = 1.2;

/// How much a long description counts against a tool.
const B: f64 = 0.75;

/// Objects within arguments are looked at down to this level.
const DEPTH: usize = 8;

/// The `most` tools that match the goal best (BM25 over names, descriptions and the names and descriptions of arguments), in the order
/// of the catalogue. Of tools that match equally well, and of those that do not match, the first ones are taken.
pub fn search<'a>(tools: &[&'a ToolSpec], goal: &str, most: usize) -> Vec<&'a ToolSpec> {
    if tools.len() <= most {
        return tools.to_vec();
    }
    let mut asked: Vec<String> = Vec::new();
    for word in words(goal) {
        if !asked.contains(&word) {
            asked.push(word);
        }
    }
    let documents: Vec<Document> = tools.iter().map(|tool| Document::of(tool)).collect();
    let average = documents.iter().map(|one| one.length).sum::<f64>() / documents.len().max(1) as f64;
    let mut scores = vec![0.0; documents.len()];
    for word in &asked {
        let holding = documents.iter().filter(|one| one.counts.contains_key(word)).count() as f64;
        let rare = (1.0 + (documents.len() as f64 - holding + 0.5) / (holding + 0.5)).ln();
        for (score, document) in scores.iter_mut().zip(&documents) {
            let count = document.counts.get(word).copied().unwrap_or(0.0);
            if count > 0.0 {
                *score += rare * count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * document.length / average));
            }
        }
    }
    let mut best: Vec<(usize, f64)> = scores.into_iter().enumerate().collect();
    best.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    best.truncate(most);
    best.sort_by_key(|(at, _)| *at);
    best.into_iter().filter_map(|(at, _)| tools.get(at).copied()).collect()
}

/// A tool as a bag of words.
struct Document {
    counts: HashMap<String, f64>,
    length: f64,
}

impl Document {
    fn of(tool: &ToolSpec) -> Document {
        let mut text = format!("{} {}", tool.name, tool.description);
        arguments(&tool.input_schema, DEPTH, &mut text);
        let mut document = Document { counts: HashMap::new(), length: 0.0 };
        for word in words(&text) {
            *document.counts.entry(word).or_default() += 1.0;
            document.length += 1.0;
        }
        document
    }
}

/// Adds the names and descriptions of the arguments that a schema describes.
fn arguments(schema: &Value, depth: usize, text: &mut String) {
    let Some(below) = depth.checked_sub(1) else { return };
    for (name, argument) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        text.push(' ');
        text.push_str(name);
        text.push(' ');
        text.push_str(argument.get("description").and_then(Value::as_str).unwrap_or_default());
        arguments(argument, below, text);
    }
    if let Some(items) = schema.get("items") {
        arguments(items, below, text);
    }
}

/// The stems of the words of a text, with `snake_case`, `dotted.names` and `camelCase` taken apart.
fn words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word = String::new();
    let mut last_small = false;
    for char in text.chars().chain([' ']) {
        let ends = !char.is_alphanumeric() || (last_small && char.is_uppercase());
        if ends && !word.is_empty() {
            found.push(stem(&word));
            word.clear();
        }
        if char.is_alphanumeric() {
            word.extend(char.to_lowercase());
        }
        last_small = char.is_lowercase() || char.is_numeric();
    }
    found
}

/// A word without its endings, so that `files`, `file`, `copies` and `copied` meet. Three letters stay at least.
fn stem(word: &str) -> String {
    let cut = |word: &str, ending: &str| {
        word.strip_suffix(ending).filter(|rest| rest.chars().count() >= 3).map(str::to_owned)
    };
    let mut stem = word.to_owned();
    if !["ss", "us", "is"].iter().any(|ending| stem.ends_with(ending)) {
        stem = cut(&stem, "s").unwrap_or(stem);
    }
    if let Some(rest) = cut(&stem, "ing").or_else(|| cut(&stem, "ed")) {
        let mut last = rest.chars().rev();
        let doubled = last.next().filter(|char| !"lsz".contains(*char)) == last.next();
        stem = if doubled { cut(&rest, &rest[rest.len() - 1..]).unwrap_or(rest) } else { rest };
    }
    stem = cut(&stem, "e").unwrap_or(stem);
    match cut(&stem, "y") {
        Some(rest) => rest + "i",
        None => stem,
    }
}

#[cfg(test)]
mod tests;
