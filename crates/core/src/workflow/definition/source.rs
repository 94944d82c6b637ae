//! Where a model comes from, as a workflow or the site says it.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::workflow::diagnostic::Diagnostic;
use crate::workflow::reading::Reader;
use crate::workflow::tree::{Kind, Tree};

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
    /// LoRA adapters that chats may name, and their files, relative to the project root.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub adapters: BTreeMap<String, String>,
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
    let adapters = keys.get(reader, "adapters").map(|tree| reader.entries(tree, |reader, _, tree| reader.text(tree)));
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
            .map(|(name, path)| (name.value.clone(), path.value.clone()))
            .collect(),
    })
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
    let key = keys.get(reader, "key").and_then(|tree| read_key(reader, tree));
    let server = keys.get(reader, "server").and_then(|tree| reader.word(tree, &SERVERS.map(|kind| (kind, kind))));
    let tools = keys.get(reader, "tools").and_then(|tree| reader.flag(tree));
    keys.finish(reader);
    if let Some(url) =
        url.as_ref().filter(|url| !url.value.starts_with("http://") && !url.value.starts_with("https://"))
    {
        let message = format!("`{}` is no address of a server", url.value);
        let help = "for example http://localhost:8080/v1";
        reader.problem(Diagnostic::new("bad-value", url.place, message).help(help));
    }
    let server = server.map(|kind| kind.value.to_owned());
    Some(OpenAiSpec { url: url?.value, model: model?.value, key, server, tools })
}

/// A key is never written into a file: only the name of the secret that holds it.
fn read_key(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<String> {
    let text = reader.text(tree)?;
    let inner = text.value.trim().strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}"));
    let name = inner.and_then(|inner| inner.trim().strip_prefix("secrets."));
    if name.is_none() {
        let message = "a key is never written into a file";
        let help = "name the secret that holds it, and declare it: `key: ${{ secrets.NAME }}`, `secrets: [NAME]`";
        reader.problem(Diagnostic::new("bad-key-source", tree.place, message).help(help));
    }
    name.map(str::to_owned)
}
