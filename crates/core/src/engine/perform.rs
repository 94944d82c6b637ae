//! Performing commands: evaluation at the edge, once, with the result recorded; and what came of an attempt.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::engine::budget;
use crate::engine::context::{Site, labels_named, labels_of};
use crate::engine::decide::{Command, MAX_INTERRUPTIONS};
use crate::engine::executor::{Executor, ExecutorError};
use crate::engine::recorder::Draft;
use crate::engine::step::{self, Attempt, Call, ChatCall, Failure, Outcome, Turn};
use crate::id::{EffectKey, StepKey};
use crate::label::Labels;
use crate::log::{Budget, EventKind, FailureReason, ModelCall, SkipReason, StepIndex, StepStatus};
use crate::model::{ChatMessage, ChatRequest, Constraint, ConstraintKind, Role};
use crate::policy::{self, PolicyRequest};
use crate::schema::{Schema, Side};
use crate::tool::{Cancel, Effect, ToolContext};
use crate::workflow::{Chat, ForEach, Node, NodeIndex, Template, Verb, expression_or_value};

/// The label under which the labels of a step's condition stand beside those of its arguments.
const CONDITION: &str = "if";

impl Executor {
    pub(crate) async fn perform(&mut self, command: Command) -> Result<(), ExecutorError> {
        match command {
            Command::Skip { key, reason } => self.say(EventKind::StepSkipped { key, reason }).await,
            Command::Open { key } => self.open(key).await,
            Command::Begin { key } | Command::Item { key } => self.begin_step(key).await,
            Command::Complete { key } => self.complete(key).await,
            Command::Fail { key, error } => {
                let attempt = self.state.step(&key).map_or(0, |step| step.attempt);
                self.say(EventKind::StepFailed { key, attempt, code: error.code, message: error.message }).await
            }
            Command::Reject { key, expired } => self.reject(key, expired).await,
            Command::Approve { key } => self.approved(key).await,
            Command::Doubt { key } => {
                let failure =
                    Failure::new("crash", "the process that made the call ended before the outcome was known");
                self.doubt(key, &failure).await
            }
            Command::GiveUp { key } => {
                let message = format!("{MAX_INTERRUPTIONS} processes ended while they tried this step");
                self.fail(key, &Failure::new("interrupted", message)).await
            }
            Command::Cancel { key } => self.cancel(key).await,
            Command::Finish => self.finish().await,
        }
    }

    pub(crate) async fn say(&mut self, kind: EventKind) -> Result<(), ExecutorError> {
        let mut draft = Draft::default();
        draft.event(kind);
        self.record(draft).await?;
        Ok(())
    }

    pub(crate) async fn fail(&mut self, key: StepKey, failure: &Failure) -> Result<(), ExecutorError> {
        self.fail_after(Draft::default(), key, failure).await
    }

    /// Records that a step failed, after what is in the draft already.
    async fn fail_after(&mut self, mut draft: Draft, key: StepKey, failure: &Failure) -> Result<(), ExecutorError> {
        self.draft_failure(&mut draft, key, failure)?;
        self.record(draft).await?;
        Ok(())
    }

    fn draft_failure(&self, draft: &mut Draft, key: StepKey, failure: &Failure) -> Result<(), ExecutorError> {
        let attempt = self.state.step(&key).map_or(0, |step| step.attempt);
        let message = self.text(draft, &failure.message)?;
        draft.event(EventKind::StepFailed { key, attempt, code: failure.code.clone(), message });
        Ok(())
    }

    async fn doubt(&mut self, key: StepKey, failure: &Failure) -> Result<(), ExecutorError> {
        let mut draft = Draft::default();
        let attempt = self.state.step(&key).map_or(0, |step| step.attempt);
        let message = self.text(&mut draft, &failure.message)?;
        draft.event(EventKind::StepInDoubt { key, attempt, code: failure.code.clone(), message });
        self.record(draft).await?;
        Ok(())
    }

    async fn cancel(&mut self, key: StepKey) -> Result<(), ExecutorError> {
        let index = self.state.index_of(&key);
        match index.and_then(|index| self.cancels.get(&index)) {
            // Its outcome says how it ended.
            Some(cancel) => cancel.cancel(),
            None => {
                let attempt = self.state.step(&key).map_or(0, |step| step.attempt);
                self.say(EventKind::StepCancelled { key, attempt }).await?;
            }
        }
        Ok(())
    }

