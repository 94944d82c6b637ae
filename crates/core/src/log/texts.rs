//! The texts that an event points to: what its type says is one, whatever else in it has the form of a hash.

use super::event::{Actor, Event, EventKind};
use super::payload::Commitment;
use super::waiting::{Resolution, WaitFor};

/// A text, by the name of the field that points to it.
type Text = (&'static str, Commitment);

impl Event {
    /// The texts that it points to, each with the name of the field that does; `by` is who made it happen. Nobody can add one by the name of
    /// a step or a code.
    pub fn texts(&self) -> Vec<(&'static str, Commitment)> {
        let mut found = Vec::new();
        of_kind(&self.kind, &mut found);
        if let Actor::Person { name, .. } = &self.by {
            found.push(("by", *name));
        }
        found
    }
}

fn of_kind(kind: &EventKind, found: &mut Vec<Text>) {
    let mut take = |field, text: &Commitment| found.push((field, *text));
    match kind {
        EventKind::RunCreated { plan, inputs, env, .. } => {
            take("plan", plan);
            take("inputs", inputs);
            maybe(take, "env", env.as_ref());
        }
        EventKind::RunReopened { note, .. }
        | EventKind::ApprovalDecided { note, .. }
        | EventKind::CancelRequested { note } => maybe(take, "note", note.as_ref()),
        EventKind::StepStarted { args, secrets, .. } => {
            maybe(&mut take, "args", args.as_ref());
            maybe(take, "secrets", secrets.as_ref());
        }
        EventKind::StepExpanded { list, names, .. } => {
            take("list", list);
            maybe(take, "names", names.as_ref());
        }
        EventKind::StepCompleted { output, .. } => maybe(take, "output", output.as_ref()),
        EventKind::StepFailed { message, .. }
        | EventKind::StepRetried { message, .. }
        | EventKind::StepInDoubt { message, .. } => take("message", message),
        EventKind::StepResolved { outcome, note, .. } => {
            if let Resolution::Done { output } = outcome {
                take("output", output);
            }
            maybe(take, "note", note.as_ref());
        }
        EventKind::StepWaiting { what, .. } => match what {
            WaitFor::Signal { name, .. } => take("name", name),
            WaitFor::Input { prompt, filled, .. } => {
                take("prompt", prompt);
                maybe(take, "filled", filled.as_ref());
            }
            WaitFor::Timer { .. } | WaitFor::Run { .. } => {}
        },
        EventKind::SignalReceived { name, payload, .. } => {
            take("name", name);
            take("payload", payload);
        }
        EventKind::InputReceived { values, .. } => take("values", values),
        EventKind::ModelCalled { call, .. } => {
            take("messages", &call.messages);
            maybe(&mut take, "form", call.form.as_ref());
            take("answer", &call.answer);
            maybe(&mut take, "thinking", call.thinking.as_ref());
            maybe(&mut take, "tool_calls", call.tool_calls.as_ref());
            maybe(take, "tokens", call.tokens.as_ref());
        }
        EventKind::ApprovalRequested { prompt, shown, .. } => {
            take("prompt", prompt);
            take("shown", shown);
        }
        EventKind::PlanExtended { texts, .. } => take("texts", texts),
        EventKind::MemoryWritten { content, .. } => take("content", content),
        EventKind::MemoryForgotten { content, note, .. } => {
            take("content", content);
            maybe(take, "note", note.as_ref());
        }
        EventKind::PayloadErased { payloads, note } => {
            payloads.iter().for_each(|text| take("payloads", text));
            take("note", note);
        }
        EventKind::HoldPlaced { note, .. }
        | EventKind::HoldLifted { note, .. }
        | EventKind::KeyRotated { note, .. }
        | EventKind::BackupShredded { note, .. } => take("note", note),
        EventKind::RunCompleted { outputs } => take("outputs", outputs),
        EventKind::RunFailed { reason } => maybe(take, "message", reason.message.as_ref()),
        EventKind::RunClaimed { .. }
        | EventKind::RunForked { .. }
        | EventKind::StepSkipped { .. }
        | EventKind::StepCancelled { .. }
        | EventKind::StepRepeated { .. }
        | EventKind::TimerFired { .. }
        | EventKind::PolicyDecided { .. }
        | EventKind::PlanClosed { .. }
        | EventKind::BudgetReserved { .. }
        | EventKind::BudgetSettled { .. }
        | EventKind::RunCancelled => {}
    }
}

fn maybe(mut take: impl FnMut(&'static str, &Commitment), field: &'static str, text: Option<&Commitment>) {
    if let Some(text) = text {
        take(field, text);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;

    /// An event of this kind, in which each `#` has become a hash of its own.
    fn event(kind: &str) -> Event {
        let mut digits = 'a'..='f';
        let parts = kind.split('#').map(str::to_owned);
        let kind = parts.reduce(|kind, part| format!("{kind}{}{part}", digits.next().unwrap().to_string().repeat(64)));
        let kind: Value = serde_json::from_str(&kind.unwrap()).unwrap();
        let event = json!({
            "v": 7, "tenant": "default", "run": "018bcfe5-6800-7707-8707-070707070707", "seq": "1",
            "at": "1970-01-01T00:00:00Z", "fence": "1", "kind": kind,
            "by": { "type": "person", "name": "9".repeat(64), "via": "command" },
        });
        Event::from_bytes(event.to_string().as_bytes()).unwrap()
    }

    /// All that has the form of a salted hash, but for what is called a hash.
    fn hashes(value: &Value) -> Vec<Commitment> {
        match value {
            Value::String(text) => text.parse().into_iter().collect(),
            Value::Array(items) => items.iter().flat_map(hashes).collect(),
            Value::Object(fields) => fields
                .iter()
                .filter(|(name, _)| !name.ends_with("_hash"))
                .flat_map(|(_, value)| hashes(value))
                .collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn a_text_of_an_event_is_none_of_it() {
        let call = r#""model":"m","name":"n","device":"cpu","seed":"1","temperature_milli":0,"max_tokens":1,"usage":{"prompt_tokens":1,"output_tokens":1},"finish":"stop","took_ms":1,"valid":true"#;
        let called = format!(
            r##"{{"type":"model_called","key":"a","attempt":1,"turn":1,"call":{{{call},"messages":"#","form":"#","answer":"#","thinking":"#","tool_calls":"#","tokens":"#"}}}}"##
        );
        let plan_hash = "0".repeat(64);
        let created =
            format!(r##"{{"type":"run_created","plan":"#","plan_hash":"{plan_hash}","inputs":"#","env":"#"}}"##);
        let memory = "00000000000000000000000000000001";
        let written = format!(
            r##"{{"type":"memory_written","id":"{memory}","content":"#","kind":"semantic","from":"1970-01-01T00:00:00Z"}}"##
        );
        let forgotten = format!(r##"{{"type":"memory_forgotten","id":"{memory}","content":"#","note":"#"}}"##);
        let all = [
            created.as_str(),
            r##"{"type":"run_reopened","note":"#"}"##,
            r##"{"type":"step_started","key":"a","attempt":1,"args":"#","secrets":"#"}"##,
            r##"{"type":"step_expanded","key":"a","items":1,"list":"#","names":"#"}"##,
            r##"{"type":"step_completed","key":"a","attempt":1,"output":"#"}"##,
            r##"{"type":"step_failed","key":"a","attempt":1,"code":"x","message":"#"}"##,
            r##"{"type":"step_retried","key":"a","attempt":1,"code":"x","message":"#","not_before":"1970-01-01T00:00:00Z"}"##,
            r##"{"type":"step_in_doubt","key":"a","attempt":1,"code":"x","message":"#"}"##,
            r##"{"type":"step_resolved","key":"a","outcome":{"type":"done","output":"#"},"note":"#"}"##,
            r##"{"type":"step_waiting","key":"a","for":{"type":"signal","name":"#"}}"##,
            r##"{"type":"step_waiting","key":"a","for":{"type":"input","prompt":"#","filled":"#"}}"##,
            r##"{"type":"signal_received","name":"#","payload":"#"}"##,
            r##"{"type":"input_received","key":"a","values":"#"}"##,
            called.as_str(),
            r##"{"type":"approval_requested","key":"a","prompt":"#","shown":"#"}"##,
            r##"{"type":"approval_decided","key":"a","verdict":"approved","note":"#"}"##,
            r##"{"type":"plan_extended","key":"a","nodes":[],"texts":"#"}"##,
            written.as_str(),
            forgotten.as_str(),
            r##"{"type":"payload_erased","payloads":["#","#"],"note":"#"}"##,
            r##"{"type":"hold_placed","note":"#"}"##,
            r##"{"type":"hold_lifted","note":"#"}"##,
            r##"{"type":"key_rotated","rotation":"x","note":"#"}"##,
            r##"{"type":"backup_shredded","backup":"x","note":"#"}"##,
            r##"{"type":"cancel_requested","note":"#"}"##,
            r##"{"type":"run_completed","outputs":"#"}"##,
            r##"{"type":"run_failed","reason":{"code":"x","message":"#"}}"##,
        ];
        for kind in all {
            let event = event(kind);
            let json: Value = serde_json::to_value(&event).unwrap();
            let texts: BTreeSet<Commitment> = event.texts().into_iter().map(|(_, text)| text).collect();
            assert_eq!(texts, hashes(&json).into_iter().collect(), "{kind}");
        }
    }

    #[test]
    fn a_step_with_the_name_of_a_text_points_to_it() {
        let kind = r##"{"type":"step_failed","key":"#","attempt":1,"code":"#","message":"#"}"##;
        let texts: Vec<_> = event(kind).texts().into_iter().map(|(field, text)| (field, text.to_string())).collect();
        assert_eq!(texts, [("message", "c".repeat(64)), ("by", "9".repeat(64))]);
    }
}
