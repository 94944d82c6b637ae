//! Pages that are made of what the program knows. `UPDATE_BOOK=1 cargo test -p parkway --test it book` writes them again.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::pages::{read, root};

/// Holds a page equal to what it is made of, or writes it.
fn hold(page: &str, title: &str, source: &str, body: &str) {
    let path = root().join("docs/src/format").join(page);
    let made = format!(
        "# {title}\n\n<!-- Made of {source}: UPDATE_BOOK=1 cargo test -p parkway --test it book -->\n\n{}\n",
        body.trim()
    );
    let mut stands = std::fs::read_to_string(&path).unwrap_or_default();
    if stands != made && std::env::var_os("UPDATE_BOOK").is_some() {
        std::fs::write(&path, &made).unwrap();
        stands.clone_from(&made);
    }
    let differs = made.lines().zip(stands.lines()).find(|(made, stands)| made != stands);
    assert!(
        stands == made,
        "docs/src/format/{page} is not what it is made of ({source}): {differs:?}; write it again with UPDATE_BOOK=1"
    );
}

#[test]
fn the_page_of_filters_is_the_library() {
    let intro = "The filters, tests and functions of [expressions](expressions.md): a closed list, which belongs to version 1 of the
format. Each example was evaluated by a test. `parkway explain filters` prints this page. Patterns are those of Rust's `regex`; times
are texts, RFC 3339 in UTC, and a `d` is 24 hours.";
    let body = format!("{intro}\n\n{}", parkway::definition::library_page());
    hold("filters.md", "Filters, tests, functions", "the library of expressions", &body);
}

#[test]
fn the_page_of_codes_is_what_explain_prints() {
    let codes = read("crates/cli/src/command/explain/codes.md");
    let (_, entries) = codes.split_once("\n## ").unwrap();
    let mut body = String::from(
        "What `parkway check` says, by its codes, each with a file that gives it and, where there is one, a file that does not.
`parkway explain CODE` prints one of them, and of those of steps that fail, which are on [a page of their own](errors.md).

| code | what it is about |
|---|---|
",
    );
    for entry in entries.split("\n## ") {
        let mut lines = entry.lines().filter(|line| !line.is_empty());
        let (code, about) = (lines.next().unwrap(), lines.next().unwrap());
        writeln!(body, "| [`{code}`](#{code}) | {about} |").unwrap();
    }
    write!(body, "\n## {entries}").unwrap();
    hold("codes.md", "Codes of the checker", "crates/cli/src/command/explain/codes.md", &body);
}

#[test]
fn the_page_of_failures_is_what_explain_reads() {
    let source = "crates/cli/src/command/explain/failures.md";
    hold("errors.md", "Codes of steps that fail", source, &read(source));
}

/// A table of the truth table's snapshots, a part for each of its sections.
struct Part {
    title: String,
    /// The titles of the lines, and their cells.
    lines: Vec<(String, Vec<String>)>,
}

fn cells(row: &str) -> Vec<String> {
    // A cell with a list of signs in it holds no ` | `.
    row.trim().trim_start_matches('|').trim_end_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()
}

fn parts(snapshot: &str) -> (Vec<String>, Vec<Part>) {
    let mut rows = snapshot.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---"));
    let endings = cells(rows.next().unwrap()).into_iter().skip(1).collect();
    let mut parts: Vec<Part> = Vec::new();
    for row in rows {
        if let Some(title) = row.strip_prefix("| **").and_then(|row| row.split("**").next()) {
            parts.push(Part { title: title.to_owned(), lines: Vec::new() });
        } else {
            let mut row = cells(row).into_iter();
            parts.last_mut().unwrap().lines.push((row.next().unwrap(), row.collect()));
        }
    }
    (endings, parts)
}

/// A cell's own part, and how the run ends.
fn split(cell: &str) -> (&str, Option<&str>) {
    cell.rsplit_once("; run ").map_or((cell, None), |(own, run)| (own, Some(run)))
}

/// How most runs of a column end.
fn usual<'a>(cells: impl Iterator<Item = &'a str>) -> &'a str {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for end in cells.filter_map(|cell| split(cell).1) {
        *counts.entry(end).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(end, count)| (*count, std::cmp::Reverse(*end))).map_or("", |(end, _)| end)
}

/// A value in a cell is code.
fn shown(own: &str) -> String {
    match own {
        "-" => "–".into(),
        own if own.starts_with(['{', '[', '"']) => format!("`{own}`"),
        own => own.into(),
    }
}

/// The sections, each with how its runs end said once.
fn tables(page: &mut String, snapshot: &str) {
    let (endings, parts) = parts(&read(snapshot));
    assert!(endings.len() > 5 && parts.len() > 1, "{snapshot} is no truth table");
    for part in parts {
        let columns = 0..endings.len();
        let usual: Vec<_> =
            columns.map(|i| usual(part.lines.iter().map(|(_, cells)| cells[i].as_str())).to_owned()).collect();
        write!(page, "### {}\n\n| | {} |\n{}|\n", part.title, endings.join(" | "), "|---".repeat(endings.len() + 1))
            .unwrap();
        if usual.iter().any(|end| !end.is_empty()) {
            writeln!(
                page,
                "| *the run* | {} |",
                usual
                    .iter()
                    .map(|end| if end.is_empty() { "–".into() } else { format!("*{end}*") })
                    .collect::<Vec<_>>()
                    .join(" | ")
            )
            .unwrap();
        }
        for (title, line) in &part.lines {
            assert_eq!(line.len(), endings.len(), "{title}");
            let cell = |(cell, usual): (&String, &String)| match split(cell) {
                (own, Some(end)) if end != usual => format!("{}; run {end}", shown(own)),
                (own, _) => shown(own),
            };
            let row: Vec<_> = line.iter().zip(&usual).map(cell).collect();
            writeln!(page, "| {title} | {} |", row.join(" | ")).unwrap();
        }
        page.push('\n');
    }
}

#[test]
fn the_table_is_what_the_engine_did() {
    let mut page = String::from(
        "What follows from each way in which a step, `x`, can end, for every place in which it can stand. Each cell is a workflow that a
test runs on the engine; this page is written from what came out.

- A column is a way to end. *Rejected* and *expired* are an approval that got a no, or no answer; *over budget* is a call that the
  budget does not allow; *cancelled* is a cancel of the run while `x` runs; *in doubt* is a call that must not be repeated and whose
  outcome is not known.
- A row is what is looked at; *the run* is how the runs of the part end, where a cell does not say otherwise.
- `skipped (…)` has its reason in brackets: `if`, `run_if`, the id of a step that did not complete, *failed* (the run has failed
  elsewhere), *cancelled*, or the group whose time is over. *never starts* is a step of which there is no event. `–` is no output.
- *refused* is a file that the checker does not let pass, with the [code](codes.md).

## The ways to end

",
    );
    tables(&mut page, "crates/core/tests/it/snapshots/it__truth_table__truth_table.snap");
    page.push_str("## Other ways to the same ends\n\n");
    let mut more = String::new();
    tables(&mut more, "crates/core/tests/it/snapshots/it__truth_table__truth_table_more.snap");
    // Its parts have the names of those above.
    for line in more.lines() {
        let title = line.strip_prefix("### ");
        match title {
            Some(title) => writeln!(page, "### {title} (other ways)").unwrap(),
            None => writeln!(page, "{line}").unwrap(),
        }
    }
    hold("table.md", "The whole table", "the snapshots of the truth table", &page);
}
