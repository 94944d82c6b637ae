//! The book's pages as tests read them: headings, fences, rows of tables.

use std::path::{Path, PathBuf};

/// The root of the repository.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file of the repository.
pub(super) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The paths of the pages, below `docs/src`.
pub(super) fn pages() -> Vec<String> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                found.push(path);
            }
        }
    }
    let source = root().join("docs/src");
    let mut found = Vec::new();
    collect(&source, &mut found);
    found.sort();
    found.iter().map(|path| path.strip_prefix(&source).unwrap().display().to_string()).collect()
}

/// A fence with its language and what stands behind it.
pub(super) struct Fence {
    pub(super) line: usize,
    pub(super) says: String,
    pub(super) text: String,
}

/// A page without its fences, line by line, and the fences.
pub(super) fn apart(text: &str) -> (Vec<&str>, Vec<Fence>) {
    let (mut lines, mut fences): (Vec<&str>, Vec<Fence>) = (Vec::new(), Vec::new());
    let mut open = false;
    for (i, line) in text.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(_) if open => open = false,
            Some(says) => {
                open = true;
                fences.push(Fence { line: i + 1, says: says.trim().to_owned(), text: String::new() });
            }
            None if open => {
                let fence = fences.last_mut().unwrap();
                fence.text.push_str(line);
                fence.text.push('\n');
            }
            None => lines.push(line),
        }
    }
    (lines, fences)
}

/// The depth of a heading, and what it says.
pub(super) fn heading(line: &str) -> Option<(usize, &str)> {
    let depth = line.bytes().take_while(|byte| *byte == b'#').count();
    let title = line[depth..].strip_prefix(' ')?;
    (1..=6).contains(&depth).then_some((depth, title.trim()))
}

/// What stands under each heading of a page, down to the next one that is not deeper.
pub(super) fn sections(text: &str) -> Vec<(String, String)> {
    let mut open: Vec<(usize, String, String)> = Vec::new();
    let mut done = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        fenced ^= line.starts_with("```");
        if let Some((depth, title)) = heading(line).filter(|_| !fenced) {
            while open.last().is_some_and(|(above, ..)| *above >= depth) {
                done.extend(open.pop().map(|(_, title, text)| (title, text)));
            }
            open.push((depth, title.to_owned(), String::new()));
        } else {
            for (_, _, text) in &mut open {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    done.extend(open.into_iter().rev().map(|(_, title, text)| (title, text)));
    done
}

/// The words between backticks.
pub(super) fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The first cell of each row of the tables in a text.
pub(super) fn first_cells(text: &str) -> impl Iterator<Item = &str> {
    let rows = text.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---"));
    rows.filter_map(|row| row[1..].split(" | ").next())
}
