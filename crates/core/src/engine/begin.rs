//! Beginning steps: conditions, fan-outs and arguments are evaluated at the edge, once, and recorded; then calls
//! are launched.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::engine::budget;
use crate::engine::context::{Site, labels_named};
use crate::engine::executor::{Executor, ExecutorError};
use crate::engine::perform::short;
use crate::engine::recorder::Draft;
use crate::engine::secret::{Marks, SecretUse};
use crate::engine::step::{Attempt, Call, Failure};
use crate::id::{EffectKey, StepKey, Time};
use crate::label::Labels;
use crate::log::{Budget, EventKind, SkipReason, StepIndex};
use crate::policy::{self, PolicyRequest};
use crate::tool::{Cancel, Effect, Tokens, ToolContext};
use crate::workflow::{ForEach, Node, NodeIndex, Template, Verb, expression_or_value};

/// The label under which the labels of a step's condition stand beside those of its arguments.
const CONDITION: &str = "if";

/// The arguments of a tool call.
pub(crate) struct Arguments {
    /// The values, with `[secret NAME]` where a secret belongs.
    pub(crate) value: Value,
    /// Where secrets belong.
    pub(crate) secrets: Vec<SecretUse>,
    /// Labels of each argument; none for recorded ones.
    labels: BTreeMap<String, Labels>,
}

/// What the log says of a step's beginning.
#[derive(Default)]
pub(super) struct Start<'a> {
    /// What it is called with, where it is called with anything.
    pub(super) args: Option<&'a Value>,
    /// What the arguments are made of.
    pub(super) labels: BTreeMap<String, Labels>,
    /// What decides that it begins at all is made of.
    pub(super) condition: Labels,
    pub(super) effect: Option<Effect>,
    /// By which rule a call is let through.
    pub(super) rule: Option<String>,
    /// Where secrets belong in the arguments.
    pub(super) places: &'a [SecretUse],
}

