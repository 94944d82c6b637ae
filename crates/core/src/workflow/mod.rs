//! What should happen: the definition that an author writes, the graph in it, and the checked, frozen plan. Pure data.

mod check;
mod compile;
mod definition;
mod diagnostic;
mod field;
mod file_schema;
mod form;
mod graph;
mod inputs;
mod narrow;
mod outlook;
mod plan;
mod reading;
mod retry;
mod secret;
mod template;
mod tree;
mod unit;
mod write;
mod yaml;

pub(crate) use check::fits;
pub(crate) use compile::expression_or_value;
pub use definition::{
    AdapterSpec, Definition, GgufSpec, GpuLayers, GpuSplit, Isolation, ModelSpec, OpenAiSpec, Timeouts,
};
pub(crate) use diagnostic::nearest;
pub use diagnostic::{Diagnostic, Diagnostics, Place, Severity, did_you_mean};
pub use file_schema::file_schema;
pub use form::fill_form;
pub(crate) use graph::REPAIRS;
pub use graph::{
    Chat, Delegate, ForEach, Goal, Graph, Message, Node, NodeIndex, OnError, OnItemError, PlanExample, Planning,
    Repeat, RunIf, SubWorkflow, Text, Turn, Verb, Wait,
};
pub use inputs::Inputs;
pub(crate) use inputs::fill_inputs;
pub use outlook::{Awaited, CallOutlook, ChatOutlook, Outlook, Pause, StepOutlook, Surroundings, Times, WorstTime};
pub use plan::{FrozenTool, Limits, PLAN_VERSION, Plan, Requirements};
pub use retry::Retry;
pub(crate) use secret::misplaced_secret;
pub use template::library_page;
pub(crate) use template::{Reference, Template, TemplateError, Type, field_of, literal};
