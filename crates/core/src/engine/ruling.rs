//! What may be called: the policy's word, and the rules of the workflow and of those that it stands in, which tighten it.

use std::collections::BTreeMap;

use crate::engine::context::Site;
use crate::engine::executor::Executor;
use crate::policy::{Decision, PolicyRequest, Rules};
use crate::workflow::{NodeIndex, Plan, Verb};

/// The rules of a run's workflow, and of those that it calls, by the steps that call them.
pub(super) type Rulebook = BTreeMap<Option<NodeIndex>, Rules>;

/// The rules that stand in a plan, ready to be asked.
pub(super) fn rulebook(plan: &Plan) -> Rulebook {
    let called = plan.graph.iter().filter_map(|(index, node)| match &node.verb {
        Verb::Workflow(workflow) if !workflow.rules.is_empty() => {
            Some((Some(index), Rules::new(&format!("{}.file", node.id), &workflow.rules)))
        }
        _ => None,
    });
    let own = (!plan.rules.is_empty()).then(|| (None, Rules::new("file", &plan.rules)));
    own.into_iter().chain(called).collect()
}

impl Executor {
    /// Whether a call at this site may be made.
    pub(super) fn rule(&self, site: Site, request: &PolicyRequest<'_>) -> Decision {
        let decision = self.services.policy.decide(request);
        if self.rules.is_empty() {
            return decision;
        }
        let around = self.state.calls_around(site.scope).map(|(step, _, _)| Some(self.state.at(step).node));
        let rules = around.chain([None]).filter_map(|caller| self.rules.get(&caller));
        rules.fold(decision, |decision, rules| rules.tighten(decision, request))
    }
}
