//! Model files of a few layers with weights by chance, always the same ones: kinds of models of which no small one can be had. They talk
//! nonsense, and each token of it depends on all that was read.

use std::fs;
use std::path::PathBuf;

/// How a model remembers what it has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// By a running sum alone: Mamba.
    Recurrent,
    /// By running sums and attention: Jamba.
    Hybrid,
    /// By attention that in every second layer sees the last [`WINDOW`] tokens: Gemma 2.
    Sliding,
}

pub(crate) const WINDOW: u32 = 64;
/// Tokens that the models were not trained on.
const CONTEXT: u32 = 1_024;
const WIDE: usize = 64;
const INNER: usize = 2 * WIDE;
const STATE: usize = 16;
const RANK: usize = 4;
const HEADS: u32 = 4;
const HEAD: usize = 16;
const TEMPLATE: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}\
                        {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// The file of a model, written anew.
pub(crate) fn file(kind: Kind) -> PathBuf {
    let (name, file) = match kind {
        Kind::Recurrent => ("mamba", recurrent()),
        Kind::Hybrid => ("jamba", hybrid()),
        Kind::Sliding => ("gemma2", sliding()),
    };
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.gguf", std::process::id()));
    fs::write(&path, file.bytes()).unwrap();
    path
}

fn recurrent() -> Gguf {
    let mut file = Gguf::new("mamba", 3);
    file.sums();
    file.random("output.weight", &[WIDE, file.tokens], 0.4);
    (0..3).for_each(|layer| file.sum_layer(layer));
    file
}

fn hybrid() -> Gguf {
    let mut file = Gguf::new("jamba", 3);
    file.sums();
    file.number("jamba.attention.head_count", HEADS);
    file.numbers("jamba.attention.head_count_kv", &[0, 2, 0]);
    file.number("jamba.feed_forward_length", 128);
    file.random("output.weight", &[WIDE, file.tokens], 0.4);
    for layer in 0..3 {
        if layer == 1 {
            file.all(&format!("blk.{layer}.attn_norm.weight"), &[WIDE], 1.0);
            file.attention(layer);
        } else {
            file.sum_layer(layer);
            for (part, wide) in [("dt", RANK), ("b", STATE), ("c", STATE)] {
                file.all(&format!("blk.{layer}.ssm_{part}_norm.weight"), &[wide], 1.0);
            }
        }
        file.forward(layer);
    }
    file
}

fn sliding() -> Gguf {
    let mut file = Gguf::new("gemma2", 4);
    file.number("gemma2.attention.head_count", HEADS);
    file.number("gemma2.attention.head_count_kv", 2);
    file.number("gemma2.attention.key_length", HEAD as u32);
    file.number("gemma2.attention.value_length", HEAD as u32);
    file.number("gemma2.attention.sliding_window", WINDOW);
    file.number("gemma2.feed_forward_length", 128);
    for layer in 0..4 {
        file.all(&format!("blk.{layer}.attn_norm.weight"), &[WIDE], 1.0);
        file.attention(layer);
        file.forward(layer);
        // Layers say more than the token that is read, so that answers depend on what came before it.
        for part in ["post_attention_norm", "post_ffw_norm"] {
            file.all(&format!("blk.{layer}.{part}.weight"), &[WIDE], 3.0);
        }
    }
    file
}

/// A file in the form GGUF.
struct Gguf {
    kind: &'static str,
    tokens: usize,
    entries: Vec<Vec<u8>>,
    /// Names, sizes, numbers.
    tensors: Vec<(String, Vec<usize>, Vec<f32>)>,
}

impl Gguf {
    fn new(kind: &'static str, layers: u32) -> Self {
        let vocabulary = vocabulary();
        let mut file = Gguf { kind, tokens: vocabulary.len(), entries: Vec::new(), tensors: Vec::new() };
        file.text("general.architecture", kind);
        file.number(&format!("{kind}.context_length"), CONTEXT);
        file.number(&format!("{kind}.embedding_length"), WIDE as u32);
        file.number(&format!("{kind}.block_count"), layers);
        file.entry(&format!("{kind}.attention.layer_norm_rms_epsilon"), 6, &1e-5_f32.to_le_bytes());
        file.text("tokenizer.ggml.model", "gpt2");
        file.text("tokenizer.ggml.pre", "gpt-2");
        file.texts("tokenizer.ggml.tokens", &vocabulary);
        // 1: normal, 3: control.
        let kinds = vocabulary.iter().map(|token| if token.starts_with("<|") { 3 } else { 1 }).collect::<Vec<_>>();
        file.numbers("tokenizer.ggml.token_type", &kinds);
        file.texts("tokenizer.ggml.merges", &["e r".into(), "i n".into()]);
        file.number("tokenizer.ggml.bos_token_id", 258);
        file.number("tokenizer.ggml.eos_token_id", 259);
        file.text("tokenizer.chat_template", TEMPLATE);
        file.random("token_embd.weight", &[WIDE, file.tokens], 0.125);
        file.all("output_norm.weight", &[WIDE], 3.0);
        file
    }

    /// What the layers with running sums are like.
    fn sums(&mut self) {
        let kind = self.kind;
        for (key, value) in [("conv_kernel", 4), ("inner_size", INNER), ("state_size", STATE), ("time_step_rank", RANK)]
        {
            self.number(&format!("{kind}.ssm.{key}"), value as u32);
        }
    }

    fn sum_layer(&mut self, layer: usize) {
        let name = |part: &str| format!("blk.{layer}.{part}");
        self.all(&name("attn_norm.weight"), &[WIDE], 1.0);
        self.random(&name("ssm_in.weight"), &[WIDE, 2 * INNER], 0.3);
        self.random(&name("ssm_conv1d.weight"), &[4, INNER], 0.5);
        self.all(&name("ssm_conv1d.bias"), &[INNER], 0.0);
        self.random(&name("ssm_x.weight"), &[INNER, RANK + 2 * STATE], 0.2);
        self.random(&name("ssm_dt.weight"), &[RANK, INNER], 0.3);
        self.all(&name("ssm_dt.bias"), &[INNER], -4.0);
        // Some forget soon, others late.
        let forget = (0..STATE * INNER).map(|n| -0.05 * (1 + n % STATE) as f32).collect();
        self.tensors.push((name("ssm_a"), vec![STATE, INNER], forget));
        self.all(&name("ssm_d"), &[INNER], 1.0);
        self.random(&name("ssm_out.weight"), &[INNER, WIDE], 0.3);
    }

    fn attention(&mut self, layer: usize) {
        let name = |part: &str| format!("blk.{layer}.attn_{part}.weight");
        let (queries, keys) = (HEADS as usize * HEAD, 2 * HEAD);
        self.random(&name("q"), &[WIDE, queries], 0.25);
        self.random(&name("k"), &[WIDE, keys], 0.25);
        self.random(&name("v"), &[WIDE, keys], 0.25);
        self.random(&name("output"), &[queries, WIDE], 0.25);
    }

    fn forward(&mut self, layer: usize) {
        let name = |part: &str| format!("blk.{layer}.ffn_{part}.weight");
        self.all(&name("norm"), &[WIDE], 1.0);
        self.random(&name("gate"), &[WIDE, 128], 0.2);
        self.random(&name("up"), &[WIDE, 128], 0.2);
        self.random(&name("down"), &[128, WIDE], 0.2);
    }

    fn entry(&mut self, key: &str, kind: u32, value: &[u8]) {
        self.entries.push([text(key), kind.to_le_bytes().to_vec(), value.to_vec()].concat());
    }

    fn text(&mut self, key: &str, value: &str) {
        self.entry(key, 8, &text(value));
    }

    fn number(&mut self, key: &str, value: u32) {
        self.entry(key, 4, &value.to_le_bytes());
    }

    fn numbers(&mut self, key: &str, values: &[i32]) {
        self.list(key, 5, &values.iter().map(|value| value.to_le_bytes().to_vec()).collect::<Vec<_>>());
    }

    fn texts(&mut self, key: &str, values: &[String]) {
        self.list(key, 8, &values.iter().map(|value| text(value)).collect::<Vec<_>>());
    }

    fn list(&mut self, key: &str, kind: u32, values: &[Vec<u8>]) {
        let head = [kind.to_le_bytes().to_vec(), (values.len() as u64).to_le_bytes().to_vec()];
        self.entry(key, 9, &[head.concat(), values.concat()].concat());
    }

    fn all(&mut self, name: &str, sizes: &[usize], value: f32) {
        self.tensors.push((name.into(), sizes.to_vec(), vec![value; sizes.iter().product()]));
    }

    /// Numbers around 0, about so far from it.
    fn random(&mut self, name: &str, sizes: &[usize], wide: f32) {
        let mut state = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        let mut uniform = || {
            // SplitMix64.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((mixed ^ (mixed >> 31)) >> 40) as f32 / (1_u32 << 24) as f32 - 0.5
        };
        // The sum of three has a spread of a half.
        let numbers = (0..sizes.iter().product()).map(|_| 2.0 * wide * (uniform() + uniform() + uniform())).collect();
        self.tensors.push((name.into(), sizes.to_vec(), numbers));
    }

    fn bytes(&self) -> Vec<u8> {
        let counts = [self.tensors.len() as u64, self.entries.len() as u64].map(u64::to_le_bytes).concat();
        let mut file = [b"GGUF".to_vec(), 3_u32.to_le_bytes().to_vec(), counts, self.entries.concat()].concat();
        let mut place = 0_u64;
        for (name, sizes, numbers) in &self.tensors {
            file.extend(text(name));
            file.extend((sizes.len() as u32).to_le_bytes());
            file.extend(sizes.iter().flat_map(|size| (*size as u64).to_le_bytes()));
            // 0: numbers of 32 bits.
            file.extend([0; 4]);
            file.extend(place.to_le_bytes());
            place += (4 * numbers.len() as u64).next_multiple_of(32);
        }
        for (_, _, numbers) in &self.tensors {
            file.resize(file.len().next_multiple_of(32), 0);
            file.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        }
        file
    }
}

fn text(value: &str) -> Vec<u8> {
    [&(value.len() as u64).to_le_bytes(), value.as_bytes()].concat()
}

/// A token for each byte, as GPT-2 writes it, two that are more, and two for control.
fn vocabulary() -> Vec<String> {
    let plain = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let mut others = 256_u32..;
    let bytes = (0..=255_u8).map(|byte| {
        let char = if plain(&byte) { u32::from(byte) } else { others.next().unwrap() };
        char::from_u32(char).unwrap().to_string()
    });
    bytes.chain(["er", "in", "<|im_start|>", "<|im_end|>"].map(String::from)).collect()
}
