//! Ways out: how a value looks where another was written, and what authors of other formats mean by a word.

use crate::workflow::tree::{Kind, Tree};

pub(super) fn did(name: &str) -> String {
    format!("did you mean `{name}`?")
}

pub(super) fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

pub(super) fn one_of(words: &[&str]) -> String {
    match words {
        [rest @ .., last] if !rest.is_empty() => format!("{} or `{last}`", listed(rest)),
        words => listed(words),
    }
}

pub(super) fn is_expression(tree: &Tree) -> bool {
    matches!(&tree.kind, Kind::Text(text) if text.contains("${{"))
}

/// What stands there, as it was written where that is short.
pub(super) fn found(tree: &Tree) -> String {
    let short = |text: &&str| !text.is_empty() && text.chars().count() <= 40 && !text.contains('\n');
    match &tree.kind {
        Kind::List(_) | Kind::Map(_) | Kind::Null => tree.what().to_owned(),
        Kind::Text(_) => {
            Some(&*tree.written).filter(short).map_or(tree.what().to_owned(), |text| format!("the text `{text}`"))
        }
        _ => format!("`{}`", tree.written),
    }
}

/// A key whose colon stands too close.
pub(super) fn joined_key(tree: &Tree) -> Option<String> {
    let Kind::Text(text) = &tree.kind else { return None };
    let (key, value) = text.split_once(':')?;
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    (is_key && !value.starts_with([' ', '/']) && text.len() < 80)
        .then(|| format!("a space belongs after the colon: `{key}: {value}`"))
}

/// How a map looks where something else was written.
pub(super) fn example(what: &str, tree: &Tree) -> Option<String> {
    let text = tree.as_text().filter(|text| text.len() < 60 && !text.contains('\n'));
    let text = text.map_or("…".to_owned(), |_| tree.written.to_string());
    let shape = match what {
        "a workflow" => return Some("a workflow begins with `parkway: 1`, and has `steps:`".into()),
        "a step" if text.contains('.') => format!("{{ tool: {text} }}"),
        "a step" => "{ tool: NAME, with: { … } }".into(),
        "a model" => format!("{{ gguf: {{ name: {text} }} }}"),
        "a field" => "{ type: string }".into(),
        "`budget`" => "{ tokens: 200k, wall: 10m }".into(),
        "`defaults`" => "{ model: main, timeout: 5m }".into(),
        "`retry`" => return Some("write a number of retries, or `{ max: 3, initial: 1s }`".into()),
        "`repeat`" => "{ until: \"…\", max: 10 }".into(),
        "`chat`" => format!("{{ model: main, prompt: {text} }}"),
        "`agent`" | "`plan`" => format!("{{ model: main, goal: {text}, tools: [files.*] }}"),
        "an example of a plan" => "{ goal: …, lines: [ … ] }".into(),
        "a line of a plan" => "{ id: s1, tool: NAME, args: { … } }".into(),
        "`approve`" => format!("{{ prompt: {text} }}"),
        "`input`" => format!("{{ prompt: {text}, output: {{ answer: {{ type: string }} }} }}"),
        "a message" => format!("{{ role: user, content: {text} }}"),
        "an example" => format!("{{ prompt: {text}, answer: … }}"),
        "a rule of `policy`" => format!("{{ match: {{ tool: {text} }}, verdict: ask }}"),
        "`match`" => format!("{{ tool: {text} }}"),
        "`openai`" => "{ url: \"http://localhost:8080/v1\", model: NAME }".into(),
        "an adapter" => format!("{{ path: {text} }}"),
        "`timeouts`" => "{ first_byte: 15m }".into(),
        "a JSON Schema" => "{ type: object, properties: { … } }".into(),
        _ => return None,
    };
    Some(format!("write `{shape}`"))
}

/// What to write in place of a word that means true or false elsewhere.
pub(crate) fn truth_word(word: &str) -> Option<String> {
    let word = word.to_ascii_lowercase();
    Some(match word.as_str() {
        "yes" | "on" | "y" => format!("write `true`; `{word}` is a text in YAML 1.2"),
        "no" | "off" | "n" => format!("write `false`; `{word}` is a text in YAML 1.2"),
        "true" | "false" => format!("write `{word}`, small and without quotes"),
        _ => return None,
    })
}

/// What authors of other formats mean by a key or a word.
pub(super) fn meant(name: &str, known: &[&str], meanings: &[(&str, &str)]) -> Option<String> {
    let (_, right) = meanings.iter().find(|(wrong, right)| *wrong == name && known.contains(right))?;
    Some(format!("write `{right}`"))
}

pub(super) const KEYS: [(&str, &str); 53] = [
    ("depends_on", "needs"),
    ("dependsOn", "needs"),
    ("after", "needs"),
    ("when", "if"),
    ("condition", "if"),
    ("foreach", "for_each"),
    ("forEach", "for_each"),
    ("loop", "repeat"),
    ("until", "repeat"),
    ("llm", "chat"),
    ("model", "chat"),
    ("prompt", "chat"),
    ("message", "prompt"),
    ("question", "prompt"),
    ("content", "prompt"),
    ("text", "prompt"),
    ("task", "goal"),
    ("objective", "goal"),
    ("prompt", "goal"),
    ("instructions", "goal"),
    ("max_iterations", "max_turns"),
    ("replans", "max_replans"),
    ("uses", "tool"),
    ("call", "tool"),
    ("action", "tool"),
    ("run", "tool"),
    ("args", "with"),
    ("arguments", "with"),
    ("params", "with"),
    ("inputs", "with"),
    ("retries", "retry"),
    ("sleep", "wait"),
    ("delay", "wait"),
    ("delay", "initial"),
    ("times", "max"),
    ("attempts", "max"),
    ("event", "signal"),
    ("calls", "tool_calls"),
    ("time", "wall"),
    ("input", "prompt"),
    ("output", "answer"),
    ("path", "file"),
    ("maxLength", "max_length"),
    ("properties", "fields"),
    ("fields", "output"),
    ("continue_on_error", "on_error"),
    ("ignore_errors", "on_error"),
    ("continue-on-error", "on_error"),
    ("timeout_minutes", "timeout"),
    ("timeout-minutes", "timeout"),
    ("jobs", "steps"),
    ("tasks", "steps"),
    ("version", "parkway"),
];

pub(super) const WORDS: [(&str, &str); 20] = [
    ("text", "string"),
    ("str", "string"),
    ("date", "string"),
    ("int", "integer"),
    ("long", "integer"),
    ("float", "number"),
    ("double", "number"),
    ("decimal", "number"),
    ("bool", "boolean"),
    ("list", "array"),
    ("map", "object"),
    ("dict", "object"),
    ("failure", "failed"),
    ("ignore", "continue"),
    ("skip", "continue"),
    ("forbid", "deny"),
    ("approve", "ask"),
    ("write", "at_most_once"),
    ("writes", "at_most_once"),
    ("bot", "assistant"),
];
