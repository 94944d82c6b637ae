//! A run as an agent audit trail: the records of an Internet-Draft (R. Sharif, `draft-sharif-agent-audit-trail-06`, September 2026, an individual
//! submission), for whoever reads these.
//!
//! It is a view: it holds no text of the run, and less than the log. Each record names the event that it is made of, with the hash of its leaf,
//! so that it can be held against an export of the log, which proves what this chain of hashes alone cannot: that nothing was cut off its end.
//! Where the draft wants hashes of arguments and results, those of the log stand, which are salted: nobody can guess from them.

use std::collections::HashMap;

use parkway_core::id::{Seq, StepKey, Time};
use parkway_core::log::{Commitment, Event, EventKind, FailureReason, RunStatus, Verdict, canonical};
use parkway_core::policy;
use parkway_core::store::StoreError;
use parkway_core::workflow::Verb;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::AuditLog;
use crate::error::Error;
use crate::record::Record;

/// The revision of the draft that the records follow.
pub const TRAIL: &str = "aat-06";
/// Events that are read at once.
const PAGE: u32 = 1_024;

impl AuditLog {
    /// A run as records of the draft, oldest first: one chain, and one session. Events that the draft has no record for are left out.
    ///
    /// # Errors
    ///
    /// The store fails.
    pub async fn trail(&self, record: &Record) -> Result<Vec<Value>, Error> {
        let mut trail = Trail::new(&self.origin().await?, record);
        let (run, mut after) = (record.state.run(), Seq(0));
        loop {
            let page = self.store.audit().leaves_of(run, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(trail.records) };
            after = last.seq;
            for leaf in &page {
                let event = Event::from_bytes(&leaf.bytes).map_err(StoreError::from)?;
                trail.event(&event, leaf.index, &leaf.bytes)?;
            }
        }
    }
}

/// What an event is in the draft's words.
struct Act {
    action: &'static str,
    detail: Value,
    outcome: &'static str,
    phase: &'static str,
}

const BEFORE: &str = "pre_execution";
const AFTER: &str = "post_execution";
const BESIDE: &str = "concurrent";

fn act(action: &'static str, detail: Value, outcome: &'static str, phase: &'static str) -> Option<Act> {
    Some(Act { action, detail, outcome, phase })
}

struct Trail<'a> {
    record: &'a Record,
    agent: String,
    session: String,
    records: Vec<Value>,
    /// The hashes of the chain so far, one behind the other.
    hashes: Vec<u8>,
    /// The record of the newest call of each step.
    calls: HashMap<StepKey, Value>,
    began: Time,
    /// The newest time: a clock may be set back, and the draft's times may not go back.
    newest: Time,
}

impl<'a> Trail<'a> {
    fn new(origin: &str, record: &'a Record) -> Self {
        let name = record.plan.workflow.as_str();
        // What a URN may hold as it is; the name of a workflow is anything.
        let name: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
        Trail {
            record,
            agent: format!("urn:{}:{name}", origin.replace('/', ":")),
            session: uuid(record.state.run().to_string().as_bytes()),
            records: Vec::new(),
            hashes: Vec::new(),
            calls: HashMap::new(),
            began: record.state.created(),
            newest: Time::default(),
        }
    }