    /// The node of a step, and where its templates stand.
    pub(crate) fn place(&self, key: &StepKey) -> Option<(NodeIndex, Site)> {
        if let Some(index) = self.state.index_of(key) {
            return Some((self.state.at(index).node, Site::of(&self.state, index)));
        }
        // An item comes into being with its first event.
        let fan = self.state.index_of(&key.fan_out())?;
        let item = key.last().and_then(|segment| segment.item)?;
        Some((self.state.at(fan).node, Site { scope: Some(fan), item: Some((fan, item)) }))
    }

    /// Evaluates `if`; then fans the step out, or begins it.
    async fn open(&mut self, key: StepKey) -> Result<(), ExecutorError> {
        let plan = self.state.plan().clone();
        let Some((node, site)) = self.place(&key) else { return Ok(()) };
        let node = plan.graph.node(node);
        if let Some(condition) = &node.condition {
            let result = self.values.evaluate(&self.state, site, expression_or_value(condition)).await;
            match Self::evaluated(result)? {
                Ok((Value::Bool(true), _)) => {}
                Ok((Value::Bool(false), _)) => {
                    return self.say(EventKind::StepSkipped { key, reason: SkipReason::Condition }).await;
                }
                Ok((other, _)) => {
                    let message = format!("`if` must be true or false, not {}", short(&other));
                    return self.fail(key, &Failure::new("template", message)).await;
                }
                Err(failure) => return self.fail(key, &failure).await,
            }
        }
        match &node.for_each {
            Some(for_each) => {
                let condition = self.condition_labels(node, site);
                self.expand(key, for_each, site, condition).await
            }
            None => self.begin_step(key).await,
        }
    }

    /// The labels of a step's `if`: what it lets through tells something of what it looked at.
    fn condition_labels(&self, node: &Node, site: Site) -> Labels {
        let condition = node.condition.as_ref().map(expression_or_value);
        condition.map_or(Labels::NONE, |condition| labels_named(&self.state, site, condition))
    }

    async fn expand(
        &mut self,
        key: StepKey,
        for_each: &ForEach,
        site: Site,
        condition: Labels,
    ) -> Result<(), ExecutorError> {
        let result = self.values.evaluate(&self.state, site, expression_or_value(&for_each.list)).await;
        let (list, labels) = match Self::evaluated(result)? {
            Ok((Value::Array(list), labels)) => (list, labels.union(condition)),
            Ok((other, _)) => {
                let message = format!("`for_each` needs a list, not {}", short(&other));
                return self.fail(key, &Failure::new("template", message)).await;
            }
            Err(failure) => return self.fail(key, &failure).await,
        };
        let Ok(items) = u32::try_from(list.len()) else {
            return self.fail(key, &Failure::new("too_many", "a list has at most 2^32 - 1 items")).await;
        };
        let names = match self.item_names(for_each, site, &list).await? {
            Ok(names) => names,
            Err(failure) => return self.fail(key, &failure).await,
        };
        let mut draft = Draft::default();
        let list = self.value(&mut draft, &Value::Array(list))?;
        let names = names.map(|names| self.value(&mut draft, &names)).transpose()?;
        draft.event(EventKind::StepExpanded { key, items, list, names, labels });
        self.record(draft).await?;
        Ok(())
    }

    /// The unique names that `key` gives the items.
    async fn item_names(
        &mut self,
        for_each: &ForEach,
        site: Site,
        list: &[Value],
    ) -> Result<Result<Option<Value>, Failure>, ExecutorError> {
        let Some(expression) = &for_each.key else { return Ok(Ok(None)) };
        let mut names = Vec::with_capacity(list.len());
        let mut seen = std::collections::HashSet::new();
        for (i, item) in list.iter().enumerate() {
            let more = [(for_each.item.as_str(), item.clone()), ("index", json!(i))];
            let template = Template::Expression(expression);
            let name = match Self::evaluated(self.values.evaluate_with(&self.state, site, template, &more).await)? {
                Ok((Value::String(name), _)) => name,
                Ok((other @ (Value::Number(_) | Value::Bool(_)), _)) => other.to_string(),
                Ok((other, _)) => {
                    let message = format!("the `key` of item {i} must be a text, not {}", short(&other));
                    return Ok(Err(Failure::new("template", message)));
                }
                Err(failure) => return Ok(Err(failure)),
            };
            if !seen.insert(name.clone()) {
                return Ok(Err(Failure::new("template", format!("two items have the `key` `{name}`"))));
            }
            names.push(Value::String(name));
        }
        Ok(Ok(Some(Value::Array(names))))
    }

