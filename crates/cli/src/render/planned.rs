//! Steps that came into being while the run went on: those that a model planned are drawn as others are, and the model's own turns as a
//! few words beside the goal.

use parkway::definition::Turn as Asked;
use parkway::id::{StepKey, Time};
use parkway::log::{self, Does};

use super::phrases::does;
use super::turn::Turn;
use super::view::{Node, Part, RunView, State};
use super::words::counted;

/// What such a step is.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    does: Does,
}

impl Planned {
    pub(super) fn label(&self) -> String {
        does(&self.does)
    }

    fn asked(&self) -> Option<&Asked> {
        if let Does::Turn { turn } = &self.does { Some(turn) } else { None }
    }
}

impl RunView {
    /// A goal has these members from now on.
    pub(super) fn plan(&mut self, goal: &StepKey, at: Time, nodes: &[log::Planned]) {
        let mut seen = self.seen;
        let drafts = self.outline.find(goal).is_some_and(|step| step.drafts);
        let node = self.reach(goal, at);
        // A line that has led to nothing but another turn did not stand. Nothing follows from one of a draft.
        let asks = |member: &log::Planned| matches!(&member.does, Does::Turn { turn: Asked::Line { .. } });
        let stood = std::mem::take(&mut node.stood) || !nodes.iter().all(asks);
        if nodes.iter().any(|member| node.asks_again(member)) {
            node.refused += u64::from(!drafts && !stood);
        } else {
            node.stood = stood;
        }
        for member in nodes {
            seen += 1;
            let child = node.children.entry(Part::Step(member.id.clone())).or_default();
            (child.seen, child.planned) = (seen, Some(Planned { does: member.does.clone() }));
        }
        self.seen = seen.max(self.seen);
    }

    /// A line of a plan has dropped this step.
    pub(super) fn drop_planned(&mut self, key: &StepKey, at: Time) {
        let group = key.to_string();
        if let Some(goal) = group.rsplit_once('.').and_then(|(goal, _)| goal.parse::<StepKey>().ok()) {
            self.reach(&goal, at).stood = true;
        }
    }
}

impl Node {
    /// Whether it is a turn of the model that nobody has to look at.
    pub(super) fn is_quiet_turn(&self) -> bool {
        let is_turn = self.planned.as_ref().is_some_and(|planned| planned.asked().is_some());
        is_turn && !matches!(self.state, State::Failed | State::InDoubt | State::Retrying { .. } | State::Waiting)
    }

    /// Whether a member asks for one more line of the plan, or of the same patch.
    fn asks_again(&self, member: &log::Planned) -> bool {
        let Does::Turn { turn: asked @ Asked::Line { .. } } = &member.does else { return false };
        self.children.values().any(|child| child.planned.as_ref().and_then(Planned::asked) == Some(asked))
    }

    /// `planning: 3 lines`, `2 turns`: what the model of a goal was asked so far.
    pub(super) fn planning(&self) -> Option<String> {
        let asked = |child: &&Node| child.planned.as_ref().and_then(Planned::asked).is_some();
        let turns: Vec<_> = self.children.values().filter(asked).collect();
        let count = |which: fn(&Asked) -> bool| {
            let of = |child: &&&Node| child.planned.as_ref().and_then(Planned::asked).is_some_and(which);
            turns.iter().filter(of).filter(|child| child.state == State::Completed).count() as u64
        };
        let lines = count(|turn| matches!(turn, Asked::Line { .. })).saturating_sub(self.refused);
        let acts = count(|turn| matches!(turn, Asked::Act { .. }));
        let moves = |which: fn(&Asked) -> bool| {
            let of = |child: &&Node| child.planned.as_ref().and_then(Planned::asked).is_some_and(which);
            turns.iter().copied().filter(of).any(|child| child.state == State::Running)
        };
        let mut parts = Vec::new();
        if lines > 0 || moves(|turn| matches!(turn, Asked::Line { .. })) {
            let word = if moves(|turn| matches!(turn, Asked::Line { .. })) { "planning" } else { "planned" };
            parts.push(format!("{word}: {}", counted(lines, "line")));
        }
        if acts > 0 {
            parts.push(counted(acts, "turn"));
        }
        if moves(|turn| matches!(turn, Asked::Answer)) {
            parts.push("answering".into());
        }
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// What the model reads or writes for it, where that is a turn that has no line of its own.
    pub(super) fn turn_within(&self) -> Option<&Turn> {
        self.children.values().filter(|child| child.is_quiet_turn()).find_map(|child| child.turn.as_ref())
    }
}
