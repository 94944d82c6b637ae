//! The graph of a workflow: steps as nodes, what waits for what as edges, groups as graphs within a node. The only file
//! that imports petgraph.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};

use petgraph::graph::DiGraph;
use petgraph::visit::EdgeRef;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::plan::{Limits, Plan};
use super::retry::Retry;
use crate::id::Digest;
use crate::model::Role;
use crate::policy::Rule;

/// The place of a node in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeIndex(pub u32);

/// All nodes of a workflow, those inside groups too.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// The nodes; a group stands before its members.
    pub nodes: Vec<Node>,
    /// The nodes outside all groups, in the order of the file.
    pub roots: Vec<NodeIndex>,
}

/// One step of a workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// The step's id.
    pub id: String,
    /// What the author says about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The group that it stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<NodeIndex>,
    /// What it does.
    pub verb: Verb,
    /// The nodes of the same group that must have ended before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<NodeIndex>,
    /// How those must have ended.
    #[serde(default, skip_serializing_if = "RunIf::is_completed")]
    pub run_if: RunIf,
    /// An expression that must be true.
    #[serde(default, rename = "if", skip_serializing_if = "Option::is_none")]
    pub condition: Option<Value>,
    /// Do it once for each item of a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<ForEach>,
    /// Do it again until something is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Repeat>,
    /// How often a failed attempt is tried again; in a plan, absent means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// How long one attempt may take, in milliseconds; the whole of a group or a sub-workflow. No limit if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// What its failure means for the others.
    #[serde(default, skip_serializing_if = "OnError::is_fail")]
    pub on_error: OnError,
}

impl Node {
    /// A step without anything beside its verb.
    pub(crate) fn new(id: &str, parent: Option<NodeIndex>, verb: Verb) -> Node {
        Node {
            id: id.to_owned(),
            description: None,
            parent,
            verb,
            after: Vec::new(),
            run_if: RunIf::Completed,
            condition: None,
            for_each: None,
            repeat: None,
            retry: None,
            timeout_ms: None,
            on_error: OnError::Fail,
        }
    }
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verb {
    /// Calls a tool.
    Tool {
        /// The tool.
        name: String,
        /// Its arguments, with templates at the leaves.
        with: Value,
    },
    /// Asks a model.
    Chat(Chat),
    /// Makes values of values.
    Set {
        /// The values, with templates at the leaves.
        values: Value,
    },
    /// Asks a person.
    Approve {
        /// What the person reads: a template.
        prompt: String,
        /// When silence becomes a no, in milliseconds after the question.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_ms: Option<u64>,
        /// What is shown beside the prompt, with templates at the leaves.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        show: Option<Value>,
    },
    /// Asks a person for values.
    Input {
        /// What the person reads: a template.
        prompt: String,
        /// JSON Schema of the form: an object.
        form: Value,
        /// Templates of what stands in its fields when the person sees it, by name.
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        filled: Map<String, Value>,
        /// When the step fails for lack of an answer, in milliseconds after the question.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_ms: Option<u64>,
    },
    /// Waits for a time, or for a signal from outside.
    Wait(Wait),
    /// Runs another workflow.
    Workflow(Box<SubWorkflow>),
    /// Pursues a goal: by a plan that a model writes, or by a model's turns. Its members come into being as it goes on.
    Goal(Box<Goal>),
    /// A turn of the model that pursues the goal of the step around it. Only the engine makes these.
    Turn(Turn),
    /// A group of steps.
    Steps {
        /// The members.
        members: Vec<NodeIndex>,
        /// The group's output, with templates at the leaves; a map of the members' outputs if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<Value>,
    },
}

impl Verb {
    /// The key that names it in a file.
    pub fn name(&self) -> &'static str {
        match self {
            Verb::Tool { .. } => "tool",
            Verb::Chat(_) => "chat",
            Verb::Set { .. } => "set",
            Verb::Approve { .. } => "approve",
            Verb::Input { .. } => "input",
            Verb::Wait(_) => "wait",
            Verb::Workflow(_) => "workflow",
            Verb::Goal(goal) if goal.plan.is_some() => "plan",
            Verb::Goal(_) => "agent",
            Verb::Turn(_) => "turn",
            Verb::Steps { .. } => "steps",
        }
    }

