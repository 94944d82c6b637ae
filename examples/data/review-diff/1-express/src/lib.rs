//! What a parcel costs.

mod rates;
mod store;
mod weights;

pub use rates::{Zone, express, price};
pub use store::Store;
pub use weights::grams;
