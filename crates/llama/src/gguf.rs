//! What the head of a GGUF file says: its metadata, and which tensors it has. Nothing of the weights is read.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// Longer texts are passed over.
const LONGEST: u64 = 1 << 16;
/// Where tensors begin, unless the file says otherwise: at multiples of so many bytes.
const ALIGNMENT: u32 = 32;

const ENDS: &str = "it ends in the midst of its head (a download that broke off looks like this)";

/// The head of a file.
#[derive(Debug)]
pub(crate) struct Head {
    values: HashMap<String, Value>,
    pub(crate) tensors: BTreeMap<String, Tensor>,
    /// Where the tensors' weights begin.
    data: u64,
    /// Bytes of the whole file.
    length: u64,
}

/// A value of the metadata.
#[derive(Debug)]
pub(crate) enum Value {
    Text(String),
    Float(f32),
    Unsigned(u32),
    /// One that nobody here asks for.
    Other,
}

/// A tensor, without its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tensor {
    /// Elements along each dimension, the innermost first; 1 where there is none.
    pub(crate) shape: [u64; 4],
    /// The number of its form, as ggml counts them.
    pub(crate) kind: u32,
    /// Where its weights begin, counted from the first tensor's.
    offset: u64,
}

/// The forms of weights that an adapter may have, as ggml counts them: a block's elements and bytes.
const F32: u32 = 0;
const F16: u32 = 1;
const Q8_0: u32 = 8;
const BF16: u32 = 30;

impl Tensor {
    /// Bytes of its weights; `None` where it is of a form that is not known here, or larger than any file.
    fn bytes(&self) -> Option<u64> {
        let (elements, bytes) = match self.kind {
            F32 => (1, 4),
            F16 | BF16 => (1, 2),
            Q8_0 => (32, 34),
            _ => return None,
        };
        let all = self.shape.iter().try_fold(1_u64, |all, n| all.checked_mul(*n))?;
        (all / elements).checked_mul(bytes)
    }

    /// Whether its weights are floats of 16 or 32 bits, or `Q8_0`.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.kind, F32 | F16 | Q8_0 | BF16)
    }
}

impl Head {
    /// Reads the head of a file, or tells what is wrong with it.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        let length = file.metadata().map_err(|error| error.to_string())?.len();
        let mut source = Source { file: BufReader::new(file), at: 0, length };
        let magic = source.bytes::<4>()?;
        // The version tells files of the other order of bytes, too.
        if magic != *b"GGUF" || !(2..=3).contains(&source.u32()?) {
            return Err("it is no GGUF file of version 2 or 3".into());
        }
        let (tensors, values) = (source.u64()?, source.u64()?);
        let values = (0..values).map(|_| source.value()).collect::<Result<HashMap<_, _>, _>>()?;
        let tensors = (0..tensors).map(|_| source.tensor()).collect::<Result<BTreeMap<_, _>, _>>()?;
        let alignment = match values.get("general.alignment") {
            None => ALIGNMENT,
            Some(Value::Unsigned(bytes)) if *bytes > 0 => *bytes,
            Some(_) => return Err("its `general.alignment` is no number of bytes".into()),
        };
        Ok(Head { values, tensors, data: source.at.next_multiple_of(alignment.into()), length })
    }

    pub(crate) fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.values.get(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Whether the weights of a tensor are in the file.
    pub(crate) fn holds(&self, tensor: &Tensor) -> bool {
        let end = tensor.bytes().and_then(|bytes| self.data.checked_add(tensor.offset)?.checked_add(bytes));
        end.is_some_and(|end| end <= self.length)
    }
}

/// A file that is read from its beginning, and never asked for more than it has.
struct Source {
    file: BufReader<File>,
    at: u64,
    length: u64,
}

impl Source {
    /// Goes so many bytes on.
    fn advance(&mut self, bytes: u64) -> Result<(), String> {
        self.at = self.at.checked_add(bytes).filter(|at| *at <= self.length).ok_or(ENDS)?;
        Ok(())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.advance(N as u64)?;
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes).map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn skip(&mut self, bytes: u64) -> Result<(), String> {
        self.advance(bytes)?;
        let bytes = i64::try_from(bytes).map_err(|_| ENDS)?;
        self.file.seek_relative(bytes).map_err(|error| error.to_string())
    }

    /// A text; `None` where it is long, or no UTF-8.
    fn text(&mut self) -> Result<Option<String>, String> {
        let length = self.u64()?;
        if length > LONGEST {
            return self.skip(length).map(|()| None);
        }
        self.advance(length)?;
        let mut text = Vec::new();
        self.file.by_ref().take(length).read_to_end(&mut text).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(text).ok())
    }

    fn name(&mut self) -> Result<String, String> {
        self.text()?.ok_or_else(|| "a name in it is no text".into())
    }

    fn value(&mut self) -> Result<(String, Value), String> {
        const ARRAY: u32 = 9;
        let (key, kind) = (self.name()?, self.u32()?);
        let value = match kind {
            4 => Value::Unsigned(self.u32()?),
            6 => Value::Float(f32::from_bits(self.u32()?)),
            8 => self.text()?.map_or(Value::Other, Value::Text),
            ARRAY => {
                let (kind, length) = (self.u32()?, self.u64()?);
                self.skip_values(&key, kind, length)?;
                Value::Other
            }
            _ => {
                self.skip_values(&key, kind, 1)?;
                Value::Other
            }
        };
        Ok((key, value))
    }

    fn skip_values(&mut self, key: &str, kind: u32, n: u64) -> Result<(), String> {
        let size = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            10..=12 => 8,
            8 => {
                for _ in 0..n {
                    let length = self.u64()?;
                    self.skip(length)?;
                }
                return Ok(());
            }
            _ => return Err(format!("its `{key}` is of a kind that nobody knows")),
        };
        self.skip(n.checked_mul(size).ok_or(ENDS)?)
    }

    fn tensor(&mut self) -> Result<(String, Tensor), String> {
        let (name, dimensions) = (self.name()?, self.u32()?);
        let mut shape = [1; 4];
        for n in 0..dimensions {
            let place =
                shape.get_mut(n as usize).ok_or_else(|| format!("its tensor `{name}` has {dimensions} dimensions"))?;
            *place = self.u64()?;
        }
        let (kind, offset) = (self.u32()?, self.u64()?);
        Ok((name, Tensor { shape, kind, offset }))
    }
}