    async fn begin_step(&mut self, key: StepKey) -> Result<(), ExecutorError> {
        let plan = self.state.plan().clone();
        let Some((index, site)) = self.place(&key) else { return Ok(()) };
        let node = plan.graph.node(index);
        let condition = self.condition_labels(node, site);
        match &node.verb {
            Verb::Steps { .. } => {
                let mut draft = Draft::default();
                self.draft_start(&mut draft, key, None, &BTreeMap::new(), condition, None)?;
                self.record(draft).await?;
                Ok(())
            }
            Verb::Set { values } => self.set(key, site, values, condition).await,
            Verb::Approve { prompt, timeout_ms, show } => self.ask(key, site, prompt, *timeout_ms, show.as_ref()).await,
            Verb::Tool { name, with } => self.call_tool(key, index, site, name, with, condition).await,
            Verb::Chat(chat) => self.call_model(key, index, site, chat, condition).await,
        }
    }

    fn draft_start(
        &self,
        draft: &mut Draft,
        key: StepKey,
        args: Option<&Value>,
        labels: &BTreeMap<String, Labels>,
        condition: Labels,
        effect: Option<Effect>,
    ) -> Result<(), ExecutorError> {
        let step = self.state.step(&key);
        let attempt = step.map_or(0, |step| step.attempt) + 1;
        let recorded = step.and_then(|step| step.args);
        let args = match (recorded, args) {
            (Some(recorded), _) => Some(recorded),
            (None, Some(args)) => Some(self.value(draft, args)?),
            (None, None) => None,
        };
        let mut labels: BTreeMap<_, _> =
            labels.iter().filter(|(_, labels)| !labels.is_empty()).map(|(k, v)| (k.clone(), *v)).collect();
        // An attempt after the first keeps the labels that the first one was given.
        let kept = step.map_or(Labels::NONE, |step| step.arg_labels).union(condition);
        if !kept.is_empty() {
            labels.insert(CONDITION.into(), kept);
        }
        draft.event(EventKind::StepStarted { key, attempt, args, labels, effect });
        Ok(())
    }

    async fn set(&mut self, key: StepKey, site: Site, values: &Value, condition: Labels) -> Result<(), ExecutorError> {
        let (value, labels) =
            match Self::evaluated(self.values.evaluate(&self.state, site, Template::Value(values)).await)? {
                Ok((value, labels)) => (value, labels.union(condition)),
                Err(failure) => return self.fail(key, &failure).await,
            };
        let mut draft = Draft::default();
        self.draft_start(&mut draft, key.clone(), None, &BTreeMap::new(), labels, None)?;
        let attempt = self.state.step(&key).map_or(0, |step| step.attempt) + 1;
        let output = Some(self.value(&mut draft, &value)?);
        draft.event(EventKind::StepCompleted { key, attempt, output, labels });
        self.record(draft).await?;
        Ok(())
    }

    /// The arguments of a tool call: those that were recorded, or the templates' values now.
    pub(crate) async fn arguments(
        &mut self,
        key: &StepKey,
        site: Site,
        with: &Value,
    ) -> Result<Result<(Value, BTreeMap<String, Labels>), Failure>, ExecutorError> {
        if let Some(recorded) = self.state.step(key).and_then(|step| step.args) {
            return Ok(Ok((self.values.value(recorded).await?, BTreeMap::new())));
        }
        let mut args = Map::new();
        let mut labels = BTreeMap::new();
        for (name, value) in with.as_object().into_iter().flatten() {
            match Self::evaluated(self.values.evaluate(&self.state, site, Template::Value(value)).await)? {
                Ok((value, seen)) => {
                    args.insert(name.clone(), value);
                    labels.insert(name.clone(), seen);
                }
                Err(failure) => return Ok(Err(failure)),
            }
        }
        Ok(Ok((Value::Object(args), labels)))
    }