    /// The plans of the workflows that it calls as runs of their own.
    pub fn own_runs(&self) -> impl Iterator<Item = &Plan> {
        let called = match self {
            Verb::Workflow(workflow) => workflow.own_run.as_deref(),
            _ => None,
        };
        let offered = match self {
            Verb::Goal(goal) => {
                Some(goal.workflows.values().filter_map(|delegate| delegate.workflow.own_run.as_deref()))
            }
            _ => None,
        };
        called.into_iter().chain(offered.into_iter().flatten())
    }

    /// Whether it is made of steps within the same run: a group, or a workflow that has no run of its own.
    pub(crate) fn has_members(&self) -> bool {
        match self {
            Verb::Steps { .. } | Verb::Goal(_) => true,
            Verb::Workflow(workflow) => workflow.own_run.is_none(),
            _ => false,
        }
    }
}

/// What a `wait` waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Wait {
    /// So long, in milliseconds.
    For(u64),
    /// A time: a template of RFC 3339 text.
    Until(String),
    /// A signal from outside, whose payload is the output.
    Signal {
        /// Its name: a template.
        name: String,
        /// When the step fails for lack of it, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_ms: Option<u64>,
    },
}

/// Another workflow as a step, frozen into the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubWorkflow {
    /// Its file, as the step names it.
    pub path: String,
    /// SHA-256 of its file and of all files that it names.
    pub hash: Digest,
    /// The values of its inputs, with templates at the leaves.
    pub with: Value,
    /// JSON Schema of its inputs: an object.
    pub inputs: Value,
    /// Its steps, where it runs within the caller's run. They see its inputs, and each other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<NodeIndex>,
    /// Its outputs, with templates at the leaves: the step's output.
    pub outputs: Value,
    /// Expressions that must be true when its steps have ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ensure: Vec<String>,
    /// What is granted to each family of tools inside: the caller's grants, narrowed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub grants: BTreeMap<String, Value>,
    /// Names of environment variables that its templates may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Names of secrets that its templates may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// Its own rules, which apply beside the caller's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// What its steps may use together, out of what the caller may.
    #[serde(default, skip_serializing_if = "Limits::is_none")]
    pub limits: Limits,
    /// Its own plan, where it runs as a run of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_run: Option<Box<Plan>>,
}

impl SubWorkflow {
    /// Whether it may change something, where it runs as a run of its own. What is not known may.
    pub(crate) fn changes(&self) -> bool {
        self.own_run.as_deref().is_none_or(|plan| plan.effect().changes())
    }
}

/// How often a step is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Repeat {
    /// An expression, evaluated after each round: whether that was the last.
    pub until: Value,
    /// The most rounds.
    pub max: u32,
    /// Time between two rounds, in milliseconds.
    #[serde(default)]
    pub delay_ms: u64,
}

/// One request to a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chat {
    /// The model's name in the workflow.
    pub model: String,
    /// The messages, in order.
    pub messages: Vec<Message>,
    /// The adapter (LoRA) to put on the model: a name among the model's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// Tools that the model may ask for. The calls come back as output, and are not made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
    /// JSON Schema of the answer; free text if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// Sampling temperature, in thousandths.
    pub temperature_milli: u32,
    /// The most tokens of the answer.
    pub max_tokens: u32,
    /// The sampler's seed; of the step's key and the run if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// A goal, and what a model may do to reach it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// The model's name in the workflow.
    pub model: String,
    /// What is to be reached: a template.
    pub goal: Text,
    /// The tools that may be called, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
    /// Workflows that may be called as tools are, by the names that the model knows them under; each runs as a run of its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub workflows: BTreeMap<String, Delegate>,
    /// JSON Schema of the final answer; free text if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// The most turns of an agent, and of what follows a plan that cannot be mended. The last one must give the answer.
    pub max_turns: u32,
    /// How a plan is made; an agent makes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Planning>,
    /// Sampling temperature, in thousandths.
    #[serde(default)]
    pub temperature_milli: u32,
    /// The most tokens of one turn.
    pub max_tokens: u32,
    /// The sampler's seed; of each turn's key if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// The fewest tokens that a turn may take which is no line of a plan: a line is short, an answer need not be.
