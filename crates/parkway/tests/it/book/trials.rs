//! What can stand in a file of tests is told.

use super::pages::{quoted, read};

#[test]
fn the_page_of_tests_has_every_key_of_a_file_of_tests() {
    let form = read("crates/parkway/src/trial/form.rs");
    let page = read("docs/src/testing.md");
    let fields = form.lines().filter_map(|line| line.trim().strip_prefix("pub(super) ")?.split_once(": "));
    let keys: Vec<_> = fields.map(|(key, _)| key).filter(|key| key.chars().all(|c| c.is_ascii_lowercase())).collect();
    assert!(keys.len() > 20, "{keys:?}");
    // `{ name, payload }` are several keys.
    let told: Vec<_> = quoted(&page).flat_map(|words| words.split([' ', ',', ':', '{', '}'])).collect();
    let missing: Vec<_> = keys.iter().filter(|key| !told.contains(key)).collect();
    assert!(missing.is_empty(), "docs/src/testing.md does not tell {missing:?}");
}
