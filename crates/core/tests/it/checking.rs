//! What an author reads about a file that is wrong: each file in `bad/` beside what is said about it, and files that
//! nobody writes by accident.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use parkway_core::policy::{DefaultPolicy, Policy};
use parkway_core::workflow::{Definition, Diagnostics, Plan, Requirements};

use crate::check::World;

/// More than this nobody reads.
const SCREEN: usize = 50;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/bad")
}

/// The bad files: their names without the ending, and their texts.
pub(crate) fn bad_files() -> Vec<(String, String)> {
    let mut files: Vec<_> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    let named = |path: &PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        (path.file_stem().unwrap().to_string_lossy().into_owned(), String::from_utf8_lossy(&bytes).into_owned())
    };
    files.iter().map(named).collect()
}

/// The text of a file that one in `bad/` names.
pub(crate) fn read_beside(path: &str) -> Result<String, String> {
    std::fs::read_to_string(folder().join(path)).map_err(|_| "no such file".into())
}

fn plan(name: &str, source: &str) -> Result<Plan, Diagnostics> {
    let definition = Definition::parse(&format!("{name}.yaml"), source, read_beside)?;
    Plan::check(&definition, &Requirements::new(&World::new().tools, DefaultPolicy.fingerprint()))
}

/// What is said about a file, within the time and the room that an author gives it.
fn said(name: &str, source: &str) -> String {
    let start = Instant::now();
    let said = plan(name, source).map(|_| ()).expect_err(name).to_string();
    let took = start.elapsed();
    assert!(took < Duration::from_secs(10), "{name} took {took:?}");
    assert!(said.lines().count() <= SCREEN, "{name} fills more than a screen:\n{said}");
    assert!(said.lines().all(|line| line.chars().count() <= 700), "{name} has very long lines:\n{said}");
    assert!(said.starts_with("error["), "{name}: {said}");
    said
}

#[test]
fn each_slip_is_told_at_its_place_with_a_way_out() {
    let files = bad_files();
    assert!(files.len() >= 80, "only {} files", files.len());
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder());
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for (name, source) in files {
            insta::assert_snapshot!(name.clone(), said(&name, &source));
        }
    });
}

/// What nobody should write is refused at once, with words, and never ends the program.
#[test]
fn hostile_files_are_refused_at_once() {
    let step = |value: &str| format!("parkway: 1\nsteps:\n  a:\n    set:\n      n: {value}\n");
    let nested: String = (0..5_000).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    let files = [
        ("brackets", "[".repeat(10 << 20)),
        ("brackets below the limit", "[".repeat(2_000_000)),
        ("brackets in a value", step(&"[".repeat(1_900_000))),
        ("braces", format!("parkway: 1\nsteps: {}", "{a: ".repeat(400_000))),
        ("dashes", "- ".repeat(1_000_000)),
        ("question marks", "? ".repeat(1_000_000)),
        ("anchors", "&a ".repeat(600_000)),
        ("tags", "!a ".repeat(600_000)),
        ("quotes", step(&"\"".repeat(1_900_001))),
        ("5,000 levels in flow", step(&format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000)))),
        ("1,900 levels in block", nested.lines().take(1_900).collect::<Vec<_>>().join("\n")),
        ("5,000 levels in block", nested),
        ("50 MB", step(&"x".repeat(50 << 20))),
        ("parentheses", step(&format!("\"${{{{ {} }}}}\"", "(".repeat(100_000)))),
        ("openings", step(&format!("\"{}\"", "${{".repeat(300_000)))),
        ("ifs", step(&format!("\"{}\"", "{% if 1 %}".repeat(50_000)))),
        (
            "filters",
            format!("parkway: 1\nsteps:\n  a: {{ if: \"1{}\", set: {{ n: 1 }} }}\n", " | first".repeat(50_000)),
        ),
        ("sums", step(&format!("\"${{{{ 1{} }}}}\"", " + 1".repeat(50_000)))),
        ("attributes", step(&format!("\"${{{{ inputs{} }}}}\"", ".a".repeat(50_000)))),
        ("negations", step(&format!("\"${{{{ {} 1 }}}}\"", "not ".repeat(50_000)))),
        ("zeros", "\0".repeat(1_000_000)),
        ("a long text", "x".repeat(1_000_000)),
        ("many items", "- x\n".repeat(250_000)),
        ("many unknown keys", (0..90_000).map(|n| format!("key{n}: 1\n")).collect()),
        ("many equal keys", "a: 1\n".repeat(40_000)),
        (
            "many wrong steps",
            format!("parkway: 1\nsteps:\n{}", (0..20_000).map(|n| format!("  s{n}: 1\n")).collect::<String>()),
        ),
        ("a long line of mistakes", format!("parkway: 1\nsteps: {{ {} }}", "a: 1, ".repeat(40_000))),
        ("a long unknown key", format!("parkway: 1\n{}: 1\nsteps: {{ a: {{ set: {{}} }} }}", "k".repeat(1_000))),
        ("a long unknown word", format!("parkway: 1\nsteps: {{ a: {{ run_if: {} }} }}", "k".repeat(1_900_000))),
        ("documents", "--- 1\n".repeat(300_000)),
        ("many openings", format!("parkway: 1\nsteps:\n{}", "  - ${{ a # b\n".repeat(80_000))),
    ];
    for (name, file) in files {
        said(name, &file);
    }
}

