//! What a model may do to reach a goal: how many turns it has, and what it may call.

use super::{Calls, GoalOutlook, Surroundings, Times, chats};
use crate::workflow::check::models::prompt_tokens;
use crate::workflow::graph::{Goal, Message, NodeIndex, REPAIRS};
use crate::workflow::plan::Plan;

/// What is known of a goal.
pub(super) fn goal(
    plan: &Plan,
    around: &Surroundings<'_>,
    calls: &Calls<'_>,
    index: NodeIndex,
    goal: &Goal,
) -> GoalOutlook {
    let rules = calls.rules_for_run_of(index);
    let workflows = goal.workflows.iter().filter_map(|(name, delegate)| {
        let child = delegate.workflow.own_run.as_deref()?;
        Some((name.clone(), child.outlook_within(around, &rules, true)))
    });
    GoalOutlook {
        model: goal.model.clone(),
        turns: turns(goal),
        max_tokens: goal.max_tokens,
        context: chats::context(plan, around, &goal.model),
        calls: calls.of_goal(index),
        workflows: workflows.collect(),
        approves: goal.plan.as_ref().is_some_and(|plan| plan.approve),
    }
}

/// The most turns of the model.
fn turns(goal: &Goal) -> u64 {
    let Some(plan) = &goal.plan else { return u64::from(goal.max_turns) };
    let (steps, replans) = (u64::from(plan.max_steps), u64::from(plan.max_replans));
    if plan.draft_only {
        return steps + 1;
    }
    // A patch drops steps by lines, too. Each step may be decided late; the plan and each patch have a closing line.
    let drops = if replans > 0 { steps } else { 0 };
    let lines = steps + drops + 1 + replans;
    let answer = 1;
    lines + steps + answer + u64::from(goal.max_turns)
}

/// The tokens of its turns: a turn never holds more than the model's context.
pub(super) fn tokens(around: &Surroundings<'_>, goal: &Goal, known: &GoalOutlook) -> Times {
    let said = Message::user(goal.goal.clone());
    let (least, _) = prompt_tokens(&[said], around.models.get(&goal.model));
    let repairs = if chats::enforces(around, &goal.model) { 0 } else { u64::from(REPAIRS) };
    let turns = known.turns.saturating_mul(1 + repairs);
    let own = known.context.map(|context| u64::from(context).saturating_mul(turns));
    // How often a workflow is called nobody knows.
    let called = known.workflows.values().all(|outlook| outlook.tokens.most == Some(0));
    Times { least: least as u64, most: own.filter(|_| called) }
}

/// The calls of its tools: a turn may ask for any number of them.
pub(super) fn tool_calls(known: &GoalOutlook) -> Times {
    let none = known.calls.is_empty() && known.workflows.values().all(|outlook| outlook.tool_calls.most == Some(0));
    Times { least: 0, most: none.then_some(0) }
}
