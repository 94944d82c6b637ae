//! `text.split`: a long text in chunks of so many characters.

use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pieces::{Chunk, chunks};
use crate::builtin::Builtin;

/// Splits by characters.
pub(crate) struct Split;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The text to split.
    text: String,
    /// How many characters a chunk has at most.
    size: usize,
    /// How many characters of the end of a chunk the next one repeats at most.
    #[serde(default)]
    overlap: usize,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The chunks, in the order of the text. Without overlaps they are the whole text.
    chunks: Vec<Chunk>,
}

impl Builtin for Split {
    const NAME: &'static str = "text.split";
    const DESCRIPTION: &'static str = "Splits a long text into chunks of at most so many characters, before headings and \
         between paragraphs, sentences and words where it can. Use it to read a document in parts.";
    const EFFECT: Effect = Effect::Pure;
    type Input = Input;
    type Output = Output;

    fn call(&self, input: Input, _context: &ToolContext) -> Result<Output, ToolError> {
        let chunks = chunks(&input.text, input.size, input.overlap, &|part| Ok(part.chars().count()))?;
        Ok(Output { chunks })
    }
}
