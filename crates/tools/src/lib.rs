//! The built-in tools: files within granted folders, requests to granted hosts, texts, JSON, time. Each one declares its effect
//! and the schemas of what it takes and gives.

mod builtin;
mod files;
mod http;
mod json;
mod remote;
mod text;
mod time;

use std::path::PathBuf;

use parkway_core::tool::SharedTool;

pub use files::{files, files_grants_schema};
pub use http::{http, http_grants_schema, notify_grants_schema};

/// Every built-in tool. Paths in arguments and grants are relative to `project_root`.
pub fn all(project_root: impl Into<PathBuf>) -> Vec<SharedTool> {
    let mut tools = files(project_root);
    tools.extend(http());
    tools.extend(text::text());
    tools.push(builtin::shared(json::Query));
    tools.extend(time::time());
    tools
}
