//! What is drawn of a graph, in words: the same for all formats.

use std::collections::BTreeMap;

use parkway::Effect;
use parkway::definition::{ForEach, Goal, Graph, Node, NodeIndex, OnError, OnItemError, RunIf, Verb, Wait};
use serde_json::Value;

use crate::render::{Symbols, clean, cut, span};

/// The most columns of one line in a box.
const COLUMNS: usize = 34;

/// The steps of one level, and what waits for what among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scheme {
    /// The steps, in the order of the file.
    pub parts: Vec<Part>,
    /// What waits for what, by places in `parts`.
    pub edges: Vec<Edge>,
}

/// A step as a box.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Its id.
    pub id: String,
    /// Its verb.
    pub verb: String,
    /// Which kind of verb that is.
    pub look: Look,
    /// What the verb is about: the tool, the model, the keys; may be empty.
    pub what: String,
    /// What else matters.
    pub marks: Vec<Mark>,
    /// More about it, for whom asks: lines.
    pub about: Vec<String>,
    /// Whether there are many of it.
    pub many: bool,
    /// The steps inside.
    pub inner: Option<Scheme>,
}

/// Kinds of verbs, for shape and colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Look {
    /// A tool is called.
    Tool,
    /// A model is asked.
    Model,
    /// A person is asked.
    Person,
    /// Time passes.
    Wait,
    /// Values are made.
    #[default]
    Data,
    /// Steps inside.
    Group,
    /// Another workflow.
    Workflow,
}

impl Look {
    /// All of them.
    pub const ALL: [Look; 7] =
        [Look::Tool, Look::Model, Look::Person, Look::Wait, Look::Data, Look::Group, Look::Workflow];

    /// Its name in style sheets.
    pub fn class(self) -> &'static str {
        match self {
            Look::Tool => "tool",
            Look::Model => "model",
            Look::Person => "person",
            Look::Wait => "wait",
            Look::Data => "data",
            Look::Group => "group",
            Look::Workflow => "workflow",
        }
    }
}

/// A short remark on a box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The remark.
    pub text: String,
    /// How loud it is.
    pub tone: Tone,
}

/// How loud a remark is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Good to know.
    Quiet,
    /// Whether and how often the step runs.
    Plain,
    /// To be careful with.
    Loud,
}

/// One step waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// The earlier step.
    pub from: usize,
    /// The later step.
    pub to: usize,
    /// Whether the later one runs although the earlier one did not complete.
    pub loose: bool,
}

impl Scheme {
    /// The whole of a graph. An edge that others imply is left out, but for `all_edges`.
    pub fn of(graph: &Graph, effects: &BTreeMap<String, Effect>, all_edges: bool) -> Scheme {
        Reader { graph, effects, all_edges }.level(None)
    }

    /// How many steps there are, those inside groups too.
    pub fn size(&self) -> usize {
        self.parts.iter().map(|part| 1 + part.inner.as_ref().map_or(0, Scheme::size)).sum()
    }

    /// The ids of the steps that a step waits for.
    pub fn before(&self, place: usize) -> Vec<&str> {
        self.edges.iter().filter(|edge| edge.to == place).map(|edge| self.parts[edge.from].id.as_str()).collect()
    }
}

struct Reader<'a> {
    graph: &'a Graph,
    effects: &'a BTreeMap<String, Effect>,
    all_edges: bool,
}

impl Reader<'_> {
    fn level(&self, group: Option<NodeIndex>) -> Scheme {
        let members = self.graph.members(group);
        let places: BTreeMap<_, _> = members.iter().enumerate().map(|(place, index)| (*index, place)).collect();
        let mut edges = Vec::new();
        for (to, index) in members.iter().enumerate() {
            let node = self.graph.node(*index);
            let loose = node.run_if != RunIf::Completed;
            for from in node.after.iter().filter_map(|after| places.get(after).copied()).filter(|from| *from != to) {
                edges.push(Edge { from, to, loose });
            }
        }
        edges.sort();
        edges.dedup();
        let waves = self.graph.waves(group);
        // Where there is a circle there are no waves, and every edge may be a part of it.
        if !self.all_edges && !waves.is_empty() {
            let mut wave = vec![0; members.len()];
            for (number, index) in waves.iter().enumerate().flat_map(|(n, wave)| wave.iter().map(move |i| (n, i))) {
                wave[places[index]] = number;
            }
            edges = without_implied(&wave, &edges);
        }
        Scheme { parts: members.iter().map(|index| self.part(*index)).collect(), edges }
    }

    fn part(&self, index: NodeIndex) -> Part {
        let node = self.graph.node(index);
        let has_inner = !self.graph.members(Some(index)).is_empty();
        let verb = match &node.verb {
            Verb::Steps { .. } => "group",
            verb => verb.name(),
        };
        Part {
            id: short(&node.id),
            verb: verb.to_owned(),
            look: look(&node.verb),
            what: short(&what(&node.verb)),
            marks: self.marks(node),
            about: about(node),
            many: node.for_each.is_some(),
            inner: has_inner.then(|| self.level(Some(index))),
        }
    }

    fn marks(&self, node: &Node) -> Vec<Mark> {
        let mut marks = Vec::new();
        let mut mark = |tone, text: String| marks.push(Mark { text: short(&text), tone });
        if let Some(ForEach { max_parallel, on_item_error, .. }) = &node.for_each {
            mark(Tone::Plain, format!("for each, {max_parallel} at once"));
            if *on_item_error == OnItemError::Collect {
                mark(Tone::Quiet, "collects errors".into());
            }
        }
        if let Some(repeat) = &node.repeat {
            mark(Tone::Plain, format!("repeat, at most {}", repeat.max));
        }
        match node.run_if {
            RunIf::Completed => {}
            RunIf::Failed => mark(Tone::Plain, "on failure".into()),
            RunIf::NotRejected => mark(Tone::Plain, "unless rejected".into()),
            RunIf::Always => mark(Tone::Plain, "always".into()),
        }
        if let Some(condition) = &node.condition {
            mark(Tone::Plain, format!("if {}", bare(condition)));
        }
        if node.on_error == OnError::Continue {
            mark(Tone::Quiet, "may fail".into());
        }
        match &node.verb {
            Verb::Tool { name, .. } => match self.effects.get(name) {
                Some(Effect::AtMostOnce) => mark(Tone::Loud, "at most once".into()),
                Some(effect) => mark(Tone::Quiet, effect.as_str().into()),
                None => {}
            },
            Verb::Approve { timeout_ms: Some(ms), .. }
            | Verb::Input { timeout_ms: Some(ms), .. }
            | Verb::Wait(Wait::Signal { timeout_ms: Some(ms), .. }) => {
                mark(Tone::Quiet, format!("within {}", span(*ms)))
            }
            Verb::Goal(goal) => {
                mark(Tone::Plain, offered(goal));
                if goal.plan.as_ref().is_some_and(|plan| plan.approve) {
                    mark(Tone::Plain, "approved by a person".into());
                }
            }
            Verb::Workflow(workflow) if workflow.members.is_empty() => mark(Tone::Plain, "own run".into()),
            _ => {}
        }
        marks
    }
}