    async fn call_tool(
        &mut self,
        key: StepKey,
        node: NodeIndex,
        site: Site,
        name: &str,
        with: &Value,
        condition: Labels,
    ) -> Result<(), ExecutorError> {
        let (args, labels) = match self.arguments(&key, site, with).await? {
            Ok(found) => found,
            Err(failure) => return self.fail(key, &failure).await,
        };
        let Some(tool) = self.services.tools.get(name).cloned() else {
            return self.fail(key, &Failure::new("unknown_tool", format!("no tool is called `{name}`"))).await;
        };
        let spec = tool.spec();
        let input = self.schemas.get(node, Side::Input, &spec.input_schema);
        if let Err(error) = input.and_then(|schema| schema.check(&args)) {
            let message = format!("the arguments do not fit `{name}`: {error}");
            return self.fail(key, &Failure::new("invalid", message)).await;
        }
        let output = match self.schemas.get(node, Side::Output, &spec.output_schema) {
            Ok(output) => output,
            Err(error) => {
                let message = format!("what `{name}` returns cannot be checked: {error}");
                return self.fail(key, &Failure::new("invalid", message)).await;
            }
        };
        let kept = self.state.step(&key).map_or(Labels::NONE, |step| step.arg_labels);
        let all_labels = labels.values().fold(condition.union(kept), |all, one| all.union(*one));
        let grants = self.state.plan().grants.get(spec.family()).cloned();
        let request = PolicyRequest::new(spec, &args, all_labels, grants.is_some());
        let decision = self.services.policy.decide(&request);
        let mut draft = Draft::default();
        let first = self.state.step(&key).is_none_or(|step| step.attempt == 0);
        if first && (spec.effect != Effect::Pure || decision.verdict != policy::Verdict::Allow) {
            let (verdict, rule) = (decision.verdict, decision.rule.clone());
            draft.event(EventKind::PolicyDecided { key: key.clone(), tool: name.into(), verdict, rule });
        }
        if decision.verdict == policy::Verdict::Deny {
            let failure = Failure::new("denied", format!("`{name}` is not allowed: {}", decision.reason));
            return self.fail_after(draft, key, &failure).await;
        }
        if first && self.must_ask(&key, name, &args, decision.verdict).await? {
            return self.ask_for_call(draft, key, name, &args, &decision.reason).await;
        }
        let now = self.services.clock.now();
        if let Some(why) = budget::exceeded(&self.state, Budget::new(0, 1), now) {
            return self.fail_after(draft, key, &Failure::new("budget", why)).await;
        }
        let effect = spec.effect;
        self.draft_start(&mut draft, key.clone(), Some(&args), &labels, condition, Some(effect))?;
        if self.state.plan().limits.tool_calls.is_some() {
            draft.event(EventKind::BudgetReserved { key: key.clone(), share: Budget::new(0, 1) });
        }
        let head = self.record(draft).await?;
        let Some(index) = self.state.index_of(&key) else { return Ok(()) };
        let (timeout, by_budget) = self.time_limit(node);
        let cancel = Cancel::new();
        let context = ToolContext {
            run: self.lease.run,
            step: key.clone(),
            attempt: self.state.at(index).attempt,
            key: EffectKey::new(self.lease.run, &key, 0),
            fence: self.lease.fence,
            now,
            deadline: timeout.map(|timeout| now.after(timeout)),
            grants: grants.unwrap_or_default(),
            cancel: cancel.clone(),
        };
        let after = effect.waits_for_disk().then(|| (self.recorder.disk(), head));
        let call = Call::Tool { tool, input: args, context: Box::new(context), output };
        self.launch(Attempt { index, call, timeout, by_budget, cancel, after });
        Ok(())
    }