    fn event(&mut self, event: &Event, leaf: u64, bytes: &[u8]) -> Result<(), Error> {
        let Some(act) = self.act(event) else { return Ok(()) };
        let previous = match self.records.last() {
            Some(record) => {
                let hash = link(record)?;
                self.hashes.extend(hash);
                (record["record_id"].clone(), json!(hex::encode(hash)))
            }
            None => (Value::Null, Value::Null),
        };
        self.newest = self.newest.max(event.at);
        let leaf_hash = hex::encode(Sha256::new().chain_update([0]).chain_update(bytes).finalize());
        let mut detail = act.detail;
        detail["parkway"] = json!({
            "run": event.run, "event": event.seq.0.to_string(), "leaf": leaf.to_string(), "leaf_hash": leaf_hash,
            "type": event.kind.name(), "step": event.kind.key().map(ToString::to_string), "hashes": "salted",
        });
        if detail["event"] == "session_end" {
            detail["session_hash"] = json!(hex::encode(Sha256::digest(&self.hashes)));
            detail["record_count"] = json!(self.records.len() + 1);
            detail["duration_ms"] = json!((self.newest.micros() - self.began.micros()).max(0) / 1_000);
        }
        let id = uuid(format!("{leaf}\n{leaf_hash}").as_bytes());
        if let (Some(key), "tool_call") = (event.kind.key(), act.action) {
            self.calls.insert(key.clone(), json!(id));
        }
        self.records.push(json!({
            "record_id": id,
            "timestamp": self.newest,
            "agent_id": self.agent,
            "agent_version": env!("CARGO_PKG_VERSION"),
            "session_id": self.session,
            "action_type": act.action,
            "action_detail": detail,
            "outcome": act.outcome,
            // Nobody vouches for the agent but who signs the log.
            "trust_level": "L0",
            "parent_record_id": previous.0,
            "prev_hash": previous.1,
            "record_phase": act.phase,
        }));
        Ok(())
    }

    fn act(&self, event: &Event) -> Option<Act> {
        match &event.kind {
            EventKind::RunCreated { plan_hash, .. } => act(
                "lifecycle",
                json!({ "event": "session_start", "new_state": "active", "trigger": "run", "recording_mode": "self",
                    "plan_hash": plan_hash }),
                "success",
                BESIDE,
            ),
            EventKind::RunReopened { .. } => lifecycle("resume", "reopened"),
            EventKind::StepWaiting { .. } => lifecycle("pause", "wait"),
            EventKind::TimerFired { .. } => lifecycle("resume", "time"),
            EventKind::SignalReceived { .. } => lifecycle("resume", "signal"),
            EventKind::InputReceived { .. } => lifecycle("resume", "input"),
            EventKind::StepStarted { key, args, effect, .. } => {
                let tool = self.tool(key)?;
                let detail = json!({ "tool_name": tool, "parameters_hash": hash(args.as_ref()), "effect": effect });
                act("tool_call", detail, "success", BEFORE)
            }
            EventKind::StepCompleted { key, output, .. } => self.response(key, output.as_ref(), "success"),
            EventKind::StepFailed { key, code, message, .. } | EventKind::StepRetried { key, code, message, .. } => {
                let outcome = if code == "timeout" { "timeout" } else { "failure" };
                self.response(key, Some(message), outcome).or_else(|| error(code, message, false))
            }
            EventKind::StepInDoubt { code, message, .. } => error(code, message, true),
            EventKind::ModelCalled { call, .. } => act(
                "decision",
                json!({ "decision_type": "model_turn", "reasoning_hash": call.answer, "model": call.name,
                    "model_hash": call.model_hash, "input_hash": call.messages }),
                if call.valid { "success" } else { "failure" },
                AFTER,
            ),
            EventKind::PlanExtended { texts, .. } => {
                act("decision", json!({ "decision_type": "plan", "reasoning_hash": texts }), "success", BEFORE)
            }
            EventKind::PolicyDecided { tool, verdict, rule, .. } => {
                let detail = json!({ "decision_type": "policy", "policy_ref": rule, "tool_name": tool });
                match verdict {
                    policy::Verdict::Deny => act("decision", detail, "denied", BEFORE),
                    policy::Verdict::Ask => act("decision", detail, "escalated", BEFORE),
                    _ => act("decision", detail, "success", BEFORE),
                }
            }
            EventKind::ApprovalRequested { prompt, .. } => act(
                "escalation",
                json!({ "escalation_reason": "policy_requires_human", "escalation_target": "person", "context_hash": prompt }),
                "escalated",
                BEFORE,
            ),
            EventKind::ApprovalDecided { verdict, .. } => {
                let (kind, outcome) = match verdict {
                    Verdict::Approved => ("approve", "success"),
                    _ => ("reject", "denied"),
                };
                act("decision", json!({ "decision_type": kind, "policy_ref": "approval" }), outcome, BEFORE)
            }
            EventKind::RunCompleted { outputs } => end(RunStatus::Completed, json!({ "response_hash": outputs })),
            EventKind::RunFailed { reason: FailureReason { code, .. } } => {
                end(RunStatus::Failed, json!({ "error_code": code }))
            }
            EventKind::RunCancelled => end(RunStatus::Cancelled, json!({})),
            _ => None,
        }
    }

