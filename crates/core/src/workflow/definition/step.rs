//! Reads steps: one verb, and what stands beside it.

use std::sync::Arc;
use std::time::Duration;

use super::goal::{GoalDef, read_agent, read_plan};
use super::read::{output, text};
use super::{Child, SchemaDef, TextDef};
use crate::model::Role;
use crate::workflow::diagnostic::{Diagnostic, Place};
use crate::workflow::field::refuse_filled;
use crate::workflow::graph::{OnError, OnItemError, RunIf};
use crate::workflow::reading::{Keys, Reader};
use crate::workflow::tree::{At, Entries, Kind, Tree};

/// One step.
#[derive(Clone, Debug)]
pub(crate) struct StepDef {
    pub(crate) description: Option<String>,
    pub(crate) needs: Vec<At<String>>,
    pub(crate) condition: Option<Tree>,
    pub(crate) run_if: Option<At<RunIf>>,
    pub(crate) for_each: Option<ForEachDef>,
    pub(crate) repeat: Option<At<RepeatDef>>,
    pub(crate) retry: Option<At<RetryDef>>,
    pub(crate) timeout: Option<At<Duration>>,
    pub(crate) on_error: Option<At<OnError>>,
    /// What it does; `None` where that could not be read.
    pub(crate) verb: Option<VerbDef>,
}

/// What a step does.
#[derive(Clone, Debug)]
pub(crate) enum VerbDef {
    Tool {
        name: At<String>,
        with: At<Entries<Tree>>,
    },
    Chat(At<ChatDef>),
    /// `agent`, or `plan`.
    Goal(At<GoalDef>),
    Workflow(SubDef),
    Steps {
        steps: Entries<StepDef>,
        result: Option<Tree>,
    },
    Approve(At<ApproveDef>),
    Input(At<InputDef>),
    Wait(At<WaitDef>),
    Set(At<Entries<Tree>>),
}

#[derive(Clone, Debug)]
pub(crate) struct ForEachDef {
    pub(crate) list: Tree,
    pub(crate) item: Option<At<String>>,
    pub(crate) key: Option<Tree>,
    pub(crate) max_parallel: Option<At<u32>>,
    pub(crate) on_item_error: OnItemError,
}

#[derive(Clone, Debug)]
pub(crate) struct RepeatDef {
    pub(crate) until: Tree,
    pub(crate) max: At<u32>,
    pub(crate) delay: Option<At<Duration>>,
}

