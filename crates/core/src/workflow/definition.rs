//! The workflow file, version 1, as an author writes it. The only place that knows YAML.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use serde_saphyr::Location;
pub(super) use serde_saphyr::Spanned;

use super::diagnostic::{Diagnostic, Diagnostics, Place, did_you_mean};
use super::field::Field;
use super::unit::{Count, Span};

/// A workflow file that was read: its shape is right, its meaning is not checked yet.
#[derive(Clone, Debug)]
pub struct Definition {
    pub(crate) file: String,
    pub(crate) source: String,
    pub(crate) top: Top,
    /// The texts of the files that it names, by the path written in it.
    pub(crate) texts: BTreeMap<String, String>,
}

impl Definition {
    /// Reads a workflow. `file` is its name in messages; `read` gives the text of a file that the workflow names, by the
    /// path written in it, or says why it cannot.
    pub fn parse(
        file: &str,
        source: &str,
        mut read: impl FnMut(&str) -> Result<String, String>,
    ) -> Result<Definition, Diagnostics> {
        let options = serde_saphyr::options! {
            strict_booleans: true,
            with_snippet: false,
            merge_keys: serde_saphyr::MergeKeyPolicy::Error,
        };
        let top: Top = serde_saphyr::from_str_with_options(source, options).map_err(|error| {
            let place = error.location().map(place_of);
            Diagnostics::new(file, source, vec![yaml_error(source, place, &error.to_string())])
        })?;
        let mut problems = Vec::new();
        let version = &top.parkway;
        if version.value != 1 {
            let message = format!("format version {} is not known", version.value);
            problems.push(
                Diagnostic::new("unknown-version", place_of(version.referenced), message).help("write `parkway: 1`"),
            );
        }
        let mut definition = Definition { file: file.into(), source: source.into(), top, texts: BTreeMap::new() };
        let mut texts = BTreeMap::new();
        definition.top.steps.each_text(&mut |text| {
            let TextDef::File(path) = &text.value else { return };
            match read(path) {
                Ok(content) => drop(texts.insert(path.clone(), content)),
                Err(why) => problems.push(
                    Diagnostic::new("missing-file", place_of(text.referenced), format!("cannot read `{path}`: {why}"))
                        .help("the path is relative to the workflow file"),
                ),
            }
        });
        definition.texts = texts;
        if problems.is_empty() { Ok(definition) } else { Err(Diagnostics::new(file, source, problems)) }
    }

    /// The workflow's name: the one in the file, else the file's own without its ending.
    pub fn name(&self) -> String {
        let stem = || {
            let name = self.file.rsplit('/').next().unwrap_or(&self.file);
            name.split('.').next().unwrap_or(name).to_owned()
        };
        self.top.name.clone().unwrap_or_else(stem)
    }

    /// The models that it declares, by their names in it.
    pub fn models(&self) -> BTreeMap<String, ModelSpec> {
        self.top.models.iter().map(|(name, model)| (name.value.clone(), model.clone())).collect()
    }

    /// What the author says about it.
    pub fn description(&self) -> Option<&str> {
        self.top.description.as_deref()
    }

    /// That the site does not allow what the file grants to families of tools: each family with what is wrong.
    pub fn refused_grants(&self, refused: Vec<(String, String)>) -> Diagnostics {
        let problem = |(family, message): (String, String)| {
            let key = self.top.tools.iter().map(|(key, _)| key).find(|key| key.value == family);
            Diagnostic::new("out-of-bounds", key.map(|key| place_of(key.referenced)), message)
                .help("grant less, or widen `roots` in parkway.toml; `parkway config show` says where it is set")
        };
        self.diagnostics(refused.into_iter().map(problem).collect())
    }

    pub(crate) fn diagnostics(&self, list: Vec<Diagnostic>) -> Diagnostics {
        Diagnostics::new(&self.file, &self.source, list)
    }
}

/// Where a model comes from, as a workflow says it. The site may bind another model to the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ModelSpec {
    /// A GGUF file for the model inside the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gguf: Option<GgufSpec>,
    /// Tokens of context to set up; the adapter's default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<u32>,
    /// Layers to put on the GPU: a number, `all`, or `auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_layers: Option<GpuLayers>,
}

/// Which GGUF file: one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct GgufSpec {
    /// A name that `parkway models list` knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A path, relative to the project root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// How many layers of a model go to the GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GpuLayers {
    /// All where there is a GPU, none elsewhere.
    #[default]
    Auto,
    /// All; an error where there is no GPU.
    All,
    /// This many.
    Count(u32),
}

impl Serialize for GpuLayers {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            GpuLayers::Auto => serializer.serialize_str("auto"),
            GpuLayers::All => serializer.serialize_str("all"),
            GpuLayers::Count(count) => serializer.serialize_u32(*count),
        }
    }
}

