//! Whether an answer says only what the run can show. No model is asked: the rules are three, and the same answer has the same end.
//!
//! 1. **Sources.** Each is the id of a step that has completed.
//! 2. **Values.** These are taken from the texts of an answer: numbers (not those that count list items), dates, quotes, paths, addresses,
//!    identifiers (`snake_case`, `CamelCase`, dotted names, words with digits), words in capitals, and words with a capital that do not begin
//!    a sentence; from the rest of a JSON answer, its numbers. Each must stand in the output of a source or in the goal. Words are
//!    compared without regard to case, and numbers by value: `1,234`, `1234` and `1234.0` are one number. `1.234` is read in both of the
//!    ways in which it is written, `45%` is 45 or 0.45, and `5` may be the size of `-5`. A text that is all of a text in a source needs
//!    no look inside. What is yes, no or null, the names of fields, and numbers in words are not held against anything.
//!
//!    Some numbers may be derived: how many items a list has, or fields an object; the sum of a list of numbers; of a list of objects, by
//!    one field, the sum, how many have it, and how many have the same text or the same yes or no there (the least and the greatest
//!    stand there themselves). All else — averages, differences, shares, rounded numbers, lines of a text — is the work of a tool.
//! 3. **Changes.** To say that something was changed in the world needs a completed step among the sources that changes something.
//!    So do `I have sent`, `was deleted`, `successfully saved`, `File written.`, and a field like `email_sent` that is true. Not so what
//!    is denied, wished or asked; a quote; a sentence of three words or more that stands in a source as it is; and, unless the
//!    sentence speaks of its own doing, what another is said to have done, what was done at a date, and what a field of a source says
//!    (`"status": "paid"`, `paid_at`).
//!
//! Rule 2 holds for texts in every language, as far as its script has capitals; in German, where nouns have them too, a lone word with
//! a capital is no name. Rule 3 knows English and German, and does not see claims in other languages.
//!
//! The work grows with the length of the answer plus that of the sources: what is looked for is gathered first, and each source is read
//! once.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::tool::Effect;

mod claim;
mod date;
mod deed;
mod number;
mod plain;
mod trace;
mod vocabulary;

use claim::Claim;
use plain::cut;
use trace::Traces;

/// The most that is reported.
const MOST: usize = 8;

/// What a step of the run gave.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The step.
    pub id: &'a str,
    /// The effect of what it called.
    pub effect: Effect,
    /// Whether it completed. Only then it has an output.
    pub completed: bool,
    /// What it gave.
    pub output: &'a Value,
}

/// Something that an answer says and the run cannot show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{claim}: {why}")]
#[non_exhaustive]
pub struct Unsupported {
    /// The words of the answer.
    pub claim: String,
    /// What is missing.
    pub why: String,
}

/// Holds an answer against the results that it names as its sources, and against what the goal says itself. At most 8 things are told:
/// sources first, then changes, then values. An answer whose schema has fixed words, as an `enum` has, needs them in the goal.
pub fn verify(answer: &Value, sources: &[String], found: &[Found<'_>], goal: &str) -> Result<(), Vec<Unsupported>> {
    let (named, mut problems) = named(sources, found);
    let copied = copied(answer, &named);
    let mut claims: Vec<Claim> = Vec::new();
    let mut changes: Vec<Claim> = Vec::new();
    claim::leaves(answer, "", &mut |name, value| match value {
        Value::String(text) if !copied.contains(text.trim()) => {
            let text = plain::plain(text);
            claims.extend(claim::of_text(&text));
            changes.extend(claim::changes(&text));
        }
        Value::Number(number) => claims.push(claim::of_number(number, name)),
        Value::Bool(true) => changes.extend(claim::of_flag(name)),
        _ => {}
    });
    let all = claims.iter().chain(&changes).flat_map(|claim| &claim.traces);
    let Some(mut traces) = Traces::new(all) else {
        let why = "it says too much to be checked; answer in fewer words".to_owned();
        return Err(vec![Unsupported { claim: "the answer".to_owned(), why }]);
    };
    named.iter().for_each(|step| traces.look(step.output));
    let shown = |traces: &Traces, claim: &Claim| claim.traces.iter().any(|trace| traces.has(trace));
    let changed = named.iter().any(|step| step.effect > Effect::Read);
    for change in changes.into_iter().filter(|change| !changed && !shown(&traces, change)) {
        let Claim { place, words, .. } = change;
        let why = format!(
            "`{words}` needs a source that changes something, and none does; name the step that did it, if one did"
        );
        problems.push(Unsupported { claim: place, why });
    }
    traces.text(goal);
    let ids: HashSet<&str> = named.iter().map(|step| step.id).collect();
    let where_looked = where_looked(&named);
    let mut told = HashSet::new();
    for claim in claims {
        let step = claim.words.split(['.', '[']).next().is_some_and(|id| ids.contains(id));
        if step || shown(&traces, &claim) || problems.len() >= MOST || !told.insert(claim.words.clone()) {
            continue;
        }
        problems.push(Unsupported { why: format!("{where_looked} {}", claim.words), claim: claim.place });
    }
    problems.truncate(MOST);
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// The completed steps that are named, each once, and what is wrong with the other names.
fn named<'f>(sources: &[String], found: &'f [Found<'f>]) -> (Vec<&'f Found<'f>>, Vec<Unsupported>) {
    let known: HashMap<&str, &Found<'_>> = found.iter().map(|step| (step.id, step)).collect();
    let (mut named, mut problems, mut once) = (Vec::new(), Vec::new(), HashSet::new());
    for id in sources.iter().filter(|id| once.insert(id.as_str())) {
        let why = match known.get(id.as_str()) {
            Some(step) if step.completed => {
                named.push(*step);
                continue;
            }
            Some(_) => "the step has not completed, so it shows nothing",
            None => "no step of the run has this id",
        };
        problems.push(Unsupported { claim: cut(id), why: why.to_owned() });
    }
    (named, problems)
}

/// The texts of the answer that are all of a text in a source.
fn copied<'a>(answer: &'a Value, named: &[&Found<'_>]) -> HashSet<&'a str> {
    let mut texts: HashMap<&str, bool> = HashMap::new();
    claim::leaves(answer, "", &mut |_, value| {
        texts.extend(value.as_str().map(|text| (text.trim(), false)));
    });
    for step in named {
        claim::leaves(step.output, "", &mut |_, value| {
            if let Some(seen) = value.as_str().and_then(|text| texts.get_mut(text.trim())) {
                *seen = true;
            }
        });
    }
    texts.into_iter().filter(|(_, seen)| *seen).map(|(text, _)| text).collect()
}

/// `no result of s1, s3 holds`
fn where_looked(named: &[&Found<'_>]) -> String {
    if named.is_empty() {
        return "no source is named, and the goal does not say".to_owned();
    }
    let ids: Vec<&str> = named.iter().take(5).map(|step| step.id).collect();
    let more = if named.len() > 5 { ", …" } else { "" };
    format!("no result of {}{more} holds", ids.join(", "))
}

#[cfg(test)]
mod tests;
