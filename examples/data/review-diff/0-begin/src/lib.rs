//! What a parcel costs.

mod rates;
mod store;
mod weights;

pub use rates::{Zone, price};
pub use store::Store;
pub use weights::grams;
