//! The command line of Parkway.

pub mod render;
