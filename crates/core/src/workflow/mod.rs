//! What should happen: the definition that an author writes, the graph in it, and the checked, frozen plan. Pure data.

mod check;
mod compile;
mod definition;
mod diagnostic;
mod field;
mod graph;
mod plan;
mod reading;
mod retry;
mod template;
mod tree;
mod unit;
mod yaml;

pub(crate) use compile::expression_or_value;
pub use definition::{Definition, GgufSpec, GpuLayers, Isolation, ModelSpec, OpenAiSpec};
pub use diagnostic::{Diagnostic, Diagnostics, Place, Severity};
pub use graph::{
    Chat, ForEach, Graph, Message, Node, NodeIndex, OnError, OnItemError, Repeat, RunIf, SubWorkflow, Text, Verb, Wait,
};
pub use plan::{FrozenTool, Inputs, Limits, PLAN_VERSION, Plan, Requirements};
pub use retry::Retry;
pub use template::library_page;
pub(crate) use template::{Reference, Template, TemplateError};
