//! The port to language models: one chat turn in, a stream of deltas out.
//!
//! An adapter implements [`Model::capabilities`] and [`Model::stream`]; everything else follows. Messages are data: an
//! adapter renders them with the model's own chat template and never splices one message's text into another's role.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;

pub use self::thoughts::Thoughts;
use crate::id::{RunId, StepKey};

mod thoughts;

/// Who speaks in a [`ChatMessage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// Instructions that stand above the conversation.
    System,
    /// The person, or the workflow in their place.
    User,
    /// The model itself.
    Assistant,
    /// A tool that the model called: the message says what it returned.
    Tool,
}

impl Role {
    /// The name that chat templates use: `system`, `user`, `assistant`, `tool`.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        }
    }
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// Who speaks.
    pub role: Role,
    /// What is said, as plain text. Special tokens in it are text, never control tokens.
    pub content: String,
    /// The tools that the model called in this message of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// The [`ToolCall::id`] that a message of [`Role::Tool`] answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

impl ChatMessage {
    /// A message of `role`.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        ChatMessage { role, content: content.into(), tool_calls: Vec::new(), tool_call_id: None }
    }
}

/// A tool that a model may ask for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolDefinition {
    /// Its name.
    pub name: String,
    /// What it does, in words for the model.
    pub description: String,
    /// JSON Schema of its arguments.
    pub parameters: Value,
}

/// A model's wish that a tool be called. Nothing is called by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// What a [`ChatMessage`] with the tool's answer refers to; unique in a conversation where the backend makes it so.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// Its arguments, as the model wrote them. Only a backend that constrains calls sees to it that they fit.
    pub arguments: Value,
}

/// What the answer must look like, enforced while it is decoded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Constraint {
    /// One JSON value that is valid under this JSON Schema (2020-12).
    JsonSchema(Value),
    /// Exactly one of these texts.
    Choice(Vec<String>),
    /// A text that this regular expression matches as a whole, in the syntax of the Rust crate `regex`.
    Regex(String),
    /// A text of this context-free grammar, in [llguidance's variant of
    /// Lark](https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md); its first rule is `start`.
    Lark(String),
}

impl Constraint {
    /// The kind, for comparing with [`Capabilities::constraints`].
    pub fn kind(&self) -> ConstraintKind {
        match self {
            Constraint::JsonSchema(_) => ConstraintKind::JsonSchema,
            Constraint::Choice(_) => ConstraintKind::Choice,
            Constraint::Regex(_) => ConstraintKind::Regex,
            Constraint::Lark(_) => ConstraintKind::Lark,
        }
    }
}

/// The kinds of [`Constraint`] that a model may be able to enforce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ConstraintKind {
    /// [`Constraint::JsonSchema`].
    JsonSchema,
    /// [`Constraint::Choice`].
    Choice,
    /// [`Constraint::Regex`].
    Regex,
    /// [`Constraint::Lark`].
    Lark,
}

/// One request to a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatRequest {
    /// The conversation so far, oldest first.
    pub messages: Vec<ChatMessage>,
    /// Text that the answer starts with; decoding goes on after it, and it is not repeated in the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assistant_prefix: Option<String>,
    /// What the answer must look like; `None` for free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint: Option<Constraint>,
    /// The tools that the model may ask for, where [`Capabilities::tools`] says that it can. What it asks for comes back
    /// as [`Delta::ToolCall`]. Not together with a constraint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolDefinition>,
    /// Asks for the log-probability of each token of the answer, and for so many of the tokens that could have stood in
    /// its place; `None` asks for none of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<u8>,
    /// Sampling temperature; `0.0` always takes the most probable token.
    #[serde(default)]
    pub temperature: f32,
    /// Seed of the sampler; the same request with the same seed is sampled alike.
    #[serde(default)]
    pub seed: u64,
    /// The step that asks, where one does. A model reads nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepKey>,
    /// What else the engine knows of the request.
    #[serde(default)]
    pub hints: Hints,
    /// The most tokens to decode for the answer. A free text that reaches it ends with [`FinishReason::Length`];
    /// a constrained answer that reaches it is [`ModelError::Cut`].
    pub max_tokens: u32,
    /// The adapter (`LoRA`) to put on the model: one of [`Capabilities::adapters`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
}

