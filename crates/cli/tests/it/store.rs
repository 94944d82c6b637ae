//! Keeping the store well, from the command line.

use std::fs;

use serde_json::Value;

use crate::bench::{ASK, Bench};

/// A project with a run that waits.
fn begun() -> Bench {
    let bench = Bench::new(ASK);
    bench.parkway(&["run", "flow.yaml"]).code(4);
    bench
}

#[test]
fn a_sound_store_is_told_with_what_was_looked_at() {
    let bench = begun();
    let checked = bench.parkway(&["store", "check"]).code(0);
    assert!(
        checked.out.contains("looked at: 1 run (1 folded)") && checked.out.ends_with("it is sound\n"),
        "{}",
        checked.out
    );
    assert!(checked.out.contains("not looked at: "), "{}", checked.out);
    let quick = bench.parkway(&["store", "check", "--quick", "--json"]).code(0).json();
    assert_eq!((&quick["sound"], &quick["looked_at"]["runs"]), (&Value::from(true), &Value::from(1)));
    assert!(quick["not_looked_at"].to_string().contains("this was quick"), "{quick}");
    bench.parkway(&["store", "check", "none.db"]).code(1).says("there is no file `none.db`");
    bench.parkway(&["store", "check", "flow.yaml"]).code(1).says("is not a SQLite database");
    let empty = Bench::new(ASK);
    empty.parkway(&["store", "check"]).code(2).says("there are no runs yet");
    empty.parkway(&["store", "vacuum", "--store", "sqlite::memory:"]).code(2).says("is kept in no file");
}

#[test]
fn damage_is_no_failure_of_the_command() {
    let bench = begun();
    let path = bench.path(".parkway/runs.db");
    // Without a write-ahead log.
    bench.parkway(&["store", "vacuum"]).code(0);
    let mut bytes = fs::read(&path).unwrap();
    // The last letter of the greeting, which is a text of the run.
    let at = bytes.windows(10).position(|found| found == b"Hello, Ada").unwrap() + 9;
    bytes[at] = b'i';
    fs::write(&path, bytes).unwrap();
    let run = &bench.runs()[0];
    let checked = bench.parkway(&["store", "check"]).code(1).says("parkway store restore FILE");
    assert!(checked.out.contains(&format!("problem: run {run}: payload ")), "{}", checked.out);
    assert!(checked.out.contains("was altered"), "{}", checked.out);
    let told = bench.parkway(&["store", "check", "--json"]).code(1).json();
    assert_eq!(told["problems"][0]["run"], run.as_str());
    bench.parkway(&["store", "backup", "b.db"]).code(1).says("nothing was done; `parkway store check` names them");
    assert!(!bench.path("b.db").exists());
}

#[test]
fn a_backup_cannot_be_gone_back_to() {
    let bench = begun();
    let made = bench.parkway(&["store", "backup", "safe.db"]).code(0).out;
    assert!(made.starts_with("safe.db: ") && made.contains("it is sound: 1 run (1 folded)"), "{made}");
    bench.parkway(&["store", "backup", "safe.db"]).code(1).says("is there already, and is not written over");
    bench.parkway(&["approve", "last", "confirm"]).code(0);
    bench.parkway(&["resume"]).code(0);
    let restored = bench.parkway(&["store", "restore", "safe.db"]).code(0);
    assert!(restored.out.contains("again when they are resumed: parkway runs --open"), "{}", restored.out);
    assert!(restored.out.contains("runs.db is now as it was at the backup: 1 run"), "{}", restored.out);
    assert!(restored.out.contains("what it was is in "), "{}", restored.out);
    assert_eq!(bench.parkway(&["runs", "--open", "--json"]).code(0).json()["status"], "waiting");
    // The same as on another machine.
    let other = Bench::new(ASK);
    let from = bench.path("safe.db").display().to_string();
    other.parkway(&["store", "restore", &from]).code(0);
    assert_eq!(other.runs(), bench.runs());
    other.parkway(&["approve", "last", "confirm"]).code(0);
    other.parkway(&["resume"]).code(0);
    bench.parkway(&["store", "restore", "flow.yaml"]).code(1).says("is not a SQLite database");
    let vacuumed = bench.parkway(&["store", "vacuum"]).code(0).out;
    assert!(vacuumed.contains("runs.db: ") && vacuumed.contains(" before, "), "{vacuumed}");
}