const ANSWER_TOKENS: u32 = 1_024;

impl Goal {
    /// The most tokens that a turn of its model may write.
    pub(crate) fn tokens_of(&self, turn: &Turn) -> u32 {
        match turn {
            Turn::Line { .. } => self.max_tokens,
            _ => self.max_tokens.max(ANSWER_TOKENS),
        }
    }
}

/// A workflow that a model may call as it calls a tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delegate {
    /// What it does, in words for the model.
    pub description: String,
    /// The workflow, without arguments: always a run of its own.
    pub workflow: SubWorkflow,
}

/// How a plan is made and mended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Planning {
    /// The most steps of the plan, those of its patches counted in.
    pub max_steps: u32,
    /// How often what has not started may be planned anew after a failure.
    pub max_replans: u32,
    /// Whether a person approves the plan before anything is changed.
    #[serde(default)]
    pub approve: bool,
    /// Whether the plan is only written: no step of it runs, and the output is its lines.
    #[serde(default)]
    pub draft_only: bool,
    /// Plans that worked for other goals, shown to the model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<PlanExample>,
}

/// A plan that worked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanExample {
    /// What was to be reached.
    pub goal: String,
    /// The plan's lines, the closing one too.
    pub lines: Vec<Value>,
}

/// What a model is asked for on the way to a goal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Turn {
    /// The next line of the plan; of its patch with this number, where it is being mended.
    Line {
        /// 0 for the plan itself.
        patch: u32,
    },
    /// The arguments of a step that was left open until what it looks at was known.
    Decide {
        /// That step.
        step: String,
    },
    /// An agent's turn: calls, or the final answer.
    Act {
        /// Its number, from 1.
        number: u32,
    },
    /// The final answer, from what the plan's steps gave.
    Answer,
}

/// How often a model that cannot enforce a schema is asked again for an answer of the right form.
pub(crate) const REPAIRS: u32 = 2;

/// The template of one message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said.
    pub content: Text,
}

impl Message {
    pub(crate) fn user(content: Text) -> Self {
        Message { role: Role::User, content }
    }
}

/// A template's text, frozen into the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Text {
    /// The text.
    pub text: String,
    /// The file that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// How a step fans out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForEach {
    /// The list: an expression, or a list with templates at its leaves.
    pub list: Value,
    /// What an item is called inside.
    pub item: String,
    /// An expression that names an item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How many items run at once; those that wait for a person, a signal, or a word about a call in doubt do not count.
    pub max_parallel: u32,
    /// What the failure of an item means.
    #[serde(default)]
    pub on_item_error: OnItemError,
}

/// How the steps that a step waits for must have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunIf {
    /// All completed: the default.
    #[default]
    Completed,
    /// Some failed.
    Failed,
    /// All completed or were skipped.
    NotRejected,
    /// In any way.
    Always,
}

impl RunIf {
    fn is_completed(&self) -> bool {
        *self == RunIf::Completed
    }

    /// Whether a step with this condition still starts when the run has failed.
    pub(crate) fn runs_after_failure(self) -> bool {
        matches!(self, RunIf::Failed | RunIf::Always)
    }
}

/// What a step's failure means for the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The run fails.
    #[default]
    Fail,
    /// The step counts as completed, without an output.
    Continue,
}

impl OnError {
    fn is_fail(&self) -> bool {
        *self == OnError::Fail
    }
}

/// What an item's failure means for its fan-out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnItemError {
    /// No new item starts, and the step fails.
    #[default]
    Fail,
    /// The others go on, and the step completes.
    Collect,
}

impl Graph {
    /// The node at `index`. Indices come from the same graph.
    pub fn node(&self, index: NodeIndex) -> &Node {
        &self.nodes[index.0 as usize]
    }

