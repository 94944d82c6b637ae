//! The command line as people use it, and its parts as it uses them.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

#[path = "../../../parkway/tests/it/kept.rs"]
mod kept;

mod again;
mod anchors;
mod audit;
mod bench;

mod codes;
mod costs;

mod letters;
mod render;

mod book;
mod cases;
mod ends;
mod forms;
mod goals;
mod history;
mod hostile;
mod looks;
mod memories;
mod pictures;
mod reading;
mod replays;
mod settings;
mod shop;
mod store;
mod templates;
mod timeline;
mod trials;
mod words;

#[cfg(unix)]
mod canaries;
#[cfg(unix)]
mod crash;
#[cfg(all(unix, feature = "llama"))]
mod real;
#[cfg(unix)]
mod terminal;
