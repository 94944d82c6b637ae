//! Parkway, an agentic workflow engine: the one dependency of a program that embeds it.
//!
//! A [`Workflow`] is read from a file; [`Parkway::start`] makes a [`Run`] of it, which is kept in a store, event by event,
//! and can be resumed after a crash. Features choose the adapters: `sqlite`, `tools`, `openai`, for models at servers, and
//! `prices`, the list prices of such models (default), `llama` for models in the process, `testing` for a scripted model.

pub mod audit;
pub mod blocking;
pub mod cost;
pub mod distil;
pub mod energy;
pub mod memory;
pub mod models;
pub mod settings;
#[cfg(feature = "testing")]
pub mod trial;

mod again;
mod asked;
mod binding;
mod bounds;
mod builder;
mod embed;
mod embedding;
mod error;
mod goal;
#[cfg(feature = "llama")]
mod local;
mod record;
mod run;
#[cfg(feature = "openai")]
mod server;
mod words;
mod workflow;

pub use binding::{LoadProgress, ModelBinding};
pub use builder::Builder;
pub use embed::{Parkway, RunOptions};
pub use error::Error;
pub use goal::{Answer, Goal};
pub use record::Record;
pub use run::{Events, Run, Updates};
pub use workflow::{Field, Step, Workflow, WorkflowBuilder};

pub use parkway_core::clock;
pub use parkway_core::embedder;
pub use parkway_core::engine::{Ended, ExecutorError, Fork, ForkStep, Notice as Update, Preapproval, Reopening};
pub use parkway_core::host;
pub use parkway_core::id;
pub use parkway_core::label::Labels;
pub use parkway_core::log;
pub use parkway_core::model;
pub use parkway_core::planning;
pub use parkway_core::policy;
pub use parkway_core::secret;
pub use parkway_core::store;
#[cfg(feature = "testing")]
pub use parkway_core::testing;
pub use parkway_core::tool::{self, Effect, Tool, ToolContext, ToolError, ToolOutput, ToolSpec, tool_fn};
pub use parkway_core::workflow as definition;
pub use parkway_core::workflow::{Diagnostics, Inputs, Outlook, Plan};
pub use parkway_core::write;

#[cfg(feature = "sqlite")]
pub use parkway_store::upkeep;

#[cfg(feature = "llama")]
pub use parkway_llama as llama;
#[cfg(feature = "llama")]
pub use parkway_llama::Llama;

#[cfg(feature = "openai")]
pub use parkway_openai as openai;
#[cfg(feature = "openai")]
pub use parkway_openai::OpenAi;

/// The store on SQLite, for who hands it to [`Builder::store_with`] instead of naming a file.
#[cfg(feature = "sqlite")]
pub use parkway_store as sqlite;

#[doc(hidden)]
pub use serde_json as __serde_json;

/// Values for a workflow's inputs.
///
/// ```
/// let inputs = parkway::inputs! { letters: "data", most: 3 };
/// assert_eq!(inputs["most"], 3);
/// ```
#[macro_export]
macro_rules! inputs {
    ($($name:ident : $value:expr),* $(,)?) => {{
        #[allow(unused_mut, reason = "there may be no inputs")]
        let mut inputs = $crate::Inputs::new();
        $(inputs.insert(stringify!($name).to_owned(), $crate::__serde_json::json!($value));)*
        inputs
    }};
}

/// The pages of the book whose programs are run.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../docs/src/builder.md")]
    struct Builder;
    #[doc = include_str!("../../../docs/src/embedding.md")]
    struct Embedding;
}