    /// The members of a group, or the top level for `None`.
    pub fn members(&self, group: Option<NodeIndex>) -> &[NodeIndex] {
        match group.map(|index| &self.node(index).verb) {
            None => &self.roots,
            Some(Verb::Steps { members, .. }) => members,
            Some(Verb::Workflow(workflow)) => &workflow.members,
            Some(_) => &[],
        }
    }

    /// The member of `group` that has this id.
    pub fn find(&self, group: Option<NodeIndex>, id: &str) -> Option<NodeIndex> {
        self.members(group).iter().copied().find(|index| self.node(*index).id == id)
    }

    /// All nodes with their indices, groups before their members.
    pub fn iter(&self) -> impl Iterator<Item = (NodeIndex, &Node)> {
        self.nodes.iter().enumerate().map(|(i, node)| (NodeIndex(u32::try_from(i).unwrap_or(u32::MAX)), node))
    }

    /// A circle among the members of `group`, as the ids along it; `None` if there is none.
    pub(crate) fn cycle(&self, group: Option<NodeIndex>) -> Option<Vec<String>> {
        let edges = self.edges(group);
        // No recursion: a workflow may be a chain of many thousand steps.
        let start = petgraph::algo::toposort(&edges, None).err()?.node_id();
        let mut came_from = HashMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(node) = queue.pop_front() {
            for edge in edges.edges(node) {
                if let Entry::Vacant(entry) = came_from.entry(edge.target()) {
                    entry.insert(node);
                    queue.push_back(edge.target());
                }
            }
        }
        let mut ids = vec![edges[start].clone()];
        let mut at = *came_from.get(&start)?;
        while at != start {
            ids.push(edges[at].clone());
            at = *came_from.get(&at)?;
        }
        ids.push(edges[start].clone());
        ids.reverse();
        Some(ids)
    }

    /// The members of `group` in waves: those of one wave wait only for earlier waves. Empty if there is a circle.
    pub fn waves(&self, group: Option<NodeIndex>) -> Vec<Vec<NodeIndex>> {
        let edges = self.edges(group);
        let Ok(order) = petgraph::algo::toposort(&edges, None) else { return Vec::new() };
        let members = self.members(group);
        let mut level = vec![0_usize; members.len()];
        for node in order {
            for edge in edges.edges(node) {
                level[edge.target().index()] = level[edge.target().index()].max(level[node.index()] + 1);
            }
        }
        let mut waves = vec![Vec::new(); level.iter().max().map_or(0, |deepest| deepest + 1)];
        for (member, level) in members.iter().zip(level) {
            waves[level].push(*member);
        }
        waves
    }

    /// For each node, how many nodes wait for it, one behind the other: in its group, and behind its group. 0 in a circle.
    pub(crate) fn chains(&self) -> Vec<u32> {
        let mut chains = vec![0_u32; self.nodes.len()];
        let groups = self.iter().filter(|(_, node)| node.verb.has_members()).map(|(index, _)| Some(index));
        for group in std::iter::once(None).chain(groups) {
            let edges = self.edges(group);
            let Ok(order) = petgraph::algo::toposort(&edges, None) else { continue };
            let members = self.members(group);
            let behind = group.map_or(0, |group| chains[group.0 as usize]);
            for node in order.into_iter().rev() {
                let next = |target: petgraph::graph::NodeIndex| chains[members[target.index()].0 as usize] + 1;
                let longest = edges.neighbors(node).map(next).max();
                chains[members[node.index()].0 as usize] = longest.unwrap_or(behind);
            }
        }
        chains
    }

    fn edges(&self, group: Option<NodeIndex>) -> DiGraph<String, ()> {
        let members = self.members(group);
        let mut edges = DiGraph::new();
        for member in members {
            edges.add_node(self.node(*member).id.clone());
        }
        let places: HashMap<_, _> = members.iter().enumerate().map(|(place, member)| (*member, place)).collect();
        for (to, member) in members.iter().enumerate() {
            for from in self.node(*member).after.iter().filter_map(|after| places.get(after).copied()) {
                edges.add_edge(petgraph::graph::NodeIndex::new(from), petgraph::graph::NodeIndex::new(to), ());
            }
        }
        edges
    }
}