impl<'de> Deserialize<'de> for GpuLayers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) if text == "auto" => Ok(GpuLayers::Auto),
            Value::String(text) if text == "all" => Ok(GpuLayers::All),
            Value::Number(number) => number
                .as_u64()
                .and_then(|n| u32::try_from(n).ok())
                .map(GpuLayers::Count)
                .ok_or_else(|| D::Error::custom("`gpu_layers` is a number of layers, `all`, or `auto`")),
            _ => Err(D::Error::custom("`gpu_layers` is a number of layers, `all`, or `auto`")),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Top {
    pub(crate) parkway: Spanned<u32>,
    #[serde(default)]
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) description: Option<String>,
    #[serde(default)]
    pub(crate) inputs: Entries<Field>,
    #[serde(default)]
    pub(crate) models: Entries<ModelSpec>,
    #[serde(default)]
    pub(crate) tools: Entries<Value>,
    #[serde(default)]
    pub(crate) budget: BudgetDef,
    pub(crate) steps: Steps,
    #[serde(default)]
    pub(crate) outputs: Option<Spanned<Map<String, Value>>>,
    #[serde(default)]
    pub(crate) ensure: Vec<Spanned<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BudgetDef {
    #[serde(default)]
    pub(crate) tokens: Option<Count>,
    #[serde(default)]
    pub(crate) tool_calls: Option<Count>,
    #[serde(default)]
    pub(crate) wall: Option<Span>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Steps(pub(crate) Entries<StepDef>);

impl Steps {
    fn each_text(&self, visit: &mut impl FnMut(&Spanned<TextDef>)) {
        for (_, step) in self.0.iter() {
            if let Some(chat) = &step.chat {
                chat.value.prompt.iter().chain(&chat.value.system).for_each(&mut *visit);
            }
            if let Some(steps) = &step.steps {
                steps.each_text(visit);
            }
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepDef {
    #[serde(default)]
    pub(crate) description: Option<String>,
    #[serde(default)]
    pub(crate) needs: Vec<Spanned<String>>,
    #[serde(default, rename = "if")]
    pub(crate) condition: Option<Spanned<Value>>,
    #[serde(default)]
    pub(crate) run_if: Option<Spanned<String>>,
    #[serde(default)]
    pub(crate) for_each: Option<Spanned<Value>>,
    #[serde(default, rename = "as")]
    pub(crate) item_name: Option<Spanned<String>>,
    #[serde(default)]
    pub(crate) key: Option<Spanned<String>>,
    #[serde(default)]
    pub(crate) max_parallel: Option<Spanned<u32>>,
    #[serde(default)]
    pub(crate) on_item_error: Option<Spanned<String>>,
    #[serde(default)]
    pub(crate) retry: Option<RetryDef>,
    #[serde(default)]
    pub(crate) timeout: Option<Span>,
    #[serde(default)]
    pub(crate) on_error: Option<Spanned<String>>,

    #[serde(default)]
    pub(crate) tool: Option<Spanned<String>>,
    #[serde(default)]
    pub(crate) with: Option<Spanned<Map<String, Value>>>,
    #[serde(default)]
    pub(crate) chat: Option<Spanned<ChatDef>>,
    #[serde(default)]
    pub(crate) set: Option<Spanned<Map<String, Value>>>,
    #[serde(default)]
    pub(crate) approve: Option<Spanned<ApproveDef>>,
    #[serde(default)]
    pub(crate) steps: Option<Steps>,
    #[serde(default)]
    pub(crate) result: Option<Spanned<Value>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChatDef {
    pub(crate) model: Spanned<String>,
    #[serde(default)]
    pub(crate) system: Option<Spanned<TextDef>>,
    #[serde(default)]
    pub(crate) prompt: Option<Spanned<TextDef>>,
    #[serde(default)]
    pub(crate) output: Option<Entries<Field>>,
    #[serde(default)]
    pub(crate) output_schema: Option<Spanned<Value>>,
    #[serde(default)]
    pub(crate) temperature: Option<f64>,
    #[serde(default)]
    pub(crate) max_tokens: Option<Count>,
    #[serde(default)]
    pub(crate) seed: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApproveDef {
    pub(crate) prompt: Spanned<String>,
    #[serde(default)]
    pub(crate) timeout: Option<Span>,
    #[serde(default)]
    pub(crate) show: Option<Spanned<Value>>,
}

/// A text, or `{ file: path }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TextDef {
    Inline(String),
    File(String),
}

impl<'de> Deserialize<'de> for TextDef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct FileDef {
            file: String,
        }
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = TextDef;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or `{ file: path }`")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<TextDef, E> {
                Ok(TextDef::Inline(text.into()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TextDef, A::Error> {
                let file = FileDef::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(TextDef::File(file.file))
            }
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

/// A number of retries, or all of the policy.
#[derive(Clone, Debug)]
pub(crate) struct RetryDef(pub(crate) RetryParts);

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryParts {
    pub(crate) max: u32,
    #[serde(default)]
    pub(crate) initial: Option<Span>,
    #[serde(default)]
    pub(crate) factor: Option<f64>,
    #[serde(default)]
    pub(crate) limit: Option<Span>,
    #[serde(default)]
    pub(crate) on: Vec<String>,
}

impl<'de> Deserialize<'de> for RetryDef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RetryVisitor;
        impl<'de> Visitor<'de> for RetryVisitor {
            type Value = RetryDef;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of retries, or `{ max, initial, factor, limit, on }`")
            }
            fn visit_u64<E: serde::de::Error>(self, max: u64) -> Result<RetryDef, E> {
                let max = u32::try_from(max).map_err(|_| E::custom("too many retries"))?;
                Ok(RetryDef(RetryParts { max, ..RetryParts::default() }))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RetryDef, A::Error> {
                RetryParts::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(RetryDef)
            }
        }
        deserializer.deserialize_any(RetryVisitor)
    }
}

/// A YAML map in the order of its lines, with the places of its keys.
#[derive(Clone, Debug)]
pub(crate) struct Entries<T>(Vec<(Spanned<String>, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Entries(Vec::new())
    }
}

impl<T> Entries<T> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Spanned<String>, &T)> {
        self.0.iter().map(|(key, value)| (key, value))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
            type Value = Entries<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

pub(crate) fn place_of(location: Location) -> Place {
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).max(1);
    Place { line: number(location.line()), column: number(location.column()) }
}

/// The parser's message in our words, with a hint for the mistakes that authors make most.
fn yaml_error(source: &str, place: Option<Place>, message: &str) -> Diagnostic {
    // The parser appends its own place, which we show in our own way.
    let message = message.split(" at line ").next().unwrap_or(message).trim_end_matches(',');
    let quoted = |message: &str| message.split('`').nth(1).unwrap_or_default().to_owned();
    let expected = |message: &str| -> Vec<String> {
        let list = message.split_once("expected one of ").map_or("", |(_, list)| list);
        list.split(", ").map(|name| name.trim_matches('`').to_owned()).filter(|name| !name.is_empty()).collect()
    };
    let one_of = |code, message: String, known: Vec<String>, name: &str| {
        let help = did_you_mean(name, known.iter().map(String::as_str).collect::<Vec<_>>());
        Diagnostic { help, ..Diagnostic::new(code, place, message) }
    };
    let plain = |code, message: &str| Diagnostic::new(code, place, message);
    if source.trim().is_empty() {
        return plain("yaml", "the file is empty").help("a workflow begins with `parkway: 1`");
    }
    if message.starts_with("unknown field") {
        let name = quoted(message);
        return one_of("unknown-key", format!("`{name}` is no key here"), expected(message), &name);
    }
    if message.starts_with("unknown variant") {
        let name = quoted(message);
        return one_of("bad-value", format!("`{name}` is no value here"), expected(message), &name);
    }
    if message.starts_with("missing field") {
        let name = quoted(message);
        let missing = plain("missing-key", &format!("the key `{name}` is missing"));
        return if name == "parkway" { missing.help("a workflow begins with `parkway: 1`") } else { missing };
    }
    if let Some(rest) = message.strip_prefix("duplicate mapping key: ") {
        let name = rest.split(", set ").next().unwrap_or(rest);
        return plain("duplicate-key", &format!("the key `{name}` stands here twice"))
            .help("rename or remove one of them");
    }
    if message.contains("merge keys") {
        return plain("yaml", "merge keys (`<<`) are no part of the format").help("write the keys out");
    }
    if message.starts_with("budget breached") || message.starts_with("recursion limit") {
        return plain("too-large", "the file nests too deep, or its aliases make too much of it")
            .help("write what is needed, without aliases of aliases");
    }
    let line = place.and_then(|place| source.lines().nth(place.line.saturating_sub(1) as usize)).unwrap_or_default();
    let diagnostic = match message {
        "expected mapping start" => plain("yaml", "keys with values are expected here"),
        "unexpected end of input" => plain("yaml", "the file ends too early"),
        other => plain("yaml", other),
    };
    if line.contains("${{") {
        let help = "an expression that holds `: ` or ` #`, or stands inside braces, must be quoted: \"${{ … }}\"";
        return diagnostic.help(help);
    }
    if message.contains("tabs disallowed") {
        return diagnostic.help("indent with spaces");
    }
    if message.contains("did not find expected key") {
        return diagnostic.help("the keys of one map begin in the same column");
    }
    diagnostic
}
