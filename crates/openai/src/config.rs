//! Which server, which of its models, and how to ask it.

use std::fmt;
use std::time::Duration;

use parkway_core::secret::Secret;

use crate::http::Http;
use crate::server::Dialect;
use crate::{LoadError, OpenAi, OpenAiEmbedder, Server, probe};

/// A server, one of its models, and how to ask it. Made by [`OpenAi::at`].
#[derive(Clone)]
pub struct OpenAiConfig {
    pub(crate) url: String,
    pub(crate) model: String,
    pub(crate) name: Option<String>,
    pub(crate) key: Option<Secret>,
    pub(crate) server: Option<Server>,
    pub(crate) tools: Option<bool>,
    pub(crate) context_length: Option<u32>,
    pub(crate) dimensions: Option<u32>,
    pub(crate) batch: usize,
    pub(crate) environment_proxy: bool,
    pub(crate) times: Times,
    pub(crate) most_bytes: u64,
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) connect: Duration,
    pub(crate) first_byte: Duration,
    pub(crate) stall: Duration,
    pub(crate) probe: Duration,
}

impl OpenAiConfig {
    pub(crate) fn new(url: String, model: String) -> Self {
        OpenAiConfig {
            url,
            model,
            name: None,
            key: None,
            server: None,
            tools: None,
            context_length: None,
            dimensions: None,
            batch: 64,
            environment_proxy: false,
            times: Times {
                connect: Duration::from_secs(10),
                first_byte: Duration::from_secs(300),
                stall: Duration::from_secs(120),
                probe: Duration::from_secs(3),
            },
            most_bytes: 64 * 1024 * 1024,
        }
    }

    /// What to call the model in logs and errors; its name at the server by default.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The key, which goes to the server as `Authorization: Bearer …` and nowhere else.
    pub fn key(mut self, key: Secret) -> Self {
        self.key = Some(key);
        self
    }

    /// What kind of server it is. Without it, the server is asked when the model is loaded, and one that does not tell is
    /// [`Server::Other`].
    pub fn server(mut self, server: Server) -> Self {
        self.server = Some(server);
        self
    }

    /// Whether the server is sent definitions of tools, and calls them in a form of its own. By default this is so for
    /// llama-server, DeepSeek and OpenAI; with others it depends on how they were started. Where it is not so, the engine
    /// describes tools in words.
    pub fn tools(mut self, tools: bool) -> Self {
        self.tools = Some(tools);
        self
    }

    /// Tokens that fit into one conversation; what the server tells by default. It changes nothing at the server.
    pub fn context_length(mut self, tokens: u32) -> Self {
        self.context_length = Some(tokens);
        self
    }

    /// Numbers in a vector of an embedding model; an answer of another size is an error.
    pub fn dimensions(mut self, dimensions: u32) -> Self {
        self.dimensions = Some(dimensions);
        self
    }

    /// Texts that one request to an embedding model holds: 64 by default, at least 1.
    pub fn batch(mut self, texts: usize) -> Self {
        self.batch = texts.max(1);
        self
    }

    /// How long to wait for a connection, name lookup and TLS included: 10 seconds by default.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.times.connect = timeout;
        self
    }

    /// How long to wait for the first byte of an answer, from when the connection is asked for: 5 minutes by default, since a server
    /// may load a model, queue the request, and read a long prompt first.
    pub fn first_byte_timeout(mut self, timeout: Duration) -> Self {
        self.times.first_byte = timeout;
        self
    }

    /// How long an answer that has begun may say nothing: 2 minutes by default. A server's signs of life count.
    pub fn stall_timeout(mut self, timeout: Duration) -> Self {
        self.times.stall = timeout;
        self
    }

    /// How long finding out about the server may take in all: 3 seconds by default.
    pub fn probe_timeout(mut self, timeout: Duration) -> Self {
        self.times.probe = timeout;
        self
    }

    /// The most bytes of one answer, as they come over the wire: 64 MiB by default.
    pub fn max_answer_bytes(mut self, bytes: u64) -> Self {
        self.most_bytes = bytes;
        self
    }

    /// Whether the environment (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`) names the proxy to go through; `false` by
    /// default. A proxy for `http` addresses sees the key.
    pub fn proxy_from_environment(mut self, take: bool) -> Self {
        self.environment_proxy = take;
        self
    }

    /// Finds out about the server, within [`probe_timeout`](Self::probe_timeout), and makes a model of it. A server that is not there
    /// is no error: [`OpenAi::reached`] tells, and requests fail until it is.
    pub async fn load(self) -> Result<OpenAi, LoadError> {
        let http = Http::new(&self)?;
        let found = probe::find(&http, &self).await;
        let mut dialect = Dialect::new(found.server);
        dialect.guided = found.guided;
        dialect.tools = self.tools.unwrap_or(dialect.tools);
        Ok(OpenAi::new(self, http, dialect, found.context_length, found.reached))
    }

    /// Makes an embedding model of it. Nothing is sent.
    pub fn load_embedder(self) -> Result<OpenAiEmbedder, LoadError> {
        let http = Http::new(&self)?;
        Ok(OpenAiEmbedder::new(self, http))
    }
}

impl fmt::Debug for OpenAiConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiConfig")
            .field("url", &shown(&self.url))
            .field("model", &self.model)
            .field("key", &self.key)
            .field("server", &self.server)
            .field("tools", &self.tools)
            .field("times", &self.times)
            .finish_non_exhaustive()
    }
}

/// An address without what may be secret in it: a user's name and password, and what is asked.
pub(crate) fn shown(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = url.split_once("//").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let slashes = if scheme.is_empty() { "" } else { "//" };
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}{slashes}…@{host}{path}"),
        None => format!("{scheme}{slashes}{authority}{path}"),
    }
}
