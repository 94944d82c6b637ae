//! LoRA adapters: small changes to a model's weights, each in a file of its own. A batch is computed with one of them, or with none.

use std::path::{Path, PathBuf};

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::model::{LlamaLoraAdapter, LlamaModel};
use parkway_core::model::{AdapterFile, Capabilities, ModelError};
use serde::{Deserialize, Serialize};

use crate::gguf::{Head, Tensor, Value};
use crate::load::{check_file, hash_file};
use crate::{LlamaConfig, LoadError};

/// One of a model's adapters, by its number; `None` is the model as it is.
pub(crate) type Adapter = Option<usize>;

/// The form of weights that llama.cpp ends the process for where an adapter is put on them.
const NVFP4: u32 = 40;
/// The weights that a model reads tokens with, and where it has no others, writes them with.
const READS: &str = "token_embd.weight";
const WRITES: &str = "output.weight";

/// An adapter that is to be loaded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// How strongly it acts, in thousandths.
    pub(crate) scale_milli: i32,
}

/// The adapters of a model, each with how strongly it acts. They live as long as the model, which frees them.
#[derive(Debug, Default)]
pub(crate) struct Adapters(Vec<(LlamaLoraAdapter, f32)>);

impl Adapters {
    /// Puts one on a context in place of whichever is on, or takes that off. To be said before each batch: it costs nothing where
    /// nothing changes.
    pub(crate) fn put_on(&mut self, adapter: Adapter, context: &mut LlamaContext<'_>) -> Result<(), ModelError> {
        let defect = |message: String| ModelError::Backend { message, retryable: false };
        match adapter {
            Some(number) => {
                let known = self.0.get_mut(number).ok_or_else(|| defect(format!("there is no adapter {number}")))?;
                context.lora_adapter_set(&mut known.0, known.1).map_err(|error| defect(error.to_string()))
            }
            // It takes all off, whichever it is told. A model without adapters has none on.
            None => self
                .0
                .first_mut()
                .map_or(Ok(()), |(any, _)| context.lora_adapter_remove(any).map_err(|error| defect(error.to_string()))),
        }
    }
}

/// Loads the adapters of a model, before it has a context: the context is made as large as they need.
pub(crate) fn load(
    config: &LlamaConfig,
    model: &mut LlamaModel,
    capabilities: &mut Capabilities,
) -> Result<Adapters, LoadError> {
    let mut adapters = Adapters::default();
    if config.adapters.is_empty() {
        return Ok(adapters);
    }
    let base = Head::read(&config.path);
    for named in &config.adapters {
        let fail = |cause| LoadError::Adapter { name: named.name.clone(), path: named.path.clone(), cause };
        let (adapter, hash) = open(&named.path, base.as_ref(), model).map_err(fail)?;
        #[expect(clippy::cast_precision_loss, reason = "a scale of more than 24 bits is none")]
        adapters.0.push((adapter, named.scale_milli as f32 / 1_000.0));
        capabilities.adapters.push(named.name.clone());
        let file = AdapterFile { hash, scale_milli: named.scale_milli };
        capabilities.adapter_files.insert(named.name.clone(), file);
    }
    Ok(adapters)
}

/// Loads one adapter, or tells what is in the way. Gives the SHA-256 (hex) of its file, too.
fn open(
    path: &Path,
    base: Result<&Head, &String>,
    model: &mut LlamaModel,
) -> Result<(LlamaLoraAdapter, String), String> {
    check_file(path).map_err(|error| match error {
        LoadError::Missing { .. } => "there is no such file; correct the path".to_owned(),
        LoadError::Unreadable { cause, .. } => {
            format!("it cannot be read ({cause}); check that it is a file and that you may read it")
        }
        _ => format!("it is no GGUF file; {CONVERT}"),
    })?;
    let base = base.map_err(|cause| format!("the head of the model's file cannot be read: {cause}"))?;
    check(&Head::read(path)?, base)?;
    let hash = hash_file(path).map_err(|error| error.to_string())?;
    let adapter = model
        .lora_adapter_init(path)
        .map_err(|_| "llama.cpp refuses it; its own words are logged through `tracing` at level error".to_owned())?;
    Ok((adapter, hash))
}

