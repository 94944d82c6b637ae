//! The form of built-in tools that wait for another machine, or for the store: typed input and output, and an asynchronous body.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use parkway_core::id::EffectKey;
use parkway_core::label::Labels;
use parkway_core::tool::{Effect, Reconciled, SharedTool, Tool, ToolContext, ToolError, ToolOutput, ToolSpec};
use parkway_core::write::ToolWrite;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::builtin::{broken, misfit, spec_of};

/// A built-in tool that waits. Its schemas come from its types.
pub(crate) trait Remote: Send + Sync + 'static {
    const NAME: &'static str;
    const DESCRIPTION: &'static str;
    const EFFECT: Effect;
    const LABELS: Labels = Labels::UNTRUSTED;
    type Input: DeserializeOwned + JsonSchema + Send + 'static;
    type Output: Serialize + JsonSchema + Send + 'static;

    fn call(
        &self,
        input: Self::Input,
        context: &ToolContext,
    ) -> impl Future<Output = Result<Self::Output, ToolError>> + Send;

    /// What becomes true with the step. Only a transactional tool asks for any.
    fn write(_output: &mut Self::Output) -> Option<ToolWrite> {
        None
    }

    /// Whether the call with `key` was carried out, as far as the other side tells.
    fn reconcile(
        &self,
        _key: &EffectKey,
        _context: &ToolContext,
    ) -> impl Future<Output = Result<Reconciled, ToolError>> + Send {
        async { Ok(Reconciled::Unknown) }
    }
}

/// The tool behind the engine's port.
pub(crate) fn remote<T: Remote>(tool: T) -> SharedTool {
    let spec = spec_of::<T::Input, T::Output>(T::NAME, T::DESCRIPTION, T::EFFECT, T::LABELS);
    Arc::new(Port { spec, tool })
}

struct Port<T> {
    spec: ToolSpec,
    tool: T,
}

#[async_trait]
impl<T: Remote> Tool for Port<T> {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, input: Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        let input = serde_json::from_value(input).map_err(|error| misfit(T::NAME, &error))?;
        let mut output = self.tool.call(input, context).await?;
        let write = T::write(&mut output);
        let value = serde_json::to_value(output)
            .map_err(|e| broken(format!("the output of `{}` cannot be written as JSON: {e}", T::NAME)))?;
        Ok(ToolOutput { writes: write.into_iter().collect(), ..ToolOutput::new(value) })
    }

    async fn reconcile(&self, key: &EffectKey, context: &ToolContext) -> Result<Reconciled, ToolError> {
        self.tool.reconcile(key, context).await
    }
}
