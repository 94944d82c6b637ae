//! The house is kept as docs/ARCHITECTURE.md says.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at the first thing that is not as it should be")]

#[cfg(feature = "anchors")]
mod anchors;
mod api;
mod audit;
mod blocking;
mod book;
mod building;
mod checking;
mod costs;
mod erasing;
mod examples;
mod exports;
mod goals;
mod house;
mod kept;
mod memories;
mod memories_said;
mod older;
mod promises;
mod realistic;
mod replaying;
mod servers;
mod settings;
mod shredding;
mod subworkflows;
mod tampering;
mod together;
mod trials;
mod words;