    /// The tool that a step calls.
    fn tool(&self, key: &StepKey) -> Option<&str> {
        let state = &self.record.state;
        match &state.plan().graph.node(state.step(key)?.node).verb {
            Verb::Tool { name, .. } => Some(name),
            _ => None,
        }
    }

    fn response(&self, key: &StepKey, text: Option<&Commitment>, outcome: &'static str) -> Option<Act> {
        let detail = json!({ "tool_name": self.tool(key)?, "response_hash": hash(text), "parent_call_id": self.calls.get(key)? });
        act("tool_response", detail, outcome, AFTER)
    }
}

/// The hash by which the next record names this one.
fn link(record: &Value) -> Result<[u8; 32], Error> {
    Ok(Sha256::digest(canonical::to_vec(record).map_err(Error::Audit)?).into())
}

fn lifecycle(event: &str, trigger: &str) -> Option<Act> {
    act("lifecycle", json!({ "event": event, "trigger": trigger }), "success", BESIDE)
}

fn error(code: &str, message: &Commitment, recoverable: bool) -> Option<Act> {
    // The words themselves may say anything, and stay in the log.
    let detail = json!({ "error_code": code, "error_message": format!("text {message}"), "error_category": "internal",
        "recoverable": recoverable });
    act("error", detail, "failure", AFTER)
}

fn end(status: RunStatus, mut detail: Value) -> Option<Act> {
    detail["event"] = json!("session_end");
    detail["session_outcome"] = json!(status.as_str());
    act("lifecycle", detail, if status == RunStatus::Completed { "success" } else { "failure" }, AFTER)
}

fn hash(text: Option<&Commitment>) -> String {
    text.map_or_else(|| hex::encode(Sha256::digest("null")), ToString::to_string)
}

/// A UUID of version 4 that is always the same for the same thing.
fn uuid(of: &[u8]) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(of)[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex::encode(bytes);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_linked_otherwise_than_others_do() {
        // AAT-PHASE-01 of an independent set of cases for the draft, which has no example with whole hashes itself.
        let first = json!({
            "action_detail": { "event": "session_start", "new_state": "active", "recording_mode": "self", "trigger": "fixture" },
            "action_type": "lifecycle", "agent_id": "urn:agent:fixture-bot.lab.example", "agent_version": "1.0.0",
            "outcome": "success", "parent_record_id": null, "prev_hash": null,
            "record_id": "a1000000-0000-4000-8000-000000000001", "record_phase": "concurrent",
            "session_id": "a1b2c3d4-e5f6-4890-abcd-ef1234567890", "timestamp": "2026-09-11T20:00:00.000Z", "trust_level": "L1",
        });
        let hash = "24f7b3b76af81ddabbc27874a182a819d0ba2d09130b532d25554d4aa1aa69e8";
        assert_eq!(hex::encode(link(&first).unwrap()), hash);
        let second = json!({
            "action_detail": { "decision_type": "reject", "policy_ref": "fixture-policy-v1" }, "action_type": "decision",
            "agent_id": "urn:agent:fixture-bot.lab.example", "agent_version": "1.0.0", "deny_reasons": ["CAPABILITY_NOT_GRANTED"],
            "outcome": "denied", "parent_record_id": "a1000000-0000-4000-8000-000000000001", "prev_hash": hash,
            "record_id": "a1000000-0000-4000-8000-000000000002", "record_phase": "pre_execution",
            "session_id": "a1b2c3d4-e5f6-4890-abcd-ef1234567890", "timestamp": "2026-09-11T20:00:00.100Z", "trust_level": "L1",
        });
        let hash = "1c583c603576b9063f4c9791fc9669c56cd3418648f480766fa19a0e11e57c0c";
        assert_eq!(hex::encode(link(&second).unwrap()), hash);
    }
}
