//! The command line's parts, as the command line uses them.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

mod letters;
mod render;
