//! Whether the model of a chat or a goal can do what it is asked, and whether its prompt fits into the context as far as it is known.

use std::borrow::Cow;

use serde_json::Value;

use crate::model::{ChatMessage, ChatRequest, Constraint, ConstraintKind, ModelError, SharedModel};
use crate::workflow::compile::Compiled;
use crate::workflow::definition::{SchemaDef, Top, VerbDef};
use crate::workflow::diagnostic::{Diagnostic, Place, did_you_mean};
use crate::workflow::graph::{Message, Verb};
use crate::workflow::plan::Requirements;
use crate::workflow::tree::At;

/// Characters of a token, on average, where no tokenizer is at hand.
const CHARACTERS: usize = 4;

/// What is wrong with what models are asked.
pub(super) fn check(compiled: &Compiled<'_>, requirements: &Requirements<'_>) -> Vec<(usize, Diagnostic)> {
    let mut found = Vec::new();
    for (frame, workflow) in compiled.frames.iter().enumerate() {
        found.extend(undeclared_keys(workflow.top).map(|diagnostic| (frame, diagnostic)));
    }
    for (index, node) in compiled.graph.iter() {
        let origin = compiled.origin(index);
        let top = compiled.frames[origin.frame].top;
        let Some(asked) = Asked::of(&node.verb, origin.step.verb.as_ref()) else { continue };
        let Some(spec) = top.models.get(asked.name) else { continue };
        let model = requirements.models.get(asked.name);
        let mut tell = |diagnostic| found.push((origin.frame, diagnostic));
        if let Some(adapter) = asked.adapter {
            let at_hand = model.map(|model| model.capabilities().adapters.as_slice()).unwrap_or_default();
            let known = spec.adapters.keys().map(String::as_str).chain(at_hand.iter().map(String::as_str));
            if known.clone().all(|name| name != adapter.value) {
                let message = format!("the model `{}` has no adapter `{}`", asked.name, adapter.value);
                let mut diagnostic = Diagnostic::new("unknown-adapter", adapter.place, message);
                diagnostic.help = did_you_mean(&adapter.value, known.collect::<Vec<_>>())
                    .or_else(|| Some(format!("declare it: `adapters: {{ {}: path }}` of the model", adapter.value)));
                tell(diagnostic);
            }
        }
        if let (Some(model), Some(place)) = (model, asked.form)
            && !model.capabilities().constraints.contains(&ConstraintKind::JsonSchema)
        {
            let message = format!("the model `{}` cannot be held to a form while it answers", asked.name);
            let help =
                "its answers are checked, and asked for again within the budget; another model may need fewer turns";
            tell(Diagnostic::warning("unconstrained", place, message).help(help));
        }
        if let (Some(model), Some(output), Some(schema)) = (model, asked.output, asked.schema)
            && let Err(error) = model.check_constraint(&Constraint::JsonSchema(schema.clone()))
        {
            let message = format!("the model `{}` cannot be held to this form: {}", asked.name, cause(&error));
            let help = "leave out what it names, and hold the answer to it by a step behind this one or by `ensure`";
            tell(Diagnostic::new("unenforceable", output.place(), message).help(help));
        }
        let context = model.and_then(|model| model.capabilities().context_length).or(spec.context);
        if let Some(diagnostic) = context.and_then(|context| asked.prompt(context, model)) {
            tell(diagnostic);
        }
    }
    found
}

/// What a step asks a model.
struct Asked<'a> {
    /// The model's name.
    name: &'a str,
    adapter: Option<&'a At<String>>,
    /// Where it is said that answers have a form, or what makes them have one.
    form: Option<Place>,
    output: Option<&'a SchemaDef>,
    schema: Option<&'a Value>,
    /// What is known of the prompt.
    messages: Cow<'a, [Message]>,
    max_tokens: u32,
    /// Where the length of an answer is said, or else the whole.
    place: Place,
}

impl<'a> Asked<'a> {
    fn of(verb: &'a Verb, def: Option<&'a VerbDef>) -> Option<Self> {
        match (verb, def?) {
            (Verb::Chat(chat), VerbDef::Chat(At { value: def, place })) => Some(Asked {
                name: &chat.model,
                adapter: def.adapter.as_ref(),
                form: def.output.as_ref().map(SchemaDef::place),
                output: def.output.as_ref(),
                schema: chat.schema.as_ref(),
                messages: Cow::Borrowed(&chat.messages),
                max_tokens: chat.max_tokens,
                place: def.max_tokens.as_ref().map_or(*place, |max| max.place),
            }),
            (Verb::Goal(goal), VerbDef::Goal(At { value: def, place })) => Some(Asked {
                name: &goal.model,
                adapter: None,
                // Each of its turns has one.
                form: Some(*place),
                output: def.output.as_ref(),
                schema: goal.schema.as_ref(),
                messages: Cow::Owned(vec![Message::user(goal.goal.clone())]),
                max_tokens: goal.max_tokens,
                place: def.max_tokens.as_ref().map_or(*place, |max| max.place),
            }),
            _ => None,
        }
    }

    /// The parts of a prompt that are known before the run must fit beside the answer.
    fn prompt(&self, context: u32, model: Option<&SharedModel>) -> Option<Diagnostic> {
        let (context, answer) = (context as usize, self.max_tokens as usize);
        let (known, counted) = prompt_tokens(&self.messages, model);
        let about = if counted { "" } else { "about " };
        let sizes = format!(
            "{about}{known} tokens of prompt are written out, the answer may take {answer}, and the context of `{}` holds {context}",
            self.name
        );
        let help = "shorten the prompt, lower `max_tokens`, or raise the model's `context`";
        // An estimate of the prompt is no proof.
        if answer >= context || (counted && known + answer > context) {
            return Some(Diagnostic::new("prompt-too-long", self.place, sizes).help(help));
        }
        let near = known + answer > context - context / 10;
        near.then(|| Diagnostic::warning("prompt-near-limit", self.place, sizes).help(help))
    }
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

/// How many tokens of a prompt are written out, and whether they were counted.
pub(crate) fn prompt_tokens(messages: &[Message], model: Option<&SharedModel>) -> (usize, bool) {
    let counted = model.and_then(|model| counted(messages, model));
    (counted.unwrap_or_else(|| estimated(messages)), counted.is_some())
}

fn counted(messages: &[Message], model: &SharedModel) -> Option<usize> {
    let messages = messages.iter().map(|said| ChatMessage::new(said.role, written_out(&said.content.text)));
    model.count_tokens(&ChatRequest::new(messages.collect()))
}

/// About how many tokens of a prompt are written out.
pub(crate) fn estimated(messages: &[Message]) -> usize {
    messages.iter().map(|said| written_out(&said.content.text).chars().count().div_ceil(CHARACTERS)).sum()
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
