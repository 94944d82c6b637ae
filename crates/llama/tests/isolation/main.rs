//! Models in processes of their own, on the real, small model. This program is the process, too: its `main` begins as that of
//! a program that embeds Parkway does, which the common harness leaves no place for.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails panics")]

mod answers;
#[path = "../common/mod.rs"]
mod common;
mod deaths;
mod programs;
mod roles;
mod system;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use parkway_core::model::ChatRequest;
use parkway_llama::{IsolatedLlama, Llama};

use crate::common::{block_on, model_path, user};

fn main() -> ExitCode {
    if roles::forgets() {
        return ExitCode::SUCCESS;
    }
    // Within a runtime, as a program with an async `main` does; the command line calls it without one.
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async { parkway_llama::serve_child() });
    if roles::play() {
        return ExitCode::SUCCESS;
    }
    let mut args = Arguments::from_args();
    // Two busy models on two cores slow each other down tenfold.
    args.test_threads = Some(1);
    let tests = [answers::TESTS, deaths::TESTS, programs::TESTS].concat();
    let trial = |(name, test): (&str, fn())| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    libtest_mimic::run(&args, tests.into_iter().map(trial).collect()).exit_code()
}

/// A test and its name.
type Test = (&'static str, fn());

/// Tests under the names of their functions.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub(crate) const TESTS: &[crate::Test] = &[$((stringify!($name), $name)),*];
    };
}
pub(crate) use tests;

fn isolated() -> IsolatedLlama {
    Llama::gguf(model_path()).context_length(2_048).isolated().load(|_| ()).unwrap()
}

/// A request whose answer takes long.
fn long() -> ChatRequest {
    ChatRequest {
        max_tokens: 1_500,
        temperature: 1.0,
        ..user("Write a very long story about a fox, a crow and a bear.")
    }
}
