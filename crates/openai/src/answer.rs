//! One answer: from what a server streams to the deltas of the port.

use parkway_core::model::{
    ChatEnd, ChatRequest, Delta, DeltaSender, FinishReason, ModelError, Thoughts, TokenLogprob, Usage,
};
use serde_json::Value;

use crate::calls::Calls;
use crate::constraint::Form;
use crate::failure::Subject;
use crate::http::Body;
use crate::names::Names;
use crate::sse::{Event, Parser};

/// An answer, as far as it has come.
pub(crate) struct Answer {
    subject: Subject,
    names: Names,
    form: Option<Form>,
    max_tokens: u32,
    /// Bytes of the request, for a server that counts no tokens.
    asked_bytes: usize,
    thoughts: Thoughts,
    calls: Calls,
    finish: Option<String>,
    usage: Option<Usage>,
    logprobs: Vec<TokenLogprob>,
    text: String,
    said_bytes: usize,
}

impl Answer {
    pub(crate) fn new(subject: Subject, names: Names, form: Option<Form>, request: &ChatRequest, asked: usize) -> Self {
        Answer {
            subject,
            names,
            form,
            max_tokens: request.max_tokens,
            asked_bytes: asked,
            thoughts: Thoughts::new(false),
            calls: Calls::default(),
            finish: None,
            usage: None,
            logprobs: Vec::new(),
            text: String::new(),
            said_bytes: 0,
        }
    }

    /// Reads the answer to its end, and sends what comes. Ends early when nobody listens.
    pub(crate) async fn read(self, body: Body, sender: &DeltaSender) {
        if let Err(error) = self.try_read(body, sender).await {
            sender.send(Err(error)).await;
        }
    }

    async fn try_read(mut self, mut body: Body, sender: &DeltaSender) -> Result<(), ModelError> {
        if body.is_page() {
            return Err(self.subject.fails("answered with a web page; check `url`, which often ends in `/v1`", false));
        }
        let mut deltas = Vec::new();
        if body.is_json() {
            // A server that does not stream says all at once.
            let whole = body.whole().await?;
            self.take(&String::from_utf8_lossy(&whole), &mut deltas)?;
        } else {
            let (mut parser, mut events) = (Parser::default(), Vec::new());
            'stream: loop {
                let Some(bytes) = body.chunk().await? else {
                    let rest = parser.end().map_err(|broken| self.no_events(&broken.to_string()))?;
                    // Half an event is no JSON, and told so.
                    if let Some(event) = rest {
                        self.event(&event, &mut deltas)?;
                    }
                    break;
                };
                parser.push(&bytes, &mut events).map_err(|broken| self.no_events(&broken.to_string()))?;
                for event in events.drain(..) {
                    if self.event(&event, &mut deltas)? {
                        break 'stream;
                    }
                }
                if !send(&mut deltas, sender).await {
                    return Ok(());
                }
            }
        }
        let end = self.end(&mut deltas)?;
        if send(&mut deltas, sender).await && sender.send(Ok(Delta::Done(end))).await {
            body.drain().await;
        }
        Ok(())
    }

    fn no_events(&self, broken: &str) -> ModelError {
        self.subject.fails(&format!("does not stream events: {broken}"), false)
    }

    /// Takes an event in. `true` when it says that no other one follows.
    fn event(&mut self, event: &Event, deltas: &mut Vec<Delta>) -> Result<bool, ModelError> {
        if event.data.trim() == "[DONE]" {
            return Ok(true);
        }
        if event.name == "error" {
            return Err(self.subject.broke_off(&event.data, self.max_tokens));
        }
        self.take(&event.data, deltas).map(|()| false)
    }

    /// Takes a piece of the answer in, or the whole.
    fn take(&mut self, data: &str, deltas: &mut Vec<Delta>) -> Result<(), ModelError> {
        if data.trim().is_empty() {
            return Ok(());
        }
        let piece: Value = serde_json::from_str(data).map_err(|error| {
            let words = self.subject.scrub.words(data);
            self.subject.fails(&format!("sent what is no JSON ({error}): {words}"), true)
        })?;
        if piece.get("error").is_some_and(|error| !error.is_null()) {
            return Err(self.subject.broke_off(data, self.max_tokens));
        }
        self.usage = usage(&piece).or(self.usage);
        // Of several answers, which nobody asked for, the first one counts.
        let choices = piece["choices"].as_array().map(Vec::as_slice).unwrap_or_default();
        let Some(choice) = choices.iter().find(|choice| choice["index"].as_u64().unwrap_or(0) == 0) else {
            return Ok(());
        };
        let said = [&choice["delta"], &choice["message"]].into_iter().find(|said| said.is_object());
        if let Some(said) = said {
            self.said(said, deltas)?;
        }
        if let Some(tokens) = choice["logprobs"]["content"].as_array() {
            self.logprobs.extend(tokens.iter().filter_map(logprob));
        }
        if let Some(reason) = choice["finish_reason"].as_str().filter(|reason| !reason.is_empty()) {
            self.finish = Some(reason.to_owned());
        }
        Ok(())
    }

    fn said(&mut self, said: &Value, deltas: &mut Vec<Delta>) -> Result<(), ModelError> {
        let text = |name: &str| said[name].as_str().filter(|text| !text.is_empty());
        if let Some(thought) = text("reasoning_content").or_else(|| text("reasoning")) {
            self.said_bytes += thought.len();
            deltas.push(Delta::Thinking(thought.to_owned()));
        }
        if let Some(refusal) = text("refusal") {
            let words = self.subject.scrub.words(refusal);
            return Err(self.subject.fails(&format!("tells that the model does not want to answer: {words}"), false));
        }
        if let Some(content) = text("content") {
            self.said_bytes += content.len();
            let told = self.thoughts.push(content);
            self.say(told, deltas);
        }
        if let Some(pieces) = said["tool_calls"].as_array() {
            self.said_bytes += said["tool_calls"].to_string().len();
            if !self.calls.take(pieces) {
                return Err(self.subject.fails("calls tools without end", false));
            }
        }
        Ok(())
    }

    /// Tells a thought and a piece of the answer, and keeps the latter where it is to be held against a form.
    fn say(&mut self, (thought, answer): (String, String), deltas: &mut Vec<Delta>) {
        if self.form.is_some() {
            self.text.push_str(&answer);
        }
        deltas.extend((!thought.is_empty()).then_some(Delta::Thinking(thought)));
        deltas.extend((!answer.is_empty()).then_some(Delta::Text(answer)));
    }

    /// Ends the answer, if it is whole.
    fn end(&mut self, deltas: &mut Vec<Delta>) -> Result<ChatEnd, ModelError> {
        let Some(reason) = self.finish.take() else {
            return Err(self.subject.fails("ended its answer before it was whole", true));
        };
        let told = self.thoughts.end();
        self.say(told, deltas);
        let usage = self.usage.unwrap_or_else(|| self.guessed());
        let finish = self.reason(&reason)?;
        let cut = ModelError::Cut { tokens: usage.output_tokens };
        if finish == FinishReason::Length && (self.form.is_some() || !self.calls.is_empty()) {
            return Err(cut);
        }
        if let Some(breach) = self.form.as_ref().and_then(|form| form.breach(&self.text)) {
            return Err(self
                .subject
                .fails(&format!("did not keep to the form that it was to enforce: {breach}"), true));
        }
        let calls = std::mem::take(&mut self.calls).end(&self.names).map_err(|(name, error)| {
            let name = self.subject.scrub.words(&name);
            self.subject.fails(&format!("sent arguments for the tool `{name}` that are no JSON: {error}"), true)
        })?;
        deltas.extend(calls.into_iter().map(Delta::ToolCall));
        let grammar = self.form.as_ref().map(|form| form.hash.clone());
        let logprobs = std::mem::take(&mut self.logprobs);
        Ok(ChatEnd { finish, usage, grammar, logprobs, ..ChatEnd::default() })
    }

    fn reason(&self, reason: &str) -> Result<FinishReason, ModelError> {
        match reason {
            "stop" | "tool_calls" | "function_call" | "eos" | "eos_token" | "stop_sequence" | "end_turn" => {
                Ok(FinishReason::Stop)
            }
            "length" | "max_tokens" => Ok(FinishReason::Length),
            "content_filter" => {
                Err(self.subject.fails("cut the answer: its filter does not let the content through", false))
            }
            "insufficient_system_resource" => Err(ModelError::Busy {
                message: format!("{} broke the answer off: it has too much to do", self.subject.origin),
                retry_after: None,
            }),
            "abort" | "error" | "cancelled" => {
                Err(self.subject.fails(&format!("broke the answer off (`{reason}`)"), true))
            }
            other => {
                let other = self.subject.scrub.words(other);
                Err(self
                    .subject
                    .fails(&format!("ended the answer for a reason that is not known here: `{other}`"), false))
            }
        }
    }

    /// Tokens, where the server counts none: more rather than fewer, since they are taken from a budget.
    fn guessed(&self) -> Usage {
        let tokens = |bytes: usize| u32::try_from(bytes.div_ceil(3)).unwrap_or(u32::MAX);
        Usage {
            prompt_tokens: tokens(self.asked_bytes),
            output_tokens: tokens(self.said_bytes).min(self.max_tokens),
            guessed: true,
            ..Usage::default()
        }
    }
}