impl ChatRequest {
    /// A request with these messages, greedy sampling, seed 0 and at most 512 tokens of answer.
    pub fn new(messages: Vec<ChatMessage>) -> Self {
        ChatRequest {
            messages,
            assistant_prefix: None,
            constraint: None,
            tools: Vec::new(),
            logprobs: None,
            temperature: 0.0,
            seed: 0,
            step: None,
            hints: Hints::default(),
            max_tokens: 512,
            adapter: None,
        }
    }
}

/// What the engine knows of a request beside what is asked, for a backend that plans ahead. Answers do not depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Hints {
    /// The run that asks: several runs are served in turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// How many steps wait for the answer, one behind the other: within a run, the longest chain goes first.
    #[serde(default)]
    pub chain: u32,
    /// How many requests with the same beginning are still to come: it is worth to be kept for them.
    #[serde(default)]
    pub more: u32,
}

/// A piece of an answer while it is decoded. The last one is always [`Delta::Done`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Delta {
    /// Tokens of the prompt that are in the cache now, out of all of them; sent as prefill goes on.
    Prefill {
        /// Prompt tokens processed so far, those taken from the cache counted in.
        done: u32,
        /// All prompt tokens.
        total: u32,
    },
    /// More text of the answer; always whole UTF-8 characters.
    Text(String),
    /// More of what the model thinks before it answers; it is no part of the answer.
    Thinking(String),
    /// The model asks for a tool, and has said all about it.
    ToolCall(ToolCall),
    /// The answer is whole. Its text is what all [`Delta::Text`] pieces say together.
    Done(ChatEnd),
}

/// What is known when an answer is whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChatEnd {
    /// Why decoding ended.
    pub finish: FinishReason,
    /// Tokens read and written.
    pub usage: Usage,
    /// Ids of the answer's tokens, in order; empty where the backend does not tell them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<u32>,
    /// SHA-256 (hex) of the compiled constraint's source; `None` without a constraint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grammar: Option<String>,
    /// One for each token of the answer, in order, where the request asked for them and the backend tells them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logprobs: Vec<TokenLogprob>,
    /// How sure the model was where a constraint left it a choice of few tokens, from 0 to 1: the least, over these
    /// places, of how much more probable the token that it took was than the best of the others. `None` where it had no
    /// such choice, or the backend does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f32>,
}

/// How probable a token of an answer was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprob {
    /// Its text; what is no UTF-8 by itself stands as U+FFFD.
    pub text: String,
    /// The natural logarithm of its probability among all tokens, at temperature 1 and without the constraint. `None` for
    /// a token that the constraint forced: the model was not asked.
    pub logprob: Option<f32>,
    /// The most probable tokens in its place, itself among them if it is one, the best first. A backend that constrains
    /// its answers lists those only that the constraint allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<(String, f32)>,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FinishReason {
    /// The model ended its turn, or the constraint was complete.
    #[default]
    Stop,
    /// `max_tokens` were decoded.
    Length,
}

/// Tokens that one model turn read and wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the whole prompt.
    pub prompt_tokens: u32,
    /// Of these, tokens whose computation was reused from an earlier request.
    #[serde(default)]
    pub cached_tokens: u32,
    /// Tokens of the answer, forced ones counted in.
    pub output_tokens: u32,
    /// Of these, tokens that the constraint left no choice about, so that none was sampled.
    #[serde(default)]
    pub forced_tokens: u32,
    /// Nobody counted them: they were guessed from the length of the texts, rather too many.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub guessed: bool,
}

impl Usage {
    /// Prompt and output tokens together: what a `tokens` budget counts.
    pub fn total(&self) -> u64 {
        u64::from(self.prompt_tokens) + u64::from(self.output_tokens)
    }
}

