//! The schema and the parser say the same, in both directions.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::file_schema;
use crate::workflow::Definition;
use crate::workflow::yaml;

thread_local! {
    static KNOWN: RefCell<BTreeMap<&'static str, BTreeSet<&'static str>>> = const { RefCell::new(BTreeMap::new()) };
}

/// The parser has asked for these keys in such a map.
pub(crate) fn known_at(what: &'static str, keys: &[&'static str]) {
    KNOWN.with_borrow_mut(|known| known.entry(what).or_default().extend(keys));
}

fn schema() -> Value {
    serde_json::from_str(file_schema()).unwrap()
}

fn validator() -> &'static Validator {
    static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| jsonschema::draft202012::new(&schema()).unwrap());
    &VALIDATOR
}

/// What the compiler, not the parser, says about the shape of a file.
const SHAPE: [&str; 6] = ["bad-id", "no-steps", "bad-retry", "bad-timeout", "approve-continue", "bad-temperature"];

fn read(path: &str) -> Result<String, String> {
    match path.rsplit('.').next() {
        Some("json") => Ok("{ \"type\": \"object\" }".into()),
        Some("jsonl") => Ok("{\"goal\":\"a\",\"lines\":[]}".into()),
        Some("md") => Ok("a text".into()),
        _ => Ok("parkway: 1\nsteps: { a: { set: { n: 1 } } }".into()),
    }
}

/// What the parser says of what values mean, which a schema cannot.
const MEANING: [&str; 5] = ["bad-default", "bad-pattern", "bad-schema", "bad-bounds", "bad-example"];

/// Why the parser refuses a file's shape. A file whose shape is not looked at, since its values mean nothing, has none.
fn refused(source: &str, read: impl FnMut(&str) -> Result<String, String>) -> Option<String> {
    match Definition::parse("test.yaml", source, read) {
        Err(problems) => {
            let shape = problems.list.iter().any(|problem| !MEANING.contains(&problem.code));
            Some(if shape { problems.to_string() } else { String::new() })
        }
        Ok(definition) => {
            let (_, problems) = definition.graph();
            problems.list.iter().any(|problem| SHAPE.contains(&problem.code)).then(|| problems.to_string())
        }
    }
}

/// A file in which every key stands, as far as keys can stand beside each other.
const EVERYTHING: &str = r##"
parkway: 1
inputs: { n: { type: string } }
models:
  main: { gguf: { name: x }, adapters: { a: { path: b } } }
  other: { openai: { url: "http://localhost/v1", model: m, timeouts: { connect: 1s } } }
policy: [{ match: { tool: t }, verdict: ask, examples: [{ tool: t }] }]
budget: {}
defaults: { retry: { max: 1 } }
steps:
  a: { chat: { model: main, prompt: { file: a.md }, examples: [{ prompt: a, answer: b }] } }
  b: { chat: { model: main, messages: [{ role: user, content: a }] } }
  c: { approve: { prompt: a } }
  d: { input: { prompt: a, output: { n: { type: string } } } }
  e: { wait: { signal: a, timeout: 1s } }
  f: { repeat: { until: true, max: 1 }, set: {} }
  g: { agent: { model: main, goal: a, tools: [{ workflow: a.yaml }] } }
  h: { plan: { model: main, goal: a, tools: [t], examples: [{ goal: a, lines: [] }] } }
"##;

/// Where the schema says what the parser calls so.
const PLACES: [(&str, &str); 25] = [
    ("a workflow", ""),
    ("a field", "/$defs/field"),
    ("a model", "/$defs/model"),
    ("`gguf`", "/$defs/model/properties/gguf"),
    ("`openai`", "/$defs/model/properties/openai"),
    ("`timeouts`", "/$defs/model/properties/openai/properties/timeouts"),
    ("an adapter", "/$defs/model/properties/adapters/additionalProperties/anyOf/1"),
    ("a rule of `policy`", "/$defs/rule"),
    ("`match`", "/$defs/rule/properties/match"),
    ("an example of a rule", "/$defs/rule/properties/examples/items"),
    ("`budget`", "/$defs/budget"),
    ("`defaults`", "/$defs/defaults"),
    ("`retry`", "/$defs/retry/anyOf/1"),
    ("a step", "/$defs/step"),
    ("`chat`", "/$defs/chat"),
    ("an example", "/$defs/chat/properties/examples/items"),
    ("`agent`", "/$defs/agent"),
    ("`plan`", "/$defs/plan"),
    ("an entry of `tools`", "/$defs/delegate"),
    ("an example of a plan", "/$defs/plan_example"),
    ("a message", "/$defs/chat/properties/messages/items"),
    ("a text", "/$defs/file"),
    ("`approve`", "/$defs/approve"),
    ("`input`", "/$defs/input"),
    ("`repeat`", "/$defs/repeat"),
];

