//! What the book and the README say that commands print.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use parkway::models::Catalog;

use crate::bench::{Bench, redacted};
use crate::shop;

/// The fences of a page: the line, what stands after the marks, the text.
fn fences(page: &str) -> Vec<(usize, &str, String)> {
    let mut found = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((line, fence)) = lines.next() {
        if let Some(says) = fence.strip_prefix("```") {
            let text = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
            found.push((line + 1, says, text.map(|line| format!("{line}\n")).collect()));
        }
    }
    found
}

/// A command's writings to a terminal, in their order, as a file.
fn onto(bench: &Bench, folder: &Path, args: &[&str]) -> (Command, PathBuf) {
    let path = bench.path("printed");
    let file = File::create(&path).unwrap();
    let mut command = bench.command(args);
    command.current_dir(folder).stdout(file.try_clone().unwrap()).stderr(file);
    if cfg!(feature = "llama") {
        command.env("PARKWAY_CACHE", Catalog::open().unwrap().folder().parent().unwrap());
    }
    (command, path)
}

/// What a command writes to a terminal.
fn printed(bench: &Bench, folder: &Path, args: &[&str]) -> String {
    let (mut command, path) = onto(bench, folder, args);
    command.status().unwrap();
    fs::read_to_string(path).unwrap()
}

/// What a command writes that is killed once its run waits.
fn killed(bench: &Bench, folder: &Path, args: &[&str]) -> String {
    let (mut command, path) = onto(bench, folder, args);
    let mut child = command.spawn().unwrap();
    bench.wait_for("run_created", 1);
    bench.wait_for("step_waiting", 1);
    child.kill().unwrap();
    child.wait().unwrap();
    fs::read_to_string(path).unwrap()
}

/// The words of a command, as a shell takes them; only single quotes stand on pages.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    for c in command.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            c if c.is_whitespace() && !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Whether a text has these lines; `…` stands for any lines.
fn fits(expected: &[&str], lines: &[&str]) -> bool {
    match (expected.split_first(), lines.split_first()) {
        (None, None) => true,
        (Some((&"…", rest)), _) => (0..=lines.len()).any(|at| fits(rest, &lines[at..])),
        (Some((first, rest)), Some((line, after))) => first.trim_end() == line.trim_end() && fits(rest, after),
        _ => false,
    }
}

#[test]
fn what_the_documents_say_is_printed_is_printed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut commands = 0;
    let mut wrong = Vec::new();
    let operating = ["doubt", "store", "again", "audit", "memory"].map(|page| format!("docs/src/operating/{page}.md"));
    let pages =
        ["README.md", "docs/src/first-hour.md", "docs/src/commands.md", "docs/src/settings.md", "docs/src/testing.md"];
    let pages = pages.map(str::to_owned);
    // Those that ask a model are run where there is one.
    let runs = |says: &str| {
        ["console", "console here"].contains(&says) || (says == "console model" && cfg!(feature = "llama"))
    };
    for page in pages.into_iter().chain(operating) {
        let text = fs::read_to_string(root.join(&page)).unwrap();
        let bench = Bench::new("");
        fs::remove_file(bench.path("flow.yaml")).unwrap();
        fs::remove_file(bench.path("parkway.toml")).unwrap();
        let fences = fences(&text);
        for (_, says, text) in &fences {
            if let Some((_, name)) = says.split_once(" file=") {
                bench.write(name, text);
            }
        }
        let mut folder = bench.path("");
        for (line, says, text) in fences.iter().filter(|(_, says, _)| runs(says)) {
            if *says != "console here" {
                folder = bench.path("");
            }
            for part in format!("\n{text}").split("\n$ ").skip(1) {
                let (command, expected) = part.split_once('\n').unwrap_or((part, ""));
                let words = words(command);
                let words: Vec<_> = words.iter().map(String::as_str).collect();
                let given = match words.as_slice() {
                    ["cd", ".."] => {
                        folder = bench.path("");
                        continue;
                    }
                    ["cd", to] => {
                        folder = bench.path(to);
                        continue;
                    }
                    ["cat", file] => fs::read_to_string(folder.join(file)).unwrap_or_default(),
                    ["parkway", args @ .., "&", "sleep", _, "kill", "-9", "$!"] => killed(&bench, &folder, args),
                    ["parkway", args @ ..] => printed(&bench, &folder, args),
                    // The program of the page about doubts.
                    ["shop"] => shop::resumes(&bench).as_str().to_owned(),
                    ["shop", file] => shop::starts(&bench, file).as_str().to_owned(),
                    _ => {
                        wrong.push(format!("{page}:{line}: `{command}` is not run by this test"));
                        continue;
                    }
                };
                commands += 1;
                let (expected, given) = (redacted(&bench, expected), redacted(&bench, &given));
                let lines = |text| str::lines(text).collect::<Vec<_>>();
                if !fits(&lines(expected.trim_end()), &lines(given.trim_end())) {
                    wrong.push(format!("{page}:{line}: $ {command}\n{given}"));
                }
            }
        }
    }
    assert!(commands > 8, "only {commands} commands were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