/// The edges without those that a longer way implies. `wave` is when each step can begin.
fn without_implied(wave: &[usize], edges: &[Edge]) -> Vec<Edge> {
    let mut after = vec![Vec::new(); wave.len()];
    for edge in edges {
        after[edge.from].push(edge.to);
    }
    let mut seen = vec![usize::MAX; wave.len()];
    let mut implied = |number: usize, edge: &Edge| {
        let mut open: Vec<usize> = after[edge.from].iter().copied().filter(|next| *next != edge.to).collect();
        while let Some(at) = open.pop() {
            if at == edge.to {
                return true;
            }
            // From a later wave no way leads back.
            if wave[at] < wave[edge.to] && seen[at] != number {
                seen[at] = number;
                open.extend(after[at].iter().copied());
            }
        }
        false
    };
    edges.iter().enumerate().filter(|(number, edge)| !implied(*number, edge)).map(|(_, edge)| *edge).collect()
}

fn look(verb: &Verb) -> Look {
    match verb {
        Verb::Tool { .. } => Look::Tool,
        Verb::Chat(_) | Verb::Goal(_) => Look::Model,
        Verb::Approve { .. } | Verb::Input { .. } => Look::Person,
        Verb::Wait(_) => Look::Wait,
        Verb::Steps { .. } => Look::Group,
        Verb::Workflow(_) => Look::Workflow,
        _ => Look::Data,
    }
}

fn what(verb: &Verb) -> String {
    let keys = |value: Option<&Value>| {
        let keys = value.and_then(Value::as_object).into_iter().flatten().map(|(key, _)| key.as_str());
        keys.collect::<Vec<_>>().join(", ")
    };
    match verb {
        Verb::Tool { name, .. } => name.clone(),
        Verb::Chat(chat) => chat.model.clone(),
        Verb::Goal(goal) => goal.goal.text.clone(),
        Verb::Set { values } => keys(Some(values)),
        Verb::Approve { .. } => "asks a person".into(),
        Verb::Input { form, .. } => keys(form.get("properties")),
        Verb::Wait(Wait::For(ms)) => span(*ms),
        Verb::Wait(Wait::Until(time)) => format!("until {}", bare(&Value::from(time.as_str()))),
        Verb::Wait(Wait::Signal { name, .. }) => format!("signal {name}"),
        Verb::Workflow(workflow) => workflow.path.clone(),
        _ => String::new(),
    }
}

/// What a model may call for its goal.
fn offered(goal: &Goal) -> String {
    let names: Vec<_> = goal.tools.iter().chain(goal.workflows.keys()).map(String::as_str).collect();
    if names.is_empty() { "no tools".into() } else { names.join(", ") }
}

fn about(node: &Node) -> Vec<String> {
    let mut about = Vec::new();
    about.extend(node.description.as_deref().map(clean));
    if let Verb::Approve { prompt, .. } | Verb::Input { prompt, .. } = &node.verb {
        about.push(format!("asks: {}", clean(prompt)));
    }
    if let Verb::Goal(goal) = &node.verb {
        about.push(format!("goal of {}: {}", clean(&goal.model), clean(&goal.goal.text)));
        about.push(format!("may call: {}", clean(&offered(goal))));
    }
    if let Some(for_each) = &node.for_each {
        about.push(format!("for each {} in {}", clean(&for_each.item), bare(&for_each.list)));
    }
    if let Some(repeat) = &node.repeat {
        about.push(format!("repeat until {}", bare(&repeat.until)));
    }
    about.extend(node.condition.as_ref().map(|condition| format!("if {}", bare(condition))));
    about
}

/// An expression without its wrapping, or the value as JSON.
fn bare(value: &Value) -> String {
    let Some(text) = value.as_str() else { return clean(&value.to_string()) };
    let inner = text.trim().strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}"));
    clean(inner.filter(|inner| !inner.contains("}}")).unwrap_or(text).trim())
}

fn short(text: &str) -> String {
    cut(&clean(text), COLUMNS, Symbols::Unicode)
}
