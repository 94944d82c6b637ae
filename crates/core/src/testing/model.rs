//! A model that says what a script tells it to, so that tests and examples run without a model file.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use crate::model::{
    AdapterFile, Capabilities, ChatEnd, ChatRequest, Constraint, ConstraintKind, Delta, Deltas, FinishReason, Model,
    ModelError, ToolCall, Usage,
};

type Script = dyn Fn(&ChatRequest) -> Result<String, ModelError> + Send + Sync;

/// A [`Model`] whose answers are a function of the request. It counts a token for each word, and each answer comes in
/// pieces of one word.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use parkway_core::model::{ChatMessage, ChatRequest, Model, Role};
/// use parkway_core::testing::ScriptedModel;
///
/// let model = ScriptedModel::new().when("capital of France", "Paris").otherwise("I do not know.");
/// let ask = |text: &str| ChatRequest::new(vec![ChatMessage::new(Role::User, text)]);
/// assert_eq!(model.chat(ask("What is the capital of France?")).await.unwrap().text, "Paris");
/// assert_eq!(model.chat(ask("And of Atlantis?")).await.unwrap().text, "I do not know.");
/// assert_eq!(model.requests().len(), 2);
/// # });
/// ```
pub struct ScriptedModel {
    capabilities: Capabilities,
    rules: Vec<(String, String)>,
    script: Option<Box<Script>>,
    delay: Duration,
    confidence: Option<f32>,
    not_enforced: Option<String>,
    requests: Mutex<Vec<ChatRequest>>,
    told_ahead: Mutex<Vec<ChatRequest>>,
}

impl ScriptedModel {
    /// A model that knows no answer yet: each request is an error.
    pub fn new() -> Self {
        let capabilities = Capabilities {
            name: "scripted".into(),
            context_length: Some(8_192),
            constraints: vec![ConstraintKind::JsonSchema, ConstraintKind::Choice],
            device: "script".into(),
            ..Capabilities::default()
        };
        ScriptedModel {
            capabilities,
            rules: Vec::new(),
            script: None,
            delay: Duration::ZERO,
            confidence: None,
            not_enforced: None,
            requests: Mutex::default(),
            told_ahead: Mutex::default(),
        }
    }

    /// Answers `answer` when some message holds `text`. The first rule that fits wins.
    #[must_use]
    pub fn when(mut self, text: impl Into<String>, answer: impl Into<String>) -> Self {
        self.rules.push((text.into(), answer.into()));
        self
    }

    /// Answers `answer` when no rule fits.
    #[must_use]
    pub fn otherwise(self, answer: impl Into<String>) -> Self {
        let answer = answer.into();
        self.script(move |_| Ok(answer.clone()))
    }

    /// Asks `script` when no rule fits.
    #[must_use]
    pub fn script(
        mut self,
        script: impl Fn(&ChatRequest) -> Result<String, ModelError> + Send + Sync + 'static,
    ) -> Self {
        self.script = Some(Box::new(script));
        self
    }

    /// Takes this long for each answer.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Is so sure of each answer, from 0 to 1.
    #[must_use]
    pub fn confidence(mut self, confidence: f32) -> Self {
        self.confidence = Some(confidence);
        self
    }

    /// Passes for a model in a file of this content: tells the hash of the file, ids of tokens, and hashes of what held its answers.
    #[must_use]
    pub fn of_file(mut self, content: impl AsRef<[u8]>) -> Self {
        self.capabilities.model_hash = Some(hex::encode(Sha256::digest(content)));
        self
    }

    /// Says that it enforces only these constraints.
    #[must_use]
    pub fn enforces(mut self, constraints: impl Into<Vec<ConstraintKind>>) -> Self {
        self.capabilities.constraints = constraints.into();
        self
    }

    /// Says that it has a form of its own for calls of tools. An answer that is a JSON list of
    /// `{"id": …, "name": …, "arguments": …}` is then one that asks for tools.
    #[must_use]
    pub fn calls_tools(mut self) -> Self {
        self.capabilities.tools = true;
        self
    }

    /// Says of a schema that holds this keyword that answers cannot be held to it.
    #[must_use]
    pub fn cannot_enforce(mut self, keyword: impl Into<String>) -> Self {
        self.not_enforced = Some(keyword.into());
        self
    }

