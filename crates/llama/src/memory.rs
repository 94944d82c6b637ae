//! How much of a GPU's memory a model needs, estimated from its file's header before the weights are loaded.

use std::path::Path;

use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;

use crate::device;

/// What a context is made for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Tokens that its cache holds.
    pub(crate) cells: u32,
    /// Tokens that are computed at a time.
    pub(crate) rows: u32,
}

/// Bytes that a model needs. Layers are taken to be of one size, so that it is an estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    /// Layers, without the output layer.
    pub(crate) layers: u32,
    /// Weights of a layer.
    pub(crate) layer: u64,
    /// Weights of the output layer.
    pub(crate) output: u64,
    /// What a layer keeps of the cache.
    pub(crate) cache: u64,
    /// What is computed with.
    pub(crate) work: u64,
}

impl Need {
    /// Reads the header of the file at `path`, which takes a fraction of a second; `None` where llama.cpp cannot read it.
    pub(crate) fn look(backend: &LlamaBackend, path: &Path, room: impl Fn(&LlamaModel) -> Room) -> Option<Self> {
        let params = device::on_cpu().with_no_alloc(true);
        let model = LlamaModel::load_from_file(backend, path, &params).ok()?;
        Some(Need::of(&model, room(&model)))
    }

    fn of(model: &LlamaModel, room: Room) -> Self {
        let number = |n: i32| u64::try_from(n).unwrap_or_default();
        let (vocab, wide, layers) = (number(model.n_vocab()), number(model.n_embd()), model.n_layer());
        let weights = model.size();
        // As many bits for each of its weights as the file has on average.
        let output = vocab * wide * weights / model.n_params().max(1);
        let kind = model.meta_val_str("general.architecture").unwrap_or_default();
        let head = |of: &str| -> u64 {
            let told = model.meta_val_str(&format!("{kind}.attention.{of}_length")).ok();
            told.and_then(|told| told.parse().ok()).unwrap_or(wide / u64::from(model.n_head().max(1)))
        };
        // Two bytes for each number. What keeps a running sum alone keeps no tokens.
        let token = 2 * u64::from(model.n_head_kv()) * (head("key") + head("value"));
        let cache = if model.is_recurrent() { 0 } else { token * u64::from(room.cells) };
        Need {
            layers,
            layer: weights.saturating_sub(output) / u64::from(layers.max(1)),
            output,
            cache,
            // Logits, and some rows as wide as the model, four bytes for each number.
            work: 4 * u64::from(room.rows) * (vocab + 16 * wide),
        }
    }

    /// The weights and the cache of so many layers, counted from the output, the output layer counted in.
    pub(crate) fn of_layers(&self, layers: u32) -> u64 {
        match layers.min(self.layers + 1) {
            0 => 0,
            layers => self.output + u64::from(layers - 1) * (self.layer + self.cache),
        }
    }

    /// How many layers have room in so many bytes, beside what is computed with.
    pub(crate) fn layers_in(&self, free: u64) -> u32 {
        let fits = |layers: &u32| self.of_layers(*layers) + self.work <= free;
        (1..=self.layers + 1).rev().find(fits).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_layers_as_fit() {
        let need = Need { layers: 10, layer: 90, output: 50, cache: 10, work: 40 };
        assert_eq!([0, 1, 2, 11, 99].map(|layers| need.of_layers(layers)), [0, 50, 150, 1_050, 1_050]);
        assert_eq!([89, 90, 189, 190, 1_089, 1_090].map(|free| need.layers_in(free)), [0, 1, 1, 2, 10, 11]);
    }
}
