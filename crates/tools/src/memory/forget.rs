//! `memory.forget`: what a memory says is gone, and that it was there stays.

use parkway_core::label::Labels;
use parkway_core::tool::{Effect, ToolContext, ToolError};
use parkway_core::write::ToolWrite;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::find::Finder;
use super::grants::{Access, Grants};
use super::remember::MemoryName;
use crate::remote::Remote;

/// Forgets a memory: its text, its vector and what it is found by are erased. The runs that have seen it keep what they have seen.
pub(crate) struct Forget {
    pub(super) finder: Finder,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The memory.
    id: MemoryName,
    /// Why; it stays when the memory is gone.
    note: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Output {
    /// That it is not there any more.
    forgotten: bool,
    #[serde(skip)]
    write: Option<ToolWrite>,
}

impl Remote for Forget {
    const NAME: &'static str = "memory.forget";
    const DESCRIPTION: &'static str =
        "Forgets a memory for good: its text is erased. That something was forgotten, when and why, stays in the log.";
    const EFFECT: Effect = Effect::Transactional;
    const LABELS: Labels = Labels::NONE;
    type Input = Input;
    type Output = Output;

    fn write(output: &mut Output) -> Option<ToolWrite> {
        output.write.take()
    }

    async fn call(&self, input: Input, context: &ToolContext) -> Result<Output, ToolError> {
        let grants = Grants::of(context)?;
        let id = input.id.0;
        let unknown = || {
            let message = format!(
                "there is no memory {id} in a namespace that is granted for writing; `memory.recall` gives ids"
            );
            ToolError::invalid("not_found", message)
        };
        let memory = self.finder.get(id).await?.ok_or_else(unknown)?;
        // Whether it is there in a namespace of somebody else, or was, is nobody's business. Where a forgotten one was, nobody knows.
        let granted = |namespace: &str| grants.allows(namespace, Access::Write);
        if !memory.content.is_some_and(|content| granted(&content.namespace)) {
            return Err(unknown());
        }
        if self.finder.is_held(memory.run).await? {
            let run = memory.run;
            let message =
                format!("the memory is of run {run}, which is held: nothing of it is erased until that is lifted");
            return Err(ToolError::invalid("denied", message));
        }
        let write = ToolWrite::Forget { id, content: memory.commitment, note: input.note };
        Ok(Output { forgotten: true, write: Some(write) })
    }
}
