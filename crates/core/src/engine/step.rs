//! One attempt at a step that calls something: a tool, a model. Runs beside the executor and touches no state.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::energy::{Metering, Share};
use crate::engine::calls::{GRACE, stopped};
use crate::engine::child::{ChildEnd, ChildRun};
use crate::engine::recorder::Disk;
use crate::engine::reporter::{Notice, Reporter};
use crate::engine::secret::Known;
use crate::engine::{offer, writes};
use crate::id::{Seq, StepKey};
use crate::label::Labels;
use crate::log::{AnswerForm, Energy, StepIndex};
use crate::model::{ChatMessage, ChatRequest, ChatResponse, Delta, FinishReason, ModelError, Role, SharedModel};
use crate::schema::Schema;
use crate::store::StoreError;
use crate::tool::{Cancel, Effect, SharedTool, ToolContext, ToolError, ToolOutput};
use crate::workflow::REPAIRS;
use crate::write::ToolWrite;

/// An attempt to be made.
pub(crate) struct Attempt {
    pub(crate) index: StepIndex,
    pub(crate) call: Call,
    pub(crate) timeout: Option<Duration>,
    /// Whether `timeout` is what is left of the run's `wall` budget.
    pub(crate) by_budget: bool,
    pub(crate) cancel: Cancel,
    /// The events that must be on disk before the call.
    pub(crate) after: Option<(Disk, Seq)>,
}

/// What an attempt calls.
pub(crate) enum Call {
    Tool {
        tool: SharedTool,
        input: Value,
        context: Box<ToolContext>,
        /// What its output must look like.
        output: Arc<Schema>,
        /// What must not be in anything that comes back.
        secrets: Arc<Known>,
    },
    Chat(Box<ChatCall>),
    Run(Box<ChildRun>),
}

/// A request to a model, and what is needed to judge the answer.
pub(crate) struct ChatCall {
    pub(crate) key: StepKey,
    pub(crate) model: SharedModel,
    pub(crate) request: ChatRequest,
    /// What the answer must look like; free text if absent.
    pub(crate) schema: Option<Arc<Schema>>,
    /// What the answer is held to, where the plan does not say it.
    pub(crate) form: Option<Arc<AnswerForm>>,
    pub(crate) reporter: Reporter,
    /// What must not be in an answer.
    pub(crate) secrets: Arc<Known>,
    /// What meters the energy that the answer takes.
    pub(crate) metering: Option<Metering>,
}

/// What came of an attempt.
pub(crate) struct Outcome {
    pub(crate) index: StepIndex,
    pub(crate) result: Result<Output, Failure>,
    /// The model's answers, in order.
    pub(crate) turns: Vec<Turn>,
    /// Whether it was stopped, and may be made again.
    pub(crate) cut_off: bool,
    /// Whether the call was made at all.
    pub(crate) begun: bool,
    /// What is known of a run that was driven.
    pub(crate) child: Option<ChildEnd>,
}

/// The output of an attempt.
pub(crate) struct Output {
    pub(crate) value: Value,
    pub(crate) labels: Labels,
    /// What becomes true in the commit that holds it.
    pub(crate) writes: Vec<ToolWrite>,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) retryable: bool,
    /// Whether it is certain that nothing was done.
    pub(crate) not_done: bool,
    /// How long the other side asks to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

impl Failure {
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Failure { code: code.into(), message: message.into(), retryable: false, not_done: true, retry_after: None }
    }

    /// What an interrupted call is doubted for.
    pub(crate) fn crash() -> Self {
        let message = "the process that made the call ended before the outcome was known";
        Failure { not_done: false, ..Failure::new("crash", message) }
    }
}

/// One answer of a model.
pub(crate) struct Turn {
    pub(crate) messages: Vec<ChatMessage>,
    pub(crate) form: Option<Arc<AnswerForm>>,
    pub(crate) response: ChatResponse,
    pub(crate) took: Duration,
    pub(crate) energy: Option<Energy>,
    pub(crate) valid: bool,
}