    async fn call_model(
        &mut self,
        key: StepKey,
        node: NodeIndex,
        site: Site,
        chat: &Chat,
        condition: Labels,
    ) -> Result<(), ExecutorError> {
        let (messages, labels) = match self.messages(&key, site, chat).await? {
            Ok(found) => found,
            Err(failure) => return self.fail(key, &failure).await,
        };
        let Some(model) = self.models.get(&chat.model).cloned() else {
            let message = format!("the model `{}` is not loaded", chat.model);
            return self.fail(key, &Failure::new("unknown_model", message)).await;
        };
        let schema = match self.answer_schema(node, chat) {
            Ok(schema) => schema,
            Err(error) => return self.fail(key, &Failure::new("invalid", error)).await,
        };
        let enforced = model.capabilities().constraints.contains(&ConstraintKind::JsonSchema);
        let failures = self.state.step(&key).map_or(0, |step| step.failures);
        let request = ChatRequest {
            messages: messages.clone(),
            assistant_prefix: None,
            constraint: chat.schema.clone().filter(|_| enforced).map(Constraint::JsonSchema),
            #[expect(clippy::cast_precision_loss, reason = "a temperature has few digits")]
            temperature: chat.temperature_milli as f32 / 1000.0,
            seed: chat.seed.unwrap_or_else(|| step::seed(&key, failures)),
            max_tokens: chat.max_tokens,
        };
        // A model that cannot enforce the schema may be asked several times.
        let turns = if enforced || schema.is_none() { 1 } else { 1 + u64::from(step::REPAIRS) };
        let prompt = model.count_tokens(&request).unwrap_or(0) as u64;
        let share = Budget::new((prompt + u64::from(chat.max_tokens)) * turns, 0);
        let now = self.services.clock.now();
        if let Some(why) = budget::exceeded(&self.state, share, now) {
            return self.fail(key, &Failure::new("budget", why)).await;
        }
        let args = serde_json::to_value(&messages).unwrap_or_default();
        let mut draft = Draft::default();
        self.draft_start(&mut draft, key.clone(), Some(&args), &labels, condition, None)?;
        if self.state.plan().limits.tokens.is_some() {
            draft.event(EventKind::BudgetReserved { key: key.clone(), share });
        }
        self.record(draft).await?;
        let Some(index) = self.state.index_of(&key) else { return Ok(()) };
        let (timeout, by_budget) = self.time_limit(node);
        let call = ChatCall { key, model, request, schema, reporter: self.reporter.clone() };
        let call = Call::Chat(Box::new(call));
        self.launch(Attempt { index, call, timeout, by_budget, cancel: Cancel::new(), after: None });
        Ok(())
    }

    fn answer_schema(&mut self, node: NodeIndex, chat: &Chat) -> Result<Option<Arc<Schema>>, String> {
        let schema = chat.schema.as_ref();
        schema.map(|schema| self.schemas.get(node, Side::Output, schema)).transpose()
    }

    async fn messages(
        &mut self,
        key: &StepKey,
        site: Site,
        chat: &Chat,
    ) -> Result<Result<(Vec<ChatMessage>, BTreeMap<String, Labels>), Failure>, ExecutorError> {
        if let Some(recorded) = self.state.step(key).and_then(|step| step.args) {
            let recorded = self.values.value(recorded).await?;
            return Ok(serde_json::from_value(recorded)
                .map(|messages| (messages, BTreeMap::new()))
                .map_err(|e| Failure::new("erased", format!("the recorded messages cannot be read: {e}"))));
        }
        let mut messages = Vec::new();
        let mut labels = BTreeMap::new();
        let parts =
            [("system", Role::System, chat.prompt.system.as_ref()), ("prompt", Role::User, Some(&chat.prompt.user))];
        for (name, role, text) in parts {
            let Some(text) = text else { continue };
            match Self::evaluated(self.values.evaluate(&self.state, site, Template::Text(&text.text)).await)? {
                Ok((value, seen)) => {
                    messages.push(ChatMessage::new(role, value.as_str().unwrap_or_default()));
                    labels.insert(name.to_owned(), seen);
                }
                Err(failure) => return Ok(Err(failure)),
            }
        }
        Ok(Ok((messages, labels)))
    }

