//! Models in processes of their own, on the real, small model. This program is the process, too: its `main` begins as that of
//! a program that embeds Parkway does, which the common harness leaves no place for.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails panics")]

mod answers;
mod deaths;
mod programs;
mod roles;
mod system;

use std::env;
use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use parkway_core::model::{ChatMessage, ChatRequest, Role};
use parkway_llama::{IsolatedLlama, Llama};

fn main() -> ExitCode {
    if roles::forgets() {
        return ExitCode::SUCCESS;
    }
    parkway_llama::serve_child();
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

/// The model file; a test run without it fails, it does not pass.
fn model_path() -> PathBuf {
    let path = env::var_os("PARKWAY_TEST_GGUF").map_or_else(
        || {
            let home = env::var_os("HOME").expect("HOME is set");
            PathBuf::from(home).join(".cache/parkway/models/SmolLM2-135M-Instruct.Q4_1.gguf")
        },
        PathBuf::from,
    );
    assert!(path.exists(), "there is no model at {}; run `make test`, which fetches it first", path.display());
    path
}

fn isolated() -> IsolatedLlama {
    Llama::gguf(model_path()).context_length(2_048).isolated().load(|_| ()).unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn user(text: &str) -> ChatRequest {
    ChatRequest::new(vec![ChatMessage::new(Role::User, text)])
}

/// A request whose answer takes long.
fn long() -> ChatRequest {
    ChatRequest {
        max_tokens: 1_500,
        temperature: 1.0,
        ..user("Write a very long story about a fox, a crow and a bear.")
    }
}
