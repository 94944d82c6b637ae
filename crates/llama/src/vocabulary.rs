//! A model file of which only the vocabulary was read: it can tell how long prompts are, and cannot answer.

use async_trait::async_trait;
use parkway_core::model::{Capabilities, ChatRequest, Constraint, Deltas, Model, ModelError};

use crate::constraint;
use crate::worker::Prompter;

/// The vocabulary and the chat template of a model file, and what the model can do once it is loaded; made by
/// [`LlamaConfig::load_vocabulary`](crate::LlamaConfig::load_vocabulary). It counts the tokens of prompts as the model does.
pub struct Vocabulary {
    capabilities: Capabilities,
    prompter: Prompter,
}

impl std::fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vocabulary").field("capabilities", &self.capabilities).finish_non_exhaustive()
    }
}

impl Vocabulary {
    pub(crate) fn new(capabilities: Capabilities, prompter: Prompter) -> Self {
        Vocabulary { capabilities, prompter }
    }
}

#[async_trait]
impl Model for Vocabulary {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Always an error: there are no weights.
    async fn stream(&self, _: ChatRequest) -> Result<Deltas, ModelError> {
        let name = &self.capabilities.name;
        Err(ModelError::Unsupported(format!("only the vocabulary of `{name}` was read; load the model to ask it")))
    }

    fn check_constraint(&self, constraint: &Constraint) -> Result<(), ModelError> {
        constraint::check(constraint)
    }

    fn count_tokens(&self, request: &ChatRequest) -> Option<usize> {
        self.prompter.prompt(request).ok().map(|prompt| prompt.tokens.len())
    }
}
