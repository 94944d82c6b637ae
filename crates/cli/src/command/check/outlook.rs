//! What a workflow would do, in words.

use std::time::Duration;

use parkway::definition::{Awaited, ChatOutlook, StepOutlook, Times, Verb, WorstTime};
use parkway::policy::Verdict;
use parkway::{Outlook, Plan};

use crate::render::{clean, counted, elapsed, span};

/// The longest chain of waiting, and how long it may take; `None` where it is one step that takes no time.
pub(super) fn chain(outlook: &Outlook) -> Option<String> {
    if outlook.longest.len() < 2 && outlook.worst == WorstTime::default() {
        return None;
    }
    let steps = counted(outlook.longest.len() as u64, "step");
    Some(format!("{steps}, {}: {}", time(outlook.worst), outlook.longest.join(" > ")))
}

fn time(worst: WorstTime) -> String {
    match (worst.open, worst.ms) {
        (false, 0) => "no waiting".into(),
        (false, ms) => format!("at most {}", elapsed(Duration::from_millis(ms))),
        // What has no bound is a person, or a list that is not known yet: the steps say which.
        (true, 0) => "without a bound".into(),
        (true, ms) => format!(
            "without a bound (the bounded part, with one item of each list: {})",
            elapsed(Duration::from_millis(ms))
        ),
    }
}

/// Whom it asks: approvals, forms, and calls that policy asks about.
pub(super) fn questions(plan: &Plan, outlook: &Outlook) -> Vec<String> {
    let mut lines = Vec::new();
    each(outlook, "", &mut |path, step, inner| {
        let question = match step.pause.map(|pause| pause.awaits) {
            // The prompts of a run of its own stand in its own plan.
            Some(Awaited::Approval | Awaited::Input) if inner => Some(format!("{} in a run of its own", step.verb)),
            Some(Awaited::Approval | Awaited::Input) => prompt(plan, step).map(clean),
            _ => None,
        };
        let call = step.call.iter().chain(step.goal.iter().flat_map(|goal| &goal.calls));
        let calls = call.filter(|call| call.approved_by.is_none()).filter_map(|call| {
            let word = match (call.policy.mildest.verdict, call.policy.strictest.verdict) {
                (Verdict::Ask, _) => "before it calls",
                (_, Verdict::Ask) => "perhaps, before it calls",
                _ => return None,
            };
            let reason = &call.policy.strictest.reason;
            Some(format!("{word} {}: {}", clean(&call.tool), clean(reason)))
        });
        let plan = step.goal.as_ref().filter(|goal| goal.approves);
        let plan = plan.map(|_| "its plan, before anything is changed".to_owned());
        lines.extend(question.into_iter().chain(plan).chain(calls).map(|question| format!("  {path}  {question}")));
    });
    lines
}

fn prompt<'p>(plan: &'p Plan, step: &StepOutlook) -> Option<&'p str> {
    match &plan.graph.node(step.node).verb {
        Verb::Approve { prompt, .. } | Verb::Input { prompt, .. } => Some(prompt),
        _ => None,
    }
}

/// What it waits for that is no person.
pub(super) fn waits(outlook: &Outlook) -> Vec<String> {
    let mut lines = Vec::new();
    each(outlook, "", &mut |path, step, _| {
        let Some(pause) = step.pause else { return };
        let within = pause.limit_ms.map(span);
        let what = match (pause.awaits, within) {
            (Awaited::Signal, Some(within)) => format!("a signal, at most {within}"),
            (Awaited::Signal, None) => "a signal, without a limit".to_owned(),
            (Awaited::Time, Some(within)) => within,
            (Awaited::Time, None) => "a time that is found at the run".to_owned(),
            _ => return,
        };
        lines.push(format!("  {path}  {what}"));
    });
    lines
}

