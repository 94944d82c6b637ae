//! What a workflow grants to a family of tools.

use parkway_core::tool::{ToolContext, ToolError};
use serde::de::DeserializeOwned;

/// The grants in the family's own form, which are none where nothing is granted. `message` tells of those of another form.
pub(crate) fn granted<G: DeserializeOwned + Default>(
    context: &ToolContext,
    message: impl FnOnce(serde_json::Error) -> String,
) -> Result<G, ToolError> {
    if context.grants.is_null() {
        return Ok(G::default());
    }
    G::deserialize(&context.grants).map_err(|error| ToolError::invalid("invalid_grants", message(error)))
}