#[test]
fn each_map_has_the_keys_that_the_parser_asks_for() {
    KNOWN.take();
    assert_eq!(refused(EVERYTHING, read), None);
    let (known, schema) = (KNOWN.take(), schema());
    let keys = |at: &str| -> BTreeSet<String> {
        schema.pointer(at).unwrap()["properties"].as_object().unwrap().keys().cloned().collect()
    };
    for (what, keys_there) in &known {
        let keys_there: BTreeSet<String> = keys_there.iter().map(|key| (*key).to_owned()).collect();
        let said: BTreeSet<String> = match PLACES.iter().find(|(name, _)| name == what) {
            Some((_, at)) => keys(at),
            None if *what == "`wait`" => &keys("/$defs/wait/anyOf/1") | &keys("/$defs/wait/anyOf/2"),
            None => panic!("where does the schema speak of {what}?"),
        };
        assert_eq!(said, keys_there, "{what}");
    }
    assert_eq!(known.len(), PLACES.len() + 1);
}

#[test]
fn every_key_is_described_for_those_who_hover() {
    fn visit(at: &str, value: &Value, defs: &Value) {
        if let Some(properties) = value.get("properties").and_then(Value::as_object)
            && value.get("type") == Some(&json!("object"))
            && value.get("additionalProperties") == Some(&json!(false))
        {
            for (key, property) in properties {
                let target = property.get("$ref").and_then(Value::as_str).map(|r| &defs[&r["#/$defs/".len()..]]);
                let described = |value: &Value| value.get("description").is_some();
                assert!(described(property) || target.is_some_and(described), "{at}/{key} has no description");
            }
        }
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| visit(&format!("{at}/{key}"), value, defs)),
            Value::Array(list) => list.iter().for_each(|value| visit(at, value, defs)),
            _ => {}
        }
    }
    let schema = schema();
    visit("", &schema, &schema["$defs"]);
}

#[test]
fn the_copy_among_the_documents_is_this_one() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/parkway.schema.json");
    assert_eq!(std::fs::read_to_string(docs).unwrap(), file_schema());
}

fn value_of(source: &str) -> Option<Value> {
    let (tree, problems) = yaml::parse(source);
    tree.filter(|_| problems.is_empty()).map(|tree| tree.to_value())
}

#[test]
fn good_files_are_good_for_both() {
    let validator = validator();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut paths = vec![root.join("examples/embed/intake.yaml"), root.join("crates/cli/src/examples/hello.yaml")];
    for folder in ["examples/workflows", "examples/workflows/weekly-report"] {
        let files = std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        paths.extend(files.filter(|path| path.extension().is_some_and(|ending| ending == "yaml")));
    }
    let mut good = 0;
    for path in paths {
        let source = std::fs::read_to_string(&path).unwrap();
        let folder = path.parent().unwrap().to_owned();
        let beside = |name: &str| std::fs::read_to_string(folder.join(name)).map_err(|error| error.to_string());
        let said = refused(&source, beside);
        let value = value_of(&source).unwrap();
        let verdict = validator.validate(&value);
        let verdict = verdict.map_err(|error| format!("{error} at {}", error.instance_path()));
        let path = path.display();
        assert_eq!(said.is_some(), verdict.is_err(), "{path}: {}{:?}", said.unwrap_or_default(), verdict.err());
        good += usize::from(said.is_none());
    }
    assert!(good >= 3, "only {good} files are good");
    assert!(validator.is_valid(&value_of(EVERYTHING).unwrap()));
}

/// Files whose mistake a schema cannot see, and why.
const UNSEEN: &[&str] = &[
    // What YAML itself does not allow, or the tree does not hold.
    "merge_key",
    // A pattern, a default, a schema or bounds that do not fit.
    "field_with_a_bad_pattern",
    "field_with_a_bad_default",
    "default_that_is_an_expression",
    "pattern_that_is_too_large",
    "input_schema_that_is_none",
    // Other files.
    "prompt_file_missing",
    "prompt_file_with_a_mistake",
    "schema_file_broken",
    "schema_file_missing",
    "workflow_in_a_circle",
    "default_of_a_boolean",
    "workflow_in_itself",
    "workflow_missing",
    "workflow_that_is_no_yaml",
    "workflow_with_mistakes",
    "duplicate_step_of_a_group",
    "duplicate_key",
    "duplicate_key_deep",
    "windows_line_ends",
];

#[test]
fn bad_shapes_are_bad_for_both() {
    let validator = validator();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/bad");
    let mut compared = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path.extension().is_none_or(|ending| ending != "yaml") || UNSEEN.contains(&name.as_str()) {
            continue;
        }
        let source = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        let Some(value) = value_of(&source) else { continue };
        let beside = |name: &str| std::fs::read_to_string(folder.join(name)).map_err(|error| error.to_string());
        let said = refused(&source, beside);
        assert_eq!(said.is_some(), !validator.is_valid(&value), "{name}: {}", said.unwrap_or_default());
        compared += usize::from(said.is_some());
    }
    assert!(compared >= 50, "only {compared} files");
}

