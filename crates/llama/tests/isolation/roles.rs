//! What this program plays in other processes than that of the tests.
#![expect(clippy::print_stdout, reason = "another process reads it")]

use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use parkway_core::model::Model;
use parkway_llama::Llama;

use crate::{block_on, isolated, long, model_path};

/// This program in a role.
pub(crate) fn start(role: &str, file: &Path, secret: Option<(&str, &str)>) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.arg(format!("role:{role}")).arg(file).stdout(Stdio::piped()).envs(secret);
    command.spawn().unwrap()
}

/// Plays the role that the arguments name, if they do.
pub(crate) fn play() -> bool {
    let mut args = env::args().skip(1);
    let (role, file) = (args.next().unwrap_or_default(), args.next().unwrap_or_default());
    match role.as_str() {
        // Is killed while its model answers.
        "role:busy" => {
            let model = isolated();
            let mut deltas = block_on(model.stream(long())).unwrap();
            while block_on(deltas.next()).is_some() {
                println!("{}", model.process_id().unwrap());
            }
            thread::sleep(Duration::from_secs(100));
        }
        // Is killed while its model is loaded.
        "role:loading" => drop(isolated()),
        // Has a secret, and starts a program that tells of its environment.
        "role:environment" => {
            let error = Llama::gguf(model_path()).isolated().program(file).load(|_| ()).unwrap_err();
            println!("{error}");
        }
        _ => return false,
    }
    true
}

/// Whether this is the program that does not begin with `serve_child`; then it does what it does.
pub(crate) fn forgets() -> bool {
    let path = PathBuf::from(env::args_os().next().unwrap_or_default());
    if !path.ends_with("forgetful") {
        return false;
    }
    let mut runs = OpenOptions::new().create(true).append(true).open(path.with_extension("runs")).unwrap();
    writeln!(runs, "{}", std::process::id()).unwrap();
    let config = Llama::gguf(model_path()).isolated();
    println!("{}", config.clone().load(|_| ()).unwrap_err());
    println!("{}", config.program(path).load(|_| ()).unwrap_err());
    true
}
