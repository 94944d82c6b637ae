//! Models at servers, as workflows and settings name them.

use std::sync::Arc;

use parkway_core::model::SharedModel;
use parkway_core::secret::Secrets;
use parkway_core::workflow::ModelSpec;
use parkway_openai::{OpenAi, OpenAiConfig, Server};

use crate::error::Error;

/// The server that a workflow means, with the key that it names.
pub(crate) async fn config_of(name: &str, spec: &ModelSpec, secrets: &dyn Secrets) -> Result<OpenAiConfig, Error> {
    let Some(openai) = &spec.openai else {
        return Err(Error::Model { name: name.into(), cause: "no server is named".into() });
    };
    let mut config = OpenAi::at(&openai.url, &openai.model);
    if let Some(context) = spec.context {
        config = config.context_length(context);
    }
    if let Some(kind) = &openai.server {
        let unknown = || Error::Model { name: name.into(), cause: format!("no kind of server is called `{kind}`") };
        config = config.server(Server::from_name(kind).ok_or_else(unknown)?);
    }
    if let Some(tools) = openai.tools {
        config = config.tools(tools);
    }
    let timeouts = openai.timeouts;
    if let Some(connect) = timeouts.connect {
        config = config.connect_timeout(connect);
    }
    if let Some(first_byte) = timeouts.first_byte {
        config = config.first_byte_timeout(first_byte);
    }
    if let Some(next_byte) = timeouts.next_byte {
        config = config.stall_timeout(next_byte);
    }
    let Some(key) = &openai.key else { return Ok(config) };
    let why = match secrets.get(key).await {
        Ok(Some(secret)) if !secret.expose().trim().is_empty() => return Ok(config.key(secret)),
        Ok(Some(_)) => "is empty".to_owned(),
        Ok(None) => format!(
            "has no source; say where it comes from in `parkway.toml`: `[secrets]`, `{key} = {{ env = \"{key}\" }}`"
        ),
        Err(error) => format!("cannot be read: {error}"),
    };
    Err(Error::Model { name: name.into(), cause: format!("its key, the secret `{key}`, {why}") })
}

/// The model, and whether to keep it: a server that was not there may be next time, and then tells what it can do.
pub(crate) async fn load(name: &str, config: OpenAiConfig) -> Result<(SharedModel, bool), Error> {
    match config.load().await {
        Ok(model) => {
            let reached = model.reached();
            Ok((Arc::new(model), reached))
        }
        Err(error) => Err(Error::Model { name: name.into(), cause: error.to_string() }),
    }
}
