//! What a workflow grants to a family of tools.

use std::sync::Arc;

use async_trait::async_trait;
use parkway_core::id::EffectKey;
use parkway_core::tool::{Reach, Reconciled, SharedTool, Tool, ToolContext, ToolError, ToolOutput, ToolSpec};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The grants in the family's own form, which are none where nothing is granted. `message` tells of those of another form.
pub(crate) fn granted<G: DeserializeOwned + Default>(
    grants: &Value,
    message: impl FnOnce(serde_json::Error) -> String,
) -> Result<G, ToolError> {
    if grants.is_null() {
        return Ok(G::default());
    }
    G::deserialize(grants).map_err(|error| ToolError::invalid("invalid_grants", message(error)))
}

/// What the grants of a family let its tools reach, or what is wrong with them.
pub(crate) type ReachOf = fn(&Value) -> Result<Reach, ToolError>;

/// The tools of one family, which read its grants alike.
pub(crate) fn family(tools: Vec<SharedTool>, reach: ReachOf) -> Vec<SharedTool> {
    tools.into_iter().map(|tool| Arc::new(Member { tool, reach }) as SharedTool).collect()
}

struct Member {
    tool: SharedTool,
    reach: ReachOf,
}

#[async_trait]
impl Tool for Member {
    fn spec(&self) -> &ToolSpec {
        self.tool.spec()
    }

    async fn call(&self, input: Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        self.tool.call(input, context).await
    }

    async fn reconcile(&self, key: &EffectKey, context: &ToolContext) -> Result<Reconciled, ToolError> {
        self.tool.reconcile(key, context).await
    }

    fn reach(&self, grants: &Value) -> Result<Reach, ToolError> {
        (self.reach)(grants)
    }
}