/// Makes an attempt. An error means that the run's commits have failed, so that nothing may be done any more.
pub(crate) async fn make(attempt: Attempt) -> Result<Outcome, StoreError> {
    let Attempt { index, call, timeout, by_budget, cancel, after } = attempt;
    if let Some((mut disk, seq)) = after {
        disk.holds(seq).await?;
    }
    let call = match call {
        Call::Run(child) => return child.make(index, cancel).await,
        call => call,
    };
    let effect = match &call {
        Call::Tool { tool, .. } => tool.spec().effect,
        Call::Chat(_) | Call::Run(_) => Effect::Read,
    };
    if cancel.is_cancelled() {
        let result = Err(Failure::new("cancelled", "the call was stopped before it was made"));
        let cut_off = effect.repeatable();
        return Ok(Outcome { index, result, turns: Vec::new(), cut_off, begun: false, child: None });
    }
    let mut turns = Vec::new();
    let mut cut_off = false;
    let result = {
        let work = async {
            match call {
                Call::Tool { tool, input, context, output, secrets } => {
                    match call_tool(&tool, input, &context, &output).await {
                        Ok(Output { value, labels, writes }) => {
                            let (value, writes) = (secrets.kept(value, labels), writes::scrub(&secrets, writes));
                            Ok(Output { value, labels, writes })
                        }
                        Err(failure) => Err(secrets.kept_failure(failure, tool.spec().labels)),
                    }
                }
                Call::Chat(chat) => call_model(*chat, &mut turns).await,
                Call::Run(_) => Err(Failure::new("run", "a run is driven elsewhere")),
            }
        };
        tokio::pin!(work);
        let limit = timeout.unwrap_or(Duration::MAX);
        tokio::select! {
            biased;
            result = &mut work => result,
            () = cancel.cancelled() => {
                // A call that changes something gets the time to end by itself, so that what came of it is recorded.
                let grace = if effect.changes() { GRACE } else { Duration::ZERO };
                tokio::time::timeout(grace, &mut work).await.unwrap_or_else(|_| {
                    cut_off = effect.repeatable();
                    Err(stopped())
                })
            }
            () = sleep(limit) => {
                cancel.cancel();
                let (code, message) = if by_budget {
                    ("budget", "the run's `wall` budget was used up during the call".to_owned())
                } else {
                    ("timeout", format!("the call took longer than {}", words(limit)))
                };
                Err(Failure { retryable: !by_budget, not_done: false, ..Failure::new(code, message) })
            }
        }
    };
    match &result {
        Ok(_) => tracing::debug!("done"),
        // The message may quote what the run works on: the log keeps it, a trace does not.
        Err(failure) => tracing::info!(code = failure.code, "failed"),
    }
    Ok(Outcome { index, result, turns, cut_off, begun: true, child: None })
}

