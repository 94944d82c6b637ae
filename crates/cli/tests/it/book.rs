//! What the book and the README say that commands print.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use crate::bench::{Bench, redacted};

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

/// What a command writes to a terminal, in its order.
fn printed(bench: &Bench, folder: &Path, args: &[&str]) -> String {
    let path = bench.path("printed");
    let file = File::create(&path).unwrap();
    let mut command = bench.command(args);
    command.current_dir(folder).stdout(file.try_clone().unwrap()).stderr(file);
    command.status().unwrap();
    let mut text = String::new();
    File::open(path).unwrap().read_to_string(&mut text).unwrap();
    text
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
    for page in [
        "README.md",
        "docs/src/commands.md",
        "docs/src/settings.md",
        "docs/src/testing.md",
        "docs/src/operating/store.md",
    ] {
        let text = fs::read_to_string(root.join(page)).unwrap();
        let bench = Bench::new("");
        fs::remove_file(bench.path("flow.yaml")).unwrap();
        fs::remove_file(bench.path("parkway.toml")).unwrap();
        let fences = fences(&text);
        for (_, says, text) in &fences {
            if let Some((_, name)) = says.split_once(" file=") {
                bench.write(name, text);
            }
        }
        for (line, _, text) in fences.iter().filter(|(_, says, _)| *says == "console") {
            let mut folder = bench.path("");
            for part in format!("\n{text}").split("\n$ ").skip(1) {
                let (command, expected) = part.split_once('\n').unwrap_or((part, ""));
                let words: Vec<_> = command.split_whitespace().collect();
                match words.split_first() {
                    Some((&"cd", rest)) => folder = bench.path(rest[0]),
                    Some((&"parkway", args)) => {
                        commands += 1;
                        let expected = redacted(&bench, expected);
                        let given = redacted(&bench, &printed(&bench, &folder, args));
                        let lines = |text| str::lines(text).collect::<Vec<_>>();
                        if !fits(&lines(expected.trim_end()), &lines(given.trim_end())) {
                            wrong.push(format!("{page}:{line}: $ {command}\n{given}"));
                        }
                    }
                    _ => wrong.push(format!("{page}:{line}: `{command}` is not run by this test")),
                }
            }
        }
    }
    assert!(commands > 8, "only {commands} commands were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
