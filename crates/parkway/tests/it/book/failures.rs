//! The codes of steps that fail are all told: `retry.on` and conditions name them.

use std::collections::BTreeSet;
use std::path::Path;

use super::pages::{first_cells, quoted, read, root};

/// The sources of a folder, without their tests.
fn sources(folder: &Path, found: &mut String) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, found);
        } else {
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            // Examples in comments are none.
            text.lines().filter(|line| !line.trim_start().starts_with("//")).for_each(|line| {
                found.push_str(line);
                found.push('\n');
            });
        }
    }
}

/// What stands between quotes right after each of these words.
fn codes_after<'a>(source: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
    source.split(word).skip(1).filter_map(|rest| {
        let (code, _) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
        code.chars().all(|c| c.is_ascii_lowercase() || c == '_').then_some(code)
    })
}

#[test]
fn every_code_of_a_failed_step_is_told_and_none_that_there_is_not() {
    let mut source = String::new();
    sources(&root().join("crates/core/src/engine"), &mut source);
    let of_checks: BTreeSet<_> = codes_after(&source, "=> (").map(str::to_owned).collect();
    sources(&root().join("crates/tools/src"), &mut source);
    // The errors that say their codes by a `match`.
    let matched = |path: &str, signature: &str| {
        let text = read(path);
        let (_, function) = text.split_once(signature).unwrap();
        function.split("\n    }\n").next().unwrap().to_owned()
    };
    let of_models = matched("crates/core/src/model.rs", "pub fn code(&self) -> &'static str");
    let of_stores = matched("crates/core/src/store.rs", "pub fn code(&self) -> &'static str");
    let of_programs = matched("crates/parkway/src/error.rs", "pub fn code(&self) -> &str");
    let makers = ["Failure::new(", "ToolError::invalid(", "ToolError::transient(", "code: ", "fail_run("];
    let mut made: BTreeSet<&str> = makers.iter().flat_map(|maker| codes_after(&source, maker)).collect();
    for errors in [&of_models, &of_stores, &of_programs] {
        made.extend(codes_after(errors, "=> "));
    }
    made.extend(of_checks.iter().map(String::as_str));
    assert!(made.len() > 20, "{made:?}");
    let page = read("docs/src/format/errors.md");
    let told: BTreeSet<&str> = first_cells(&page).flat_map(quoted).collect();
    let missing: Vec<_> = made.difference(&told).collect();
    assert!(missing.is_empty(), "docs/src/format/errors.md does not tell {missing:?}");
    let everywhere = format!("{source}{of_models}{of_stores}{of_programs}{}", read("crates/core/src/tool.rs"));
    let invented: Vec<_> = told.iter().filter(|code| !everywhere.contains(&format!("\"{code}\""))).collect();
    assert!(invented.is_empty(), "nothing gives {invented:?}");
}