const CONVERT: &str = "make one of a PEFT adapter with llama.cpp's `convert_lora_to_gguf.py`";

/// Whether an adapter fits a model. llama.cpp ends the process for some of what does not, and passes over some of it.
fn check(adapter: &Head, base: &Head) -> Result<(), String> {
    let (kind, form) = (adapter.text("general.type"), adapter.text("adapter.type"));
    if kind != Some("adapter") || form != Some("lora") {
        return Err(format!("it is no LoRA adapter; {CONVERT}"));
    }
    let arch = "general.architecture";
    let (of, is) = (adapter.text(arch).unwrap_or_default(), base.text(arch).unwrap_or_default());
    if of != is {
        return Err(format!("it was made for a model of the kind `{of}`, and this one is of the kind `{is}`; {OTHER}"));
    }
    if adapter.value("adapter.alora.invocation_tokens").is_some() {
        return Err("it is an activated LoRA, which is on from certain words on only; take a plain one".into());
    }
    if !matches!(adapter.value("adapter.lora.alpha"), None | Some(Value::Float(f32::MIN..=f32::MAX))) {
        return Err(format!("its `adapter.lora.alpha` is no number; {CONVERT}"));
    }
    let mut pairs = 0;
    for (name, tensor) in &adapter.tensors {
        match (name.strip_suffix(".lora_a"), name.strip_suffix(".lora_b")) {
            (Some(of), _) => {
                pair(adapter, base, of)?;
                pairs += 1;
            }
            (_, Some(of)) if adapter.tensors.contains_key(&format!("{of}.lora_a")) => {}
            (_, Some(of)) => return Err(format!("its part `{of}.lora_a` is missing; {CONVERT}")),
            _ if name.ends_with("_norm.weight") => {
                tracing::warn!(name, ?tensor, "an adapter brings a norm, which llama.cpp passes over");
            }
            _ => return Err(format!("it has a part that is no LoRA, `{name}`; {CONVERT}")),
        }
    }
    if pairs == 0 {
        return Err(format!("it changes nothing; {CONVERT}"));
    }
    Ok(())
}

const OTHER: &str = "take one that was trained on this model";

/// Whether the two tensors that change one of the model's fit it: `b · a` has its shape.
fn pair(adapter: &Head, base: &Head, of: &str) -> Result<(), String> {
    let find = |part: &str| {
        let name = format!("{of}.lora_{part}");
        let tensor = adapter.tensors.get(&name).ok_or_else(|| format!("its part `{name}` is missing; {CONVERT}"))?;
        if !tensor.is_plain() {
            return Err(format!("its part `{name}` is of none of the forms F32, F16, BF16 and Q8_0; {CONVERT}"));
        }
        if !adapter.holds(tensor) {
            return Err(format!("it ends before its part `{name}` does; fetch it again"));
        }
        Ok(*tensor)
    };
    let (a, b) = (find("a")?, find("b")?);
    let changed =
        base.tensors.get(of).ok_or_else(|| format!("it changes `{of}`, which this model does not have; {OTHER}"))?;
    if of == READS && !base.tensors.contains_key(WRITES) {
        return Err(format!(
            "it changes `{of}`, which this model writes tokens with as well: llama.cpp cannot do that; take one that leaves it alone"
        ));
    }
    if changed.kind == NVFP4 || changed.shape[1] == 1 {
        return Err(format!("it changes `{of}`, on which llama.cpp puts no adapter; take one that leaves it alone"));
    }
    if !fits(of, &a, &b, changed) {
        return Err(format!(
            "its parts for `{of}` are of the shapes {:?} and {:?}, and that is of the shape {:?}; {OTHER}",
            a.shape, b.shape, changed.shape
        ));
    }
    Ok(())
}

fn fits(of: &str, a: &Tensor, b: &Tensor, changed: &Tensor) -> bool {
    let [inner, outer, experts, rest] = changed.shape;
    let rank = b.shape[0];
    let (wanted_a, wanted_b) = match of {
        // Tokens are looked up in it, so that it lies the other way round.
        READS => ([rank, outer, experts, rest], [rank, inner, experts, rest]),
        _ => ([inner, rank, experts, rest], [rank, outer, experts, rest]),
    };
    rank > 0 && a.shape == wanted_a && b.shape == wanted_b
}
