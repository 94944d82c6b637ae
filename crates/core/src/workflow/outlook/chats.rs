//! What a chat gives to its model, and how many tokens that may use.

use super::{ChatOutlook, Surroundings, Times};
use crate::model::ConstraintKind;
use crate::workflow::check::models::prompt_tokens;
use crate::workflow::graph::{Chat, REPAIRS};
use crate::workflow::plan::Plan;
use crate::workflow::template::Template;

/// What is known of a chat.
pub(super) fn chat(plan: &Plan, around: &Surroundings<'_>, chat: &Chat) -> ChatOutlook {
    let model = around.models.get(&chat.model);
    let (prompt_tokens, counted) = prompt_tokens(&chat.messages, model);
    ChatOutlook {
        model: chat.model.clone(),
        max_tokens: chat.max_tokens,
        prompt_tokens: prompt_tokens as u64,
        counted,
        whole: chat.messages.iter().all(|said| is_constant(&said.content.text)),
        context: context(plan, around, &chat.model),
    }
}

/// A model's context, where it is known.
pub(super) fn context(plan: &Plan, around: &Surroundings<'_>, model: &str) -> Option<u32> {
    let said = plan.models.get(model).and_then(|spec| spec.context);
    around.models.get(model).and_then(|model| model.capabilities().context_length).or(said)
}

/// Whether a model holds its answers to a form.
pub(super) fn enforces(around: &Surroundings<'_>, model: &str) -> bool {
    around.models.get(model).is_none_or(|model| {
        // One that is not at hand is taken to be a GGUF model, which does.
        model.capabilities().constraints.contains(&ConstraintKind::JsonSchema)
    })
}

fn is_constant(text: &str) -> bool {
    !text.contains("{%") && Template::Text(text).references().is_ok_and(|named| named.is_empty())
}

/// The tokens of one run of a chat that is attempted up to `attempts` times.
pub(super) fn tokens(around: &Surroundings<'_>, chat: &Chat, known: &ChatOutlook, attempts: u64) -> Times {
    let has_form = chat.schema.is_some() || !chat.tools.is_empty();
    let turns = if has_form && !enforces(around, &chat.model) { 1 + u64::from(REPAIRS) } else { 1 };
    let written = (known.whole && known.counted).then(|| known.prompt_tokens + u64::from(chat.max_tokens));
    // Prompt and answer never hold more than the context.
    let turn = written.into_iter().chain(known.context.map(u64::from)).min();
    // A question that is asked again holds the answer before, so that only the context bounds it.
    let turn = if turns > 1 { known.context.map(u64::from) } else { turn };
    Times { least: known.prompt_tokens, most: turn.map(|turn| turn.saturating_mul(turns).saturating_mul(attempts)) }
}
