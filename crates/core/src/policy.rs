//! The port to policy: may this call be made, must somebody be asked, or is it forbidden.

mod rules;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::label::Labels;
use crate::tool::{Effect, ToolSpec};

pub use rules::RulePolicy;
pub(crate) use rules::Rules;

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

/// What is not known of a call before the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unknown {
    /// The top-level arguments that may be anything.
    pub args: BTreeSet<String>,
    /// The labels that the arguments may have beside those that they have for sure.
    pub labels: Labels,
}

/// What a policy may say of a call of which not all is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foresight {
    /// The mildest decision that is possible.
    pub mildest: Decision,
    /// The strictest decision that is possible.
    pub strictest: Decision,
}

impl Foresight {
    fn sure(decision: Decision) -> Self {
        Foresight { mildest: decision.clone(), strictest: decision }
    }
}

/// A rule: calls that match get at least this verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which calls it is about; all that is given must hold.
    #[serde(rename = "match")]
    pub matches: Match,
    /// What it says about them.
    pub verdict: Verdict,
    /// Calls that show what the rule is for; they are checked when the rule is loaded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Example>,
}

/// Which calls a rule is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// The tool's name; `*` stands for any text in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// The tool's effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
    /// Top-level arguments by name: each a pattern for the whole text; a value that is no text is matched as JSON.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, String>,
    /// Labels of which the arguments have at least one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
}

/// A call that a rule is, or is not, about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// The tool.
    pub tool: String,
    /// Its arguments.
    #[serde(default)]
    pub args: serde_json::Map<String, Value>,
    /// Labels of the arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Whether the rule is about it; true if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<bool>,
}

impl Eq for Example {}

/// Decides about tool calls. Pure: the same request has the same decision.
pub trait Policy: Send + Sync {
    /// The decision on one call.
    fn decide(&self, request: &PolicyRequest<'_>) -> Decision;

    /// What it may say of a call of which only a part is known: `request` holds the known arguments and the labels that are
    /// sure. Used by checks before a run, never in place of [`Policy::decide`]. A policy that does not say better may say
    /// anything where something is unknown.
    fn foresee(&self, request: &PolicyRequest<'_>, unknown: &Unknown) -> Foresight {
        if *unknown == Unknown::default() {
            return Foresight::sure(self.decide(request));
        }
        let reason = "the policy decides when the arguments are known".to_owned();
        let may = |verdict| Decision { verdict, rule: "unforeseen".into(), reason: reason.clone() };
        Foresight { mildest: may(Verdict::Allow), strictest: may(Verdict::Deny) }
    }

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

    // It looks at no argument.
    fn foresee(&self, request: &PolicyRequest<'_>, _: &Unknown) -> Foresight {
        Foresight::sure(self.decide(request))
    }

    fn fingerprint(&self) -> String {
        "default-1".into()
    }
}
