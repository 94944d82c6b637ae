//! Kinds of servers: what each promises, and how it wants to be asked.

use std::fmt;

use parkway_core::model::ConstraintKind;

/// A kind of server. What it can enforce is what is known of it, and holds for its usual setup.
///
/// | | JSON Schema | choice | regex | tool calls | log-probabilities | prefix of the answer |
/// |---|---|---|---|---|---|---|
/// | `LlamaServer` | yes | yes | no | yes | yes | yes |
/// | `Vllm`, `RayServe` | yes | yes | yes | if told | yes | yes |
/// | `SgLang` | yes | yes | yes | if told | yes | yes |
/// | `Ollama` | yes | no | no | if told | no | no |
/// | `OpenAi` | strict ones | no | no | yes | yes | no |
/// | `DeepSeek` | no | no | no | yes | yes | no |
/// | `Other` | no | no | no | if told | no | no |
///
/// "If told": by [`OpenAiConfig::tools`](crate::OpenAiConfig::tools), since it depends on how the server was started, or on the model.
/// No server takes a grammar in Lark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Server {
    /// llama.cpp's `llama-server`.
    LlamaServer,
    /// vLLM.
    Vllm,
    /// `SGLang`.
    SgLang,
    /// Ray Serve with vLLM in it (`ray.serve.llm`).
    RayServe,
    /// Ollama.
    Ollama,
    /// DeepSeek's service. Its `json_object` mode holds to no schema, so it is not used.
    DeepSeek,
    /// OpenAI's service. It enforces schemas of its strict form alone: all properties required, no additional ones.
    OpenAi,
    /// Any other one, which promises nothing.
    Other,
}

impl Server {
    /// All kinds.
    pub const ALL: [Server; 8] = [
        Server::LlamaServer,
        Server::Vllm,
        Server::SgLang,
        Server::RayServe,
        Server::Ollama,
        Server::DeepSeek,
        Server::OpenAi,
        Server::Other,
    ];

    /// Its name: `llama-server`, `vllm`, `sglang`, `ray-serve`, `ollama`, `deepseek`, `openai`, `server`.
    pub fn as_str(self) -> &'static str {
        match self {
            Server::LlamaServer => "llama-server",
            Server::Vllm => "vllm",
            Server::SgLang => "sglang",
            Server::RayServe => "ray-serve",
            Server::Ollama => "ollama",
            Server::DeepSeek => "deepseek",
            Server::OpenAi => "openai",
            Server::Other => "server",
        }
    }

    /// The kind that a workflow's `server` names: by its [name](Self::as_str), or `other`.
    pub fn from_name(name: &str) -> Option<Self> {
        let named = Server::ALL.into_iter().find(|server| server.as_str() == name);
        named.or((name == "other").then_some(Server::Other))
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a server wants to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) server: Server,
    /// Whether it is a vLLM from before `structured_outputs`.
    pub(crate) guided: bool,
    /// Whether it is sent definitions of tools.
    pub(crate) tools: bool,
}

impl Dialect {
    pub(crate) fn new(server: Server) -> Self {
        let tools = matches!(server, Server::LlamaServer | Server::DeepSeek | Server::OpenAi);
        Dialect { server, guided: false, tools }
    }

    /// What it enforces.
    pub(crate) fn constraints(self) -> Vec<ConstraintKind> {
        use ConstraintKind::{Choice, JsonSchema, Regex};
        match self.server {
            Server::LlamaServer => vec![JsonSchema, Choice],
            Server::Vllm | Server::RayServe | Server::SgLang => vec![JsonSchema, Choice, Regex],
            Server::Ollama | Server::OpenAi => vec![JsonSchema],
            Server::DeepSeek | Server::Other => Vec::new(),
        }
    }

    pub(crate) fn logprobs(self) -> bool {
        !matches!(self.server, Server::Ollama | Server::Other)
    }

    /// What it calls the most tokens of an answer.
    pub(crate) fn max_tokens(self) -> &'static str {
        if self.server == Server::OpenAi { "max_completion_tokens" } else { "max_tokens" }
    }

    /// The fields that make it go on with the last message, which is the beginning of the answer; `None` where nothing does.
    pub(crate) fn prefix(self) -> Option<&'static [(&'static str, bool)]> {
        match self.server {
            // It does so by itself.
            Server::LlamaServer => Some(&[]),
            Server::Vllm | Server::RayServe => {
                Some(&[("continue_final_message", true), ("add_generation_prompt", false)])
            }
            Server::SgLang => Some(&[("continue_final_message", true)]),
            _ => None,
        }
    }
}
