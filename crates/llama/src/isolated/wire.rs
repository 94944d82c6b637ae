//! What is said between a program and the process of a model: lines of an id, a space and JSON. The id is that of the request
//! that the line is about, 0 where it is about none, so that what cannot be read of a request ends that request and no other.

use std::path::PathBuf;
use std::time::Duration;

use parkway_core::model::{Capabilities, ChatEnd, ChatRequest, Delta, ModelError, ToolCall};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::adapter::Named;
use crate::isolated::log::{Levels, LogLine};
use crate::{GpuLayers, GpuSplit, LlamaConfig, LoadError, Stats};

/// Raised when an older end would not understand a line.
pub(crate) const PROTOCOL: u32 = 1;

/// Bytes of the longest line, and of all lines of an answer: nobody holds more of a stream than this.
pub(crate) const LINE: usize = 64 << 20;

/// What the program says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Say {
    /// The first line: what to load.
    Load(Box<Load>),
    /// A request to be answered.
    Ask(Box<ChatRequest>),
    /// Nobody waits for the answer any more.
    Drop,
    /// A request that begins like this one will come.
    Prefill(Box<ChatRequest>),
    /// How many tokens the prompt of the request has.
    Count(Box<ChatRequest>),
    /// What the model has done.
    Stats,
}

/// What the process of the model tells.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Tell {
    /// The first line: it is a process for models.
    Hello {
        protocol: u32,
    },
    /// The share of the weights that is loaded.
    Progress(f32),
    Loaded(Box<Loaded>),
    NotLoaded(LoadError),
    Piece(Piece),
    /// The last line about a request, where that is no [`Piece::Done`].
    Failed(Failure),
    Count(Option<usize>),
    Stats(Option<Box<Stats>>),
    Log(LogLine),
}

/// What to load.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Load {
    #[serde(with = "Config")]
    pub(crate) config: LlamaConfig,
    /// Whether the vocabulary alone is wanted.
    pub(crate) vocabulary: bool,
    pub(crate) log: Levels,
}

/// What was loaded.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Loaded {
    pub(crate) capabilities: Capabilities,
    /// Pieces that an answer has at most.
    pub(crate) room: usize,
}

/// How a [`LlamaConfig`] is written; that no field is forgotten is seen to when this is compiled.
#[derive(Serialize, Deserialize)]
#[serde(remote = "LlamaConfig")]
struct Config {
    path: PathBuf,
    name: Option<String>,
    context_length: u32,
    gpu_layers: GpuLayers,
    gpus: Vec<String>,
    gpu_split: GpuSplit,
    threads: usize,
    cache_tokens: Option<u32>,
    cold_bytes: usize,
    deterministic: bool,
    chat_template: Option<String>,
    adapters: Vec<Named>,
}

/// A [`Delta`] on its way.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Piece {
    Prefill { done: u32, total: u32 },
    Text(String),
    Thinking(String),
    ToolCall(ToolCall),
    Done(Box<ChatEnd>),
}

impl TryFrom<Delta> for Piece {
    type Error = ModelError;

    fn try_from(delta: Delta) -> Result<Self, ModelError> {
        Ok(match delta {
            Delta::Prefill { done, total } => Piece::Prefill { done, total },
            Delta::Text(text) => Piece::Text(text),
            Delta::Thinking(text) => Piece::Thinking(text),
            Delta::ToolCall(call) => Piece::ToolCall(call),
            Delta::Done(end) => Piece::Done(Box::new(end)),
            other => {
                let message = format!("a piece of an answer cannot be handed to the program: {other:?}");
                return Err(ModelError::Backend { message, retryable: false });
            }
        })
    }
}

impl From<Piece> for Delta {
    fn from(piece: Piece) -> Self {
        match piece {
            Piece::Prefill { done, total } => Delta::Prefill { done, total },
            Piece::Text(text) => Delta::Text(text),
            Piece::Thinking(text) => Delta::Thinking(text),
            Piece::ToolCall(call) => Delta::ToolCall(call),
            Piece::Done(end) => Delta::Done(*end),
        }
    }
}

/// A [`ModelError`] on its way.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Failure {
    PromptTooLong { model: String, prompt_tokens: u32, max_tokens: u32, context_length: u32 },
    Unsupported(String),
    Cut { tokens: u32 },
    Busy { message: String, retry_after: Option<Duration> },
    Cancelled,
    Backend { message: String, retryable: bool },
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::PromptTooLong { model, prompt_tokens, max_tokens, context_length } => {
                Failure::PromptTooLong { model, prompt_tokens, max_tokens, context_length }
            }
            ModelError::Unsupported(cause) => Failure::Unsupported(cause),
            ModelError::Cut { tokens } => Failure::Cut { tokens },
            ModelError::Busy { message, retry_after } => Failure::Busy { message, retry_after },
            ModelError::Cancelled => Failure::Cancelled,
            ModelError::Backend { message, retryable } => Failure::Backend { message, retryable },
            other => Failure::Backend { message: other.to_string(), retryable: other.retryable() },
        }
    }
}

impl From<Failure> for ModelError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::PromptTooLong { model, prompt_tokens, max_tokens, context_length } => {
                ModelError::PromptTooLong { model, prompt_tokens, max_tokens, context_length }
            }
            Failure::Unsupported(cause) => ModelError::Unsupported(cause),
            Failure::Cut { tokens } => ModelError::Cut { tokens },
            Failure::Busy { message, retry_after } => ModelError::Busy { message, retry_after },
            Failure::Cancelled => ModelError::Cancelled,
            Failure::Backend { message, retryable } => ModelError::Backend { message, retryable },
        }
    }
}

