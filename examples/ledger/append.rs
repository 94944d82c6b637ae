//! The tool that changes the world: a line in a file, on disk before the call goes on.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;

use async_trait::async_trait;
use parkway::id::EffectKey;
use parkway::tool::Reconciled;
use parkway::{Effect, Labels, Tool, ToolContext, ToolError, ToolOutput, ToolSpec};
use serde_json::{Value, json};

/// A file of lines, each a step and the key of its effect.
#[derive(Clone, Debug)]
pub(crate) struct Ledger(PathBuf);

impl Ledger {
    pub(crate) fn at(path: PathBuf) -> Self {
        Ledger(path)
    }

    /// Returns when the line can no longer be undone.
    fn append(&self, step: &str, key: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.0)?;
        // One write of one line: a kill leaves all of it or nothing.
        file.write_all(format!("{step} {key}\n").as_bytes())?;
        file.sync_all()
    }

    /// Whether a line has this key.
    pub(crate) fn holds(&self, key: &str) -> io::Result<bool> {
        match fs::read_to_string(&self.0) {
            Ok(text) => Ok(text.lines().any(|line| line.split(' ').nth(1) == Some(key))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// What the tool returns.
pub(crate) fn output() -> Value {
    json!({ "written": true })
}

/// The tool `ledger.append`.
pub(crate) struct Append {
    spec: ToolSpec,
    ledger: Ledger,
    reconciles: bool,
    done: Box<dyn Fn() + Send + Sync>,
}

impl Append {
    /// The tool; `done` is told when the line is on disk, `reconciles` whether it looks for lines after a crash.
    pub(crate) fn new(
        ledger: Ledger,
        effect: Effect,
        reconciles: bool,
        done: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let spec = ToolSpec {
            name: "ledger.append".into(),
            description: "Writes the step and its key into the ledger.".into(),
            input_schema: json!({ "type": "object", "additionalProperties": false }),
            output_schema: json!({ "type": "object", "properties": { "written": { "type": "boolean" } } }),
            effect,
            labels: Labels::NONE,
        };
        Append { spec, ledger, reconciles, done: Box::new(done) }
    }
}

#[async_trait]
impl Tool for Append {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, _: Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        let (step, key) = (context.step.to_string(), context.key.to_string());
        self.ledger.append(&step, &key).map_err(|e| ToolError::transient("io", format!("the ledger: {e}")))?;
        (self.done)();
        Ok(ToolOutput::new(output()))
    }

    async fn reconcile(&self, key: &EffectKey, _: &ToolContext) -> Result<Reconciled, ToolError> {
        if !self.reconciles {
            return Ok(Reconciled::Unknown);
        }
        match self.ledger.holds(&key.to_string()) {
            Ok(true) => Ok(Reconciled::Done(output())),
            Ok(false) => Ok(Reconciled::NotDone),
            Err(error) => Err(ToolError::transient("io", format!("the ledger: {error}"))),
        }
    }
}
