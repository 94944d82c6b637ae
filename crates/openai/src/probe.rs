//! Finding out what kind of server it is: once, when the model is loaded, by a few cheap questions.

use parkway_core::model::ModelError;
use serde_json::Value;
use tokio::time::timeout;

use crate::Server;
use crate::config::OpenAiConfig;
use crate::http::{Http, Place};

/// What is known of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) server: Server,
    /// Whether it is a vLLM from before `structured_outputs`.
    pub(crate) guided: bool,
    pub(crate) context_length: Option<u32>,
    /// Whether it answered at all, if it was asked.
    pub(crate) reached: bool,
}

impl Found {
    fn new(server: Server) -> Self {
        Found { server, guided: false, context_length: None, reached: true }
    }
}

/// What is known of the server within the time for it. One that cannot be reached, or does not tell, promises nothing.
pub(crate) async fn find(http: &Http, config: &OpenAiConfig) -> Found {
    let known = config.server.or(match http.host().as_str() {
        "api.openai.com" => Some(Server::OpenAi),
        "api.deepseek.com" => Some(Server::DeepSeek),
        _ => None,
    });
    let mut found = Found::new(known.unwrap_or(Server::Other));
    let asked = timeout(config.times.probe, ask(http, known, &config.model, &mut found)).await;
    match asked {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(server = %http.subject.origin, %error, "nothing could be found out about the server");
            found.reached = false;
        }
        Err(_) => {
            tracing::warn!(server = %http.subject.origin, "the server did not tell in time what it can do");
            found.reached = false;
        }
    }
    tracing::debug!(server = %http.subject.origin, kind = %found.server, "found");
    found
}

/// Asks until it is clear. What is known by then stays in `found` if time runs out.
async fn ask(http: &Http, known: Option<Server>, model: &str, found: &mut Found) -> Result<(), ModelError> {
    match known {
        Some(Server::LlamaServer) => properties(http, found).await.map(drop),
        Some(Server::Vllm) => {
            models(http, model, found).await?;
            version(http, found).await
        }
        Some(Server::SgLang | Server::RayServe) => models(http, model, found).await.map(drop),
        Some(_) => Ok(()),
        None => {
            let owner = models(http, model, found).await?;
            match owner.as_deref() {
                Some("vllm") => {
                    found.server = Server::Vllm;
                    version(http, found).await?;
                }
                Some("sglang") => found.server = Server::SgLang,
                Some("llamacpp") => {
                    found.server = Server::LlamaServer;
                    properties(http, found).await?;
                }
                _ if properties(http, found).await? => found.server = Server::LlamaServer,
                _ if is_ollama(http).await? => found.server = Server::Ollama,
                _ if is_ray(http).await? => found.server = Server::RayServe,
                _ => {}
            }
            Ok(())
        }
    }
}

/// What is said there, where it is JSON.
async fn json(http: &Http, place: Place<'_>) -> Result<Option<Value>, ModelError> {
    let (status, body) = http.look(&place).await?;
    Ok(if status == 200 { serde_json::from_slice(&body).ok() } else { None })
}

/// Who made the model that is meant, by the list of models; its context comes with it.
async fn models(http: &Http, model: &str, found: &mut Found) -> Result<Option<String>, ModelError> {
    let Some(list) = json(http, Place::Base("models")).await? else { return Ok(None) };
    let list = list["data"].as_array().cloned().unwrap_or_default();
    let named = list.iter().find(|entry| entry["id"] == model);
    // A server of one model answers to any name.
    let Some(entry) = named.or_else(|| list.first().filter(|_| list.len() == 1)) else { return Ok(None) };
    let length = entry["max_model_len"].as_u64().and_then(|tokens| u32::try_from(tokens).ok());
    found.context_length = found.context_length.or(length.filter(|tokens| *tokens > 0));
    Ok(entry["owned_by"].as_str().map(str::to_owned))
}

/// Whether it tells of itself as llama-server does; its context comes with it.
async fn properties(http: &Http, found: &mut Found) -> Result<bool, ModelError> {
    let Some(told) = json(http, Place::Root("props")).await? else { return Ok(false) };
    let settings = &told["default_generation_settings"];
    let length = settings["n_ctx"].as_u64().and_then(|tokens| u32::try_from(tokens).ok());
    found.context_length = length.filter(|tokens| *tokens > 0).or(found.context_length);
    Ok(settings.is_object())
}

async fn is_ollama(http: &Http) -> Result<bool, ModelError> {
    Ok(json(http, Place::Root("api/version")).await?.is_some_and(|told| told["version"].is_string()))
}

async fn is_ray(http: &Http) -> Result<bool, ModelError> {
    let (status, body) = http.look(&Place::Root("-/healthz")).await?;
    Ok(status == 200 && body.trim_ascii() == b"success")
}

/// Whether a vLLM is one from before `structured_outputs`. Others tell versions, too, so that this makes no vLLM of them.
async fn version(http: &Http, found: &mut Found) -> Result<(), ModelError> {
    let Some(told) = json(http, Place::Root("version")).await? else { return Ok(()) };
    let Some(version) = told["version"].as_str() else { return Ok(()) };
    let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
    found.guided = matches!((parts.next(), parts.next()), (Some(Some(0)), Some(Some(minor))) if minor < 11);
    Ok(())
}
