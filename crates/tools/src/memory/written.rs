//! The form of tools that ask for writes: typed input and output, and what becomes true with the step.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use parkway_core::label::Labels;
use parkway_core::tool::{Effect, SharedTool, Tool, ToolContext, ToolError, ToolOutput, ToolSpec};
use parkway_core::write::ToolWrite;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::builtin::{broken, misfit, spec_of};

/// A tool that asks for writes, and changes nothing itself.
pub(super) trait Written: Send + Sync + 'static {
    const NAME: &'static str;
    const DESCRIPTION: &'static str;
    const LABELS: Labels;
    type Input: DeserializeOwned + JsonSchema + Send + 'static;
    type Output: Serialize + JsonSchema + Send + 'static;

    fn call(
        &self,
        input: Self::Input,
        context: &ToolContext,
    ) -> impl Future<Output = Result<(Self::Output, Option<ToolWrite>), ToolError>> + Send;
}

/// The tool behind the engine's port.
pub(super) fn written<T: Written>(tool: T) -> SharedTool {
    let spec = spec_of::<T::Input, T::Output>(T::NAME, T::DESCRIPTION, Effect::Transactional, T::LABELS);
    Arc::new(Port { spec, tool })
}

struct Port<T> {
    spec: ToolSpec,
    tool: T,
}

#[async_trait]
impl<T: Written> Tool for Port<T> {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, input: Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        let input = serde_json::from_value(input).map_err(|error| misfit(T::NAME, &error))?;
        let (output, write) = self.tool.call(input, context).await?;
        let value = serde_json::to_value(output)
            .map_err(|e| broken(format!("the output of `{}` cannot be written as JSON: {e}", T::NAME)))?;
        let output = ToolOutput::new(value);
        Ok(match write {
            Some(write) => output.write(write),
            None => output,
        })
    }
}
