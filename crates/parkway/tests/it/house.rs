//! Who may import whom, and what stands in one place only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The dependencies of each package of the workspace, those for tests left out.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            (name(package), dependencies.filter(|d| d["kind"] != "dev").map(name).collect())
        })
        .collect()
}

/// All Rust files below `folder`, with their paths inside it.
pub(crate) fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_statement_is_prepared_anew_each_time_that_its_limit_is_bound() {
    let store = sources(&workspace().join("crates/store/src"));
    let limits =
        |sign: &str| store.iter().filter(|(_, text)| text.contains(sign)).map(|(name, _)| name).collect::<Vec<_>>();
    // `sqlite/open.rs` says why.
    assert_eq!(limits("LIMIT $"), [""; 0]);
    assert!(!limits("LIMIT +$").is_empty());
}

#[test]
fn a_crate_imports_only_those_below_it() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("parkway-core", [].as_slice()),
        ("parkway-verify", &[]),
        ("parkway-store", &["parkway-core"]),
        ("parkway-power-loss", &["parkway-core", "parkway-store"]),
        ("parkway-tools", &["parkway-core"]),
        ("parkway-llama", &["parkway-core"]),
        ("parkway-openai", &["parkway-core"]),
        (
            "parkway",
            &["parkway-core", "parkway-store", "parkway-tools", "parkway-llama", "parkway-openai", "parkway-verify"],
        ),
        ("parkway-cli", &["parkway"]),
        ("parkway-examples", &["parkway"]),
    ]);
    let packages = dependencies();
    assert_eq!(packages.keys().map(String::as_str).collect::<BTreeSet<_>>(), allowed.keys().copied().collect());
    for (package, dependencies) in &packages {
        let ours = dependencies.iter().filter(|name| packages.contains_key(*name)).map(String::as_str);
        let allowed: BTreeSet<_> = allowed[package.as_str()].iter().copied().collect();
        let found: BTreeSet<_> = ours.collect();
        assert!(found.is_subset(&allowed), "{package} imports {:?}", found.difference(&allowed));
    }
}

#[test]
fn core_does_no_io_of_its_own() {
    for name in ["sqlx", "reqwest", "llama-cpp-2", "cap-std"] {
        assert!(!dependencies()["parkway-core"].contains(name), "parkway-core depends on {name}");
    }
    let sources = sources(&workspace().join("crates/core/src"));
    // Tests beside the code may read the files that they are about.
    let is_test = |file: &str| {
        let name = Path::new(file).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        sources.iter().any(|(parent, text)| {
            let folder = parent.trim_end_matches(".rs").trim_end_matches("/mod");
            file.starts_with(folder) && text.contains(&format!("#[cfg(test)]\nmod {name};"))
        })
    };
    for (file, text) in sources.iter().filter(|(file, _)| !is_test(file)) {
        for name in ["std::fs", "std::net", "std::process", "tokio::fs", "tokio::net", "tokio::process"] {
            assert!(!text.contains(name), "crates/core/src/{file} names {name}");
        }
    }
}

#[test]
fn a_library_is_known_in_one_room_only() {
    let rooms = [
        ("serde_saphyr", "workflow/yaml.rs workflow/write.rs"),
        ("petgraph", "workflow/graph.rs"),
        ("minijinja::machinery", "workflow/template/syntax.rs"),
        ("serde_json_canonicalizer", "log/canonical.rs workflow/plan.rs"),
    ];
    for (file, text) in sources(&workspace().join("crates/core/src")) {
        for (library, room) in rooms {
            assert!(!text.contains(&format!("{library}::")) || room.contains(&file), "{file} names {library}");
        }
    }
}

#[test]
fn the_plan_and_the_log_wait_for_nothing() {
    for (file, text) in sources(&workspace().join("crates/core/src")) {
        let pure = file.starts_with("workflow/") || file.starts_with("log/");
        assert!(!pure || !(text.contains("async fn") || text.contains(".await")), "crates/core/src/{file} is async");
    }
}
