//! The form that every built-in tool has: typed input and output, and a body that may block.

use std::sync::Arc;

use async_trait::async_trait;
use parkway_core::label::Labels;
use parkway_core::tool::{Effect, SharedTool, Tool, ToolContext, ToolError, ToolOutput, ToolSpec, schema_of};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A built-in tool. Its schemas come from its types.
pub(crate) trait Builtin: Send + Sync + 'static {
    const NAME: &'static str;
    const DESCRIPTION: &'static str;
    const EFFECT: Effect;
    const LABELS: Labels = Labels::NONE;
    type Input: DeserializeOwned + JsonSchema + Send + 'static;
    type Output: Serialize + JsonSchema + Send + 'static;

    /// Runs on a thread where blocking is allowed.
    fn call(&self, input: Self::Input, context: &ToolContext) -> Result<Self::Output, ToolError>;
}

/// The tool behind the engine's port.
pub(crate) fn shared<T: Builtin>(tool: T) -> SharedTool {
    let spec = spec_of::<T::Input, T::Output>(T::NAME, T::DESCRIPTION, T::EFFECT, T::LABELS);
    Arc::new(Port { spec, tool: Arc::new(tool) })
}

/// What a tool is, with schemas from its types.
pub(crate) fn spec_of<I: JsonSchema, O: JsonSchema>(
    name: &str,
    description: &str,
    effect: Effect,
    labels: Labels,
) -> ToolSpec {
    ToolSpec {
        name: name.into(),
        description: description.into(),
        input_schema: untitled(schema_of::<I>()),
        output_schema: untitled(schema_of::<O>()),
        effect,
        labels,
    }
}

/// The schema without the name of the Rust type, which means nothing to a reader and would be part of the plan's hash.
pub(crate) fn untitled(mut schema: Value) -> Value {
    if let Some(object) = schema.as_object_mut() {
        object.remove("title");
    }
    schema
}

struct Port<T> {
    spec: ToolSpec,
    tool: Arc<T>,
}

#[async_trait]
impl<T: Builtin> Tool for Port<T> {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, input: Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        let input: T::Input = serde_json::from_value(input).map_err(|error| misfit(T::NAME, &error))?;
        let (tool, context) = (Arc::clone(&self.tool), context.clone());
        let output = tokio::task::spawn_blocking(move || tool.call(input, &context))
            .await
            .map_err(|e| broken(format!("`{}` did not end: {e}", T::NAME)))??;
        let value = serde_json::to_value(output)
            .map_err(|e| broken(format!("the output of `{}` cannot be written as JSON: {e}", T::NAME)))?;
        Ok(ToolOutput::new(value))
    }
}

/// Arguments that the input of a tool does not allow.
pub(crate) fn misfit(tool: &str, error: &serde_json::Error) -> ToolError {
    ToolError::invalid("invalid", format!("the arguments do not fit the input of `{tool}`: {error}"))
}

/// An error of ours, not of the caller's; what the call has done by then is not known.
pub(crate) fn broken(message: String) -> ToolError {
    ToolError { not_done: false, ..ToolError::invalid("internal", message) }
}
