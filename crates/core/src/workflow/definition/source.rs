//! Where a model comes from, as a workflow or the site says it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::workflow::diagnostic::Diagnostic;
use crate::workflow::reading::Reader;
use crate::workflow::tree::{Kind, Tree};
use crate::workflow::unit::duration_text;

/// Where a model comes from, as a workflow says it. The site may bind another model to the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ModelSpec {
    /// A GGUF file for the model inside the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gguf: Option<GgufSpec>,
    /// A server that speaks OpenAI's protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openai: Option<OpenAiSpec>,
    /// Tokens of context to set up; the adapter's default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<u32>,
    /// Layers to put on the GPU: a number, `all`, or `auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_layers: Option<GpuLayers>,
    /// The GPUs that hold it, by the names that `parkway doctor` lists; all that there are if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<String>,
    /// How several GPUs share it; by layers if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_split: Option<GpuSplit>,
    /// Where the model runs; in a thread of this process if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// Whether each request is decoded alone, so that it can be decoded again with the same result.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deterministic: bool,
    /// LoRA adapters that chats may name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub adapters: BTreeMap<String, AdapterSpec>,
}

/// A LoRA adapter: the path of its file alone, or `{ path, scale }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "AdapterForm", into = "AdapterForm")]
#[non_exhaustive]
pub struct AdapterSpec {
    /// Its GGUF file, relative to the project root.
    pub path: String,
    /// How strongly it acts, in thousandths of what it was trained to.
    pub scale_milli: i32,
}

/// The two ways to write an adapter.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "an adapter is the path of a file, or `{ path, scale }`")]
enum AdapterForm {
    Path(String),
    Scaled(Scaled),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scaled {
    path: String,
    scale: Option<f64>,
}

impl TryFrom<AdapterForm> for AdapterSpec {
    type Error = String;

    fn try_from(form: AdapterForm) -> Result<Self, String> {
        let (path, scale) = match form {
            AdapterForm::Path(path) => (path, None),
            AdapterForm::Scaled(Scaled { path, scale }) => (path, scale),
        };
        let scale_milli =
            scale.map_or(Some(FULL), milli).ok_or_else(|| format!("that scale makes no sense: {SCALES}"))?;
        Ok(AdapterSpec { path, scale_milli })
    }
}

impl From<AdapterSpec> for AdapterForm {
    fn from(adapter: AdapterSpec) -> Self {
        match adapter.scale_milli {
            FULL => AdapterForm::Path(adapter.path),
            milli => AdapterForm::Scaled(Scaled { path: adapter.path, scale: Some(f64::from(milli) / 1_000.0) }),
        }
    }
}

/// The scale of an adapter that acts as strongly as it was trained to.
const FULL: i32 = 1_000;

/// What scales there are.
const SCALES: &str = "1 is as strongly as the adapter was trained to act, 0.5 half as strongly; -100 to 100";

fn milli(scale: f64) -> Option<i32> {
    #[expect(clippy::cast_possible_truncation, reason = "it is small")]
    (scale.abs() <= 100.0).then(|| (scale * 1_000.0).round() as i32)
}

/// Which GGUF file: one of the three.
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
    /// A Hugging Face repository, with a file in it after a colon where it has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
}

/// Which server, and which of its models.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OpenAiSpec {
    /// Its base URL, for example `http://localhost:8080/v1`.
    pub url: String,
    /// The model's name there.
    pub model: String,
    /// The secret that holds its key, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What kind of server it is, one of `llama-server`, `vllm`, `sglang`, `ray-serve`, `ollama`, `deepseek`, `openai` and `other`; the
    /// server is asked if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Whether it takes definitions of tools; what is known of its kind if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<bool>,
    /// How long it is waited for.
    #[serde(default, skip_serializing_if = "Timeouts::is_default")]
    pub timeouts: Timeouts,
}

/// How long a server is waited for; the adapter's defaults where absent. The step's own timeout bounds the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Timeouts {
    /// For a connection.
    #[serde(default, with = "duration_text", skip_serializing_if = "Option::is_none")]
    pub connect: Option<Duration>,
    /// For the first byte of an answer: the server may load the model, let the request wait, and read the prompt.
    #[serde(default, with = "duration_text", skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<Duration>,
    /// For the next byte of an answer that has begun.
    #[serde(default, with = "duration_text", skip_serializing_if = "Option::is_none")]
    pub next_byte: Option<Duration>,
}

