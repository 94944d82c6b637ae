//! The built-in tools: text and time. Each one declares its effect and the schemas of what it takes and gives.

mod builtin;
mod text;
mod time;

use parkway_core::tool::SharedTool;

/// Every built-in tool.
pub fn all() -> Vec<SharedTool> {
    vec![builtin::shared(text::Find), builtin::shared(time::Now)]
}
