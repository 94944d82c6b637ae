//! The steps of a plan as a person reads them: what each does and why, and where its values come from. Nothing of it is cut, since it is
//! what is approved.

use serde_json::{Map, Value};

use super::words::{clean, harmless, width};

/// The narrowest room that is written in.
const ROOM: usize = 20;

/// The steps that a value holds as the lines of a plan are written: `[{"id":"s1","tool":"files.list","args":{…}}]`.
pub(crate) fn steps_in(value: &Value) -> Option<&[Value]> {
    let list = value.as_array().filter(|list| !list.is_empty())?;
    list.iter().all(is_step).then_some(list)
}

/// Whether a value is the line of a step.
fn is_step(value: &Value) -> bool {
    ["id", "tool"].iter().all(|key| value.get(key).is_some_and(Value::is_string))
}

/// Each step with its tool and why it is done, and below it its values, one a line; what is longer than `columns` goes on in the next line.
pub(crate) fn drawn(steps: &[Value], columns: usize) -> Vec<String> {
    let text = |step: &Value, key: &str| clean(step.get(key).and_then(Value::as_str).unwrap_or_default());
    let widest = |key: &str| steps.iter().map(|step| width(&text(step, key))).max().unwrap_or(0);
    let (ids, tools) = (widest("id"), widest("tool"));
    let mut lines = Vec::new();
    for step in steps {
        let (id, tool) = (text(step, "id"), text(step, "tool"));
        let pad = |word: &str, to: usize| " ".repeat(to.saturating_sub(width(word)));
        let head = format!("{id}{}  {tool}{}  {}", pad(&id, ids), pad(&tool, tools), text(step, "why"));
        lines.extend(folded(head.trim_end(), 2, 2 + ids + 2 + tools + 2, columns));
        lines.extend(flow(step).iter().flat_map(|line| folded(&harmless(line), ids + 4, ids + 6, columns)));
    }
    lines
}

/// Where the values of a step come from, and when it is done.
pub(crate) fn flow(step: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    let said = |key: &str| step.get(key).filter(|value| !value.is_null());
    let ids = |key: &str| {
        let ids = said(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        ids.collect::<Vec<_>>().join(", ")
    };
    lines.extend(said("for_each").map(|list| format!("for each item of {}", named(list))));
    lines.extend(said("if").map(|condition| format!("only if {}", when(condition))));
    lines.extend(said("late").map(|by| format!("decided when {} is known: {}", ids("uses"), named(by))));
    lines.extend(said("args").and_then(Value::as_object).into_iter().flat_map(assigned));
    if !ids("after").is_empty() {
        lines.push(format!("after {}", ids("after")));
    }
    lines
}

/// `path <- s1.files[0].path`, `folder = "letters"`.
pub(crate) fn assigned(values: &Map<String, Value>) -> Vec<String> {
    let one = |(name, value): (&String, &Value)| match reference(value) {
        Some(reference) => format!("{name} <- {reference}"),
        None => format!("{name} = {value}"),
    };
    values.iter().map(one).collect()
}

/// What an answer is made of.
pub(crate) fn answered(answer: &Value) -> Vec<String> {
    match (reference(answer), answer) {
        (Some(reference), _) => vec![format!("answer <- {reference}")],
        (None, Value::Object(fields)) => assigned(fields).iter().map(|line| format!("answer.{line}")).collect(),
        (None, value) => vec![format!("answer = {value}")],
    }
}

fn reference(value: &Value) -> Option<&str> {
    value.as_object().filter(|map| map.len() == 1)?.get("$ref")?.as_str()
}

/// A reference, or a text, as it is.
fn named(value: &Value) -> String {
    reference(value).or(value.as_str()).map_or_else(|| value.to_string(), str::to_owned)
}

fn when(condition: &Value) -> String {
    let Some(left) = condition.get("left") else { return format!("{} is true", named(condition)) };
    let is = condition.get("is").and_then(Value::as_str).unwrap_or_default();
    match condition.get("right") {
        None | Some(Value::Null) => format!("{} is {}", named(left), is.replace('_', " ")),
        Some(right) => format!("{} {is} {right}", named(left)),
    }
}

/// A text in lines of at most `columns`, with nothing left out: the first one indented by `first`, the others by `rest`.
fn folded(text: &str, first: usize, rest: usize, columns: usize) -> Vec<String> {
    let (mut lines, mut line, mut indent) = (Vec::new(), String::new(), first);
    let rest = if rest + ROOM > columns { first } else { rest };
    for c in text.chars() {
        line.push(c);
        if width(&line) > columns.saturating_sub(indent).max(ROOM) {
            // Where there is no space to end the line at, it ends within a word.
            let end = line.rfind(' ').map_or(line.len() - c.len_utf8(), |space| space + 1);
            let after = line.split_off(end);
            lines.push(format!("{:indent$}{line}", ""));
            (line, indent) = (after, rest);
        }
    }
    if !line.is_empty() {
        lines.push(format!("{:indent$}{line}", ""));
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_character_of_a_long_argument_is_left_out() {
        let text = format!("{} and then {}\u{202e}", "word ".repeat(40), "x".repeat(300));
        let step = json!({ "id": "s1", "tool": "files.write_text", "args": { "text": text }, "why": "keep it" });
        let lines = drawn(&[step], 60);
        assert!(lines.iter().all(|line| width(line) <= 60), "{lines:#?}");
        let told: String = lines.concat().split_whitespace().collect();
        let whole: String = text.replace('\u{202e}', "\\u{202e}").split_whitespace().collect();
        assert!(told.contains(&whole), "{told}");
    }

    #[test]
    fn each_way_of_saying_when_is_told() {
        let step = json!({
            "id": "s2", "tool": "t", "for_each": {"$ref": "s1.files"}, "args": {"path": {"$ref": "item.path"}, "n": 3}, "after": ["s1"],
            "if": {"left": {"$ref": "s1.count"}, "is": ">", "right": 3},
        });
        let lines = ["  s2  t", "      for each item of s1.files", "      only if s1.count > 3"];
        assert_eq!(drawn(std::slice::from_ref(&step), 60)[..3], lines);
        assert_eq!(flow(&step)[2..], ["path <- item.path", "n = 3", "after s1"]);
        assert_eq!(flow(&json!({ "if": {"$ref": "s1.ok"} })), ["only if s1.ok is true"]);
        assert_eq!(
            flow(&json!({ "if": {"left": {"$ref": "s1.l"}, "is": "not_empty"} })),
            ["only if s1.l is not empty"]
        );
    }
}
