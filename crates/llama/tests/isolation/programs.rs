//! Programs that are no processes for models, or bad ones.

use std::env;
use std::fs;
use std::io::Read;
use std::process::Command;
use std::time::{Duration, Instant};

use parkway_core::model::{Model, ModelError};
use parkway_llama::{Llama, LoadError};

use crate::system::{Scratch, children};
use crate::{block_on, model_path, roles, user};

crate::tests![
    a_program_that_is_no_process_for_models_is_taken_for_one,
    a_program_that_says_nothing_is_waited_for_forever,
    a_program_that_forgot_runs_again_and_again,
    a_secret_of_the_program_goes_to_the_process,
    a_process_of_another_version_is_spoken_to,
    a_process_that_answers_nonsense_is_believed,
];

fn load(program: &str) -> String {
    let started = Instant::now();
    let error = Llama::gguf(model_path()).isolated().program(program).load(|_| ()).unwrap_err();
    assert!(matches!(error, LoadError::Process { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(13), "{:?}", started.elapsed());
    assert!(children(std::process::id()).is_empty());
    error.to_string()
}

fn a_program_that_is_no_process_for_models_is_taken_for_one() {
    for (program, words) in [
        ("true", "it ended with exit code 0"),
        ("false", "it ended with exit code 1"),
        ("cat", "it ended with exit code 1 (its last words: `cat: "),
        ("yes", "`model-process SmolLM2-135M-Instruct.Q4_1` is no line of the protocol"),
        ("no-such-program-anywhere", "`no-such-program-anywhere` cannot be started ("),
    ] {
        let error = load(program);
        assert!(error.contains(words) && error.contains(program), "{error}");
        if !words.contains("started") {
            assert!(error.contains("`parkway_llama::serve_child()`"), "{error}");
        }
    }
}

fn a_program_that_says_nothing_is_waited_for_forever() {
    let scratch = Scratch::new("silent");
    let program = scratch.script("silent", "exec sleep 1000");
    let error = load(program.to_str().unwrap());
    assert!(error.contains("it said nothing for 10 seconds"), "{error}");
}

fn a_program_that_forgot_runs_again_and_again() {
    let scratch = Scratch::new("forgetful");
    let program = scratch.file("forgetful");
    fs::hard_link(env::current_exe().unwrap(), &program).unwrap();
    let output = Command::new(&program).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    // By itself it is not even started, and where it names itself it is so once.
    assert!(lines[0].contains("this program cannot be started again as one; begin its `main` with"), "{said}");
    assert!(lines[1].contains("is no program for models: it said what cannot be read"), "{said}");
    assert_eq!(fs::read_to_string(program.with_extension("runs")).unwrap().lines().count(), 2);
}

fn a_secret_of_the_program_goes_to_the_process() {
    let scratch = Scratch::new("environment");
    let program = scratch.script("tell", "env > \"$0.env\"");
    let mut child = roles::start("environment", &program, Some(("OPENAI_KEY", "sk-secret")));
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(said.contains("it ended with exit code 0"), "{said}");
    let environment = fs::read_to_string(scratch.file("tell.env")).unwrap();
    assert!(environment.contains("PATH=") && environment.contains("PARKWAY_LLAMA_CHILD=1\n"), "{environment}");
    assert!(!environment.contains("OPENAI_KEY") && !environment.contains("sk-secret"), "{environment}");
    assert!(!environment.contains("CARGO"), "{environment}");
}

fn a_process_of_another_version_is_spoken_to() {
    let scratch = Scratch::new("version");
    let program = scratch.script("other", r#"echo '0 {"hello":{"protocol":2}}'; exec sleep 1000"#);
    let error = load(program.to_str().unwrap());
    assert!(error.contains("speaks version 2 of the protocol and this program version 1"), "{error}");
}

/// What a process does with its second line, a request, after it said that it has loaded; `$id` is the request's.
fn answered(name: &str, then: &str) -> String {
    let scratch = Scratch::new(name);
    let program = scratch.script(
        name,
        &format!(
            r#"echo '0 {{"hello":{{"protocol":1}}}}'; read -r load
            echo '0 {{"loaded":{{"capabilities":{{"name":"m"}},"room":4}}}}'; read -r id request
            {then}"#
        ),
    );
    let model = Llama::gguf("m.gguf").isolated().program(program).load(|_| ()).unwrap();
    let started = Instant::now();
    let error = block_on(model.chat(user("Hi"))).unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert!(matches!(&error, ModelError::Backend { retryable: true, .. }), "{error:?}");
    assert!(!error.to_string().contains('\x1b'));
    assert!(model.process_id().is_none() && children(std::process::id()).is_empty());
    error.to_string()
}

fn a_process_that_answers_nonsense_is_believed() {
    for (name, then, words) in [
        ("text", "echo hello; exec sleep 1000", "`hello` is no line of the protocol"),
        ("control", r"printf '\033[2J {}\n'; exec sleep 1000", "is no line of the protocol"),
        ("json", "echo \"$id {\\\"piece\\\":7}\"; exec sleep 1000", "it said what cannot be read (expected value"),
        ("other", r#"echo '77 {"piece":{"text":"x"}}'; exec sleep 1000"#, "it answered what nobody asked"),
        ("again", r#"echo '0 {"progress":1.0}'; exec sleep 1000"#, "it said what nobody asked"),
        ("much", "yes \"$id {\\\"piece\\\":{\\\"text\\\":\\\"x\\\"}}\"", "it answered more than an answer can be"),
        ("long", "exec tr '\\0' 'x' < /dev/zero", "a line is longer than 67108864 bytes"),
        ("half", "printf '%s {\"piece\"' $id; exit 3", "ended with exit code 3"),
        ("words", r"printf 'one\033[2Jtwo\n' >&2; kill -SEGV $$", "signal 11, SIGSEGV (its last words: `one [2Jtwo`)"),
    ] {
        let error = answered(name, then);
        assert!(error.contains(words), "{name}: {error}");
    }
}
