//! Whether a chat's model can do what the chat asks, and whether its prompt fits into the context as far as it is known.

use crate::model::{ChatMessage, ChatRequest, Constraint, ConstraintKind, ModelError, SharedModel};
use crate::workflow::compile::Compiled;
use crate::workflow::definition::{ChatDef, Top, VerbDef};
use crate::workflow::diagnostic::{Diagnostic, Place, did_you_mean};
use crate::workflow::graph::{Chat, Verb};
use crate::workflow::plan::Requirements;

/// Characters of a token, on average, where no tokenizer is at hand.
const CHARACTERS: usize = 4;

/// What is wrong with the chats.
pub(super) fn check(compiled: &Compiled<'_>, requirements: &Requirements<'_>) -> Vec<(usize, Diagnostic)> {
    let mut found = Vec::new();
    for (frame, workflow) in compiled.frames.iter().enumerate() {
        found.extend(undeclared_keys(workflow.top).map(|diagnostic| (frame, diagnostic)));
    }
    for (index, node) in compiled.graph.iter() {
        let origin = compiled.origin(index);
        let (Verb::Chat(chat), Some(VerbDef::Chat(def))) = (&node.verb, &origin.step.verb) else { continue };
        let top = compiled.frames[origin.frame].top;
        let Some(spec) = top.models.get(&chat.model) else { continue };
        let model = requirements.models.get(&chat.model);
        let mut tell = |diagnostic| found.push((origin.frame, diagnostic));
        if let Some(adapter) = &def.value.adapter {
            let at_hand = model.map(|model| model.capabilities().adapters.as_slice()).unwrap_or_default();
            let known = spec.adapters.keys().map(String::as_str).chain(at_hand.iter().map(String::as_str));
            if known.clone().all(|name| name != adapter.value) {
                let message = format!("the model `{}` has no adapter `{}`", chat.model, adapter.value);
                let mut diagnostic = Diagnostic::new("unknown-adapter", adapter.place, message);
                diagnostic.help = did_you_mean(&adapter.value, known.collect::<Vec<_>>())
                    .or_else(|| Some(format!("declare it: `adapters: {{ {}: path }}` of the model", adapter.value)));
                tell(diagnostic);
            }
        }
        if let (Some(model), Some(output)) = (model, &def.value.output)
            && !model.capabilities().constraints.contains(&ConstraintKind::JsonSchema)
        {
            let message = format!("the model `{}` cannot be held to a form while it answers", chat.model);
            let help =
                "its answers are checked, and asked for again within the budget; another model may need fewer turns";
            tell(Diagnostic::warning("unconstrained", output.place(), message).help(help));
        }
        if let (Some(model), Some(output), Some(schema)) = (model, &def.value.output, &chat.schema)
            && let Err(error) = model.check_constraint(&Constraint::JsonSchema(schema.clone()))
        {
            let message = format!("the model `{}` cannot be held to this form: {}", chat.model, cause(&error));
            let help = "leave out what it names, and hold the answer to it by a step behind this one or by `ensure`";
            tell(Diagnostic::new("unenforceable", output.place(), message).help(help));
        }
        let context = model.and_then(|model| model.capabilities().context_length).or(spec.context);
        if let Some(diagnostic) = context.and_then(|context| prompt(chat, &def.value, def.place, context, model)) {
            tell(diagnostic);
        }
    }
    found
}

/// Keys of servers that are secrets which the file does not declare.
fn undeclared_keys(top: &Top) -> impl Iterator<Item = Diagnostic> {
    top.models.iter().filter_map(|(name, model)| {
        let key = model.openai.as_ref()?.key.as_ref()?;
        let is_declared = top.secrets.iter().any(|secret| secret.value == *key);
        let message = format!("the key of `{}`, `{key}`, is not declared under `secrets`", name.value);
        let help = format!("write `secrets: [{key}]` at the top of the file");
        (!is_declared).then(|| Diagnostic::new("undeclared", name.place, message).help(help))
    })
}

/// What a model says without the words that the sentence around it has.
fn cause(error: &ModelError) -> String {
    match error {
        ModelError::Unsupported(why) => why.trim_start_matches("the constraint cannot be enforced: ").to_owned(),
        other => other.to_string(),
    }
}

/// The parts of a prompt that are known before the run must fit beside the answer.
fn prompt(chat: &Chat, def: &ChatDef, place: Place, context: u32, model: Option<&SharedModel>) -> Option<Diagnostic> {
    let place = def.max_tokens.as_ref().map_or(place, |max| max.place);
    let (context, answer) = (context as usize, chat.max_tokens as usize);
    let (known, counted) = prompt_tokens(chat, model);
    let about = if counted { "" } else { "about " };
    let sizes = format!(
        "{about}{known} tokens of prompt are written out, the answer may take {answer}, and the context of `{}` holds {context}",
        chat.model
    );
    let help = "shorten the prompt, lower `max_tokens`, or raise the model's `context`";
    // An estimate of the prompt is no proof.
    if answer >= context || (counted && known + answer > context) {
        return Some(Diagnostic::new("prompt-too-long", place, sizes).help(help));
    }
    let near = known + answer > context - context / 10;
    near.then(|| Diagnostic::warning("prompt-near-limit", place, sizes).help(help))
}

/// How many tokens of a chat's prompt are written out, and whether they were counted.
pub(crate) fn prompt_tokens(chat: &Chat, model: Option<&SharedModel>) -> (usize, bool) {
    let counted = model.and_then(|model| counted(chat, model));
    (counted.unwrap_or_else(|| estimated(chat)), counted.is_some())
}

fn counted(chat: &Chat, model: &SharedModel) -> Option<usize> {
    let messages = chat.messages.iter().map(|said| ChatMessage::new(said.role, written_out(&said.content.text)));
    model.count_tokens(&ChatRequest::new(messages.collect()))
}

/// About how many tokens of a chat's prompt are written out.
pub(crate) fn estimated(chat: &Chat) -> usize {
    chat.messages.iter().map(|said| written_out(&said.content.text).chars().count().div_ceil(CHARACTERS)).sum()
}

/// What of a template is printed whatever its values are.
fn written_out(template: &str) -> String {
    // What stands behind a block may be left out.
    let plain = template.split("{%").next().unwrap_or_default();
    let mut parts = plain.split("${{");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once("}}").map_or("", |(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_always_printed_counts() {
        assert_eq!(written_out("Say ${{ a }} and ${{ b }}."), "Say  and .");
        assert_eq!(written_out("Say {% if a %}much{% endif %} more"), "Say ");
        assert_eq!(written_out("plain"), "plain");
    }
}