impl Timeouts {
    fn is_default(&self) -> bool {
        *self == Timeouts::default()
    }
}

/// Kinds of servers.
const SERVERS: [&str; 8] = ["llama-server", "vllm", "sglang", "ray-serve", "ollama", "deepseek", "openai", "other"];

/// Where a model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Isolation {
    /// In a thread of this process.
    Thread,
    /// In a process of its own.
    Process,
}

/// How several GPUs share a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GpuSplit {
    /// Each has some of the layers.
    Layers,
    /// Each has some of the rows of each matrix.
    Rows,
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

impl GpuLayers {
    fn from_value(value: &Value) -> Option<GpuLayers> {
        match value {
            Value::String(text) if text == "auto" => Some(GpuLayers::Auto),
            Value::String(text) if text == "all" => Some(GpuLayers::All),
            Value::Number(number) => number.as_u64().and_then(|n| u32::try_from(n).ok()).map(GpuLayers::Count),
            _ => None,
        }
    }
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
        GpuLayers::from_value(&Value::deserialize(deserializer)?)
            .ok_or_else(|| D::Error::custom("`gpu_layers` is a number of layers, `all`, or `auto`"))
    }
}

/// Reads what stands under the name of a model.
pub(super) fn read_model(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<ModelSpec> {
    let mut keys = reader.keys(tree, "a model")?;
    let gguf = keys.get(reader, "gguf").and_then(|tree| read_gguf(reader, tree));
    let openai = keys.get(reader, "openai").and_then(|tree| read_openai(reader, tree));
    if let (true, true) = (keys.has("gguf"), keys.has("openai")) {
        let message = "a model comes from one place, this one has `gguf` and `openai`";
        reader.problem(Diagnostic::new("many-sources", keys.place, message).help("keep one of them"));
    }
    let context = keys.get(reader, "context").and_then(|tree| reader.count(tree));
    if let Some(context) =
        context.as_ref().filter(|context| context.value == 0 || u32::try_from(context.value).is_err())
    {
        let message = format!("a context of {} tokens makes no sense", context.value);
        reader.problem(Diagnostic::new("bad-value", context.place, message));
    }
    let gpu_layers = keys.get(reader, "gpu_layers").and_then(|tree| {
        let layers = GpuLayers::from_value(&tree.to_value());
        if layers.is_none() {
            let message = "`gpu_layers` is a number of layers, `all`, or `auto`";
            reader.problem(Diagnostic::new("bad-value", tree.place, message));
        }
        layers
    });
    let gpus = keys.get(reader, "gpus").map(|tree| reader.list(tree, |reader, tree| reader.text(tree)));
    let ways = [("layers", GpuSplit::Layers), ("rows", GpuSplit::Rows)];
    let gpu_split = keys.get(reader, "gpu_split").and_then(|tree| reader.word(tree, &ways));
    let places = [("thread", Isolation::Thread), ("process", Isolation::Process)];
    let isolation = keys.get(reader, "isolation").and_then(|tree| reader.word(tree, &places));
    let deterministic = keys.get(reader, "deterministic").and_then(|tree| reader.flag(tree)).unwrap_or(false);
    let adapters =
        keys.get(reader, "adapters").map(|tree| reader.entries(tree, |reader, _, tree| read_adapter(reader, tree)));
    keys.finish(reader);
    Some(ModelSpec {
        gguf,
        openai,
        context: context.and_then(|context| u32::try_from(context.value).ok()),
        gpu_layers,
        gpus: gpus.unwrap_or_default().into_iter().map(|name| name.value).collect(),
        gpu_split: gpu_split.map(|split| split.value),
        isolation: isolation.map(|isolation| isolation.value),
        deterministic,
        adapters: adapters
            .unwrap_or_default()
            .iter()
            .map(|(name, adapter)| (name.value.clone(), adapter.clone()))
            .collect(),
    })
}

fn read_adapter(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<AdapterSpec> {
    if !matches!(tree.kind, Kind::Map(_)) {
        return Some(AdapterSpec { path: reader.text(tree)?.value, scale_milli: FULL });
    }
    let mut keys = reader.keys(tree, "an adapter")?;
    let path = keys.required(reader, "path").and_then(|tree| reader.text(tree));
    let scale = keys.get(reader, "scale").and_then(|tree| reader.number(tree));
    keys.finish(reader);
    let Some(scale) = scale else { return Some(AdapterSpec { path: path?.value, scale_milli: FULL }) };
    let scale_milli = milli(scale.value);
    if scale_milli.is_none() {
        let message = format!("a scale of {} makes no sense", scale.value);
        reader.problem(Diagnostic::new("bad-value", scale.place, message).help(SCALES));
    }
    Some(AdapterSpec { path: path?.value, scale_milli: scale_milli? })
}

fn read_gguf(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<GgufSpec> {
    if let Kind::Text(text) = &tree.kind {
        let message = format!("expected a map (`gguf`), found the text `{text}`");
        let key = if text.ends_with(".gguf") { "path" } else { "name" };
        let help = format!("write `gguf: {{ {key}: {text} }}`");
        reader.problem(Diagnostic::new("bad-value", tree.place, message).help(help));
        return None;
    }
    let mut keys = reader.keys(tree, "`gguf`")?;
    let mut text = |reader: &mut Reader<'_, '_>, name| keys.get(reader, name).and_then(|tree| reader.text(tree));
    let (name, path, repo) = (text(reader, "name"), text(reader, "path"), text(reader, "repo"));
    let given = ["name", "path", "repo"].iter().filter(|name| keys.has(name)).count();
    if given != 1 {
        let message = format!("`gguf` says one of `name`, `path` and `repo`, this one says {given} of them");
        let help = "a `name` from `parkway models list`, the `path` of a file, or a `repo` to fetch from";
        reader.problem(Diagnostic::new("many-sources", keys.place, message).help(help));
    }
    keys.finish(reader);
    let value = |text: Option<crate::workflow::tree::At<String>>| text.map(|text| text.value);
    Some(GgufSpec { name: value(name), path: value(path), repo: value(repo) })
}

fn read_openai(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<OpenAiSpec> {
    let mut keys = reader.keys(tree, "`openai`")?;
    let url = keys.required(reader, "url").and_then(|tree| reader.text(tree));
    let model = keys.required(reader, "model").and_then(|tree| reader.text(tree));
    let key = keys.get(reader, "key").and_then(|tree| {
        let before = reader.problems.len();
        let key = read_key(reader, tree);
        // What stands there may be the key itself.
        for problem in &mut reader.problems[before..] {
            *problem = key_in_file(tree);
        }
        key
    });
    let server = keys.get(reader, "server").and_then(|tree| reader.word(tree, &SERVERS.map(|kind| (kind, kind))));
    let tools = keys.get(reader, "tools").and_then(|tree| reader.flag(tree));
    let timeouts = keys.get(reader, "timeouts").and_then(|tree| read_timeouts(reader, tree)).unwrap_or_default();
    keys.finish(reader);
    if let Some(url) =
        url.as_ref().filter(|url| !url.value.starts_with("http://") && !url.value.starts_with("https://"))
    {
        let message = format!("`{}` is no address of a server", url.value);
        let help = "for example http://localhost:8080/v1";
        reader.problem(Diagnostic::new("bad-value", url.place, message).help(help));
    }
    let server = server.map(|kind| kind.value.to_owned());
    Some(OpenAiSpec { url: url?.value, model: model?.value, key, server, tools, timeouts })
}

fn read_timeouts(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<Timeouts> {
    let mut keys = reader.keys(tree, "`timeouts`")?;
    let mut span = |reader: &mut Reader<'_, '_>, name| {
        let span = keys.get(reader, name).and_then(|tree| reader.duration(tree))?;
        if span.value.is_zero() {
            let message = "to wait no time for a server is not to ask it".to_owned();
            reader.problem(Diagnostic::new("bad-value", span.place, message).help("leave it out for the default"));
        }
        Some(span.value)
    };
    let timeouts = Timeouts {
        connect: span(reader, "connect"),
        first_byte: span(reader, "first_byte"),
        next_byte: span(reader, "next_byte"),
    };
    keys.finish(reader);
    Some(timeouts)
}

/// A key is never written into a file: only the name of the secret that holds it.
fn read_key(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<String> {
    let text = reader.text(tree)?;
    let inner = text.value.trim().strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}"));
    let name = inner.and_then(|inner| inner.trim().strip_prefix("secrets."));
    if name.is_none() {
        reader.problem(key_in_file(tree));
    }
    name.map(str::to_owned)
}

fn key_in_file(tree: &Tree) -> Diagnostic {
    let message = "a key is never written into a file";
    let help = "name the secret that holds it, and declare it: `key: ${{ secrets.NAME }}`, `secrets: [NAME]`";
    Diagnostic::new("bad-key-source", tree.place, message).help(help).unquoted()
}
