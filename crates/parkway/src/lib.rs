//! Parkway, an agentic workflow engine: the one dependency of a program that embeds it.

pub mod models;
