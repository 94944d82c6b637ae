//! What is promised: one text, in the README and in the book, and the tests that hold it.

use std::collections::BTreeSet;
use std::fs;

use crate::house::{sources, workspace};

/// The promises, word for word.
const PROMISES: &str = r#"
1. *State: exactly once.* Each step attempt has at most one accepted outcome; the outcome, what it makes ready, memory writes, messages
   and the audit leaf commit in one SQL transaction.
2. *Acknowledged = on disk.* `synchronous=FULL` on SQLite, read back at open. Anything weaker is opt-in and recorded.
3. *Effects: declared per tool, no default for writes.* `pure`, `read` may repeat; `idempotent` is at least once with a stable key;
   `transactional` is exactly once inside our own database; `at_most_once` has its intent on disk before the call, and a crash, timeout,
   cancel, lost lease, panic, or any error that the tool does not mark `not_done` leaves the step `in_doubt`: it goes to the tool's
   `reconcile(key)`, else to a person (`parkway resolve`). It is never silently run again; `retry` on it applies to `not_done` only.
4. *One accepted writer.* After a lease expires two workers may run a step; only the holder of the newest fence can commit. The other's
   late outcome goes to the inbox as evidence for `reconcile`.
5. *No determinism rule* for the user.
6. *Bounded recovery*: embedded, at open (a dead owner's leases are free at once).

The key of an effect is a hash of run, step key and `redo`: the same over retries, crashes and workers; only a person's "do it again"
raises `redo`. A fork is a new run with new keys: copied outcomes are not run again, and effects after the fork point need approval. A
model turn is `read`: after a crash it is asked again with the same seed; its reservation is durable before a priced call and counted as
spent if no outcome exists.
"#;

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap()
}

#[test]
fn the_readme_and_the_book_promise_something_else() {
    for page in ["README.md", "docs/src/operating/promises.md"] {
        assert!(words(&read(page)).contains(&words(PROMISES)), "{page} does not hold the promises word for word");
    }
}

#[test]
fn a_promise_is_held_by_a_test_that_is_not_there() {
    let page = read("docs/src/operating/promises.md");
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| ") && line.contains('`')).collect();
    assert!(rows.len() > 6, "there are only {} rows of promises", rows.len());
    let named = rows.iter().flat_map(|row| row.split('`').skip(1).step_by(2)).collect::<BTreeSet<_>>();
    let there: String = sources(&workspace().join("crates")).into_iter().map(|(_, text)| text).collect();
    let missing: Vec<_> = named.iter().filter(|name| !there.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