/// A whole answer: the fold of a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatResponse {
    /// The answer's text, without the request's `assistant_prefix`.
    pub text: String,
    /// What the model thought before it answered.
    pub thinking: String,
    /// The tools that it asks for, in order.
    pub tool_calls: Vec<ToolCall>,
    /// How it ended and what it took.
    pub end: ChatEnd,
}

impl ChatResponse {
    /// Takes a piece in. `true` when the answer is whole.
    pub fn take(&mut self, delta: Delta) -> bool {
        match delta {
            Delta::Text(text) => self.text.push_str(&text),
            Delta::Thinking(text) => self.thinking.push_str(&text),
            Delta::ToolCall(call) => self.tool_calls.push(call),
            Delta::Prefill { .. } => {}
            Delta::Done(end) => {
                self.end = end;
                return true;
            }
        }
        false
    }
}

/// What a model is and can do; asked once, so it must be cheap and constant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Capabilities {
    /// What to call the model in logs, for example `smollm2-135m-instruct`.
    pub name: String,
    /// Tokens that fit into one conversation, prompt and answer together; `None` where the backend does not tell.
    #[serde(default)]
    pub context_length: Option<u32>,
    /// The constraints that it enforces while decoding. For others the engine validates and asks again.
    #[serde(default)]
    pub constraints: Vec<ConstraintKind>,
    /// Whether it takes [`ChatRequest::tools`]. Otherwise the engine describes them in words.
    #[serde(default)]
    pub tools: bool,
    /// Whether it tells log-probabilities.
    #[serde(default)]
    pub logprobs: bool,
    /// SHA-256 (hex) of the model file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_hash: Option<String>,
    /// SHA-256 (hex) of the chat template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_hash: Option<String>,
    /// Where it runs, for example `cpu` or `cuda0 (31/31 layers)`.
    #[serde(default)]
    pub device: String,
    /// The adapters (`LoRA`) that a request may ask for, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adapters: Vec<String>,
    /// What is known of the adapters, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub adapter_files: BTreeMap<String, AdapterFile>,
}

/// What is known of one of a model's adapters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdapterFile {
    /// SHA-256 (hex) of its file.
    pub hash: String,
    /// How strongly it acts, in thousandths of what it was trained to.
    pub scale_milli: i32,
}

/// Why a model did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// Prompt and answer do not fit into the context. Nothing was decoded.
    #[error(
        "the prompt has {prompt_tokens} tokens and the answer may take {max_tokens}, but the context of model `{model}` holds {context_length}"
    )]
    PromptTooLong {
        /// The model's name.
        model: String,
        /// Tokens of the rendered prompt.
        prompt_tokens: u32,
        /// Tokens asked for the answer.
        max_tokens: u32,
        /// Tokens that fit.
        context_length: u32,
    },
    /// The request cannot be served as it stands: a constraint that cannot be compiled, a template that refuses it.
    #[error("the model cannot take this request: {0}")]
    Unsupported(String),
    /// A constrained answer reached the token limit before it was complete.
    #[error("the answer was cut after {tokens} tokens, before it was complete; raise `max_tokens` or ask for less")]
    Cut {
        /// Tokens decoded.
        tokens: u32,
    },
    /// The backend is there, and has no room for the request now.
    #[error("the model is busy: {message}")]
    Busy {
        /// What it said.
        message: String,
        /// How long it asks to be left alone; the engine waits at least so long before it tries again, up to an hour.
        retry_after: Option<Duration>,
    },
    /// The request was cancelled by dropping its stream, or by shutting the model down.
    #[error("the model call was cancelled")]
    Cancelled,
    /// The backend failed.
    #[error("the model failed: {message}")]
    Backend {
        /// What it said.
        message: String,
        /// Whether the same request may succeed later.
        retryable: bool,
    },
}