/// What a model is asked: how many steps do, and the longest prompt and answer.
pub(super) fn chats(outlook: &Outlook, model: &str, said: Option<u32>) -> Vec<String> {
    let mut chats: Vec<ChatOutlook> = Vec::new();
    each(outlook, "", &mut |_, step, _| chats.extend(step.chat.clone().filter(|chat| chat.model == model)));
    let mut turns = Vec::new();
    each(outlook, "", &mut |_, step, _| turns.extend(step.goal.as_deref().filter(|goal| goal.model == model).cloned()));
    let goals = (!turns.is_empty()).then(|| {
        let steps = counted(turns.len() as u64, "step");
        let most = turns.iter().fold(0, |most: u64, goal| most.saturating_add(goal.turns));
        let longest = turns.iter().map(|goal| goal.max_tokens).max().unwrap_or_default();
        format!("    {steps} towards goals: up to {}, each up to {longest} tokens", counted(most, "turn"))
    });
    chats_of(&chats, said).into_iter().chain(goals).collect()
}

fn chats_of(chats: &[ChatOutlook], said: Option<u32>) -> Option<String> {
    let longest = chats.iter().max_by_key(|chat| chat.prompt_tokens)?;
    let about = if longest.counted { "" } else { "about " };
    let more = if longest.whole { "" } else { " and what is filled in" };
    let prompt = format!("prompts up to {about}{}{more}", counted(longest.prompt_tokens, "token"));
    let answer = chats.iter().map(|chat| chat.max_tokens).max().unwrap_or_default();
    // The model's own may be shorter than what the file says.
    let context = longest
        .context
        .filter(|context| Some(*context) != said)
        .map(|context| format!(", context {context}"))
        .unwrap_or_default();
    let steps = counted(chats.len() as u64, "step");
    Some(format!("    {steps}: {prompt}, answers up to {answer}{context}"))
}

/// The secrets, and which steps use them.
pub(super) fn secrets(outlook: &Outlook) -> Vec<String> {
    let line = |name: &String| {
        let mut users = Vec::new();
        each(outlook, "", &mut |path, step, _| {
            let uses = step.call.as_ref().is_some_and(|call| call.secrets.contains(name));
            users.extend(uses.then(|| path.to_owned()));
        });
        let users = if users.is_empty() { String::new() } else { format!("  in {}", users.join(", ")) };
        format!("  {}{users}", clean(name))
    };
    outlook.secrets.iter().map(line).collect()
}

/// What it may use, and what it will.
pub(super) fn budget(outlook: &Outlook) -> Vec<String> {
    let limits = &outlook.limits;
    let used = |limit: Option<u64>, noun: &str, times: Times| {
        if limit.is_none() && times.most == Some(0) {
            return None;
        }
        let limit = limit.map_or_else(|| format!("no limit to {noun}s"), |limit| format!("{limit} {noun}s"));
        let uses = match times.most {
            Some(most) if most == times.least => format!("uses {most}"),
            Some(most) => format!("uses {} to {most}", times.least),
            None => format!("uses at least {}, and no bound is known", times.least),
        };
        Some(format!("  {limit}, {uses}"))
    };
    let parts = [
        used(limits.tokens, "token", outlook.tokens),
        used(limits.tool_calls, "tool call", outlook.tool_calls),
        limits.wall_ms.map(|ms| format!("  {} with steps running", span(ms))),
        limits.deadline_ms.map(|ms| format!("  {} in all", span(ms))),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    if parts.is_empty() { vec!["  no limit".into()] } else { parts }
}

/// All steps, with those of runs that steps have for themselves, and whether it is one of those.
fn each(outlook: &Outlook, before: &str, tell: &mut dyn FnMut(&str, &StepOutlook, bool)) {
    for step in &outlook.steps {
        let path = format!("{before}{}", step.path);
        tell(&path, step, !before.is_empty());
        let offered = step.goal.iter().flat_map(|goal| goal.workflows.values());
        for inner in step.own_run.as_deref().into_iter().chain(offered) {
            each(inner, &format!("{path} / "), tell);
        }
    }
}
