//! What agents remember, in namespaces that are granted. What is written becomes true in the commit of its step.

mod find;
mod forget;
mod grants;
mod list;
mod recall;
mod remember;
mod told;

use std::sync::Arc;

use parkway_core::memory::Meaning;
use parkway_core::store::Store;
use parkway_core::tool::{SharedTool, schema_of};
use serde_json::Value;

use crate::builtin::untitled;
use crate::granted::family;
use crate::remote::remote;
use find::Finder;
use grants::Grants;

/// The `memory` family: `memory.remember`, `memory.recall`, `memory.list`, `memory.forget`, on the memories of `store`, which must be the one that keeps the
/// runs. With `meaning` they are found by that as well as by words.
pub fn memory(store: Arc<dyn Store>, meaning: Option<Arc<Meaning>>) -> Vec<SharedTool> {
    let finder = Finder::new(store, meaning);
    let tools = vec![
        remote(remember::Remember { finder: finder.clone() }),
        remote(recall::Recall { finder: finder.clone() }),
        remote(list::List { finder: finder.clone() }),
        remote(forget::Forget { finder }),
    ];
    family(tools, grants::reach)
}

/// JSON Schema of what a workflow says under `tools.memory`: the namespaces, and which of them may be written to.
pub fn memory_grants_schema() -> Value {
    untitled(schema_of::<Grants>())
}
