//! The house is kept as docs/ARCHITECTURE.md says.

mod api;
mod house;
