//! Asking a person: what is shown is bound to the exact calls, and only the same calls are covered by the answer.

use serde_json::{Value, json};

use crate::engine::begin::Arguments;
use crate::engine::context::Site;
use crate::engine::executor::{Executor, ExecutorError};
use crate::engine::recorder::Draft;
use crate::engine::step::Failure;
use crate::id::{StepKey, Time};
use crate::label::Labels;
use crate::log::{Actor, Channel, EventKind, StepStatus, Verdict};
use crate::policy;
use crate::workflow::{Template, Verb};

/// What an approval says about a call that is about to be made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Covered {
    /// Somebody said yes to these arguments.
    Yes,
    /// Somebody said yes to other arguments.
    Changed,
    /// Nobody was asked about it.
    No,
}

/// A call as a person sees it, and as an answer is bound to it. With the places of secrets, so that a text that only looks
/// like one is another call.
fn shown_call(key: &StepKey, tool: &str, args: &Arguments) -> Value {
    let mut call = json!({ "step": key.to_string(), "tool": tool, "args": args.value });
    if !args.secrets.is_empty() {
        call["secrets"] = json!(args.secrets);
    }
    call
}

impl Executor {
    /// Asks the question of an `approve`.
    pub(crate) async fn ask(
        &mut self,
        key: StepKey,
        site: Site,
        prompt: &str,
        timeout_ms: Option<u64>,
        show: Option<&Value>,
    ) -> Result<(), ExecutorError> {
        let prompt = match Self::evaluated(self.values.evaluate(&self.state, site, Template::Text(prompt)).await)? {
            Ok((prompt, _)) => prompt,
            Err(failure) => return self.fail(key, &failure).await,
        };
        let show = match show {
            None => Value::Null,
            Some(show) => {
                match Self::evaluated(self.values.evaluate(&self.state, site, Template::Value(show)).await)? {
                    Ok((show, _)) => show,
                    Err(failure) => return self.fail(key, &failure).await,
                }
            }
        };
        let (calls, unknown) = self.calls_after(&key).await?;
        let now = self.services.clock.now();
        let expires = timeout_ms.map(|millis| now.after(std::time::Duration::from_millis(millis)));
        let given = self.control.preapprovals.iter().find(|given| given.covers(&key)).cloned();
        let mut draft = Draft::default();
        self.draft_question(
            &mut draft,
            &key,
            &prompt,
            &json!({ "calls": calls, "unknown": unknown, "show": show }),
            expires,
        )?;
        if let Some(given) = given {
            let by = self.person(&mut draft, &given.by, given.via)?;
            draft.event_by(by, EventKind::ApprovalDecided { key, verdict: Verdict::Approved, note: None });
        }
        self.record(draft).await?;
        Ok(())
    }

    /// Asks about a tool call, since the policy wants it or the approved arguments have changed.
    pub(crate) async fn ask_for_call(
        &mut self,
        mut draft: Draft,
        key: StepKey,
        tool: &str,
        args: &Arguments,
        reason: &str,
    ) -> Result<(), ExecutorError> {
        let prompt = json!(format!("Call `{tool}`? ({reason})"));
        let calls = json!([shown_call(&key, tool, args)]);
        self.draft_question(&mut draft, &key, &prompt, &json!({ "calls": calls, "unknown": [], "show": null }), None)?;
        self.record(draft).await?;
        Ok(())
    }

    fn draft_question(
        &self,
        draft: &mut Draft,
        key: &StepKey,
        prompt: &Value,
        shown: &Value,
        expires: Option<Time>,
    ) -> Result<(), ExecutorError> {
        let prompt = self.value(draft, prompt)?;
        let shown = self.value(draft, shown)?;
        draft.event(EventKind::ApprovalRequested { key: key.clone(), prompt, shown, expires });
        Ok(())
    }