/// Sends all that there is. `false` when nobody listens.
async fn send(deltas: &mut Vec<Delta>, sender: &DeltaSender) -> bool {
    for delta in deltas.drain(..) {
        if !sender.send(Ok(delta)).await {
            return false;
        }
    }
    true
}

/// Tokens that a piece tells of: OpenAI's form, DeepSeek's word for the cache, or llama-server's times.
fn usage(piece: &Value) -> Option<Usage> {
    let number = |value: &Value| value.as_u64().map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    let told = &piece["usage"];
    if let Some(prompt_tokens) = number(&told["prompt_tokens"]) {
        let cached = number(&told["prompt_tokens_details"]["cached_tokens"])
            .or_else(|| number(&told["prompt_cache_hit_tokens"]));
        return Some(Usage {
            prompt_tokens,
            cached_tokens: cached.unwrap_or(0).min(prompt_tokens),
            output_tokens: number(&told["completion_tokens"]).unwrap_or(0),
            ..Usage::default()
        });
    }
    let times = &piece["timings"];
    let (read, cached) = (number(&times["prompt_n"])?, number(&times["cache_n"]).unwrap_or(0));
    Some(Usage {
        prompt_tokens: read.saturating_add(cached),
        cached_tokens: cached,
        output_tokens: number(&times["predicted_n"])?,
        ..Usage::default()
    })
}

fn logprob(token: &Value) -> Option<TokenLogprob> {
    #[expect(clippy::cast_possible_truncation, reason = "a logarithm needs no more digits")]
    let told = |value: &Value| Some((value["token"].as_str()?.to_owned(), value["logprob"].as_f64()? as f32));
    let (text, logprob) = told(token)?;
    let mut top: Vec<_> = token["top_logprobs"].as_array().into_iter().flatten().filter_map(told).collect();
    top.sort_by(|a, b| b.1.total_cmp(&a.1));
    Some(TokenLogprob { text, logprob: Some(logprob), top })
}
