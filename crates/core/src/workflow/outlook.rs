//! What a plan would do, told before it runs: how often each step may run and how long it may take, what policy says of
//! its calls, whom it asks, what it gives to models, and what all of it may use. Nothing here is a promise of the engine;
//! where a number is not known before the run, it is said to have no bound.

mod calls;
mod chats;
mod goals;
mod walk;
mod worst;

use std::collections::BTreeMap;

use serde::Serialize;

use super::graph::NodeIndex;
use super::plan::{Limits, Plan};
use crate::model::SharedModel;
use crate::policy::{Foresight, Policy, Rule};
use crate::tool::{Effect, Toolbox};

pub(super) use calls::Calls;

/// What a plan would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Outlook {
    /// Its steps, in the order of the plan's graph: a group before its members.
    pub steps: Vec<StepOutlook>,
    /// The paths of the steps of the longest chain of waiting, by the time that they may take, else by their number. A
    /// group stands there as its own longest chain.
    pub longest: Vec<String>,
    /// How long that chain may take. The workflow's `deadline` may end it before.
    pub worst: WorstTime,
    /// Tokens of prompts and answers. The least is what is known of the prompts.
    pub tokens: Times,
    /// Calls of tools, failed ones that are tried again counted in.
    pub tool_calls: Times,
    /// What the workflow's `budget` and `deadline` allow.
    pub limits: Limits,
    /// The environment variables that it may read.
    pub env: Vec<String>,
    /// The secrets that it may use.
    pub secrets: Vec<String>,
}

/// What one step would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StepOutlook {
    /// Its place in the plan's graph.
    pub node: NodeIndex,
    /// Its id behind those of the groups that it stands in: `intake.extract`.
    pub path: String,
    /// `tool`, `chat`, `approve` …
    pub verb: &'static str,
    /// Its wave among its siblings, from 1: it waits only for steps of earlier ones.
    pub wave: usize,
    /// How often it runs in a run that completes, retries not counted.
    pub times: Times,
    /// How long it may take once it has begun, its items, rounds and retries together.
    pub worst: WorstTime,
    /// Its tool call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<CallOutlook>,
    /// What it asks a model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<ChatOutlook>,
    /// What a model may do to reach its goal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goal: Option<Box<GoalOutlook>>,
    /// What it waits for by its own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// What the run does that it has for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_run: Option<Box<Outlook>>,
}

/// A tool call, before its arguments are known.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CallOutlook {
    /// The tool.
    pub tool: String,
    /// Its effect.
    pub effect: Effect,
    /// What policy and the workflow's own rules may say.
    pub policy: Foresight,
    /// The `approve` right before it, which satisfies a policy that asks, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// The secrets that are put into its arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
}

/// A model call, before its prompt is known.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ChatOutlook {
    /// The model's name in the workflow.
    pub model: String,
    /// The most tokens of the answer.
    pub max_tokens: u32,
    /// The tokens of the prompt that are written out: no prompt has fewer.
    pub prompt_tokens: u64,
    /// Whether the model's tokenizer counted them. Otherwise they are estimated.
    pub counted: bool,
    /// Whether that is the whole prompt.
    pub whole: bool,
    /// The model's context, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<u32>,
}

/// What a model may do to reach a goal, before it has said how.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GoalOutlook {
    /// The model's name in the workflow.
    pub model: String,
    /// The most turns of the model.
    pub turns: u64,
    /// The most tokens of what it writes in one turn.
    pub max_tokens: u32,
    /// The model's context, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<u32>,
    /// The tools that it may call, each with arguments that may be anything.
    pub calls: Vec<CallOutlook>,
    /// What the workflows do that it may call, by the names that it knows them under.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub workflows: BTreeMap<String, Outlook>,
    /// Whether a person approves its plan before anything is changed.
    pub approves: bool,
}

/// A wait that is written in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Pause {
    /// What for.
    pub awaits: Awaited,
    /// The longest, in milliseconds; no limit if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_ms: Option<u64>,
}

/// What a step waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Awaited {
    /// A person's yes or no.
    Approval,
    /// A person's values.
    Input,
    /// A signal from outside.
    Signal,
    /// A time.
    Time,
}

/// How often, or how much: from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Times {
    /// In any run that completes.
    pub least: u64,
    /// In any run; no bound is known if absent.
    pub most: Option<u64>,
}

/// The longest that something may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct WorstTime {
    /// Whether there is no bound: a list of unknown length, a person without a limit. Then `ms` is that of one item, and
    /// of all that is bounded.
    pub open: bool,
    /// In milliseconds.
    pub ms: u64,
}

/// What a plan is looked at with.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Surroundings<'a> {
    /// The tools at hand.
    pub tools: &'a Toolbox,
    /// The policy.
    pub policy: &'a dyn Policy,
    /// Models that are at hand already, by their names in workflows.
    pub models: &'a BTreeMap<String, SharedModel>,
}

impl<'a> Surroundings<'a> {
    /// These tools, policy and models.
    pub fn new(tools: &'a Toolbox, policy: &'a dyn Policy, models: &'a BTreeMap<String, SharedModel>) -> Self {
        Surroundings { tools, policy, models }
    }
}

impl std::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").field("tools", self.tools).finish_non_exhaustive()
    }
}

impl Plan {
    /// What it would do, as far as it is known before it runs.
    pub fn outlook(&self, around: &Surroundings<'_>) -> Outlook {
        self.outlook_within(around, &[], false)
    }

    /// The same of a plan whose run stands within others, whose rules apply, too.
    fn outlook_within(&self, around: &Surroundings<'_>, callers: &[Rule], called: bool) -> Outlook {
        walk::walk(self, around, callers, called)
    }
}

impl Times {
    pub(super) const NONE: Times = Times { least: 0, most: Some(0) };

    fn exactly(number: u64) -> Times {
        Times { least: number, most: Some(number) }
    }

    fn by(self, other: Times) -> Times {
        let most = self.most.zip(other.most).map(|(one, other)| one.saturating_mul(other));
        // Nothing stays nothing, however often.
        let nothing = self.most == Some(0) || other.most == Some(0);
        Times { least: self.least.saturating_mul(other.least), most: if nothing { Some(0) } else { most } }
    }

    fn and(self, other: Times) -> Times {
        let most = self.most.zip(other.most).map(|(one, other)| one.saturating_add(other));
        Times { least: self.least.saturating_add(other.least), most }
    }
}
