//! How a step that pursues a goal gets members: one event says what they are, one payload all that they say.

use serde_json::Value;

use crate::engine::executor::{Executor, ExecutorError};
use crate::engine::recorder;
use crate::id::StepKey;
use crate::log::{Does, EventKind, IllegalEvent, Planned, Said, SkipReason};
use crate::planning::{Draft, Literals, PlannedStep};
use crate::workflow::{Goal, Node, Retry, Turn, Verb};

/// How long one turn of a model may take, in milliseconds.
const TURN_MS: u64 = 600_000;

/// What is to be recorded at once.
#[derive(Default)]
pub(super) struct Extension {
    pub(super) nodes: Vec<Planned>,
    pub(super) said: Vec<Said>,
    /// Members that are not needed any more.
    pub(super) dropped: Vec<StepKey>,
    /// Whether the plan is whole with this.
    pub(super) closes: bool,
    /// Whether the plan is given up with this.
    pub(super) gives_up: bool,
}

impl Extension {
    /// A turn of the model, which waits for these members. `with` is kept beside it.
    pub(super) fn turn(&mut self, id: &str, after: Vec<String>, turn: Turn, with: Value) {
        self.nodes.push(Planned::new(id, after, Does::Turn { turn }));
        let (retry, timeout_ms) = (Some(Retry::times(2)), Some(TURN_MS));
        self.said.push(Said { with, retry, timeout_ms, ..Said::default() });
    }

    /// A question to a person, and what is shown beside it: templates.
    pub(super) fn approval(&mut self, id: &str, question: &str, show: Value) {
        self.nodes.push(Planned::new(id, Vec::new(), Does::Approve));
        self.said.push(Said { with: Value::String(question.to_owned()), show: Some(show), ..Said::default() });
    }

    /// A call.
    pub(super) fn call(&mut self, goal: &Goal, draft: &Draft, node: Node, after: Vec<String>) {
        let Node { id, verb, condition, for_each, retry, timeout_ms, .. } = node;
        let (does, with) = match verb {
            Verb::Turn(turn) => (Does::Turn { turn }, Value::Null),
            Verb::Tool { name, with } if goal.workflows.contains_key(&name) => (Does::Workflow { name }, with),
            Verb::Tool { name, with } => {
                let effect = draft.tool(&name).map_or(crate::tool::Effect::AtMostOnce, |tool| tool.effect);
                (Does::Tool { name, effect }, with)
            }
            _ => return,
        };
        // A workflow has limits of its own.
        let timeout_ms = timeout_ms.filter(|_| !matches!(does, Does::Workflow { .. }));
        let mut planned = Planned::new(id, after, does);
        planned.max_parallel = for_each.as_ref().map(|for_each| for_each.max_parallel);
        self.nodes.push(planned);
        let list = for_each.map(|for_each| for_each.list);
        self.said.push(Said { with, condition, list, retry, timeout_ms, ..Said::default() });
    }

    /// The nodes of planned steps.
    pub(super) fn steps(&mut self, goal: &Goal, draft: &Draft, steps: &[PlannedStep]) {
        for step in steps {
            for lowered in draft.lower(step, Literals::FromTurn) {
                self.call(goal, draft, lowered.node, lowered.after);
            }
        }
    }
}

impl Executor {
    /// Records new members, and gives their nodes what they say.
    pub(super) async fn extend(&mut self, key: &StepKey, extension: Extension) -> Result<(), ExecutorError> {
        let Extension { nodes, said, dropped, closes, gives_up } = extension;
        let mut draft = recorder::Draft::default();
        for key in dropped {
            draft.event(EventKind::StepSkipped { key, reason: SkipReason::Replanned });
        }
        let grows = !nodes.is_empty();
        if grows {
            let texts = draft.payload(&*self.services.clock, &said)?;
            draft.event(EventKind::PlanExtended { key: key.clone(), nodes, texts });
        }
        if closes || gives_up {
            draft.event(EventKind::PlanClosed { key: key.clone(), given_up: gives_up });
        }
        if draft.events.is_empty() {
            return Ok(());
        }
        self.record(draft).await?;
        if grows && let Some(place) = self.state.newest_extension() {
            self.give_texts(place, said)?;
        }
        Ok(())
    }

    /// Gives all nodes that came into being while the run went on what they say, which is read from the store.
    pub(in crate::engine) async fn read_texts(&mut self) -> Result<(), ExecutorError> {
        for (place, texts) in self.state.without_texts() {
            // What was erased is not needed by what has ended; what has not fails, since it has no arguments.
            let said = match self.values.value(texts).await? {
                Value::Null => continue,
                said => serde_json::from_value(said).map_err(|error| self.unreadable(error.to_string()))?,
            };
            self.give_texts(place, said)?;
        }
        Ok(())
    }

    fn give_texts(&mut self, place: usize, said: Vec<Said>) -> Result<(), ExecutorError> {
        self.state.give_texts(place, said).map_err(|why| self.unreadable(why))
    }

    fn unreadable(&self, why: String) -> ExecutorError {
        let why = format!("what its members say cannot be read: {why}");
        ExecutorError::Illegal(IllegalEvent { seq: self.state.head(), kind: "plan_extended", why })
    }
}
