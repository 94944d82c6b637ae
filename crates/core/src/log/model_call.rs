//! What an event tells of one answer of a model.

use serde::{Deserialize, Serialize};

use super::payload::Commitment;
use crate::model::{ChatRequest, Constraint, FinishReason, ToolDefinition, Usage};

/// One answer of a model, with what is needed to decode it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ModelCall {
    /// The model's name in the workflow.
    pub model: String,
    /// What the model calls itself.
    pub name: String,
    /// SHA-256 of the model file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_hash: Option<String>,
    /// SHA-256 of the chat template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_hash: Option<String>,
    /// The adapter that was put on the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// SHA-256 of its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter_hash: Option<String>,
    /// How strongly it acted, in thousandths of what it was trained to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter_scale_milli: Option<i32>,
    /// SHA-256 of the constraint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grammar_hash: Option<String>,
    /// Where it ran.
    pub device: String,
    /// The sampler's seed.
    #[serde(with = "string_number")]
    pub seed: u64,
    /// The sampler's temperature, in thousandths.
    pub temperature_milli: u32,
    /// The most tokens that the answer could have.
    pub max_tokens: u32,
    /// The request's messages, and the prefix of the answer if there was one.
    pub messages: Commitment,
    /// What the answer was held to, where the run's plan does not say it: [`AnswerForm`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<Commitment>,
    /// The answer's text.
    pub answer: Commitment,
    /// What the model thought before it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking: Option<Commitment>,
    /// The tools that it asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<Commitment>,
    /// Ids of the answer's tokens, where the backend tells them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Commitment>,
    /// Tokens read and written.
    pub usage: Usage,
    /// Why it ended.
    pub finish: FinishReason,
    /// How long it took, in milliseconds.
    pub took_ms: u32,
    /// What it took of the machine's energy, where that was metered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy: Option<Energy>,
    /// How sure the model was where a constraint left it a choice, in thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence_milli: Option<u16>,
    /// Whether the answer was of the form asked for; one that was not is asked again.
    pub valid: bool,
}

/// The energy of a call, as it was metered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Energy {
    /// Millijoules: the call's share, by time, of what the meter counted.
    pub mj: u64,
    /// What was metered, for example `cpu`.
    pub of: String,
}

/// What a request asks for beside its messages: what an answer is held to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AnswerForm {
    /// What the answer must look like; free text if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint: Option<Constraint>,
    /// The tools that the model may ask for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolDefinition>,
    /// Text that the answer goes on after. Where it is the last of the recorded messages, too, it is no message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

impl From<&ChatRequest> for AnswerForm {
    fn from(request: &ChatRequest) -> Self {
        AnswerForm {
            constraint: request.constraint.clone(),
            tools: request.tools.clone(),
            prefix: request.assistant_prefix.clone(),
        }
    }
}

mod string_number {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