impl Executor {
    /// Evaluates `if`; then fans the step out, or begins it.
    pub(super) async fn open(&mut self, key: StepKey) -> Result<(), ExecutorError> {
        if self.open_again(&key).await? {
            return Ok(());
        }
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
    pub(super) fn condition_labels(&self, node: &Node, site: Site) -> Labels {
        let condition = node.condition.as_ref().map(expression_or_value);
        condition.map_or(Labels::NONE, |condition| labels_named(&self.state, site, condition))
    }

    pub(super) async fn expand(
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
    pub(super) async fn item_names(
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

    pub(super) async fn begin_step(&mut self, key: StepKey) -> Result<(), ExecutorError> {
        let plan = self.state.plan().clone();
        let Some((index, site)) = self.place(&key) else { return Ok(()) };
        let node = plan.graph.node(index);
        let condition = self.condition_labels(node, site).union(self.labels_of_turn(&key));
        // A step that is repeated begins with its rounds, as a group does with its members.
        if node.repeat.is_some() && key.last().is_some_and(|segment| segment.iteration == 0) {
            let mut draft = Draft::default();
            self.draft_start(&mut draft, key, Start { condition, ..Start::default() })?;
            self.record(draft).await?;
            return Ok(());
        }
        match &node.verb {
            Verb::Steps { .. } => {
                let mut draft = Draft::default();
                self.draft_start(&mut draft, key, Start { condition, ..Start::default() })?;
                self.record(draft).await?;
                Ok(())
            }
            Verb::Set { values } => self.set(key, site, values, condition).await,
            Verb::Approve { prompt, timeout_ms, show } => self.ask(key, site, prompt, *timeout_ms, show.as_ref()).await,
            Verb::Tool { name, with } => self.call_tool(key, index, site, name, with, condition).await,
            Verb::Chat(chat) => self.call_model(key, index, site, chat, condition).await,
            Verb::Workflow(workflow) if workflow.own_run.is_some() => self.call_run(key, false).await,
            Verb::Workflow(workflow) => self.call_workflow(key, site, workflow, condition).await,
            Verb::Input { prompt, filled, timeout_ms, .. } => {
                self.ask_for_input(key, site, prompt, filled, *timeout_ms).await
            }
            Verb::Wait(wait) => self.wait(key, site, wait).await,
            Verb::Goal(goal) => self.begin_goal(key, site, goal, condition).await,
            Verb::Turn(turn) => self.take_turn(key, index, site, turn).await,
        }
    }

    pub(super) fn draft_start(&self, draft: &mut Draft, key: StepKey, start: Start<'_>) -> Result<(), ExecutorError> {
        let Start { args, labels, condition, effect, rule, places } = start;
        let step = self.state.step(&key);
        let attempt = step.map_or(0, |step| step.attempt) + 1;
        let recorded = step.and_then(|step| step.args);
        let args = match (recorded, args) {
            (Some(recorded), _) => Some(recorded),
            (None, Some(args)) => Some(self.value(draft, args)?),
            (None, None) => None,
        };
        let mut labels: BTreeMap<_, _> = labels.into_iter().filter(|(_, labels)| !labels.is_empty()).collect();
        // An attempt after the first keeps the labels that the first one was given.
        let kept = step.map_or(Labels::NONE, |step| step.arg_labels).union(condition);
        if !kept.is_empty() {
            labels.insert(CONDITION.into(), kept);
        }
        let secrets = match places {
            [] => None,
            places => Some(draft.payload(&*self.services.clock, places)?),
        };
        draft.event(EventKind::StepStarted { key, attempt, args, labels, effect, rule, secrets });
        Ok(())
    }

    pub(super) async fn set(
        &mut self,
        key: StepKey,
        site: Site,
        values: &Value,
        condition: Labels,
    ) -> Result<(), ExecutorError> {
        let (value, labels) =
            match Self::evaluated(self.values.evaluate(&self.state, site, Template::Value(values)).await)? {
                Ok((value, labels)) => (value, labels.union(condition)),
                Err(failure) => return self.fail(key, &failure).await,
            };
        let mut draft = Draft::default();
        self.draft_start(&mut draft, key.clone(), Start { condition: labels, ..Start::default() })?;
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
    ) -> Result<Result<Arguments, Failure>, ExecutorError> {
        if let Some((recorded, secrets)) = self.state.step(key).and_then(|step| Some((step.args?, step.secrets))) {
            let value = self.values.value(recorded).await?;
            let places = match secrets {
                Some(secrets) => serde_json::from_value(self.values.value(secrets).await?),
                None => Ok(Vec::new()),
            };
            return Ok(places
                .map(|secrets| Arguments { value, secrets, labels: BTreeMap::new() })
                .map_err(|e| Failure::new("erased", format!("the recorded places of secrets cannot be read: {e}"))));
        }
        let names = self.secret_names(site);
        let marks = (!names.is_empty()).then(|| Marks::new(self.services.clock.random()));
        let root = [("secrets", marks.as_ref().map_or_else(|| json!({}), |marks| marks.root(names)))];
        let mut args = Map::new();
        let mut found = Arguments { value: Value::Null, secrets: Vec::new(), labels: BTreeMap::new() };
        // The arguments of a call that a model asked for are what it wrote, as a whole.
        if let Value::String(whole) = with {
            let result = self.values.evaluate(&self.state, site, Template::Expression(whole)).await;
            return Ok(match Self::evaluated(result)? {
                Ok((value @ Value::Object(_), seen)) => {
                    found.labels =
                        value.as_object().into_iter().flatten().map(|(name, _)| (name.clone(), seen)).collect();
                    found.value = value;
                    Ok(found)
                }
                Ok((other, _)) => {
                    Err(Failure::new("template", format!("arguments are an object, not {}", short(&other))))
                }
                Err(failure) => Err(failure),
            });
        }
        for (name, value) in with.as_object().into_iter().flatten() {
            let result = self.values.evaluate_with(&self.state, site, Template::Value(value), &root).await;
            let (value, seen) = match Self::evaluated(result)? {
                Ok(evaluated) => evaluated,
                Err(failure) => return Ok(Err(failure)),
            };
            let settled = match &marks {
                Some(marks) => marks.settle(name, value),
                None => Ok((value, Vec::new())),
            };
            match settled {
                Ok((value, uses)) => {
                    args.insert(name.clone(), value);
                    found.secrets.extend(uses);
                    found.labels.insert(name.clone(), seen);
                }
                Err(failure) => return Ok(Err(failure)),
            }
        }
        found.value = Value::Object(args);
        Ok(Ok(found))
    }

    pub(super) async fn call_tool(
        &mut self,
        key: StepKey,
        node: NodeIndex,
        site: Site,
        name: &str,
        with: &Value,
        condition: Labels,
    ) -> Result<(), ExecutorError> {
        let args = match self.arguments(&key, site, with).await? {
            Ok(found) => found,
            Err(failure) => return self.fail(key, &failure).await,
        };
        let Some(tool) = self.services.tools.get(name).cloned() else {
            return self.fail(key, &Failure::new("unknown_tool", format!("no tool is called `{name}`"))).await;
        };
        let spec = tool.spec();
        let input = match self.secrets.fill(args.value.clone(), &args.secrets) {
            Ok(input) => input,
            Err(failure) => return self.fail(key, &failure).await,
        };
        let schema = self.schemas.input_of(spec);
        if let Err(error) = schema.and_then(|schema| schema.check(&input)) {
            let message = self.secrets.scrub(&format!("the arguments do not fit `{name}`: {error}"));
            return self.fail(key, &Failure::new("invalid", message)).await;
        }
        let output = match self.schemas.output_of(spec) {
            Ok(output) => output,
            Err(error) => {
                let message = format!("what `{name}` returns cannot be checked: {error}");
                return self.fail(key, &Failure::new("invalid", message)).await;
            }
        };
        let kept = self.state.step(&key).map_or(Labels::NONE, |step| step.arg_labels);
        let all_labels = args.labels.values().fold(condition.union(kept), |all, one| all.union(*one));
        let grants = self.grants(site).get(spec.family()).cloned();
        let request = PolicyRequest::new(spec, &args.value, all_labels, grants.is_some());
        let decision = self.rule(site, &request);
        let mut draft = Draft::default();
        let first = self.state.step(&key).is_none_or(|step| step.attempt == 0);
        let allowed = decision.verdict == policy::Verdict::Allow;
        if first && !allowed {
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
        if let Some(why) = budget::exceeded(&self.state, site.scope, Budget::new(0, 1), now) {
            return self.fail_after(draft, key, &Failure::new("budget", why)).await;
        }
        let effect = spec.effect;
        let rule = (allowed && effect != Effect::Pure).then_some(decision.rule);
        let (places, labels) = (&args.secrets[..], args.labels);
        let start = Start { args: Some(&args.value), labels, condition, effect: Some(effect), rule, places };
        self.draft_start(&mut draft, key.clone(), start)?;
        if budget::counts(&self.state, site.scope, |limits| limits.tool_calls) {
            draft.event(EventKind::BudgetReserved { key: key.clone(), share: Budget::new(0, 1) });
        }
        let head = self.record(draft).await?;
        let Some(index) = self.state.index_of(&key) else { return Ok(()) };
        let (timeout, by_budget) = self.time_limit(node, site);
        let cancel = Cancel::new();
        let context = self.tool_context(index, grants, now, timeout, &cancel);
        let after = effect.changes().then(|| (self.recorder.disk(), head));
        let secrets = self.secrets.clone();
        let call = Call::Tool { tool, input, context: Box::new(context), output, secrets };
        self.launch(Attempt { index, call, timeout, by_budget, cancel, after });
        self.look_ahead(node);
        Ok(())
    }

    /// What a call for a step knows.
    pub(super) fn tool_context(
        &self,
        index: StepIndex,
        grants: Option<Value>,
        now: Time,
        timeout: Option<Duration>,
        cancel: &Cancel,
    ) -> ToolContext {
        let step = self.state.at(index);
        ToolContext {
            run: self.lease.run,
            step: step.key.clone(),
            attempt: step.attempt,
            key: EffectKey::new(self.lease.run, &step.key, step.redo),
            fence: self.lease.fence,
            now,
            deadline: timeout.map(|timeout| now.after(timeout)),
            grants: grants.unwrap_or_default(),
            cancel: cancel.clone(),
            tokens: Tokens::new(self.models.clone()),
        }
    }

    /// The step's timeout, or what is left of the `wall` budget where that is less.
    pub(super) fn time_limit(&self, node: NodeIndex, site: Site) -> (Option<Duration>, bool) {
        let timeout = self.state.plan().graph.node(node).timeout_ms.map(Duration::from_millis);
        match (timeout, budget::wall_left(&self.state, site.scope, self.services.clock.now())) {
            (Some(timeout), Some(left)) if left < timeout => (Some(left), true),
            (None, Some(left)) => (Some(left), true),
            (timeout, _) => (timeout, false),
        }
    }
}