    /// The tool calls that wait for an approval directly: those whose arguments are known now, and the ids of the others.
    async fn calls_after(&mut self, key: &StepKey) -> Result<(Vec<Value>, Vec<String>), ExecutorError> {
        let Some(index) = self.state.index_of(key) else { return Ok((Vec::new(), Vec::new())) };
        let plan = self.state.plan().clone();
        let id = &plan.graph.node(self.state.at(index).node).id;
        let (mut calls, mut unknown) = (Vec::new(), Vec::new());
        for dependent in self.state.dependents(index) {
            let step_key = self.state.at(dependent).key.clone();
            let Some((node, site)) = self.place(&step_key) else { continue };
            let node = plan.graph.node(node);
            let Verb::Tool { name, with } = &node.verb else {
                unknown.push(step_key.to_string());
                continue;
            };
            let others = self.state.dependencies(dependent);
            // What depends on the answer itself is known only after it.
            let of_answer = Template::Value(with).references().is_ok_and(|references| {
                references.iter().any(|r| r.root == "steps" && r.path.first().is_some_and(|step| step == id))
            });
            let known = node.for_each.is_none()
                && node.repeat.is_none()
                && !of_answer
                && others.iter().all(|other| *other == index || self.state.at(*other).status.ended());
            let args = if known { self.arguments(&step_key, site, with).await?.ok() } else { None };
            match args {
                Some(args) => calls.push(shown_call(&step_key, name, &args)),
                None => unknown.push(step_key.to_string()),
            }
        }
        Ok((calls, unknown))
    }

    /// Whether a person must be asked before this call: the policy says so and nobody has approved it, or what was
    /// approved was something else.
    pub(crate) async fn must_ask(
        &mut self,
        key: &StepKey,
        tool: &str,
        args: &Arguments,
        verdict: policy::Verdict,
    ) -> Result<bool, ExecutorError> {
        Ok(match self.covered(key, tool, args).await? {
            Covered::Yes => false,
            Covered::Changed => true,
            Covered::No => verdict == policy::Verdict::Ask,
        })
    }

    async fn covered(&mut self, key: &StepKey, tool: &str, args: &Arguments) -> Result<Covered, ExecutorError> {
        let Some(index) = self.state.index_of(key) else { return Ok(Covered::No) };
        let call = shown_call(key, tool, args);
        let mut covered = Covered::No;
        // The step's own answer is newer than one that came before it.
        for asked in std::iter::once(index).chain(self.state.dependencies(index)) {
            let Some(approval) = self.state.at(asked).approval.clone() else { continue };
            // Who answers before the question was asked has not seen the calls; a word in the run that this one is forked
            // from was about the calls of that run.
            let saw_and_approved = approval.answer.as_ref().is_some_and(|answer| {
                let in_advance = matches!(answer.by, Actor::Person { via: Channel::Flag, .. });
                answer.verdict == Verdict::Approved && !in_advance && !answer.inherited
            });
            if !saw_and_approved {
                continue;
            }
            let shown = self.values.value(approval.shown).await?;
            let calls = shown.get("calls").and_then(Value::as_array);
            for shown in calls.into_iter().flatten() {
                if *shown == call {
                    return Ok(Covered::Yes);
                }
                if shown.get("step") == call.get("step") {
                    covered = Covered::Changed;
                }
            }
        }
        Ok(covered)
    }

    /// Records a yes to an `approve`.
    pub(crate) async fn approved(&mut self, key: StepKey) -> Result<(), ExecutorError> {
        let Some(step) = self.state.step(&key).filter(|step| step.status == StepStatus::Waiting).cloned() else {
            return Ok(());
        };
        let Some(answer) = step.approval.and_then(|approval| approval.answer) else { return Ok(()) };
        let (by, via) = match answer.by {
            Actor::Person { name, via } => (self.values.value(name).await?, via.as_str()),
            Actor::Engine => (json!("the engine"), "program"),
            Actor::Worker { id } => (json!(id.to_string()), "program"),
        };
        let note = match answer.note {
            Some(note) => self.values.value(note).await?,
            None => Value::Null,
        };
        let output = json!({ "by": by, "via": via, "at": answer.at.to_string(), "note": note });
        let plan = self.state.plan().clone();
        let labels =
            self.place(&key).map_or(Labels::NONE, |(node, site)| self.condition_labels(plan.graph.node(node), site));
        let mut draft = Draft::default();
        let output = Some(self.value(&mut draft, &output)?);
        draft.event(EventKind::StepCompleted { key, attempt: step.attempt, output, labels });
        self.record(draft).await?;
        Ok(())
    }

    /// Records a no, or no answer in time.
    pub(crate) async fn reject(&mut self, key: StepKey, expired: bool) -> Result<(), ExecutorError> {
        let message = if expired {
            "nobody answered in time".to_owned()
        } else {
            let answer = self.state.step(&key).and_then(|step| step.approval.as_ref()?.answer.clone());
            match answer.and_then(|answer| answer.note) {
                Some(note) => match self.values.value(note).await? {
                    Value::String(note) => format!("rejected: {note}"),
                    _ => "rejected".to_owned(),
                },
                None => "rejected".to_owned(),
            }
        };
        self.fail(key, &Failure::new("rejected", message)).await
    }
}