    /// The step's timeout, or what is left of the `wall` budget where that is less.
    fn time_limit(&self, node: NodeIndex) -> (Option<Duration>, bool) {
        let timeout = self.state.plan().graph.node(node).timeout_ms.map(Duration::from_millis);
        match (timeout, budget::wall_left(&self.state, self.services.clock.now())) {
            (Some(timeout), Some(left)) if left < timeout => (Some(left), true),
            (None, Some(left)) => (Some(left), true),
            (timeout, _) => (timeout, false),
        }
    }

    /// Records how a group or a fan-out ended well.
    async fn complete(&mut self, key: StepKey) -> Result<(), ExecutorError> {
        let Some(index) = self.state.index_of(&key) else { return Ok(()) };
        let step = self.state.at(index);
        let attempt = step.attempt;
        let plan = self.state.plan().clone();
        let node = plan.graph.node(step.node);
        let condition = step.arg_labels;
        let fans_out = step.fan.is_some();
        let mut draft = Draft::default();
        let (output, labels) = match &node.verb {
            Verb::Steps { result: Some(result), .. } if !fans_out => {
                let site = Site::inside(index);
                match Self::evaluated(self.values.evaluate(&self.state, site, Template::Value(result)).await)? {
                    Ok((value, labels)) => (Some(self.value(&mut draft, &value)?), labels.union(condition)),
                    Err(failure) => return self.fail(key, &failure).await,
                }
            }
            _ => (None, labels_of(&self.state, index).union(condition)),
        };
        draft.event(EventKind::StepCompleted { key, attempt, output, labels });
        self.record(draft).await?;
        Ok(())
    }

    /// Records what came of an attempt.
    pub(crate) async fn settle_outcome(&mut self, outcome: Outcome) -> Result<(), ExecutorError> {
        let Outcome { index, result, turns, .. } = outcome;
        let step = self.state.at(index).clone();
        if step.status != StepStatus::Running {
            return Ok(());
        }
        let plan = self.state.plan().clone();
        let node = plan.graph.node(step.node);
        let mut draft = Draft::default();
        let mut tokens = 0;
        for (i, turn) in turns.into_iter().enumerate() {
            tokens += turn.response.end.usage.total();
            self.draft_turn(&mut draft, node, index, u32::try_from(i).unwrap_or(u32::MAX) + 1, turn)?;
        }
        if result.as_ref().is_err_and(|failure| !failure.not_done) {
            // Nobody knows what the model had written by then.
            tokens = tokens.max(step.reserved.tokens);
        }
        if step.reserved != Budget::default() {
            // A call that failed for sure before it did anything is a call all the same.
            draft.event(EventKind::BudgetSettled {
                key: step.key.clone(),
                spent: Budget::new(tokens, step.reserved.tool_calls),
            });
        }
        let (key, attempt) = (step.key.clone(), step.attempt);
        match result {
            Ok(output) => {
                let labels = output.labels.union(step.arg_labels);
                let output = Some(self.value(&mut draft, &output.value)?);
                draft.event(EventKind::StepCompleted { key, attempt, output, labels });
            }
            Err(failure) => self.draft_attempt_failure(&mut draft, node, index, &failure)?,
        }
        self.record(draft).await?;
        Ok(())
    }

    fn draft_attempt_failure(
        &self,
        draft: &mut Draft,
        node: &Node,
        index: StepIndex,
        failure: &Failure,
    ) -> Result<(), ExecutorError> {
        let step = self.state.at(index);
        let (key, attempt) = (step.key.clone(), step.attempt);
        let at_most_once = match &node.verb {
            Verb::Tool { name, .. } => {
                self.state.plan().tools.get(name).is_none_or(|tool| tool.effect == Effect::AtMostOnce)
            }
            _ => false,
        };
        let code = failure.code.clone();
        if at_most_once && !failure.not_done {
            let message = self.text(draft, &failure.message)?;
            draft.event(EventKind::StepInDoubt { key, attempt, code, message });
            return Ok(());
        }
        if self.state.cancelling() && !self.state.runs_after_cancel(index) {
            draft.event(EventKind::StepCancelled { key, attempt });
            return Ok(());
        }
        // After a failure elsewhere nothing starts again.
        let over = self.state.failure().is_some() && !self.state.runs_after_failure(index);
        let retry = node.retry.as_ref().filter(|_| !over);
        let delay = retry.and_then(|retry| retry.delay(step.failures + 1, &code, failure.retryable));
        match delay {
            Some(delay) => {
                let message = self.text(draft, &failure.message)?;
                let now = self.services.clock.now();
                let not_before = now.after(delay + self.services.clock.jitter(delay / 4));
                draft.event(EventKind::StepRetried { key, attempt, code, message, not_before });
                Ok(())
            }
            None => self.draft_failure(draft, key, failure),
        }
    }

