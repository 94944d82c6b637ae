//! A project folder with the tools on it.

use std::fs;
use std::path::{Path, PathBuf};

use parkway_core::id::Time;
use parkway_core::tool::{SharedTool, ToolContext, ToolError};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder `project` with `data/letters/{a,b}.txt` in it, beside a folder `outside` with `secret.txt`.
pub(crate) struct Project {
    parent: TempDir,
    pub(crate) grants: Value,
}

impl Project {
    pub(crate) fn new() -> Self {
        let project =
            Project { parent: crate::kept::folder().unwrap(), grants: json!({"read": ["data"], "write": ["out"]}) };
        project.put("data/letters/a.txt", "first");
        project.put("data/letters/b.txt", "second");
        project.put("private/keys.txt", "key");
        fs::create_dir(project.outside()).unwrap();
        fs::write(project.outside().join("secret.txt"), "secret").unwrap();
        project
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.parent.path().join("project")
    }

    pub(crate) fn outside(&self) -> PathBuf {
        self.parent.path().join("outside")
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    pub(crate) fn put(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Makes `path` in the project a symbolic link to `target`.
    pub(crate) fn link(&self, path: &str, target: impl AsRef<Path>) {
        std::os::unix::fs::symlink(target, self.path(path)).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    pub(crate) fn tool(&self, name: &str) -> SharedTool {
        parkway_tools::all(self.root()).into_iter().find(|tool| tool.spec().name == name).unwrap()
    }

    /// Calls a tool. Its output is checked against its schema.
    pub(crate) fn call(&self, name: &str, input: Value) -> Result<Value, ToolError> {
        self.call_within(name, input, &self.context())
    }

    /// Calls a tool as an attempt after others does.
    pub(crate) fn attempt(&self, attempt: u32, name: &str, input: Value) -> Result<Value, ToolError> {
        self.call_within(name, input, &self.context_of(attempt))
    }

    /// What an attempt knows of its run.
    pub(crate) fn context_of(&self, attempt: u32) -> ToolContext {
        let mut context = self.context();
        context.attempt = attempt;
        context
    }

    /// What a call of a tool knows of its run.
    pub(crate) fn context(&self) -> ToolContext {
        ToolContext::detached(self.grants.clone(), Time::from_micros(1_795_000_000_123_456))
    }

    pub(crate) fn call_within(&self, name: &str, input: Value, context: &ToolContext) -> Result<Value, ToolError> {
        self.call_on(&self.tool(name), input, context)
    }

    /// Calls a tool that lives on.
    pub(crate) fn call_on(&self, tool: &SharedTool, input: Value, context: &ToolContext) -> Result<Value, ToolError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let output = runtime.block_on(tool.call(input, context))?;
        jsonschema::validate(&tool.spec().output_schema, &output.value).unwrap();
        Ok(output.value)
    }

    /// The code of the error that the call ends in, and its message.
    #[track_caller]
    pub(crate) fn refused(&self, name: &str, input: Value) -> String {
        let input_text = input.to_string();
        match self.call(name, input) {
            Ok(value) => panic!("`{name}` with {input_text} gave {value}"),
            Err(error) => {
                assert!(!error.message.contains("secret"), "{error}");
                format!("{}: {}", error.code, error.message)
            }
        }
    }
}
