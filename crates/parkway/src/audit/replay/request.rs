//! The request of a recorded call, made again of what the log holds.

use parkway_core::log::AnswerForm;
use parkway_core::model::{Capabilities, ChatMessage, ChatRequest, Constraint, ConstraintKind, Role};
use parkway_core::workflow::Verb;
use serde_json::Value;

use super::Recorded;
use crate::embed::Parkway;
use crate::error::Error;
use crate::record::Record;

impl Parkway {
    /// The request as it was, or what of it is missing.
    pub(super) async fn request(
        &self,
        record: &Record,
        recorded: Recorded<'_>,
        now: &Capabilities,
    ) -> Result<Result<ChatRequest, String>, Error> {
        let call = recorded.call;
        let messages: Vec<ChatMessage> = match self.text(call.messages).await? {
            Value::Null => return Ok(Err("its messages were erased".into())),
            value => match serde_json::from_value(value) {
                Ok(messages) => messages,
                Err(error) => return Ok(Err(format!("its messages cannot be read: {error}"))),
            },
        };
        let form = match call.form {
            None => planned(record, recorded, now),
            Some(form) => match self.text(form).await? {
                Value::Null => Err("what its answer was held to was erased".into()),
                value => serde_json::from_value(value)
                    .map_err(|error| format!("what its answer was held to cannot be read: {error}")),
            },
        };
        let form = match form {
            Ok(form) => form,
            Err(why) => return Ok(Err(why)),
        };
        if let Some(adapter) = call.adapter.as_ref().filter(|adapter| !now.adapters.contains(adapter)) {
            return Ok(Err(format!("the model here has no adapter `{adapter}`")));
        }
        let mut request = ChatRequest::new(messages);
        // A goal records the beginning of an answer as the last of its messages.
        let prefix = form.prefix.as_ref();
        request.messages.pop_if(|last| last.role == Role::Assistant && Some(&last.content) == prefix);
        request.assistant_prefix = form.prefix;
        request.constraint = form.constraint;
        request.tools = form.tools;
        #[expect(clippy::cast_precision_loss, reason = "a temperature has few digits")]
        {
            request.temperature = call.temperature_milli as f32 / 1000.0;
        }
        request.seed = call.seed;
        request.step = Some(recorded.step.clone());
        request.max_tokens = call.max_tokens;
        request.adapter = call.adapter.clone();
        Ok(Ok(request))
    }
}

/// What the answer of a chat is held to, as the plan says it.
fn planned(record: &Record, recorded: Recorded<'_>, now: &Capabilities) -> Result<AnswerForm, String> {
    let step = record.state.step(recorded.step);
    let node = step.map(|step| record.state.plan().graph.node(step.node));
    let schema = match node.map(|node| &node.verb) {
        Some(Verb::Chat(chat)) if chat.tools.is_empty() => &chat.schema,
        _ => return Err("what its answer was held to was not recorded: an older Parkway has made the run".into()),
    };
    let enforced = recorded.call.grammar_hash.is_some() || now.constraints.contains(&ConstraintKind::JsonSchema);
    let mut form = AnswerForm::default();
    form.constraint = schema.clone().filter(|_| enforced).map(Constraint::JsonSchema);
    Ok(form)
}