    fn draft_turn(
        &self,
        draft: &mut Draft,
        node: &Node,
        index: StepIndex,
        number: u32,
        turn: Turn,
    ) -> Result<(), ExecutorError> {
        let Verb::Chat(chat) = &node.verb else { return Ok(()) };
        let step = self.state.at(index);
        let Some(model) = self.models.get(&chat.model) else { return Ok(()) };
        let capabilities = model.capabilities();
        let end = turn.response.end;
        let messages = serde_json::to_value(&turn.messages).unwrap_or_default();
        // The first turn's messages are the step's arguments, which are recorded already.
        let messages = match (number, step.args) {
            (1, Some(args)) => args,
            _ => self.value(draft, &messages)?,
        };
        let tokens = match end.tokens.is_empty() {
            true => None,
            false => Some(self.value(draft, &json!(end.tokens))?),
        };
        let answer = self.text(draft, &turn.response.text)?;
        let call = ModelCall {
            model: chat.model.clone(),
            name: capabilities.name.clone(),
            model_hash: capabilities.model_hash.clone(),
            template_hash: capabilities.template_hash.clone(),
            grammar_hash: end.grammar,
            device: capabilities.device.clone(),
            seed: chat.seed.unwrap_or_else(|| step::seed(&step.key, step.failures)),
            temperature_milli: chat.temperature_milli,
            max_tokens: chat.max_tokens,
            messages,
            answer,
            tokens,
            usage: end.usage,
            finish: end.finish,
            took_ms: u32::try_from(turn.took.as_millis()).unwrap_or(u32::MAX),
            valid: turn.valid,
        };
        let (key, attempt) = (step.key.clone(), step.attempt);
        draft.event(EventKind::ModelCalled { key, attempt, turn: number, call: Box::new(call) });
        Ok(())
    }

    /// Records how the run ended: `ensure` and `outputs` are evaluated now, once.
    async fn finish(&mut self) -> Result<(), ExecutorError> {
        if self.state.cancelling() {
            return self.say(EventKind::RunCancelled).await;
        }
        if let Some(reason) = self.state.failure().cloned() {
            return self.say(EventKind::RunFailed { reason }).await;
        }
        let plan = self.state.plan().clone();
        for ensure in &plan.ensure {
            let result = self.values.evaluate(&self.state, Site::TOP, Template::Expression(ensure)).await;
            let (code, message) = match Self::evaluated(result)? {
                Ok((Value::Bool(true), _)) => continue,
                Ok((Value::Bool(false), _)) => ("ensure", format!("`ensure` does not hold: {ensure}")),
                Ok((other, _)) => {
                    ("ensure_error", format!("`ensure` must be true or false, not {}: {ensure}", short(&other)))
                }
                Err(failure) => ("ensure_error", format!("`ensure` could not be checked: {}", failure.message)),
            };
            return self.fail_run(code, &message).await;
        }
        let result = self.values.evaluate(&self.state, Site::TOP, Template::Value(&plan.outputs)).await;
        match Self::evaluated(result)? {
            Ok((outputs, _)) => {
                let mut draft = Draft::default();
                let outputs = self.value(&mut draft, &outputs)?;
                draft.event(EventKind::RunCompleted { outputs });
                self.record(draft).await?;
                Ok(())
            }
            Err(failure) => self.fail_run("outputs", &format!("the outputs have no value: {}", failure.message)).await,
        }
    }

    async fn fail_run(&mut self, code: &str, message: &str) -> Result<(), ExecutorError> {
        let mut draft = Draft::default();
        let message = self.text(&mut draft, message)?;
        draft.event(EventKind::RunFailed { reason: FailureReason::new(code, None, Some(message)) });
        self.record(draft).await?;
        Ok(())
    }
}

/// A value in a message.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}
