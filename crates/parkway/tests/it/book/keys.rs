//! Each key of the format has its place in the book, with an example that is tested.

use serde_json::Value;

use super::pages::{apart, first_cells, pages, quoted, read, sections};

/// Where the keys of a place of the format are told: the place in the schema; the page and the section whose table has them,
/// or no section where each key has one of its own; and what stands before a key there.
const PLACES: &[(&str, &str, &str, &str)] = &[
    ("", "", "", ""),
    ("/$defs/file", "format/top.md", "Files", ""),
    ("/$defs/field", "format/fields.md", "Fields and schemas", ""),
    ("/$defs/model", "format/uses.md", "`models`", ""),
    ("/$defs/model/properties/gguf", "format/uses.md", "`models`", "gguf."),
    ("/$defs/model/properties/openai", "format/uses.md", "`models`", "openai."),
    ("/$defs/model/properties/openai/properties/timeouts", "format/uses.md", "`models`", "openai.timeouts."),
    ("/$defs/model/properties/adapters/additionalProperties/anyOf/1", "format/uses.md", "`models`", "adapters."),
    ("/$defs/retry/anyOf/1", "format/beside.md", "`retry`", ""),
    ("/$defs/rule", "format/uses.md", "`policy`", ""),
    ("/$defs/rule/properties/match", "format/uses.md", "`policy`", "match."),
    ("/$defs/rule/properties/examples/items", "format/uses.md", "`policy`", "examples."),
    ("/$defs/budget", "format/uses.md", "`budget`", ""),
    ("/$defs/defaults", "format/top.md", "`defaults`", ""),
    ("/$defs/chat", "format/chat.md", "Asking a model: `chat`", ""),
    ("/$defs/chat/properties/examples/items", "format/chat.md", "Asking a model: `chat`", "examples."),
    ("/$defs/chat/properties/messages/items", "format/chat.md", "Asking a model: `chat`", "messages."),
    ("/$defs/agent", "format/verbs.md", "`agent`", ""),
    ("/$defs/delegate", "format/verbs.md", "`agent`", "tools."),
    ("/$defs/plan", "format/verbs.md", "`plan`", ""),
    ("/$defs/plan_example", "format/verbs.md", "`plan`", "examples."),
    ("/$defs/approve", "format/people.md", "`approve`", ""),
    ("/$defs/input", "format/people.md", "`input`", ""),
    ("/$defs/wait/anyOf/1", "format/verbs.md", "`wait`", ""),
    ("/$defs/wait/anyOf/2", "format/verbs.md", "`wait`", ""),
    ("/$defs/repeat", "format/beside.md", "`repeat`", ""),
    ("/$defs/step", "", "", ""),
];
/// Keys of JSON Schema itself.
const FOREIGN: &[&str] = &["/properties/input_schema/anyOf/0"];

/// The objects of the format with their keys.
fn objects<'a>(schema: &'a Value, at: &str, found: &mut Vec<(String, Vec<&'a str>)>) {
    let Value::Object(map) = schema else {
        for (i, item) in schema.as_array().into_iter().flatten().enumerate() {
            objects(item, &format!("{at}/{i}"), found);
        }
        return;
    };
    if let Some(Value::Object(keys)) = map.get("properties") {
        found.push((at.to_owned(), keys.keys().map(String::as_str).collect()));
    }
    // What these say is about keys that are declared elsewhere.
    let conditions = ["examples", "dependentSchemas", "if", "then", "not", "oneOf"];
    for (name, value) in map {
        match value.as_object() {
            Some(keys) if name == "properties" => {
                for (key, value) in keys {
                    objects(value, &format!("{at}/properties/{key}"), found);
                }
            }
            _ if conditions.contains(&name.as_str()) => {}
            _ => objects(value, &format!("{at}/{name}"), found),
        }
    }
}

/// Whether an example says a key.
fn says(example: &str, key: &str) -> bool {
    example.match_indices(&format!("{key}:")).any(|(at, _)| {
        let before = example[..at].chars().next_back();
        before.is_none_or(|before| matches!(before, ' ' | '\n' | '{' | ','))
    })
}

#[test]
fn the_book_has_every_key_of_the_format_with_an_example() {
    let schema: Value = serde_json::from_str(&read("docs/parkway.schema.json")).unwrap();
    let mut places = Vec::new();
    objects(&schema, "", &mut places);
    assert!(places.len() > 15, "only {} places were found", places.len());
    let book: Vec<(String, Vec<(String, String)>)> = pages()
        .into_iter()
        .filter(|page| page.starts_with("format/"))
        .map(|page| (page.clone(), sections(&read(&format!("docs/src/{page}")))))
        .collect();
    let mut missing = Vec::new();
    for (place, keys) in places.iter().filter(|(place, _)| !FOREIGN.contains(&place.as_str())) {
        let Some((_, page, section, prefix)) = PLACES.iter().find(|known| known.0 == place) else {
            missing.push(format!("the keys of {place}: nobody says where the book tells them"));
            continue;
        };
        let of_page = book.iter().filter(|(name, _)| page.is_empty() || name == page);
        let on_page: Vec<_> = of_page.flat_map(|(_, sections)| sections).collect();
        for key in keys {
            let name = format!("{prefix}{key}");
            let mut told = on_page.iter().filter(|(title, text)| {
                if section.is_empty() {
                    quoted(title).any(|word| word == name)
                } else {
                    title == section && first_cells(text).flat_map(quoted).any(|word| word == name)
                }
            });
            let examples = |text: &str| {
                let (_, fences) = apart(text);
                fences.iter().any(|fence| fence.says.starts_with("yaml") && says(&fence.text, key))
            };
            match told.clone().next() {
                None => missing.push(format!("`{name}` of {place}: not in docs/src/{page}, {section}")),
                Some(_) if !told.any(|(_, text)| examples(text)) => {
                    missing.push(format!("`{name}` of {place}: no example in its section"));
                }
                Some(_) => {}
            }
        }
    }
    assert!(missing.is_empty(), "{} keys:\n{}", missing.len(), missing.join("\n"));
}