/// A number of retries, or all of the policy.
#[derive(Clone, Debug, Default)]
pub(crate) struct RetryDef {
    pub(crate) max: u32,
    pub(crate) initial: Option<At<Duration>>,
    pub(crate) factor: Option<At<f64>>,
    pub(crate) limit: Option<At<Duration>>,
    pub(crate) on: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct ChatDef {
    /// The model's name; that of `defaults` if absent.
    pub(crate) model: Option<At<String>>,
    pub(crate) messages: Vec<MessageDef>,
    pub(crate) output: Option<SchemaDef>,
    pub(crate) temperature: Option<At<f64>>,
    pub(crate) max_tokens: Option<At<u64>>,
    pub(crate) seed: Option<u64>,
    pub(crate) adapter: Option<At<String>>,
    pub(crate) tools: Vec<At<String>>,
}

#[derive(Clone, Debug)]
pub(crate) struct MessageDef {
    pub(crate) role: Role,
    pub(crate) text: TextDef,
}

#[derive(Clone, Debug)]
pub(crate) struct SubDef {
    pub(crate) path: At<String>,
    /// `None` where its file could not be read; that is told already.
    pub(crate) child: Option<Arc<Child>>,
    pub(crate) with: At<Entries<Tree>>,
    pub(crate) own_run: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct ApproveDef {
    pub(crate) prompt: Tree,
    pub(crate) timeout: Option<At<Duration>>,
    pub(crate) show: Option<Tree>,
}

#[derive(Clone, Debug)]
pub(crate) struct InputDef {
    pub(crate) prompt: Tree,
    pub(crate) form: SchemaDef,
    pub(crate) timeout: Option<At<Duration>>,
}

#[derive(Clone, Debug)]
pub(crate) enum WaitDef {
    For(Duration),
    Until(Tree),
    Signal { name: Tree, timeout: Option<At<Duration>> },
}

pub(super) fn read_steps(reader: &mut Reader<'_, '_>, tree: &Tree) -> Entries<StepDef> {
    if let Kind::List(_) = tree.kind {
        let message = "`steps` is a map from ids to steps, found a list";
        let help = "write `ID: { … }` in place of `- id: ID`";
        reader.problem(Diagnostic::new("bad-value", tree.place, message).help(help));
        return Entries::default();
    }
    reader.entries(tree, |reader, id, tree| read_step(reader, id, tree))
}

/// The verbs, and the keys that go with one of them only.
const VERBS: [&str; 10] = ["tool", "chat", "agent", "plan", "workflow", "steps", "approve", "input", "wait", "set"];
const COMPANIONS: [(&str, &[&str]); 3] =
    [("with", &["tool", "workflow"]), ("own_run", &["workflow"]), ("result", &["steps"])];

fn read_step(reader: &mut Reader<'_, '_>, id: &At<String>, tree: &Tree) -> Option<StepDef> {
    if tree.kind == Kind::Null {
        let message = format!("the step `{}` says nothing", id.value);
        let help = format!("give it one of {}", VERBS.join(", "));
        reader.problem(Diagnostic::new("no-verb", id.place, message).help(help));
        return None;
    }
    let mut keys = reader.keys(tree, "a step")?;
    let description = keys.get(reader, "description").and_then(|tree| reader.text(tree));
    let needs = keys.get(reader, "needs").map(|tree| match &tree.kind {
        // One name is a list of one, as in other formats.
        Kind::Text(_) => reader.text(tree).into_iter().collect(),
        _ => reader.list(tree, |reader, tree| reader.text(tree)),
    });
    let conditions = [("failed", RunIf::Failed), ("not_rejected", RunIf::NotRejected), ("always", RunIf::Always)];
    let errors = [("fail", OnError::Fail), ("continue", OnError::Continue)];
    let step = StepDef {
        description: description.map(|text| text.value),
        needs: needs.unwrap_or_default(),
        condition: keys.get(reader, "if").cloned(),
        run_if: keys.get(reader, "run_if").and_then(|tree| reader.word(tree, &conditions)),
        for_each: read_for_each(reader, &mut keys),
        repeat: keys.get(reader, "repeat").and_then(|tree| read_repeat(reader, tree)),
        retry: keys.get(reader, "retry").and_then(|tree| read_retry(reader, tree)),
        timeout: keys.get(reader, "timeout").and_then(|tree| reader.duration(tree)),
        on_error: keys.get(reader, "on_error").and_then(|tree| reader.word(tree, &errors)),
        verb: read_verb(reader, &mut keys, id),
    };
    if let (Some(_), Some(repeat)) = (&step.for_each, &step.repeat) {
        let message = "`for_each` and `repeat` cannot stand on one step";
        let help = "put one of them on a group (`steps:`), and the other on a step in it";
        reader.problem(Diagnostic::new("for-each-repeat", repeat.place, message).help(help));
    }
    keys.finish(reader);
    Some(step)
}

fn read_verb(reader: &mut Reader<'_, '_>, keys: &mut Keys<'_>, id: &At<String>) -> Option<VerbDef> {
    let present: Vec<_> = VERBS.into_iter().filter(|verb| keys.has(verb)).collect();
    // All verbs and companions are known, so that a misspelled one finds them.
    let trees = VERBS.map(|verb| (verb, keys.get(reader, verb)));
    let with = keys.get(reader, "with");
    let own_run = keys.get(reader, "own_run");
    let result = keys.any("result");
    match present.as_slice() {
        [verb] => {
            for (companion, verbs) in COMPANIONS {
                if let Some(key) = keys.key(companion).filter(|_| !verbs.contains(verb)) {
                    let message = format!("`{companion}` belongs to {}", verbs.join(" or "));
                    reader.problem(Diagnostic::new("stray-key", key.place, message));
                }
            }
        }
        [] => {
            let message = format!("the step `{}` does nothing", id.value);
            let help = format!("give it one of {}", VERBS.join(", "));
            reader.problem(Diagnostic::new("no-verb", id.place, message).help(help));
        }
        many => {
            let message = format!("a step does one thing, `{}` has {}", id.value, many.join(" and "));
            reader.problem(Diagnostic::new("many-verbs", id.place, message).help("make two steps of it"));
        }
    }
    let (verb, tree) = trees.into_iter().find_map(|(verb, tree)| Some((verb, tree?)))?;
    let place = tree.place;
    Some(match verb {
        "tool" => VerbDef::Tool { name: reader.text(tree)?, with: read_with(reader, with, place) },
        "chat" => VerbDef::Chat(At::new(read_chat(reader, tree)?, place)),
        "agent" => VerbDef::Goal(At::new(read_agent(reader, tree)?, place)),
        "plan" => VerbDef::Goal(At::new(read_plan(reader, tree)?, place)),
        "workflow" => {
            let path = reader.text(tree)?;
            let child = reader.child(&path);
            let own_run = own_run.and_then(|tree| reader.flag(tree)).unwrap_or(false);
            VerbDef::Workflow(SubDef { path, child, with: read_with(reader, with, place), own_run })
        }
        "steps" => VerbDef::Steps { steps: read_steps(reader, tree), result: result.cloned() },
        "approve" => VerbDef::Approve(At::new(read_approve(reader, tree)?, place)),
        "input" => VerbDef::Input(At::new(read_input(reader, tree)?, place)),
        "wait" => VerbDef::Wait(At::new(read_wait(reader, tree)?, place)),
        _ => VerbDef::Set(At::new(reader.values(tree), place)),
    })
}

fn read_with(reader: &mut Reader<'_, '_>, with: Option<&Tree>, place: Place) -> At<Entries<Tree>> {
    match with {
        Some(tree) => At::new(reader.values(tree), tree.place),
        None => At::new(Entries::default(), place),
    }
}

fn read_for_each(reader: &mut Reader<'_, '_>, keys: &mut Keys<'_>) -> Option<ForEachDef> {
    let list = keys.get(reader, "for_each");
    let item = keys.get(reader, "as").and_then(|tree| reader.text(tree));
    let key = keys.get(reader, "key").filter(|tree| reader.text(tree).is_some()).cloned();
    let max_parallel = keys.get(reader, "max_parallel").and_then(|tree| reader.integer(tree));
    let words = [("fail", OnItemError::Fail), ("collect", OnItemError::Collect)];
    let on_item_error = keys.get(reader, "on_item_error").and_then(|tree| reader.word(tree, &words));
    let Some(list) = list else {
        if keys.has("for_each") {
            return None;
        }
        for name in ["as", "key", "max_parallel", "on_item_error"] {
            if let Some(key) = keys.key(name) {
                reader.problem(Diagnostic::new("stray-key", key.place, format!("`{name}` belongs to `for_each`")));
            }
        }
        return None;
    };
    if let Some(none) = max_parallel.as_ref().filter(|max| max.value == 0) {
        let message = "`max_parallel: 0` would never start an item";
        reader.problem(Diagnostic::new("bad-value", none.place, message).help("take 1 or more"));
    }
    let on_item_error = on_item_error.map(|word| word.value).unwrap_or_default();
    Some(ForEachDef { list: list.clone(), item, key, max_parallel, on_item_error })
}

fn read_repeat(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<At<RepeatDef>> {
    let mut keys = reader.keys(tree, "`repeat`")?;
    let until = keys.required(reader, "until").cloned();
    let max = keys.required(reader, "max").and_then(|tree| reader.integer::<u32>(tree));
    let delay = keys.get(reader, "delay").and_then(|tree| reader.duration(tree));
    keys.finish(reader);
    if let Some(none) = max.as_ref().filter(|max| max.value == 0) {
        let message = "`max: 0` would never do a round";
        reader.problem(Diagnostic::new("bad-value", none.place, message).help("take 1 or more"));
    }
    Some(At::new(RepeatDef { until: until?, max: max?, delay }, tree.place))
}

pub(super) fn read_retry(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<At<RetryDef>> {
    if let Kind::Number(_) = tree.kind {
        let max = reader.integer(tree)?.value;
        return Some(At::new(RetryDef { max, ..RetryDef::default() }, tree.place));
    }
    let mut keys = reader.keys(tree, "`retry`")?;
    let max = keys.required(reader, "max").and_then(|tree| reader.integer(tree));
    let initial = keys.get(reader, "initial").and_then(|tree| reader.duration(tree));
    let factor = keys.get(reader, "factor").and_then(|tree| reader.number(tree));
    let limit = keys.get(reader, "limit").and_then(|tree| reader.duration(tree));
    let on = keys.get(reader, "on").map(|tree| reader.list(tree, |reader, tree| reader.text(tree)));
    keys.finish(reader);
    if let Some(factor) = factor.as_ref().filter(|factor| !(1.0..=100.0).contains(&factor.value)) {
        let message = format!("a `factor` of {} makes no sense", factor.value);
        reader.problem(Diagnostic::new("bad-value", factor.place, message).help("take a number from 1 to 100"));
        return None;
    }
    let on = on.unwrap_or_default().into_iter().map(|code| code.value).collect();
    Some(At::new(RetryDef { max: max?.value, initial, factor, limit, on }, tree.place))
}

fn read_chat(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<ChatDef> {
    let mut keys = reader.keys(tree, "`chat`")?;
    let model = keys.get(reader, "model").and_then(|tree| reader.text(tree));
    let messages = read_messages(reader, &mut keys);
    let output = output(reader, &mut keys);
    if let Some(SchemaDef::Fields(fields)) = &output {
        refuse_filled(reader, &fields.value, true);
    }
    let temperature = keys.get(reader, "temperature").and_then(|tree| reader.number(tree));
    let max_tokens = keys.get(reader, "max_tokens").and_then(|tree| reader.count(tree));
    if let Some(none) = max_tokens.as_ref().filter(|max| max.value == 0) {
        let message = "`max_tokens: 0` leaves no room for an answer";
        reader.problem(Diagnostic::new("bad-value", none.place, message).help("take 1 or more"));
    }
    let seed = keys.get(reader, "seed").and_then(|tree| reader.integer(tree)).map(|seed| seed.value);
    let adapter = keys.get(reader, "adapter").and_then(|tree| reader.text(tree));
    let tools = keys.get(reader, "tools");
    let tools = tools.map(|tree| reader.list(tree, |reader, tree| reader.text(tree))).unwrap_or_default();
    if let (Some(output), false) = (&output, tools.is_empty()) {
        let message = "a chat gives an answer of a form (`output`), or calls of `tools`, not both";
        reader.problem(Diagnostic::new("chat-tools-output", output.place(), message).help("make two steps of it"));
    }
    keys.finish(reader);
    Some(ChatDef { model, messages, output, temperature, max_tokens, seed, adapter, tools })
}

fn read_messages(reader: &mut Reader<'_, '_>, keys: &mut Keys<'_>) -> Vec<MessageDef> {
    let prompt = keys.get(reader, "prompt");
    let system = keys.get(reader, "system");
    let examples = keys.get(reader, "examples");
    let messages = keys.get(reader, "messages");
    if let Some(tree) = messages {
        for name in ["prompt", "system", "examples"] {
            if let Some(key) = keys.key(name) {
                let message = format!("`messages` says all that is said, and leaves no place for `{name}`");
                reader.problem(Diagnostic::new("stray-key", key.place, message).help("keep one of them"));
            }
        }
        let messages = reader.list(tree, read_message);
        if tree.kind == Kind::List(Vec::new()) {
            reader
                .problem(Diagnostic::new("no-prompt", tree.place, "this chat asks nothing").help("give it a message"));
        }
        return messages;
    }
    let Some(prompt) = prompt else {
        if !keys.has("prompt") && !keys.has("messages") {
            let message = "this chat asks nothing";
            reader.problem(Diagnostic::new("no-prompt", keys.place, message).help("give it a `prompt`, or `messages`"));
        }
        return Vec::new();
    };
    let mut all = Vec::new();
    let system = system.and_then(|tree| text(reader, tree));
    all.extend(system.map(|text| MessageDef { role: Role::System, text }));
    for example in examples.map(|tree| reader.list(tree, read_example)).unwrap_or_default() {
        all.push(MessageDef { role: Role::User, text: example.prompt });
        all.push(MessageDef { role: Role::Assistant, text: example.answer });
    }
    all.extend(text(reader, prompt).map(|text| MessageDef { role: Role::User, text }));
    all
}

fn read_message(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<MessageDef> {
    let roles = [("system", Role::System), ("user", Role::User), ("assistant", Role::Assistant)];
    let mut keys = reader.keys(tree, "a message")?;
    let role = keys.required(reader, "role").and_then(|tree| reader.word(tree, &roles));
    let content = keys.required(reader, "content").and_then(|tree| text(reader, tree));
    keys.finish(reader);
    Some(MessageDef { role: role?.value, text: content? })
}

/// What a chat is shown of a question and its answer.
#[derive(Clone, Debug)]
pub(crate) struct ExampleDef {
    pub(crate) prompt: TextDef,
    pub(crate) answer: TextDef,
}

fn read_example(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<ExampleDef> {
    if let Kind::Map(map) = &tree.kind
        && let Some((key, _)) = map.iter().find(|(key, _)| key.value != "prompt" && key.value != "answer")
    {
        // One slip, which would else be told once for each key.
        let names: Vec<_> = map.iter().take(4).map(|(key, _)| format!("`{}`", key.value)).collect();
        let message = format!("an example has `prompt` and `answer`, not {}", names.join(", "));
        let help = "write `{ prompt: \"what is asked\", answer: \"what is answered\" }`";
        reader.problem(Diagnostic::new("unknown-key", key.place, message).help(help));
        return None;
    }
    let mut keys = reader.keys(tree, "an example")?;
    let prompt = keys.required(reader, "prompt").and_then(|tree| text(reader, tree));
    let answer = keys.required(reader, "answer").and_then(|tree| match &tree.kind {
        // An answer of a form is shown as the JSON that it is.
        Kind::Map(map) if !map.iter().any(|(key, _)| key.value == "file") => Some(TextDef::json(tree)),
        _ => text(reader, tree),
    });
    keys.finish(reader);
    Some(ExampleDef { prompt: prompt?, answer: answer? })
}

fn read_approve(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<ApproveDef> {
    let mut keys = reader.keys(tree, "`approve`")?;
    let prompt = keys.required(reader, "prompt").and_then(|tree| read_prompt(reader, tree));
    let timeout = keys.get(reader, "timeout").and_then(|tree| reader.duration(tree));
    let show = keys.get(reader, "show").cloned();
    keys.finish(reader);
    Some(ApproveDef { prompt: prompt?, timeout, show })
}

fn read_input(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<InputDef> {
    let mut keys = reader.keys(tree, "`input`")?;
    let prompt = keys.required(reader, "prompt").and_then(|tree| read_prompt(reader, tree));
    let form = output(reader, &mut keys);
    if let Some(SchemaDef::Fields(fields)) = &form {
        refuse_filled(reader, &fields.value, false);
    }
    if form.is_none() && !keys.has("output") && !keys.has("output_schema") {
        let message = "the key `output` is missing in `input`";
        let help = "say what is asked for: `output: { answer: { type: string } }`";
        reader.problem(Diagnostic::new("missing-key", keys.place, message).help(help));
    }
    let timeout = keys.get(reader, "timeout").and_then(|tree| reader.duration(tree));
    keys.finish(reader);
    Some(InputDef { prompt: prompt?, form: form?, timeout })
}

/// What a person reads: a text.
fn read_prompt(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<Tree> {
    text(reader, tree).map(|text| text.tree)
}

fn read_wait(reader: &mut Reader<'_, '_>, tree: &Tree) -> Option<WaitDef> {
    if !matches!(tree.kind, Kind::Map(_)) {
        return reader.duration(tree).map(|duration| WaitDef::For(duration.value));
    }
    let mut keys = reader.keys(tree, "`wait`")?;
    let until = keys.get(reader, "until").filter(|tree| reader.text(tree).is_some());
    let signal = keys.get(reader, "signal").and_then(|tree| text(reader, tree)).map(|text| text.tree);
    let timeout = keys.get(reader, "timeout").and_then(|tree| reader.duration(tree));
    let (has_until, has_signal) = (keys.has("until"), keys.has("signal"));
    if let (false, Some(key)) = (has_signal, keys.key("timeout")) {
        reader.problem(Diagnostic::new("stray-key", key.place, "`timeout` belongs to `signal`"));
    }
    if has_until == has_signal {
        let message = "a `wait` has a duration, `until` or `signal`";
        let help = "for example `wait: 10m`, `wait: { until: \"2026-01-31T08:00:00Z\" }`, `wait: { signal: paid }`";
        reader.problem(Diagnostic::new("bad-value", keys.place, message).help(help));
    }
    keys.finish(reader);
    match (until, signal) {
        (Some(until), None) => Some(WaitDef::Until(until.clone())),
        (None, Some(name)) => Some(WaitDef::Signal { name, timeout }),
        _ => None,
    }
}
