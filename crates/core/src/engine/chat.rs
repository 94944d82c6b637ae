//! Asking a model: messages are evaluated at the edge, once, and recorded; then the call is launched.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::engine::begin::Start;
use crate::engine::context::Site;
use crate::engine::executor::{Executor, ExecutorError};
use crate::engine::recorder::Draft;
use crate::engine::step::{self, Attempt, Call, ChatCall, Failure};
use crate::engine::{budget, offer};
use crate::id::StepKey;
use crate::label::Labels;
use crate::log::{AnswerForm, Budget, EventKind};
use crate::model::{Capabilities, ChatMessage, ChatRequest, Constraint, ConstraintKind};
use crate::tool::{Cancel, ToolSpec};
use crate::workflow::{Chat, NodeIndex, REPAIRS, Template};

impl Executor {
    pub(super) async fn call_model(
        &mut self,
        key: StepKey,
        node: NodeIndex,
        site: Site,
        chat: &Chat,
        condition: Labels,
    ) -> Result<(), ExecutorError> {
        let Some(model) = self.models.get(&chat.model).cloned() else {
            let message = format!("the model `{}` is not loaded", chat.model);
            return self.fail(key, &Failure::new("unknown_model", message)).await;
        };
        let takes_tools = model.capabilities().tools;
        let (messages, labels) = match self.messages(&key, site, chat, takes_tools).await? {
            Ok(found) => found,
            Err(failure) => return self.fail(key, &failure).await,
        };
        if let Some(failure) = missing_adapter(chat, model.capabilities()) {
            return self.fail(key, &failure).await;
        }
        let form = match self.answer_form(chat) {
            Ok(form) => form,
            Err(failure) => return self.fail(key, &failure).await,
        };
        let tools = match self.offered(chat) {
            Ok(tools) if takes_tools => offer::definitions(&tools),
            Ok(_) => Vec::new(),
            Err(failure) => return self.fail(key, &failure).await,
        };
        let schema = form.as_ref().map(|form| self.schemas.of_form(node, form)).transpose();
        let schema = match schema {
            Ok(schema) => schema,
            Err(error) => return self.fail(key, &Failure::new("invalid", error)).await,
        };
        let enforced = model.capabilities().constraints.contains(&ConstraintKind::JsonSchema);
        let failures = self.state.step(&key).map_or(0, |step| step.failures);
        let hints = self.hints(&key, node);
        let request = ChatRequest {
            messages: messages.clone(),
            assistant_prefix: None,
            constraint: form.filter(|_| enforced && tools.is_empty()).map(Constraint::JsonSchema),
            tools,
            logprobs: None,
            #[expect(clippy::cast_precision_loss, reason = "a temperature has few digits")]
            temperature: chat.temperature_milli as f32 / 1000.0,
            seed: chat.seed.unwrap_or_else(|| step::seed(&key, failures)),
            step: Some(key.clone()),
            hints,
            max_tokens: chat.max_tokens,
            adapter: chat.adapter.clone(),
        };
        // A model that cannot enforce the schema may be asked several times.
        let sure = request.constraint.is_some() || schema.is_none();
        let turns = if sure { 1 } else { 1 + u64::from(REPAIRS) };
        let prompt = model.count_tokens(&request).unwrap_or(0) as u64;
        let share = Budget::new((prompt + u64::from(chat.max_tokens)) * turns, 0);
        let now = self.services.clock.now();
        if let Some(why) = budget::exceeded(&self.state, site.scope, share, now) {
            return self.fail(key, &Failure::new("budget", why)).await;
        }
        let args = serde_json::to_value(&messages).unwrap_or_default();
        let mut draft = Draft::default();
        let start = Start { args: Some(&args), labels, condition, ..Start::default() };
        self.draft_start(&mut draft, key.clone(), start)?;
        if budget::counts(&self.state, site.scope, |limits| limits.tokens) {
            draft.event(EventKind::BudgetReserved { key: key.clone(), share });
        }
        self.record(draft).await?;
        let Some(index) = self.state.index_of(&key) else { return Ok(()) };
        let (timeout, by_budget) = self.time_limit(node, site);
        // The plan has an author's schema, and of tools their names.
        let form = (!chat.tools.is_empty()).then(|| Arc::new(AnswerForm::from(&request)));
        let call = ChatCall {
            key,
            model,
            request,
            schema,
            form,
            reporter: self.reporter.clone(),
            secrets: self.secrets.clone(),
            metering: self.services.metering.clone(),
        };
        let call = Call::Chat(Box::new(call));
        self.launch(Attempt { index, call, timeout, by_budget, cancel: Cancel::new(), after: None });
        Ok(())
    }

    /// JSON Schema of the answer: the author's, or that of calls of the tools that are offered.
    fn answer_form(&self, chat: &Chat) -> Result<Option<Value>, Failure> {
        if chat.tools.is_empty() {
            return Ok(chat.schema.clone());
        }
        if chat.schema.is_some() {
            let message = "a chat that offers `tools` has their calls as its output, and no other form";
            return Err(Failure::new("invalid", message));
        }
        Ok(Some(offer::form(&self.offered(chat)?)))
    }

    fn offered(&self, chat: &Chat) -> Result<Vec<&ToolSpec>, Failure> {
        let spec = |name: &String| match self.services.tools.get(name) {
            Some(tool) => Ok(tool.spec()),
            None => Err(Failure::new("unknown_tool", format!("no tool is called `{name}`"))),
        };
        chat.tools.iter().map(spec).collect()
    }

    pub(super) async fn messages(
        &mut self,
        key: &StepKey,
        site: Site,
        chat: &Chat,
        takes_tools: bool,
    ) -> Result<Result<(Vec<ChatMessage>, BTreeMap<String, Labels>), Failure>, ExecutorError> {
        if let Some(recorded) = self.state.step(key).and_then(|step| step.args) {
            let recorded = self.values.value(recorded).await?;
            return Ok(serde_json::from_value(recorded)
                .map(|messages| (messages, BTreeMap::new()))
                .map_err(|e| Failure::new("erased", format!("the recorded messages cannot be read: {e}"))));
        }
        let mut messages = Vec::new();
        let mut labels = BTreeMap::new();
        for (i, message) in chat.messages.iter().enumerate() {
            let template = Template::Text(&message.content.text);
            match Self::evaluated(self.values.evaluate(&self.state, site, template).await)? {
                Ok((value, seen)) => {
                    messages.push(ChatMessage::new(message.role, value.as_str().unwrap_or_default()));
                    labels.insert(format!("messages[{i}]"), seen);
                }
                Err(failure) => return Ok(Err(failure)),
            }
        }
        if !chat.tools.is_empty() && !takes_tools {
            match self.offered(chat) {
                Ok(tools) => offer::describe(&mut messages, &tools),
                Err(failure) => return Ok(Err(failure)),
            }
        }
        Ok(Ok((messages, labels)))
    }
}

/// What to say where the model lacks the adapter that a chat wants.
fn missing_adapter(chat: &Chat, model: &Capabilities) -> Option<Failure> {
    let wanted = chat.adapter.as_ref().filter(|wanted| !model.adapters.contains(wanted))?;
    let known = match model.adapters.as_slice() {
        [] => "it has none".to_owned(),
        some => format!("it has {}", some.join(", ")),
    };
    let message = format!("the model `{}` ({}) has no adapter `{wanted}`; {known}", chat.model, model.name);
    Some(Failure::new("unsupported", message))
}
