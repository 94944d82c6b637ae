//! The port to policy: may this call be made, must somebody be asked, or is it forbidden.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::label::Labels;
use crate::tool::{Effect, ToolSpec};

/// A tool call as a policy sees it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PolicyRequest<'a> {
    /// The tool.
    pub spec: &'a ToolSpec,
    /// Its exact arguments.
    pub args: &'a Value,
    /// The labels of all its arguments together.
    pub labels: Labels,
    /// Whether the workflow or the site grants the tool's family.
    pub granted: bool,
}

impl<'a> PolicyRequest<'a> {
    /// A request to call `spec` with `args`.
    pub fn new(spec: &'a ToolSpec, args: &'a Value, labels: Labels, granted: bool) -> Self {
        PolicyRequest { spec, args, labels, granted }
    }
}

/// What a policy says; the strictest of all that apply wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The call may be made.
    Allow,
    /// A person must approve these exact arguments first.
    Ask,
    /// The call must not be made.
    Deny,
}

/// A verdict and the rule that it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// Stable name of the rule, for example `default.read`.
    pub rule: String,
    /// Why, and what would change it.
    pub reason: String,
}

/// Decides about tool calls. Pure: the same request has the same decision.
pub trait Policy: Send + Sync {
    /// The decision on one call.
    fn decide(&self, request: &PolicyRequest<'_>) -> Decision;

    /// What the plan records about this policy: a text that changes when its rules change.
    fn fingerprint(&self) -> String;
}

/// The policy without rules: `pure` is allowed, other effects need a grant to the tool's family, `at_most_once` asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultPolicy;

impl Policy for DefaultPolicy {
    fn decide(&self, request: &PolicyRequest<'_>) -> Decision {
        let effect = request.spec.effect;
        let decision = |verdict, rule: &str, reason: String| Decision { verdict, rule: rule.into(), reason };
        if effect == Effect::Pure {
            return decision(Verdict::Allow, "default.pure", "a pure tool touches nothing".into());
        }
        if !request.granted {
            let family = request.spec.family();
            let reason = format!(
                "the workflow grants nothing to `{family}`; name it under `tools:`, with what it may use (`tools: {{ {family}: … }}`)"
            );
            return decision(Verdict::Deny, "default.grant", reason);
        }
        let rule = format!("default.{}", effect.as_str());
        match effect {
            Effect::AtMostOnce => {
                decision(Verdict::Ask, &rule, "a call that must not be repeated is asked about first".into())
            }
            _ => decision(Verdict::Allow, &rule, format!("granted to `{}`", request.spec.family())),
        }
    }

    fn fingerprint(&self) -> String {
        "default-1".into()
    }
}
