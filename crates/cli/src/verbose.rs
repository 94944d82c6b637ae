//! `--verbose`: what the parts say about their work, on stderr.

use std::io;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts to tell. llama.cpp is talkative at level info, and the database at every statement.
pub(crate) fn start() {
    let quiet = ["llama-cpp-2", "llama_cpp_2", "llama", "ggml", "sqlx"].map(|target| (target, LevelFilter::WARN));
    let targets = Targets::new().with_default(LevelFilter::DEBUG).with_targets(quiet);
    // It would tell errors of stderr on stderr, and panic at the next.
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false).log_internal_errors(false);
    tracing_subscriber::registry().with(targets).with(layer).init();
}
