//! A model at a server, as the port sees it.

use std::sync::Arc;

use async_trait::async_trait;
use parkway_core::model::{Capabilities, ChatRequest, Deltas, Model, ModelError};

use crate::answer::Answer;
use crate::config::OpenAiConfig;
use crate::http::Http;
use crate::names::Names;
use crate::request;
use crate::server::{Dialect, Server};

/// Pieces of an answer that nobody took yet; the server waits after them.
const ROOM: usize = 64;

/// A model at a server. Clones share its connections.
///
/// A request is made once: an error says whether another try may help, and the engine decides about it. Dropping the
/// [`Deltas`] of an answer, or the future that asks for them, closes the connection, and servers stop decoding then. A server that counts no tokens is counted by
/// bytes, one token for three.
#[derive(Clone, Debug)]
pub struct OpenAi {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    capabilities: Capabilities,
    asked: String,
    http: Http,
    dialect: Dialect,
    reached: bool,
}

impl OpenAi {
    /// The model that a server calls `model`, to be configured and loaded. `url` is the server's base URL, for example
    /// `http://localhost:8080/v1`; `/chat/completions` is put behind it.
    pub fn at(url: impl Into<String>, model: impl Into<String>) -> OpenAiConfig {
        OpenAiConfig::new(url.into(), model.into())
    }

    pub(crate) fn new(
        config: OpenAiConfig,
        http: Http,
        dialect: Dialect,
        context_length: Option<u32>,
        reached: bool,
    ) -> Self {
        let capabilities = Capabilities {
            name: http.subject.model.clone(),
            context_length: config.context_length.or(context_length),
            constraints: dialect.constraints(),
            tools: dialect.tools,
            logprobs: dialect.logprobs(),
            device: format!("{} at {}", dialect.server, http.subject.origin),
            ..Capabilities::default()
        };
        OpenAi { inner: Arc::new(Inner { capabilities, asked: config.model, http, dialect, reached }) }
    }

    /// What kind of server it is taken for.
    pub fn server(&self) -> Server {
        self.inner.dialect.server
    }

    /// Whether the server answered when it was to be found out about. One that did not promises less than it may be able to: load
    /// the model again later.
    pub fn reached(&self) -> bool {
        self.inner.reached
    }
}

#[async_trait]
impl Model for OpenAi {
    fn capabilities(&self) -> &Capabilities {
        &self.inner.capabilities
    }

    async fn stream(&self, request: ChatRequest) -> Result<Deltas, ModelError> {
        let inner = &self.inner;
        let names = Names::of(&request);
        let (body, form) = request::body(&request, &inner.asked, inner.dialect, &names)?;
        let answer = Answer::new(inner.http.subject.clone(), names, form, &request, body.len());
        let body = inner.http.post("chat/completions", body, request.max_tokens).await?;
        let (sender, deltas) = Deltas::channel(ROOM);
        tokio::spawn(async move {
            // Leaving drops the body, and so closes the connection.
            tokio::select! {
                () = answer.read(body, &sender) => {}
                () = sender.closed() => {}
            }
        });
        Ok(deltas)
    }

    fn count_tokens(&self, _: &ChatRequest) -> Option<usize> {
        None
    }
}