/// The line that says something about a request, with its end. An error where it cannot be said in one.
pub(crate) fn line(id: u64, said: &impl Serialize) -> Result<String, String> {
    let json = serde_json::to_string(said).map_err(|error| error.to_string())?;
    if json.len() > LINE - 32 {
        return Err(format!("{} bytes, and at most {LINE} go to or from the process of a model", json.len()));
    }
    Ok(format!("{id} {json}\n"))
}

/// What a line says: the request that it is about, and what about it. The outer error is that of a line without an id.
pub(crate) fn parse<T: DeserializeOwned>(line: &[u8]) -> Result<(u64, Result<T, String>), String> {
    let nonsense = || format!("`{}` is no line of the protocol", beginning(line));
    let space = line.iter().position(|&byte| byte == b' ').ok_or_else(nonsense)?;
    let id = std::str::from_utf8(&line[..space]).ok().and_then(|id| id.parse().ok()).ok_or_else(nonsense)?;
    Ok((id, serde_json::from_slice(&line[space + 1..]).map_err(|error| error.to_string())))
}

/// As much of a line as an error may show.
fn beginning(line: &[u8]) -> String {
    super::lines::harmless(&String::from_utf8_lossy(&line[..line.len().min(60)]))
}

#[cfg(test)]
mod tests {
    use parkway_core::model::{ChatMessage, Constraint, FinishReason, Role, TokenLogprob, Usage};
    use serde_json::json;

    use super::*;

    fn there<T: Serialize + DeserializeOwned>(said: &T) -> T {
        let line = line(7, said).unwrap();
        let (id, read) = parse(line.strip_suffix('\n').unwrap().as_bytes()).unwrap();
        assert_eq!(id, 7);
        read.unwrap()
    }

    #[test]
    fn a_request_loses_something_on_the_way() {
        let mut request = ChatRequest::new(vec![ChatMessage::new(Role::User, "one\ntwo \u{2028} \u{0}")]);
        request.constraint = Some(Constraint::JsonSchema(json!({"z": 1, "a": 0.1, "n": u64::MAX})));
        request.temperature = 0.7;
        request.seed = u64::MAX;
        request.logprobs = Some(3);
        let Say::Ask(read) = there(&Say::Ask(Box::new(request.clone()))) else { panic!() };
        assert_eq!(*read, request);
        // The order of keys is that of the answer.
        assert_eq!(format!("{:?}", read.constraint), format!("{:?}", request.constraint));
    }

    #[test]
    fn a_piece_loses_something_on_the_way() {
        let call = ToolCall { id: "1".into(), name: "look".into(), arguments: json!({"at": [1, null]}) };
        let end = ChatEnd {
            finish: FinishReason::Length,
            usage: Usage { prompt_tokens: 9, cached_tokens: 1, output_tokens: 2, forced_tokens: 1, guessed: false },
            tokens: vec![1, 2],
            grammar: Some("ab".into()),
            logprobs: vec![TokenLogprob { text: "x".into(), logprob: Some(-0.1), top: vec![("y".into(), -1.5e-7)] }],
            confidence: Some(0.3),
        };
        for delta in [
            Delta::Prefill { done: 1, total: 2 },
            Delta::Text("é\n".into()),
            Delta::Thinking("hm".into()),
            Delta::ToolCall(call),
            Delta::Done(end),
        ] {
            assert_eq!(Delta::from(there(&Piece::try_from(delta.clone()).unwrap())), delta);
        }
    }

    #[test]
    fn an_error_is_another_one_when_it_arrives() {
        let (message, retry_after) = (String::from("m"), Some(Duration::from_millis(1_500)));
        for error in [
            ModelError::PromptTooLong { model: "m".into(), prompt_tokens: 3, max_tokens: 2, context_length: 1 },
            ModelError::Unsupported("a schema".into()),
            ModelError::Cut { tokens: 5 },
            ModelError::Busy { message: message.clone(), retry_after },
            ModelError::Cancelled,
            ModelError::Backend { message, retryable: true },
        ] {
            assert_eq!(ModelError::from(there(&Failure::from(error.clone()))), error);
        }
    }

    #[test]
    fn a_configuration_loses_nothing_on_the_way() {
        let config = crate::Llama::gguf("m.gguf")
            .name("m")
            .context_length(77)
            .gpu_layers(GpuLayers::Count(3))
            .gpus(["CUDA1"])
            .gpu_split(GpuSplit::Rows)
            .threads(1)
            .cache_tokens(99)
            .cold_bytes(5)
            .deterministic(true)
            .chat_template("{{ messages }}")
            .adapter_scaled("a", "a.gguf", 0.5);
        let load = Load { config, vocabulary: false, log: Levels::wanted() };
        let read: Load = there(&load);
        assert_eq!(format!("{:?}", read.config), format!("{:?}", load.config));
    }

    #[test]
    fn nonsense_is_told_and_what_has_an_id_is_told_of_it() {
        for line in [b"".as_slice(), b"hello", b"x {}", b"-1 {}", b" {}", b"\x1b[2J {}", b"\xff\xff", &[b'7'; 90]] {
            let error = parse::<Say>(line).unwrap_err();
            assert!(error.contains("is no line of the protocol") && error.len() < 120, "{error}");
            assert!(!error.contains('\x1b'));
        }
        for line in [b"3 ".as_slice(), b"3 {", b"3 {\"ask\":{}}", b"3 \"unheard\"", b"3 {\"drop\":[[[[1", b"3 \xff"] {
            let (id, said) = parse::<Say>(line).unwrap();
            assert!(id == 3 && said.is_err());
        }
        // Deep, and no reason to overflow a stack.
        let deep = [b"3 {\"ask\":".as_slice(), &[b'['; 100_000]].concat();
        assert!(parse::<Say>(&deep).unwrap().1.is_err());
    }
}
