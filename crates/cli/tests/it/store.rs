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

/// The ids of the keys in the folder `keys`, the oldest first.
fn keys(bench: &Bench) -> Vec<String> {
    let names =
        fs::read_dir(bench.path("keys")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.map(|name| name.strip_suffix(".key").unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_sealed_backup_cannot_be_gone_back_to_or_can_be_when_it_was_shredded() {
    let bench = begun();
    fs::create_dir(bench.path("safe")).unwrap();
    let made = bench.parkway(&["store", "backup", "safe/one.age", "--seal", "keys"]).code(0).out;
    let id = keys(&bench).remove(0);
    assert!(made.contains(&format!("it is sealed: its id is {id}, and its key is in keys")), "{made}");
    bench.parkway(&["store", "backup", "two.age", "--seal", "."]).code(1).says("would lie beside the backup");
    for refused in [["store", "check", "safe/one.age"], ["store", "restore", "safe/one.age"]] {
        bench.parkway(&refused).code(1).says("is a sealed backup; name the folder of its key with `--keys`");
    }
    let checked = bench.parkway(&["store", "check", "safe/one.age", "--keys", "keys"]).code(0).out;
    assert!(checked.contains("looked at: 1 run (1 folded)") && checked.ends_with("it is sound\n"), "{checked}");
    bench.parkway(&["approve", "last", "confirm"]).code(0);
    bench.parkway(&["resume"]).code(0);
    bench.parkway(&["store", "restore", "safe/one.age", "--keys", "keys"]).code(0);
    assert_eq!(bench.parkway(&["runs", "--open", "--json"]).code(0).json()["status"], "waiting");
    bench.parkway(&["store", "backup", "safe/two.age", "--seal", "keys"]).code(0);
    bench.parkway(&["store", "backup", "safe/three.age", "--seal", "keys"]).code(0);
    let all = keys(&bench);
    assert_eq!((all.len(), &all[0]), (3, &id));
    // By the file, by the id, and by age.
    let shred =
        |what: &[&str]| bench.parkway(&[&["store", "shred"], what, &["--keys", "keys", "--note", "why"]].concat());
    shred(&["none.age"]).code(2).says("is neither a file nor the id of a backup");
    shred(&["flow.yaml"]).code(1).says("does not begin as a sealed backup does");
    shred(&[]).code(2);
    shred(&["--before", "yesterday"]).code(2).says("is not a time such as");
    let none = shred(&["--before", "30"]).code(0).out;
    assert_eq!((none.as_str(), keys(&bench).len()), ("no key here is of a backup that old\n", 3));
    let told = shred(&["safe/one.age"]).code(0).says("plain copies lie beside the store").says("runs.db.replaced-").out;
    assert!(
        told.starts_with(&format!("the key of the backup {id}, made "))
            && told.contains(" is destroyed\n  no copy of it can be read any more"),
        "{told}"
    );
    assert_eq!(keys(&bench), all[1..]);
    bench.parkway(&["store", "restore", "safe/one.age", "--keys", "keys"]).code(1).says("it was shredded");
    shred(&[&id]).code(1).says("there is no key of the backup");
    shred(&[&all[1]]).code(0);
    let dry = shred(&["--before", "2100-01-01T00:00:00Z", "--dry-run"]).code(0).out;
    assert!(dry.contains(&all[2]) && dry.ends_with("would be destroyed\n") && keys(&bench).len() == 1, "{dry}");
    shred(&["--before", "0"]).code(0);
    assert_eq!(keys(&bench), [] as [&str; 0]);
    bench.parkway(&["audit", "export", "all.jsonl"]).code(0);
    let log = fs::read_to_string(bench.path("all.jsonl")).unwrap();
    assert!(all.iter().all(|id| log.contains(id.as_str())) && log.matches("backup_shredded").count() == 3, "{log}");
    bench.parkway(&["audit", "verify"]).code(0);
}

#[test]
fn a_key_cannot_be_destroyed_where_there_is_no_store_any_more() {
    let bench = begun();
    fs::create_dir(bench.path("safe")).unwrap();
    bench.parkway(&["store", "backup", "safe/one.age", "--seal", "keys"]).code(0);
    fs::remove_dir_all(bench.path(".parkway")).unwrap();
    let args = ["store", "shred", "safe/one.age", "--keys", "keys", "--note", "why"];
    bench.parkway(&args).code(1).says("is of another store");
    let args = [&args[..], &["--of-any-store"]].concat();
    bench.parkway(&args).code(0).says("it is written down nowhere: there is no store at");
    assert_eq!(keys(&bench), [] as [&str; 0]);
    assert!(!bench.path(".parkway").exists());
}

#[test]
fn a_key_of_another_store_is_destroyed_whatever_is_held_there() {
    let (bench, other) = (begun(), begun());
    let shared = bench.path("keys").display().to_string();
    for bench in [&bench, &other] {
        fs::create_dir(bench.path("safe")).unwrap();
        bench.parkway(&["store", "backup", "safe/one.age", "--seal", &shared]).code(0);
    }
    other.parkway(&["audit", "hold", "--note", "in dispute"]).code(0);
    let all = keys(&bench);
    let shred =
        |what: &[&str]| bench.parkway(&[&["store", "shred"], what, &["--keys", "keys", "--note", "why"]].concat());
    let dry = shred(&["--before", "0", "--dry-run"]).code(0).says("1 key of other stores").out;
    assert_eq!(dry.lines().count(), 1, "{dry}");
    shred(&["--before", "0"]).code(0).says("--of-any-store means them, too");
    let left = keys(&bench);
    assert_eq!((all.len(), left.len()), (2, 1));
    shred(&[&left[0]]).code(1).says("is of another store, whose log is parkway/");
    // One that says nothing may be anybody's.
    let path = bench.path("keys").join(format!("{}.key", left[0]));
    let text = fs::read_to_string(&path).unwrap();
    let bare: Vec<&str> = text.lines().filter(|line| !line.contains("log: ")).collect();
    fs::write(&path, bare.join("\n")).unwrap();
    other.parkway(&["audit", "lift", "--note", "settled"]).code(0);
    let args = ["store", "shred", &left[0], "--keys", &shared, "--note", "why"];
    other.parkway(&args).code(1).says("does not say of which store it is");
    fs::write(&path, text).unwrap();
    other.parkway(&args).code(0);
    assert_eq!(keys(&bench), [] as [&str; 0]);
}
