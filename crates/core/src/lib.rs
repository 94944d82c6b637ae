//! The engine of Parkway.

pub mod model;
