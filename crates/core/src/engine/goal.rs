//! Steps that pursue a goal. There is no second engine for them: what a model writes becomes members of the step, by events, and these
//! run as any others. Here is what follows from what has come: the next line of a plan, a patch, an agent's next turn, the answer.

mod agent;
mod answer;
mod ask;
mod extend;
mod planner;
mod pursuit;
mod tools;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Value, json};

pub(crate) use self::pursuit::Pursuits;
use crate::engine::begin::Start;
use crate::engine::context::Site;
use crate::engine::executor::{Executor, ExecutorError};
use crate::engine::recorder::Draft;
use crate::engine::step::Failure;
use crate::id::StepKey;
use crate::label::Labels;
use crate::log::{StepIndex, StepStatus};
use crate::tool::{Effect, ToolSpec};
use crate::workflow::{Delegate, Goal, NodeIndex, SubWorkflow, Template, Turn, Verb};

/// The goals of a run's steps.
pub(crate) type Goals = HashMap<NodeIndex, Arc<Goal>>;

impl Executor {
    /// Begins to pursue a goal: what it says, and the tools for it, are found out once and recorded.
    pub(super) async fn begin_goal(
        &mut self,
        key: StepKey,
        site: Site,
        goal: &Goal,
        condition: Labels,
    ) -> Result<(), ExecutorError> {
        let recorded = self.state.step(&key).and_then(|step| step.args);
        let (args, labels) = match recorded {
            Some(_) => (Value::Null, BTreeMap::new()),
            None => {
                let template = Template::Text(&goal.goal.text);
                let (text, labels) = match Self::evaluated(self.values.evaluate(&self.state, site, template).await)? {
                    Ok(found) => found,
                    Err(failure) => return self.fail(key, &failure).await,
                };
                let specs = match self.callable(goal) {
                    Ok(specs) => specs,
                    Err(failure) => return self.fail(key, &failure).await,
                };
                let tools = self.tools_for(&specs, text.as_str().unwrap_or_default()).await;
                (json!({ "goal": text, "tools": tools }), BTreeMap::from([("goal".to_owned(), labels)]))
            }
        };
        let mut draft = Draft::default();
        self.draft_start(&mut draft, key, Start { args: Some(&args), labels, condition, ..Start::default() })?;
        self.record(draft).await?;
        Ok(())
    }

    /// What follows for a step that pursues a goal, now that something inside has ended. Nothing, where something else has to end first.
    pub(super) async fn grow(&mut self, key: StepKey) -> Result<(), ExecutorError> {
        let Some(index) = self.state.index_of(&key) else { return Ok(()) };
        let Some(goal) = self.goal_of(index) else { return Ok(()) };
        let acts = self.state.growth(index).is_some_and(|growth| growth.acts());
        match &goal.plan {
            Some(planning) if !acts => self.go_on_with_plan(key, index, &goal, planning).await,
            _ => self.go_on_with_turns(key, index, &goal).await,
        }
    }

    /// The newest turn of a goal, where it has ended and nothing was made of it.
    fn untaken(&self, index: StepIndex) -> Option<StepIndex> {
        let growth = self.state.growth(index)?;
        growth.turn.filter(|turn| !growth.taken && self.state.at(*turn).status.ended())
    }

    /// What a goal may call: tools, and workflows as if they were tools.
    fn callable(&self, goal: &Goal) -> Result<Vec<ToolSpec>, Failure> {
        let mut specs = Vec::with_capacity(goal.tools.len() + goal.workflows.len());
        for name in &goal.tools {
            match self.services.tools.get(name) {
                Some(tool) => specs.push(tool.spec().clone()),
                None => return Err(Failure::new("unknown_tool", format!("no tool is called `{name}`"))),
            }
        }
        specs.extend(goal.workflows.iter().map(|(name, delegate)| as_tool(name, delegate)));
        Ok(specs)
    }

    /// What a member gave, as templates beside it would see it.
    async fn given(&mut self, host: StepIndex, id: &str) -> Result<Value, ExecutorError> {
        let expression = format!("steps.{id}.output");
        let template = Template::Expression(&expression);
        let given = self.values.evaluate(&self.state, Site::inside(host), template).await;
        Ok(Self::evaluated(given)?.map(|(value, _)| value).unwrap_or_default())
    }

