//! `parkway show [RUN]`: from the log only, whoever executes the run.

use std::collections::HashMap;

use parkway::definition::Verb;
use parkway::id::{StepKey, Time};
use parkway::log::{
    Actor, Budget, Commitment, Event, EventKind, ModelCall, Resolution, RunStatus, StepStatus, WaitFor,
};
use parkway::{Parkway, Record, policy};
use serde_json::Value;

use crate::args::{Global, ShowArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::next::Next;
use crate::out::{Out, colors, columns, now, say};
use crate::project::Project;
use crate::render::{
    Outline, Question, RunView, Symbols, Timeline, clean, closed, counted, decided, elapsed, fired, harmless, indented,
    local, planned, repeated, resolved, ruled, skipped,
};
use crate::session::{asked, explain, way_on};
use crate::step;

/// Shows a run, or one step of it.
pub(crate) async fn show(global: &Global, args: ShowArgs, out: &mut Out) -> Result<Exit, Failure> {
    let parkway = Project::find(global)?.need().await?;
    let run = parkway.find_run(&args.run).await?;
    let record = parkway.record(run.run).await?;
    let left = !run.held && !record.state.status().ended();
    let step = match &args.step {
        Some(text) => Some(step::find(&parkway, &record, text).await?.ok_or_else(|| step::unknown(&record, text))?),
        None => None,
    };
    let about = |event: &&Event| step.as_ref().is_none_or(|step| event.kind.key() == Some(step));
    if args.json {
        for event in record.events.iter().filter(about) {
            out.event(event)?;
        }
        return Ok(Exit::Done);
    }
    let lines = match &step {
        Some(step) => StepStory::read(&parkway, &record, step).await?.lines,
        None => {
            let mut view = RunView::new();
            view.use_symbols(Symbols::from_env());
            view.describe(Outline::from(&*record.plan));
            explain(&parkway, &mut view, &record.events).await?;
            record.events.iter().for_each(|event| view.apply(event));
            // Nothing moves in a run that no process executes.
            let time = if left { record.state.updated() } else { now() };
            view.story(&Timeline::of(&record.events), time, columns(), colors(global.no_color))
        }
    };
    for line in lines {
        out.line(&line)?;
    }
    if step.is_none() {
        for step in record.state.asking() {
            // A tree of steps has no room for a plan.
            let asked = asked(&parkway, &record, &step.key).await?.filter(|asked| asked.plan().is_some());
            for line in asked.map(|asked| asked.lines(columns(), Symbols::from_env())).unwrap_or_default() {
                out.line(&line)?;
            }
        }
    }
    if let (None, Some(forked)) = (&step, record.state.forked()) {
        out.line(&format!("forked from {} at {}", forked.from, forked.step))?;
    }
    let next = Next::new(global);
    if step.is_none() && matches!(run.status, RunStatus::Failed | RunStatus::Cancelled) {
        out.flush()?;
        // The run of a step goes on with the run that it is a part of.
        let whole = record.state.parent().map_or(run.run, |parent| parent.run);
        say(&format!("  try again:   {}", next.retry(whole)));
    }
    if left {
        out.flush()?;
        say("no process executes it");
        way_on(&parkway, &record.state, &next).await?;
    }
    Ok(Exit::Done)
}

/// All that the log knows about a step, in the order in which it happened.
struct StepStory {
    texts: HashMap<Commitment, Value>,
    lines: Vec<String>,
    /// The arguments told last.
    args: Option<Value>,
    /// Which run it has for itself.
    own_run: Option<String>,
}

impl StepStory {
    async fn read(parkway: &Parkway, record: &Record, key: &StepKey) -> Result<StepStory, Failure> {
        let events: Vec<_> = record.events.iter().filter(|event| event.kind.key() == Some(key)).collect();
        let mut wanted: Vec<_> = events.iter().flat_map(|event| pointed_to(&event.kind)).collect();
        wanted.extend(events.iter().flat_map(|event| RunView::wanted(event)));
        let texts = wanted.iter().copied().zip(parkway.texts(&wanted).await?).collect();
        let mut story = StepStory { texts, lines: Vec::new(), args: None, own_run: None };
        story.head(record, key);
        for event in events {
            story.tell(event);
        }
        Ok(story)
    }

    fn head(&mut self, record: &Record, key: &StepKey) {
        let Some(step) = record.state.step(key) else { return };
        let node = record.state.plan().graph.node(step.node);
        let what = Outline::from(&*record.plan);
        let label = what.find(key).map(|step| step.label()).unwrap_or_default();
        if matches!(&node.verb, Verb::Workflow(workflow) if workflow.own_run.is_some()) {
            let run = record.state.run().child(key);
            self.own_run = Some(format!("  its run: {run}"));
        }
        let took = step.started.zip(step.ended).map(|(from, to)| format!("  {}", elapsed(to.since(from))));
        self.lines.push(format!("{key}  {label}  {}{}", step.status.as_str(), took.unwrap_or_default()));
        if let Some(description) = &node.description {
            self.lines.push(format!("  {}", clean(description)));
        }
        self.lines.extend(self.own_run.take());
        if let Some(effect) = record.state.effect_key(key).filter(|_| step.status == StepStatus::InDoubt) {
            self.lines.push(format!("  the key of its call: {effect}"));
        }
    }

    fn tell(&mut self, event: &Event) {
        let at = local(event.at);
        match &event.kind {
            EventKind::StepStarted { attempt, args, labels, effect, rule, .. } => {
                let effect = effect.map(|effect| format!("  effect {}", effect.as_str())).unwrap_or_default();
                let allowed =
                    rule.as_ref().map(|rule| format!("  {}", ruled(policy::Verdict::Allow, rule))).unwrap_or_default();
                self.title(&format!("{at}  attempt {attempt}{effect}{allowed}"));
                self.value("arguments", *args);
                self.args = args.and_then(|args| self.texts.get(&args).cloned());
                for (name, labels) in labels {
                    self.label(&format!("labels of {name}"), *labels);
                }
            }
            EventKind::StepExpanded { items, list, .. } => {
                self.title(&format!("{at}  {items} items"));
                self.value("items", Some(*list));
            }
            EventKind::ModelCalled { turn, call, .. } => {
                self.title(&format!("{at}  model call {turn}"));
                self.call(call);
            }
            EventKind::StepCompleted { output, labels, .. } => {
                self.title(&format!("{at}  completed"));
                self.value("output", *output);
                self.label("labels", *labels);
            }
            EventKind::StepFailed { code, message, .. }
            | EventKind::StepRetried { code, message, .. }
            | EventKind::StepInDoubt { code, message, .. } => {
                let word = event.kind.name().trim_start_matches("step_").replace('_', " ");
                self.title(&format!("{at}  {word}: {}", clean(code)));
                self.value("message", Some(*message));
            }
            EventKind::StepSkipped { reason, .. } => {
                self.title(&format!("{at}  skipped: {}", skipped(reason)));
            }
            EventKind::PolicyDecided { verdict, rule, tool, .. } => {
                self.title(&format!("{at}  {}  {}", clean(tool), ruled(*verdict, rule)));
            }
            EventKind::ApprovalRequested { key, prompt, shown, expires } => {
                self.title(&format!("{at}  asked for approval{}", until(*expires)));
                self.asked(key, *prompt, *shown);
            }
            EventKind::ApprovalDecided { verdict, note, .. } => {
                self.title(&format!("{at}  {}{}", decided(*verdict), self.by(event)));
                self.value("note", *note);
            }
            EventKind::StepWaiting { what, .. } => self.waiting(&at, what),
            EventKind::InputReceived { values, .. } => {
                self.title(&format!("{at}  filled{}", self.by(event)));
                self.value("values", Some(*values));
            }
            EventKind::SignalReceived { payload, kept, .. } => {
                let kept = kept.map(|_| ", kept since it came").unwrap_or_default();
                self.title(&format!("{at}  signal received{}{kept}", self.by(event)));
                self.value("payload", Some(*payload));
            }
            EventKind::StepResolved { outcome, note, .. } => {
                self.title(&format!("{at}  resolved{}: {}", self.by(event), resolved(outcome)));
                if let Resolution::Done { output } = outcome {
                    self.value("output", Some(*output));
                }
                self.value("note", *note);
            }
            EventKind::StepRepeated { round, done, .. } => {
                self.title(&format!("{at}  {}", repeated(*round, *done)));
            }
            EventKind::TimerFired { timer, .. } => {
                self.title(&format!("{at}  {}", fired(*timer).unwrap_or("the time has come")));
            }
            EventKind::BudgetReserved { share, .. } => {
                self.title(&format!("{at}  set aside of the budget: {}", amounts(*share)));
            }
            EventKind::BudgetSettled { spent, .. } => {
                self.title(&format!("{at}  used of the budget: {}", amounts(*spent)));
            }
            EventKind::MemoryWritten { id, content, .. } => {
                self.title(&format!("{at}  remembered, as memory {id}"));
                self.value("what it says", Some(*content));
            }
            EventKind::MemoryForgotten { id, note, .. } => {
                self.title(&format!("{at}  memory {id} is forgotten"));
                self.value("note", *note);
            }
            EventKind::StepCancelled { .. } => self.title(&format!("{at}  cancelled")),
            EventKind::PlanExtended { nodes, .. } => {
                let told = planned(nodes).unwrap_or_else(|| "the model is asked".into());
                self.title(&format!("{at}  {told}"));
            }
            EventKind::PlanClosed { given_up, .. } => self.title(&format!("{at}  {}", closed(*given_up))),
            // These are about the run.
            EventKind::RunCreated { .. }
            | EventKind::RunClaimed { .. }
            | EventKind::CancelRequested { .. }
            | EventKind::RunCompleted { .. }
            | EventKind::RunFailed { .. }
            | EventKind::RunCancelled => {}
            other => self.title(&format!("{at}  {}", other.name().replace('_', " "))),
        }
    }

    /// What a person is asked: a plan as `plan` draws it, else the words and the exact calls.
    fn asked(&mut self, key: &StepKey, prompt: Commitment, shown: Commitment) {
        let text = |commitment| self.texts.get(&commitment).cloned().unwrap_or_default();
        let words = text(prompt).as_str().unwrap_or_default().to_owned();
        let question = Question { step: key.clone(), prompt: words, shown: text(shown) };
        if question.plan().is_some() {
            self.lines.extend(question.lines(columns(), Symbols::from_env()).into_iter().skip(2));
            return;
        }
        self.value("prompt", Some(prompt));
        self.value("the answer is bound to", Some(shown));
    }

    fn waiting(&mut self, at: &str, what: &WaitFor) {
        let until = until(what.until());
        match what {
            WaitFor::Timer { .. } => self.title(&format!("{at}  waits{until}")),
            WaitFor::Signal { name, .. } => {
                self.title(&format!("{at}  waits for a signal{until}"));
                self.value("its name", Some(*name));
            }
            WaitFor::Run { run, .. } => self.title(&format!("{at}  waits for its run {run}{until}")),
            WaitFor::Input { prompt, filled, .. } => {
                self.title(&format!("{at}  asked for values{until}"));
                self.value("prompt", Some(*prompt));
                self.value("what stands there already", *filled);
            }
            _ => self.title(&format!("{at}  waits{until}")),
        }
    }

    /// ` by ada (flag)`, for an event that a person made happen.
    fn by(&self, event: &Event) -> String {
        let Actor::Person { name, via } = &event.by else { return String::new() };
        let name = self.texts.get(name).and_then(Value::as_str).map(clean).unwrap_or_default();
        format!(" by {name} ({})", via.as_str())
    }

    fn call(&mut self, call: &ModelCall) {
        let usage = call.usage;
        let adapter = call.adapter.as_ref().map(|name| format!(" with the adapter {}", clean(name)));
        self.lines.push(format!(
            "  {} as {}{} on {}, seed {}, temperature {}, at most {} tokens",
            clean(&call.name),
            clean(&call.model),
            adapter.unwrap_or_default(),
            clean(&call.device),
            call.seed,
            f64::from(call.temperature_milli) / 1_000.0,
            call.max_tokens,
        ));
        let finish = format!("{:?}", call.finish).to_lowercase();
        let valid = if call.valid { "" } else { ", not of the form asked for" };
        let sure = call.confidence_milli.map(|sure| format!(", confidence {}", f64::from(sure) / 1_000.0));
        let energy =
            call.energy.as_ref().map(|energy| format!(", {} mJ of the {} measured", energy.mj, clean(&energy.of)));
        self.lines.push(format!(
            "  {} in ({} cached), {} out, {} ms{}, finish {finish}{}{valid}",
            usage.prompt_tokens,
            usage.cached_tokens,
            usage.output_tokens,
            call.took_ms,
            energy.unwrap_or_default(),
            sure.unwrap_or_default()
        ));
        // Most calls ask what the arguments say; an answer that is asked for again has more messages.
        if self.args.is_none() || self.texts.get(&call.messages) != self.args.as_ref() {
            self.value("messages", Some(call.messages));
        }
        self.value("thinking", call.thinking);
        self.value("answer", Some(call.answer));
        self.value("tools asked for", call.tool_calls);
    }

    fn message(&mut self, message: &Value) {
        let role = message.get("role").and_then(Value::as_str).unwrap_or("message").to_owned();
        self.block(&clean(&role), message.get("content").unwrap_or(&Value::Null));
    }

    fn title(&mut self, title: &str) {
        self.lines.push(String::new());
        self.lines.push(title.to_owned());
    }

    fn label(&mut self, name: &str, labels: parkway::Labels) {
        let words: Vec<_> =
            [(labels.untrusted, "untrusted"), (labels.secret, "secret")].iter().filter(|l| l.0).map(|l| l.1).collect();
        if !words.is_empty() {
            self.lines.push(format!("  {}: {}", harmless(name), words.join(", ")));
        }
    }

    fn value(&mut self, name: &str, commitment: Option<Commitment>) {
        let Some(commitment) = commitment else { return };
        match self.texts.get(&commitment).cloned() {
            Some(value) => self.block(name, &value),
            None => self.lines.push(format!("  {name}: erased")),
        }
    }

    fn block(&mut self, name: &str, value: &Value) {
        if let Value::Array(messages) = value
            && !messages.is_empty()
            && messages.iter().all(|message| message.get("role").is_some() && message.get("content").is_some())
        {
            messages.iter().for_each(|message| self.message(message));
            return;
        }
        self.lines.push(format!("  {name}"));
        self.lines.extend(indented(value, 4));
    }
}

/// ` until 2026-11-23 06:00:00`.
fn until(time: Option<Time>) -> String {
    time.map(|time| format!(" until {}", local(time))).unwrap_or_default()
}

/// `320 tokens, 1 tool call`.
fn amounts(budget: Budget) -> String {
    let parts = [(budget.tokens, "token"), (budget.tool_calls, "tool call")];
    let parts: Vec<_> = parts.into_iter().filter(|(n, _)| *n > 0).map(|(n, noun)| counted(n, noun)).collect();
    if parts.is_empty() { "nothing".into() } else { parts.join(", ") }
}

/// The texts that an event about a step points to.
fn pointed_to(kind: &EventKind) -> Vec<Commitment> {
    match kind {
        EventKind::StepStarted { args, .. } => args.iter().copied().collect(),
        EventKind::StepExpanded { list, .. } => vec![*list],
        EventKind::ModelCalled { call, .. } => {
            [Some(call.messages), call.thinking, Some(call.answer), call.tool_calls].into_iter().flatten().collect()
        }
        EventKind::StepCompleted { output, .. } => output.iter().copied().collect(),
        EventKind::InputReceived { values, .. } => vec![*values],
        EventKind::SignalReceived { payload, .. } => vec![*payload],
        EventKind::ApprovalRequested { prompt, shown, .. } => vec![*prompt, *shown],
        EventKind::StepResolved { outcome: Resolution::Done { output }, .. } => vec![*output],
        EventKind::StepWaiting { what: WaitFor::Input { filled, .. }, .. } => filled.iter().copied().collect(),
        _ => Vec::new(),
    }
}
