//! The built-in tools: files within granted folders, the history of granted repositories, requests to granted hosts, statements to
//! granted databases, texts, JSON, time, what agents remember. Each one declares its effect and the schemas of what it takes and gives.

mod builtin;
mod files;
mod git;
mod granted;
mod http;
mod json;
mod memory;
mod remote;
mod sql;
mod text;
mod time;
mod watch;

use std::path::PathBuf;

use parkway_core::tool::SharedTool;

pub use files::{files, files_grants_schema};
pub use git::{git, git_grants_schema};
pub use http::{http, http_grants_schema, notify_grants_schema};
pub use memory::{memory, memory_grants_schema};
pub use sql::{sql, sql_grants_schema};

/// Every built-in tool but those of [`memory()`], which need a store. Paths in arguments and grants are relative to `project_root`.
pub fn all(project_root: impl Into<PathBuf>) -> Vec<SharedTool> {
    let project_root = project_root.into();
    let mut tools = files(project_root.clone());
    tools.extend(git(project_root.clone()));
    tools.extend(http());
    tools.extend(sql(project_root));
    tools.extend(text::text());
    tools.push(builtin::shared(json::Query));
    tools.extend(time::time());
    tools
}