    /// The id of a member.
    fn id_of(&self, member: StepIndex) -> String {
        self.state.plan().graph.node(self.state.at(member).node).id.clone()
    }

    /// The members that call something, with the effects of what they call, in the order in which they came into being.
    fn calls_of(&self, host: StepIndex) -> Vec<(StepIndex, String, Effect)> {
        let calls = self.state.at(host).members.iter().filter_map(|member| {
            let effect = match &self.state.plan().graph.node(self.state.at(*member).node).verb {
                Verb::Tool { .. } => self.state.effect_of(*member),
                Verb::Workflow(workflow) => effect_of(workflow),
                _ => return None,
            };
            Some((*member, self.id_of(*member), effect))
        });
        calls.collect()
    }

    /// The goal that a step pursues. The plan is not held for it, so that it can grow where it is.
    fn goal_of(&mut self, index: StepIndex) -> Option<Arc<Goal>> {
        let node = self.state.at(index).node;
        if let Some(known) = self.goals.get(&node) {
            return Some(known.clone());
        }
        let Verb::Goal(goal) = &self.state.plan().graph.node(node).verb else { return None };
        let goal = Arc::new((**goal).clone());
        self.goals.insert(node, goal.clone());
        Some(goal)
    }

    /// The labels of the turn that had a step come into being: what it had read decided that there is the step, whatever its arguments
    /// are. Also those of the turn that decides its arguments.
    pub(super) fn labels_of_turn(&self, key: &StepKey) -> Labels {
        let Some(mut index) = self.state.index_of(key).or_else(|| self.state.index_of(&key.fan_out())) else {
            return Labels::NONE;
        };
        while self.state.at(index).is_part()
            && let Some(host) = self.state.at(index).parent
        {
            index = host;
        }
        let Some(host) = self.state.at(index).parent.filter(|host| self.state.growth(*host).is_some()) else {
            return Labels::NONE;
        };
        let graph = &self.state.plan().graph;
        let turn_of = |member: &StepIndex| match &graph.node(self.state.at(*member).node).verb {
            Verb::Turn(turn) => Some(turn),
            _ => None,
        };
        let members = &self.state.at(host).members;
        let before = members.iter().take_while(|member| **member != index);
        let wrote =
            before.filter(|member| turn_of(member).is_some_and(|turn| !matches!(turn, Turn::Decide { .. }))).last();
        let decided = self.state.dependencies(index).into_iter();
        let decided = decided.filter(|other| matches!(turn_of(other), Some(Turn::Decide { .. })));
        wrote.copied().into_iter().chain(decided).fold(Labels::NONE, |all, turn| all.union(self.state.labels_of(turn)))
    }

    /// The ids of the calls that an answer may name: those that have completed, and those that failed, whose errors may be told.
    fn sources(&self, host: StepIndex) -> Vec<String> {
        let calls = self.calls_of(host).into_iter();
        let told = |status| matches!(status, StepStatus::Completed | StepStatus::Failed);
        calls.filter(|(call, ..)| told(self.state.at(*call).status)).map(|(_, id, _)| id).collect()
    }

    /// Whether calls were planned or made, and none of them has completed: whatever is answered then rests on nothing.
    fn fruitless(&self, host: StepIndex) -> bool {
        let calls = self.calls_of(host);
        let completed = |call: StepIndex| self.state.at(call).status == StepStatus::Completed;
        !calls.is_empty() && !calls.iter().any(|(call, ..)| completed(*call))
    }
}

/// What calling a workflow as a tool does: what its own calls do, and made again it is the same run.
fn effect_of(workflow: &SubWorkflow) -> Effect {
    if workflow.changes() { Effect::Idempotent } else { Effect::Read }
}

/// A workflow as a model sees it.
fn as_tool(name: &str, delegate: &Delegate) -> ToolSpec {
    let workflow = &delegate.workflow;
    let names = workflow.outputs.as_object().into_iter().flatten().map(|(name, _)| (name.clone(), json!({})));
    ToolSpec {
        name: name.to_owned(),
        description: delegate.description.clone(),
        input_schema: workflow.inputs.clone(),
        output_schema: json!({ "type": "object", "properties": Value::Object(names.collect()) }),
        effect: effect_of(workflow),
        labels: Labels::NONE,
    }
}