async fn sleep(limit: Duration) {
    if limit == Duration::MAX {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(limit).await;
}

/// A duration as a person writes it: `24h`, `2m`, `1.5s`.
pub(crate) fn words(duration: Duration) -> String {
    match duration.as_millis() {
        millis if millis >= 3_600_000 && millis % 3_600_000 == 0 => format!("{}h", millis / 3_600_000),
        millis if millis >= 60_000 && millis % 60_000 == 0 => format!("{}m", millis / 60_000),
        millis if millis >= 1_000 => format!("{}s", duration.as_secs_f64()),
        millis => format!("{millis}ms"),
    }
}

async fn call_tool(tool: &SharedTool, input: Value, context: &ToolContext, schema: &Schema) -> Result<Output, Failure> {
    let spec = tool.spec();
    match tool.call(input, context).await {
        Ok(ToolOutput { value, labels, writes }) => match schema.check(&value) {
            Ok(()) => {
                writes::check(spec, &writes)?;
                Ok(Output { value, labels: spec.labels.union(labels), writes })
            }
            Err(error) => {
                // The call was made: what it returned does not undo its effect.
                let message = format!("`{}` returned what its output schema does not allow: {error}", spec.name);
                Err(Failure { not_done: false, ..Failure::new("output", message) })
            }
        },
        Err(ToolError { code, message, retryable, not_done, retry_after }) => {
            Err(Failure { retryable, not_done, retry_after, ..Failure::new(&code, message) })
        }
    }
}

async fn call_model(chat: ChatCall, turns: &mut Vec<Turn>) -> Result<Output, Failure> {
    let mut request = chat.request.clone();
    let mut repairs = 0;
    loop {
        let started = Instant::now();
        let share = chat.metering.as_ref().and_then(|metering| metering.begin(&chat.model.capabilities().device));
        let response = answer(&chat, request.clone()).await;
        let response = response.map_err(|error| chat.secrets.scrub_failure(model_failure(error)))?;
        let (took, energy) = (started.elapsed(), share.and_then(Share::end));
        let response = chat.secrets.scrub_answer(response);
        let said = match request.tools.is_empty() {
            true => response.text.clone(),
            false => offer::output(&response).to_string(),
        };
        let judged = judge(&said, response.end.finish, chat.schema.as_deref());
        let valid = judged.is_ok();
        let (messages, form) = (request.messages.clone(), chat.form.clone());
        turns.push(Turn { messages, form, response, took, energy, valid });
        let problem = match judged {
            Ok(value) => return Ok(Output { value, labels: Labels::NONE, writes: Vec::new() }),
            Err(problem) => problem,
        };
        if repairs == REPAIRS {
            let message =
                format!("the model's answer is not of the form asked for, after {} tries: {problem}", repairs + 1);
            return Err(Failure::new("invalid_answer", message));
        }
        repairs += 1;
        request.messages.push(ChatMessage::new(Role::Assistant, said));
        let again = format!("This is not valid: {problem}. Answer again, with nothing but the JSON value.");
        request.messages.push(ChatMessage::new(Role::User, again));
    }
}

/// Streams one answer, telling watchers as it comes.
async fn answer(chat: &ChatCall, request: ChatRequest) -> Result<ChatResponse, ModelError> {
    let ChatCall { model, key, reporter, .. } = chat;
    let mut deltas = model.stream(request).await?;
    let mut response = ChatResponse::default();
    while let Some(delta) = deltas.next().await {
        let delta = delta?;
        match &delta {
            Delta::Prefill { done, total } => {
                reporter.tell(Notice::Prefill { step: key.clone(), done: *done, total: *total });
            }
            Delta::Text(text) => reporter.tell(Notice::Delta { step: key.clone(), text: text.clone() }),
            Delta::Thinking(_) | Delta::ToolCall(_) | Delta::Done(_) => {}
        }
        if response.take(delta) {
            return Ok(response);
        }
    }
    Err(ModelError::Backend { message: "the stream ended before the answer was whole".into(), retryable: true })
}

/// The answer's value, or what is wrong with it.
fn judge(answer: &str, finish: FinishReason, schema: Option<&Schema>) -> Result<Value, String> {
    let Some(schema) = schema else { return Ok(Value::String(answer.to_owned())) };
    if finish == FinishReason::Length {
        return Err("it was cut at `max_tokens`".into());
    }
    let value: Value = serde_json::from_str(answer.trim()).map_err(|e| format!("it is no JSON: {e}"))?;
    schema.check(&value)?;
    Ok(value)
}

fn model_failure(error: ModelError) -> Failure {
    let (not_done, retry_after) = match error {
        ModelError::PromptTooLong { .. } | ModelError::Unsupported(_) => (true, None),
        ModelError::Busy { retry_after, .. } => (true, retry_after),
        _ => (false, None),
    };
    let failure = Failure::new(error.code(), error.to_string());
    Failure { retryable: error.retryable(), not_done, retry_after, ..failure }
}

/// The failure of an attempt in which `what` panicked.
pub(crate) fn panicked(what: &str, panic: Option<Box<dyn std::any::Any + Send>>) -> Failure {
    let message = format!("the {what} panicked: {}", panic.map_or_else(|| "it was ended".into(), said));
    Failure { not_done: false, ..Failure::new("panic", message) }
}

/// What a panic said.
pub(crate) fn said(panic: Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".into())
}

/// The seed of a step whose author gave none: the same for the same step and number of failures, in every run.
pub(crate) fn seed(key: &StepKey, failures: u32) -> u64 {
    let digest = crate::id::Digest::of(&[b"parkway-seed-1\0", key.to_string().as_bytes(), &failures.to_le_bytes()]);
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest.as_bytes()[..8]);
    u64::from_le_bytes(bytes)
}
