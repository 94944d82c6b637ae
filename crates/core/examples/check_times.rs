//! How long it takes to read and check workflows of several shapes and sizes, as a table:
//! `cargo run --release -p parkway-core --example check_times`.

#![expect(clippy::print_stdout, reason = "a table is what it is for")]

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parkway_core::tool::{Effect, Toolbox, tool_fn};
use parkway_core::workflow::{Definition, Plan, Requirements};
use serde_json::Value;

const SIZES: [usize; 4] = [100, 1_000, 4_000, 10_000];
/// Makes a workflow of so many steps.
type Shape = fn(usize) -> String;

const SHAPES: [(&str, Shape); 7] = [
    ("chain", chain),
    ("chain of tools", tools),
    ("growing outputs", growing),
    ("wide, then one", wide),
    ("layers of ten", layers),
    ("groups of ten", groups),
    ("nothing known", mistaken),
];

fn main() {
    let mut toolbox = Toolbox::new();
    toolbox.insert(Arc::new(tool_fn("t.echo", Effect::Pure, |value: Value| async move { Ok(value) })));
    println!("{:<18}{:>8}{:>8}{:>12}{:>12}{:>10}", "shape", "steps", "KB", "read", "check", "problems");
    for (name, shape) in SHAPES {
        for steps in SIZES {
            let source = shape(steps);
            let (read, check, problems) = time(&source, &toolbox);
            let (read, check) = (read.as_secs_f64() * 1e3, check.as_secs_f64() * 1e3);
            println!("{name:<18}{steps:>8}{:>8}{read:>9.1} ms{check:>9.1} ms{problems:>10}", source.len() / 1024);
        }
    }
}

fn time(source: &str, tools: &Toolbox) -> (Duration, Duration, usize) {
    let begun = Instant::now();
    let definition = match Definition::parse("times.yaml", source, |path| Err(format!("no file {path}"))) {
        Ok(definition) => definition,
        Err(problems) => return (begun.elapsed(), Duration::ZERO, problems.list.len()),
    };
    let read = begun.elapsed();
    let begun = Instant::now();
    let (_, problems) = Plan::check_all(&definition, &Requirements::new(tools, "default"));
    (read, begun.elapsed(), problems.list.len())
}

/// A workflow of steps that `write` writes by their numbers.
fn steps(count: usize, mut write: impl FnMut(&mut String, usize)) -> String {
    let mut source = "parkway: 1\nname: times\nsteps:\n".to_owned();
    (0..count).for_each(|i| write(&mut source, i));
    source
}

fn chain(count: usize) -> String {
    steps(count, |source, i| {
        let value =
            i.checked_sub(1).map_or("0".to_owned(), |before| format!("${{{{ steps.s{before}.output.n + 1 }}}}"));
        let _ = writeln!(source, "  s{i}:\n    set: {{ n: \"{value}\" }}");
    })
}

fn tools(count: usize) -> String {
    steps(count, |source, i| {
        let value = i.checked_sub(1).map_or("0".to_owned(), |before| format!("${{{{ steps.s{before}.output }}}}"));
        let _ = writeln!(
            source,
            "  s{i}:\n    if: ${{{{ run.id != 's{i}' }}}}\n    tool: t.echo\n    with: {{ value: \"{value}\" }}"
        );
    })
}

/// Each step holds the output of the one before.
fn growing(count: usize) -> String {
    steps(count, |source, i| {
        let value = i.checked_sub(1).map_or("0".to_owned(), |before| format!("${{{{ steps.s{before}.output }}}}"));
        let _ = writeln!(source, "  s{i}:\n    set: {{ before: \"{value}\", n: {i} }}");
    })
}

fn wide(count: usize) -> String {
    let mut source = steps(count, |source, i| {
        let _ = writeln!(source, "  s{i}:\n    set: {{ n: \"${{{{ run.id ~ {i} }}}}\" }}");
    });
    let all: Vec<_> = (0..count).map(|i| format!("\"${{{{ steps.s{i}.output.n }}}}\"")).collect();
    let _ = writeln!(source, "  last:\n    set: {{ all: [{}] }}", all.join(", "));
    source
}

fn layers(count: usize) -> String {
    steps(count, |source, i| {
        let needs: Vec<_> =
            (0..10).filter_map(|n| (i / 10 * 10).checked_sub(10).map(|at| format!("s{}", at + n))).collect();
        let _ = writeln!(source, "  s{i}:\n    needs: [{}]\n    set: {{ n: \"${{{{ run.id }}}}\" }}", needs.join(", "));
    })
}

fn groups(count: usize) -> String {
    steps(count / 10, |source, i| {
        let _ = writeln!(source, "  g{i}:\n    for_each: [1, 2, 3]\n    steps:");
        for n in 0..9 {
            let before = if n == 0 { "item".to_owned() } else { format!("steps.s{}.output.n", n - 1) };
            let _ = writeln!(source, "      s{n}:\n        set: {{ n: \"${{{{ {before} }}}}\" }}");
        }
    })
}

/// Each step names another that does not exist.
fn mistaken(count: usize) -> String {
    steps(count, |source, i| {
        let _ = writeln!(source, "  s{i}:\n    set: {{ n: \"${{{{ steps.t{i}.output.n }}}}\" }}");
    })
}
