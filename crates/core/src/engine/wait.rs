//! Steps that wait: for a time, for a signal from outside, for a form that a person fills.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::engine::context::Site;
use crate::engine::executor::{Executor, ExecutorError};
use crate::engine::perform::short;
use crate::engine::recorder::Draft;
use crate::engine::reporter::Notice;
use crate::engine::step::{Failure, words};
use crate::id::{StepKey, Time};
use crate::label::Labels;
use crate::log::{Actor, Came, Commitment, EventKind, StepIndex, StepStatus, WaitFor};
use crate::schema::check_depth;
use crate::workflow::{Template, Verb, Wait, fill_form};

impl Executor {
    /// Begins to wait for what a `wait` says.
    pub(super) async fn wait(&mut self, key: StepKey, site: Site, wait: &Wait) -> Result<(), ExecutorError> {
        let now = self.services.clock.now();
        let mut draft = Draft::default();
        let what = match wait {
            Wait::For(millis) => WaitFor::Timer { at: now.after(Duration::from_millis(*millis)) },
            Wait::Until(time) => match self.wait_template(site, time).await? {
                Ok(value) => match time_of(&value) {
                    Some(at) => WaitFor::Timer { at },
                    None => {
                        let message =
                            format!("`until` needs a time such as 2027-01-31T12:00:00Z, not {}", short(&value));
                        return self.fail(key, &Failure::new("template", message)).await;
                    }
                },
                Err(failure) => return self.fail(key, &failure).await,
            },
            Wait::Signal { name, timeout_ms } => match self.wait_template(site, name).await? {
                Ok(Value::String(name)) if !name.is_empty() => WaitFor::Signal {
                    name: self.text(&mut draft, &name)?,
                    expires: timeout_ms.map(|millis| now.after(Duration::from_millis(millis))),
                },
                Ok(other) => {
                    let message = format!("the name of a signal must be a text, not {}", short(&other));
                    return self.fail(key, &Failure::new("template", message)).await;
                }
                Err(failure) => return self.fail(key, &failure).await,
            },
        };
        let signal = match &what {
            WaitFor::Signal { name, .. } => Some(*name),
            _ => None,
        };
        draft.event(EventKind::StepWaiting { key: key.clone(), what });
        self.record(draft).await?;
        if let Some(name) = signal {
            self.give_kept(key, name).await?;
        }
        Ok(())
    }

    async fn wait_template(&mut self, site: Site, text: &str) -> Result<Result<Value, Failure>, ExecutorError> {
        let template = Value::String(text.to_owned());
        let result = self.values.evaluate(&self.state, site, Template::Value(&template)).await;
        Ok(Self::evaluated(result)?.map(|(value, _)| value))
    }

    /// Asks a person to fill a form.
    pub(super) async fn ask_for_input(
        &mut self,
        key: StepKey,
        site: Site,
        prompt: &str,
        filled: &Map<String, Value>,
        timeout_ms: Option<u64>,
    ) -> Result<(), ExecutorError> {
        let result = self.values.evaluate(&self.state, site, Template::Text(prompt)).await;
        let prompt = match Self::evaluated(result)? {
            Ok((prompt, _)) => prompt,
            Err(failure) => return self.fail(key, &failure).await,
        };
        let mut labels = Labels::NONE;
        let mut draft = Draft::default();
        let filled = if filled.is_empty() {
            None
        } else {
            let filled = Value::Object(filled.clone());
            let result = self.values.evaluate(&self.state, site, Template::Value(&filled)).await;
            match Self::evaluated(result)? {
                Ok((filled, of)) => {
                    labels = of;
                    Some(self.value(&mut draft, &filled)?)
                }
                Err(failure) => return self.fail(key, &failure).await,
            }
        };
        let now = self.services.clock.now();
        let prompt = self.value(&mut draft, &prompt)?;
        let expires = timeout_ms.map(|millis| now.after(Duration::from_millis(millis)));
        draft.event(EventKind::StepWaiting { key, what: WaitFor::Input { prompt, filled, labels, expires } });
        self.record(draft).await?;
        Ok(())
    }

    /// Records what follows of what a step waited for.
    pub(super) async fn arrive(&mut self, key: StepKey) -> Result<(), ExecutorError> {
        let Some(step) = self.state.step(&key).cloned() else { return Ok(()) };
        let Some((what, came)) = step.waiting.and_then(|waiting| Some((waiting.what, waiting.came?))) else {
            return Ok(());
        };
        let attempt = step.attempt;
        let plan = self.state.plan().clone();
        let condition =
            self.place(&key).map_or(Labels::NONE, |(node, site)| self.condition_labels(plan.graph.node(node), site));
        let mut draft = Draft::default();
        let (output, labels) = match (what, came) {
            (WaitFor::Run { .. }, _) => return self.call_run(key, false).await,
            (WaitFor::Timer { .. }, _) => (self.value(&mut draft, &Value::Null)?, Labels::NONE),
            // What comes from outside is data.
            (_, Came::Signal(payload)) => (payload, Labels::UNTRUSTED),
            // What the person left as it was comes from where the form took it.
            (WaitFor::Input { labels, .. }, Came::Values(values)) => (values, labels),
            (_, Came::Values(values)) => (values, Labels::NONE),
            (WaitFor::Signal { name, .. }, Came::Time) => {
                let name = self.values.value(name).await?;
                let limit = match &self.state.plan().graph.node(step.node).verb {
                    Verb::Wait(Wait::Signal { timeout_ms: Some(millis), .. }) => words(Duration::from_millis(*millis)),
                    _ => "the time given".into(),
                };
                let message = format!("no signal {} came within {limit}", short(&name));
                return self.fail(key, &Failure::new("timeout", message)).await;
            }
            (WaitFor::Input { .. }, Came::Time) => {
                return self.fail(key, &Failure::new("timeout", "nobody answered in time")).await;
            }
        };
        let labels = labels.union(condition);
        draft.event(EventKind::StepCompleted { key, attempt, output: Some(output), labels });
        self.record(draft).await?;
        Ok(())
    }

