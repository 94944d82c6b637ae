//! Writes LoRA adapters for the model of the tests, with weights made up from a seed, and files that are nearly adapters.

use std::fs;
use std::path::{Path, PathBuf};

/// Layers and widths of SmolLM2-135M.
const LAYERS: u64 = 30;
pub(crate) const WIDTH: u64 = 576;
pub(crate) const WORDS: u64 = 49_152;
pub(crate) const RANK: u64 = 8;
/// What makes the strength of these adapters theirs: the same number.
pub(crate) const ALPHA: f32 = 8.0;

/// A GGUF file that is put together.
#[derive(Clone)]
pub(crate) struct Gguf {
    texts: Vec<(String, String)>,
    floats: Vec<(String, f32)>,
    tokens: Vec<(String, Vec<u32>)>,
    pub(crate) tensors: Vec<Tensor>,
}

/// A tensor: its name, its shape with the innermost dimension first, the number of its form, and its bytes.
#[derive(Clone)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) shape: Vec<u64>,
    pub(crate) kind: u32,
    pub(crate) bytes: Vec<u8>,
}

impl Tensor {
    pub(crate) fn new(name: &str, shape: &[u64], values: impl Iterator<Item = f32>) -> Self {
        let n = usize::try_from(shape.iter().product::<u64>()).unwrap();
        let bytes: Vec<u8> = values.take(n).flat_map(f32::to_le_bytes).collect();
        assert_eq!(bytes.len(), 4 * n);
        Tensor { name: name.into(), shape: shape.to_vec(), kind: 0, bytes }
    }
}

/// Numbers from -1 to 1, the same ones for a seed.
pub(crate) fn noise(seed: u64) -> impl Iterator<Item = f32> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f32::from(u16::try_from((z ^ (z >> 31)) >> 48).unwrap()) / 32_768.0 - 1.0
    })
}

impl Gguf {
    /// An adapter that changes how each layer asks, and what it writes. `strength` 0 changes nothing.
    pub(crate) fn lora(seed: u64, strength: f32) -> Self {
        let mut file = Gguf::empty();
        for layer in 0..LAYERS {
            let parts = [("attn_q", WIDTH, WIDTH), ("attn_output", WIDTH, WIDTH), ("ffn_down", 1_536, WIDTH)];
            for (part, (name, inner, outer)) in (0..).zip(parts) {
                let (name, seed) = (format!("blk.{layer}.{name}.weight"), seed * 1_000 + layer * 8 + part);
                file.pair(&name, (inner, outer), noise(seed), noise(seed + 500_000).map(|value| value * strength));
            }
        }
        file
    }

    /// An adapter with nothing in it.
    pub(crate) fn empty() -> Self {
        let texts = [("general.architecture", "llama"), ("general.type", "adapter"), ("adapter.type", "lora")];
        let texts = texts.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
        Gguf { texts, floats: vec![("adapter.lora.alpha".into(), ALPHA)], tokens: Vec::new(), tensors: Vec::new() }
    }

    pub(crate) fn pair(
        &mut self,
        name: &str,
        (inner, outer): (u64, u64),
        a: impl Iterator<Item = f32>,
        b: impl Iterator<Item = f32>,
    ) {
        let small = |value: f32| value * 0.1;
        self.tensors.push(Tensor::new(&format!("{name}.lora_a"), &[inner, RANK], a.map(small)));
        self.tensors.push(Tensor::new(&format!("{name}.lora_b"), &[RANK, outer], b.map(small)));
    }

    pub(crate) fn text(mut self, key: &str, value: &str) -> Self {
        self.texts.retain(|(known, _)| known != key);
        self.texts.push((key.into(), value.into()));
        self
    }

    pub(crate) fn float(mut self, key: &str, value: f32) -> Self {
        self.texts.retain(|(known, _)| known != key);
        self.floats.retain(|(known, _)| known != key);
        self.floats.push((key.into(), value));
        self
    }

    pub(crate) fn tokens(mut self, key: &str, tokens: &[u32]) -> Self {
        self.tokens.push((key.into(), tokens.to_vec()));
        self
    }

    /// Changes one tensor.
    pub(crate) fn with(mut self, name: &str, change: impl FnOnce(&mut Tensor)) -> Self {
        change(self.tensors.iter_mut().find(|tensor| tensor.name == name).unwrap());
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF\x03\0\0\0".to_vec();
        let text = |out: &mut Vec<u8>, text: &str| {
            out.extend((text.len() as u64).to_le_bytes());
            out.extend(text.as_bytes());
        };
        let word = |out: &mut Vec<u8>, word: usize| out.extend(u32::try_from(word).unwrap().to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend(((self.texts.len() + self.floats.len() + self.tokens.len()) as u64).to_le_bytes());
        for (key, value) in &self.texts {
            text(&mut out, key);
            word(&mut out, 8);
            text(&mut out, value);
        }
        for (key, value) in &self.floats {
            text(&mut out, key);
            word(&mut out, 6);
            out.extend(value.to_le_bytes());
        }
        for (key, values) in &self.tokens {
            text(&mut out, key);
            word(&mut out, 9);
            word(&mut out, 4);
            out.extend((values.len() as u64).to_le_bytes());
            values.iter().for_each(|value| out.extend(value.to_le_bytes()));
        }
        let mut offset = 0_u64;
        for Tensor { name, shape, kind, bytes } in &self.tensors {
            text(&mut out, name);
            word(&mut out, shape.len());
            shape.iter().for_each(|n| out.extend(n.to_le_bytes()));
            out.extend(kind.to_le_bytes());
            out.extend(offset.to_le_bytes());
            offset += (bytes.len() as u64).next_multiple_of(32);
        }
        for tensor in &self.tensors {
            out.resize(out.len().next_multiple_of(32), 0);
            out.extend(&tensor.bytes);
        }
        out.resize(out.len().next_multiple_of(32), 0);
        out
    }
}

/// A folder of its own for a test's adapters, which goes with it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("parkway-lora-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn lora(&self, name: &str, file: &Gguf) -> PathBuf {
        self.file(&format!("{name}.gguf"), &file.bytes())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