/// Each workflow uses the next one ten times: a file is read once, and steps are counted.
#[test]
fn workflows_that_multiply_are_refused_at_once() {
    let steps = |next: &str| (0..10).map(|n| format!("  s{n}: {{ workflow: {next} }}\n")).collect::<String>();
    let read = |path: &str| match path.trim_end_matches(".yaml").parse::<u32>() {
        Ok(15) => Ok("parkway: 1\nsteps:\n  a: { set: { n: 1 } }\n".to_owned()),
        Ok(level) => Ok(format!("parkway: 1\nsteps:\n{}", steps(&format!("{}.yaml", level + 1)))),
        Err(error) => Err(error.to_string()),
    };
    let start = Instant::now();
    let said = |levels: u32| {
        let source = format!("parkway: 1\nsteps:\n{}", steps(&format!("{}.yaml", 16 - levels)));
        let definition = Definition::parse("test.yaml", &source, read)?;
        Plan::check(&definition, &Requirements::new(&World::new().tools, DefaultPolicy.fingerprint()))
    };
    assert!(said(2).is_ok());
    assert_eq!(said(15).unwrap_err().list[0].code, "too-many-steps");
    assert_eq!(said(16).unwrap_err().list[0].code, "too-large");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

/// Twice the steps take twice the time, about: nothing looks through the whole file for each step.
#[test]
fn time_grows_with_the_file_and_not_with_its_square() {
    let file = |steps: usize| {
        let step = |n: usize| {
            format!(
                "  s{n}:\n    tool: t.echo\n    needs: [s{0}]\n    with:\n      value:\n        text: \"${{{{ steps.s{0}.output }}}} of {n}\"\n        block: |\n          Dear all,\n          ${{{{ inputs.name }}}}\n",
                n.max(1) - 1
            )
        };
        let rest: String = (1..steps).map(step).collect();
        format!("parkway: 1\ninputs: {{ name: {{ type: string }} }}\nsteps:\n  s0: {{ set: {{ n: 1 }} }}\n{rest}")
    };
    let time = |steps: usize| {
        let source = file(steps);
        let start = Instant::now();
        let definition = Definition::parse("test.yaml", &source, |_| Err(String::new())).unwrap();
        assert_eq!(definition.name(), "test");
        eprintln!("{steps} steps: read in {:?}", start.elapsed());
        start.elapsed()
    };
    let (few, many) = (time(500), time(4_000));
    assert!(many < few * 32, "reading 500 steps took {few:?}, 4,000 took {many:?}");
}