    /// Takes a signal in: it goes to the first step that waits for one of this name, else it is kept.
    pub(super) async fn take_signal(
        &mut self,
        mut draft: Draft,
        name: String,
        payload: &Value,
        by: Actor,
        at: Time,
    ) -> Result<(), ExecutorError> {
        if check_depth(payload).is_err() {
            tracing::warn!(run = %self.lease.run, "a signal nests too deep to be kept");
            self.record(draft).await?;
            return Ok(());
        }
        let key = self.listener(&json!(name), at).await?;
        let name = self.text(&mut draft, &name)?;
        let payload = self.value(&mut draft, payload)?;
        draft.event_by(by, EventKind::SignalReceived { key, name, payload, kept: None });
        self.record(draft).await?;
        Ok(())
    }

    /// The first step, in the order of waiting, that waits for a signal of this name and whose time was not over when it
    /// was sent.
    async fn listener(&mut self, name: &Value, at: Time) -> Result<Option<StepKey>, ExecutorError> {
        let waits =
            |(index, _): &(StepIndex, Commitment)| self.state.at(*index).expires().is_none_or(|expires| at <= expires);
        let listeners: Vec<_> = self.state.listeners().filter(waits).collect();
        for (index, waits_for) in listeners {
            if self.values.value(waits_for).await? == *name {
                return Ok(Some(self.state.at(index).key.clone()));
            }
        }
        Ok(None)
    }

    /// Gives signals that were kept to steps that wait for them.
    pub(super) async fn hand_out_signals(&mut self) -> Result<(), ExecutorError> {
        let listeners: Vec<_> = self.state.listeners().collect();
        for (index, name) in listeners {
            self.give_kept(self.state.at(index).key.clone(), name).await?;
        }
        Ok(())
    }

    /// Gives a step the oldest signal that was kept under the name that it waits for.
    async fn give_kept(&mut self, key: StepKey, name: Commitment) -> Result<(), ExecutorError> {
        if self.state.kept_signals().is_empty() {
            return Ok(());
        }
        let wanted = self.values.value(name).await?;
        for kept in self.state.kept_signals().to_vec() {
            if self.values.value(kept.name).await? == wanted {
                let (name, payload) = (kept.name, kept.payload);
                return self
                    .say(EventKind::SignalReceived { key: Some(key), name, payload, kept: Some(kept.seq) })
                    .await;
            }
        }
        Ok(())
    }

    /// Takes a filled form in. One that is not as the form says is refused, and the question stands.
    pub(super) async fn take_input(
        &mut self,
        mut draft: Draft,
        key: StepKey,
        values: Value,
        by: Actor,
    ) -> Result<(), ExecutorError> {
        let asked = self.state.step(&key).filter(|step| step.status == StepStatus::Waiting);
        let asked = asked.and_then(|step| match &step.waiting.as_ref()?.what {
            WaitFor::Input { filled, .. } => Some((step.node, *filled)),
            _ => None,
        });
        let plan = self.state.plan().clone();
        if let Some((node, filled)) = asked
            && let Verb::Input { form, .. } = &plan.graph.node(node).verb
        {
            let filled = match values {
                Value::Object(mut values) => {
                    if let Some(filled) = filled
                        && let Value::Object(filled) = self.values.value(filled).await?
                    {
                        for (name, value) in filled {
                            values.entry(name).or_insert(value);
                        }
                    }
                    fill_form(form, values)
                }
                other => Err(vec![format!("a filled form is an object, not {}", short(&other))]),
            };
            match filled {
                Ok(values) => {
                    let values = self.value(&mut draft, &values)?;
                    draft.event_by(by, EventKind::InputReceived { key, values });
                }
                Err(problems) => self.refuse(key, problems.join("; ")),
            }
        }
        self.record(draft).await?;
        Ok(())
    }

    /// Tells watchers that what somebody said was not taken.
    pub(super) fn refuse(&self, step: StepKey, message: String) {
        tracing::warn!(run = %self.lease.run, step = %step, "what somebody said was refused");
        self.reporter.tell(Notice::Refused { step, message });
    }
}

/// The time that a value says.
fn time_of(value: &Value) -> Option<Time> {
    // Our own way to write times beyond the calendar is none that an author uses.
    value.as_str().map(str::trim).filter(|text| !text.ends_with("us"))?.parse().ok()
}
