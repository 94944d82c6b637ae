//! What a program knows of list prices that was built without them.

use parkway_core::id::Time;
use parkway_core::model::Usage;

pub(super) const AS_OF: &str = "never";

/// A model with a list price: there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Listed {}

impl Listed {
    pub(super) fn named(_: &str) -> Option<Listed> {
        None
    }

    pub(super) fn at(_: &str, _: &str) -> Option<Listed> {
        None
    }

    pub(super) fn name(&self) -> String {
        match *self {}
    }

    pub(super) fn amount(&self, _: Usage, _: Option<Time>, _: bool) -> Option<f64> {
        match *self {}
    }

    pub(super) fn names() -> Vec<String> {
        Vec::new()
    }
}
