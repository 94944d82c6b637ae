//! `text.split_tokens`: a long text in chunks of so many tokens of a model. A tool of its own beside `text.split`, since what
//! it gives follows from the model's file, too, and not from its arguments alone: it reads, where `text.split` is pure.

use parkway_core::tool::{Effect, ToolContext, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pieces::{Chunk, chunks};
use crate::builtin::Builtin;

/// Splits by tokens.
pub(crate) struct SplitTokens;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The text to split.
    text: String,
    /// The model whose tokens count, by its name in the workflow.
    #[schemars(extend("x-model" = true))]
    model: String,
    /// How many tokens a chunk has at most.
    size: usize,
    /// How many tokens of the end of a chunk the next one repeats at most.
    #[serde(default)]
    overlap: usize,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// The chunks, in the order of the text. Without overlaps they are the whole text.
    chunks: Vec<Chunk>,
}

impl Builtin for SplitTokens {
    const NAME: &'static str = "text.split_tokens";
    const DESCRIPTION: &'static str = "Splits a long text into chunks of at most so many tokens of a model of this run, \
         before headings and between paragraphs, sentences and words where it can. Use it to fill a model's context.";
    const EFFECT: Effect = Effect::Read;
    type Input = Input;
    type Output = Output;

    fn call(&self, input: Input, context: &ToolContext) -> Result<Output, ToolError> {
        let count = |part: &str| {
            if context.cancel.is_cancelled() {
                return Err(ToolError::invalid("cancelled", "the text is not split any more, as the run is ended"));
            }
            context.tokens.count(&input.model, part)
        };
        let chunks = chunks(&input.text, input.size, input.overlap, &count)?;
        Ok(Output { chunks })
    }
}