impl ModelError {
    /// Stable code, as `steps.x.error.code` shows it.
    pub fn code(&self) -> &'static str {
        match self {
            ModelError::PromptTooLong { .. } => "prompt_too_long",
            ModelError::Unsupported(_) => "unsupported",
            ModelError::Cut { .. } => "cut",
            ModelError::Busy { .. } => "busy",
            ModelError::Cancelled => "cancelled",
            ModelError::Backend { .. } => "model",
        }
    }

    /// Whether the same request may succeed when it is asked again.
    pub fn retryable(&self) -> bool {
        match self {
            ModelError::PromptTooLong { .. }
            | ModelError::Unsupported(_)
            | ModelError::Cut { .. }
            | ModelError::Cancelled => false,
            ModelError::Busy { .. } => true,
            ModelError::Backend { retryable, .. } => *retryable,
        }
    }
}

/// The stream of one answer. Dropping it cancels the request.
pub struct Deltas {
    receiver: mpsc::Receiver<Result<Delta, ModelError>>,
}

impl fmt::Debug for Deltas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deltas").finish_non_exhaustive()
    }
}

impl Deltas {
    /// A stream and the sender that feeds it; the sender is full after `capacity` pieces that nobody took.
    pub fn channel(capacity: usize) -> (DeltaSender, Deltas) {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        (DeltaSender { sender }, Deltas { receiver })
    }

    /// The next piece; `None` after [`Delta::Done`] or an error.
    pub async fn next(&mut self) -> Option<Result<Delta, ModelError>> {
        self.receiver.recv().await
    }
}

/// The feeding end of [`Deltas`].
#[derive(Clone)]
pub struct DeltaSender {
    sender: mpsc::Sender<Result<Delta, ModelError>>,
}

impl fmt::Debug for DeltaSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeltaSender").finish_non_exhaustive()
    }
}

impl DeltaSender {
    /// Sends one piece from async code. `false` when the stream was dropped: stop working on the request.
    pub async fn send(&self, delta: Result<Delta, ModelError>) -> bool {
        self.sender.send(delta).await.is_ok()
    }

    /// Sends one piece from a plain thread, waiting while the stream is full. `false` when the stream was dropped.
    pub fn blocking_send(&self, delta: Result<Delta, ModelError>) -> bool {
        self.sender.blocking_send(delta).is_ok()
    }

    /// Waits until the stream is dropped.
    pub async fn closed(&self) {
        self.sender.closed().await;
    }

    /// Whether the stream was dropped.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

/// A language model.
#[async_trait]
pub trait Model: Send + Sync {
    /// What it is and can do.
    fn capabilities(&self) -> &Capabilities;

    /// Starts one answer. An error here or in the stream ends the request; dropping the stream cancels it.
    async fn stream(&self, request: ChatRequest) -> Result<Deltas, ModelError>;

    /// Whether an answer can be held to a constraint, and if not, which part of it is in the way: found out without asking the
    /// model, for whoever checks a workflow. [`ModelError::Unsupported`] if not. By default nothing is found.
    fn check_constraint(&self, _constraint: &Constraint) -> Result<(), ModelError> {
        Ok(())
    }

    /// Says that a request which begins like this one will probably come soon. A backend that keeps what it has read may read it now,
    /// while it has nothing else to do; it must return at once. By default nothing happens.
    fn prefill(&self, _request: &ChatRequest) {}

    /// The whole answer at once.
    async fn chat(&self, request: ChatRequest) -> Result<ChatResponse, ModelError> {
        let mut deltas = self.stream(request).await?;
        let mut response = ChatResponse::default();
        while let Some(delta) = deltas.next().await {
            if response.take(delta?) {
                return Ok(response);
            }
        }
        Err(ModelError::Backend { message: "the stream ended before the answer was whole".into(), retryable: true })
    }

    /// Tokens of the request's rendered prompt; `None` where the tokenizer is not at hand.
    fn count_tokens(&self, request: &ChatRequest) -> Option<usize>;
}

/// A shared model.
pub type SharedModel = Arc<dyn Model>;