/// Makes values that a schema describes, with at most one thing that it forbids.
struct Maker<'a> {
    schema: &'a Value,
    state: u64,
    faults: u32,
}

impl Maker<'_> {
    fn roll(&mut self, sides: usize) -> usize {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.state >> 33) as usize) % sides
    }

    fn pick<'v>(&mut self, list: &'v [Value]) -> &'v Value {
        &list[self.roll(list.len())]
    }

    fn fault(&mut self) -> bool {
        let now = self.faults > 0 && self.roll(25) == 0;
        self.faults -= u32::from(now);
        now
    }

    fn make(&mut self, schema: &Value, depth: usize) -> Value {
        // What kind of value an expression gives is checked when it is compiled, beside those that are computed.
        let computed = schema["$ref"] == "#/$defs/condition" || schema["type"] == json!(["string", "array"]);
        if !computed && self.fault() {
            let wrong = [json!(true), json!(3), json!(2.5), json!("a b"), json!([1]), json!({"zzz": 1}), json!({})];
            return self.pick(&wrong).clone();
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            if let Some(examples) = schema.get("examples").and_then(Value::as_array) {
                return self.pick(examples).clone();
            }
            let target = self.schema.pointer(&target[1..]).unwrap().clone();
            return self.make(&target, depth);
        }
        for key in ["examples", "enum"] {
            if let Some(values) = schema.get(key).and_then(Value::as_array) {
                return self.pick(values).clone();
            }
        }
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(branches) = schema.get("anyOf").and_then(Value::as_array) {
            let branch = self.pick(branches).clone();
            return self.make(&branch, depth);
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("object") => self.object(schema, depth),
            Some("array") => {
                let count = self.roll(3).max(usize::from(schema.get("minItems").is_some()));
                let count = if schema.get("uniqueItems").is_some() { count.min(1) } else { count };
                (0..count).map(|_| self.make(&schema["items"], depth + 1)).collect()
            }
            Some("boolean") => json!(self.roll(2) == 0),
            Some("integer" | "number") => json!(self.roll(3) + 1),
            _ => json!("text"),
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let mut map = Map::new();
        let empty = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let names = |value: Option<&Value>| -> Vec<String> {
            let list = value.and_then(Value::as_array).into_iter().flatten();
            list.filter_map(|name| name.as_str().map(str::to_owned)).collect()
        };
        let alternatives: Vec<String> = schema
            .get("oneOf")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .flat_map(|one| names(one.get("required")))
            .collect();
        let chosen =
            if alternatives.is_empty() { None } else { Some(alternatives[self.roll(alternatives.len())].clone()) };
        let mut wanted = names(schema.get("required"));
        wanted.extend(chosen);
        for key in properties.keys() {
            let fits = !alternatives.contains(key) && self.roll(if depth > 5 { 30 } else { 5 }) == 0;
            // A default is right or wrong by its field, which a schema does not see.
            if (fits && key != "default" || self.fault()) && !wanted.contains(key) {
                wanted.push(key.clone());
            }
        }
        // What goes with a key only goes with it; now and then it is left alone.
        let goes_with = schema.get("dependentRequired").and_then(Value::as_object);
        wanted.retain(|key| {
            goes_with.and_then(|map| map.get(key)).is_none_or(|with| names(Some(with)).iter().all(|w| w == "for_each"))
        });
        if wanted.iter().any(|key| ["as", "key", "max_parallel", "on_item_error"].contains(&key.as_str()))
            && properties.contains_key("for_each")
            && !wanted.contains(&"for_each".to_owned())
        {
            wanted.push("for_each".into());
        }
        for key in wanted {
            if !self.fault() {
                map.insert(key.clone(), self.make(&properties[&key], depth + 1));
            }
        }
        if let Some(others) = schema.get("additionalProperties").filter(|others| others.is_object()) {
            for name in ["a", "b", "c"].into_iter().take(1 + self.roll(2)) {
                map.insert(name.into(), self.make(others, depth + 1));
            }
        }
        if self.fault() {
            map.insert("zzz".into(), json!(1));
        }
        Value::Object(map)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// What the schema describes is read; and one wrong type, unknown key, missing key, or key at the wrong place is
    /// refused by both or by neither.
    #[test]
    fn made_files_are_good_or_bad_for_both(seed in any::<u64>(), faults in 0_u32..2) {
        let schema = schema();
        let value = Maker { schema: &schema, state: seed, faults }.object(&schema, 0);
        let said = refused(&value.to_string(), read);
        let verdict = validator().validate(&value).map_err(|error| format!("{error} at {}", error.instance_path()));
        prop_assume!(said.as_deref() != Some(""));
        prop_assert_eq!(said.is_some(), verdict.is_err(), "{}\n{:?}\n{:?}", value, said, verdict.err());
    }
}
