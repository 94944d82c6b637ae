//! What a parcel costs.

mod carrier;
mod rates;
mod store;
mod weights;

pub use carrier::{Label, label, request};
pub use rates::{Zone, express, price};
pub use store::{Database, Store};
pub use weights::grams;
