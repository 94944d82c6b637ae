//! What runs have cost: tokens, time, energy and money, per step, run, workflow and tenant. All of it is a fold of the log, so that
//! it can be told of runs of long ago, and of runs whose texts are erased.
//!
//! What was counted or measured and what is estimated is never mixed: see [`EnergySpent`] and [`Money`].

mod call;
mod elsewhere;
mod ledger;
#[cfg(feature = "prices")]
mod listed;
#[cfg(not(feature = "prices"))]
#[path = "unlisted.rs"]
mod listed;
mod look;
mod rates;
mod shares;
mod spent;

pub use elsewhere::{Elsewhere, Price, UnknownPrice};
pub use ledger::{Ledger, PerSuccess, RunCost, StepCost, WorkflowCost};
pub use look::Scope;
pub use rates::{OwnPrice, Rates};
pub use spent::{EnergySpent, Money, Spent};

#[cfg(test)]
mod tests;