    /// Says that it has these adapters; the hash of a name stands for the hash of a file.
    #[must_use]
    pub fn adapters(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.capabilities.adapters = names.into_iter().map(Into::into).collect();
        let file = |name: &String| {
            let hash = hex::encode(Sha256::digest(name));
            (name.clone(), AdapterFile { hash, scale_milli: 1_000 })
        };
        self.capabilities.adapter_files = self.capabilities.adapters.iter().map(file).collect();
        self
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<ChatRequest> {
        self.requests.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// The beginnings of prompts that it was told ahead.
    pub fn told_ahead(&self) -> Vec<ChatRequest> {
        self.told_ahead.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn answer(&self, request: &ChatRequest) -> Result<String, ModelError> {
        let fits = |text: &str| request.messages.iter().any(|message| message.content.contains(text));
        if let Some((_, answer)) = self.rules.iter().find(|(text, _)| fits(text)) {
            return Ok(answer.clone());
        }
        match &self.script {
            Some(script) => script(request),
            None => {
                let asked = request.messages.last().map_or("", |message| message.content.as_str());
                let message = format!("the script has no answer to: {asked}");
                Err(ModelError::Backend { message, retryable: false })
            }
        }
    }
}

impl Default for ScriptedModel {
    fn default() -> Self {
        ScriptedModel::new()
    }
}

impl fmt::Debug for ScriptedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedModel").field("rules", &self.rules).finish_non_exhaustive()
    }
}

#[async_trait]
impl Model for ScriptedModel {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn stream(&self, request: ChatRequest) -> Result<Deltas, ModelError> {
        let prompt_tokens = words(&request);
        let offered = !request.tools.is_empty();
        let answer = self.answer(&request);
        let form = request.constraint.as_ref().and_then(|constraint| serde_json::to_vec(constraint).ok());
        self.requests.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(request);
        let answer = answer?;
        let (delay, confidence) = (self.delay, self.confidence);
        let of_file = self.capabilities.model_hash.is_some();
        let (sender, deltas) = Deltas::channel(64);
        tokio::spawn(async move {
            // Without a delay no timer is needed, nor a runtime that has one.
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            let mut output_tokens = 0;
            let calls =
                Some(&answer).filter(|_| offered).and_then(|text| serde_json::from_str::<Vec<ToolCall>>(text).ok());
            let text = if calls.is_some() { "" } else { answer.as_str() };
            for call in calls.into_iter().flatten() {
                output_tokens += 1;
                if !sender.send(Ok(Delta::ToolCall(call))).await {
                    return;
                }
            }
            for piece in text.split_inclusive(' ') {
                output_tokens += 1;
                if !sender.send(Ok(Delta::Text(piece.to_owned()))).await {
                    return;
                }
            }
            let usage = Usage { prompt_tokens, output_tokens, ..Usage::default() };
            let mut end = ChatEnd { finish: FinishReason::Stop, usage, confidence, ..ChatEnd::default() };
            if of_file {
                end.tokens = answer.split_inclusive(' ').map(id).collect();
                end.grammar = form.map(|form| hex::encode(Sha256::digest(form)));
            }
            sender.send(Ok(Delta::Done(end))).await;
        });
        Ok(deltas)
    }

    fn prefill(&self, request: &ChatRequest) {
        self.told_ahead.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(request.clone());
    }

    fn check_constraint(&self, constraint: &Constraint) -> Result<(), ModelError> {
        let holds = |keyword: &&String| matches!(constraint, Constraint::JsonSchema(schema) if schema.to_string().contains(*keyword));
        match self.not_enforced.as_ref().filter(holds) {
            Some(keyword) => Err(ModelError::Unsupported(format!("the constraint cannot be enforced: `{keyword}`"))),
            None => Ok(()),
        }
    }

    fn count_tokens(&self, request: &ChatRequest) -> Option<usize> {
        Some(words(request) as usize)
    }
}

/// The id of a word.
fn id(word: &str) -> u32 {
    let digest = Sha256::digest(word);
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}

fn words(request: &ChatRequest) -> u32 {
    let count: usize = request.messages.iter().map(|message| message.content.split_whitespace().count()).sum();
    u32::try_from(count).unwrap_or(u32::MAX)
}
