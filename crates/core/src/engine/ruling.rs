//! What may be called: the policy's word, and the rules of the workflow and of those that it stands in, which tighten it.

use std::collections::BTreeMap;

use crate::engine::context::Site;
use crate::engine::executor::Executor;
use crate::policy::{Decision, Match, PolicyRequest, Rule, Rules, Verdict};
use crate::tool::Effect;
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

/// In a fork, every call that may change something outside is asked about: the run that it comes from may have made it
/// already.
fn asked_in_forks(forked: bool, decision: Decision, request: &PolicyRequest<'_>) -> Decision {
    if !forked || !request.spec.effect.changes() || decision.verdict >= Verdict::Ask {
        return decision;
    }
    let reason = "the run is a fork, and the run that it comes from may have made this call already".into();
    Decision { verdict: Verdict::Ask, rule: "fork".into(), reason }
}

/// The same for the runs that steps of a fork have for themselves.
pub(super) fn rules_of_forks() -> [Rule; 3] {
    [Effect::Idempotent, Effect::Transactional, Effect::AtMostOnce].map(|effect| Rule {
        matches: Match { effect: Some(effect), ..Match::default() },
        verdict: Verdict::Ask,
        examples: Vec::new(),
    })
}

impl Executor {
    /// Whether a call at this site may be made.
    pub(super) fn rule(&self, site: Site, request: &PolicyRequest<'_>) -> Decision {
        let decision = asked_in_forks(self.state.forked().is_some(), self.services.policy.decide(request), request);
        if self.rules.is_empty() {
            return decision;
        }
        let around = self.state.calls_around(site.scope).map(|(step, _, _)| Some(self.state.at(step).node));
        let rules = around.chain([None]).filter_map(|caller| self.rules.get(&caller));
        rules.fold(decision, |decision, rules| rules.tighten(decision, request))
    }
}
