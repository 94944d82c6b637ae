//! `files.move`: one file, once, and nothing lost.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::{Value, json};

use crate::project::Project;

/// A project with `in/a.txt`, `in` granted for reading and writing, and `out` for writing.
fn project() -> Project {
    let mut project = Project::new();
    project.grants = json!({"read": ["in"], "write": ["in", "out"]});
    project.put("in/a.txt", "text");
    project
}

fn input(to: &str, replace: bool) -> Value {
    json!({"from": "in/a.txt", "to": to, "replace": replace})
}

#[test]
fn a_file_is_moved_with_the_folders_on_the_way() {
    let project = project();
    fs::set_permissions(project.path("in/a.txt"), PermissionsExt::from_mode(0o640)).unwrap();
    let moved = project.call("files.move", json!({"from": "./in//a.txt", "to": "out/x/y/b.txt"})).unwrap();
    assert_eq!(moved, json!({"from": "in/a.txt", "to": "out/x/y/b.txt", "moved": true}));
    assert_eq!(project.read("out/x/y/b.txt"), "text");
    assert_eq!(fs::metadata(project.path("out/x/y/b.txt")).unwrap().mode() & 0o777, 0o640);
    assert!(!project.path("in/a.txt").exists());
}

#[test]
fn what_is_there_is_replaced_only_if_asked_for() {
    let project = project();
    project.put("out/b.txt", "old");
    insta::assert_snapshot!(project.refused("files.move", input("out/b.txt", false)), @"exists: there is something at `out/b.txt`; take it away, name another path, or say `replace: true`");
    // A later attempt takes another file for nobody's work.
    assert_eq!(project.attempt(2, "files.move", input("out/b.txt", false)).unwrap_err().code, "exists");
    assert_eq!((project.read("in/a.txt").as_str(), project.read("out/b.txt").as_str()), ("text", "old"));
    fs::set_permissions(project.path("out/b.txt"), PermissionsExt::from_mode(0o444)).unwrap();
    insta::assert_snapshot!(project.refused("files.move", input("out/b.txt", true)), @"permission: `out/b.txt` is marked read-only; make it writable, or name another file");
    fs::set_permissions(project.path("out/b.txt"), PermissionsExt::from_mode(0o644)).unwrap();
    assert_eq!(project.call("files.move", input("out/b.txt", true)).unwrap()["moved"], true);
    assert_eq!(project.read("out/b.txt"), "text");
}

/// Calls as a process does that is killed before the outcome is on disk.
fn killed(project: &Project, attempt: u32, input: Value) -> Value {
    let tool = project.tool("files.move");
    let output = project.call_on(&tool, input, &project.context_of(attempt)).unwrap();
    std::mem::forget(tool);
    output
}

fn names(project: &Project, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(project.path(folder)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn an_attempt_after_a_crash_finds_its_own_work() {
    let project = project();
    assert_eq!(killed(&project, 1, input("out/b.txt", false))["moved"], true);
    for _ in 0..2 {
        let again = killed(&project, 2, input("out/b.txt", false));
        assert_eq!(again, json!({"from": "in/a.txt", "to": "out/b.txt", "moved": false}));
    }
    // What a producer has put there meanwhile is no part of it, not even with the same content.
    project.put("in/a.txt", "text");
    assert_eq!(killed(&project, 2, input("out/b.txt", true))["moved"], false);
    assert_eq!((project.read("in/a.txt").as_str(), project.read("out/b.txt").as_str()), ("text", "text"));
    // The first attempt of a step takes nothing for its own.
    assert_eq!(project.call("files.move", input("out/b.txt", false)).unwrap_err().code, "exists");
    assert_eq!(project.attempt(2, "files.move", input("out/none.txt", false)).unwrap()["moved"], true);
    assert_eq!(names(&project, "out").len(), 3, "two files and the marker of the one whose process was killed");
}

#[test]
fn an_attempt_after_a_certain_failure_takes_nothing_for_its_own() {
    let project = project();
    project.put("out/b.txt", "text");
    assert_eq!(project.call("files.move", input("out/b.txt", false)).unwrap_err().code, "exists");
    assert_eq!(project.attempt(2, "files.move", input("out/b.txt", false)).unwrap_err().code, "exists");
    assert_eq!(project.read("in/a.txt"), "text");
    fs::remove_file(project.path("in/a.txt")).unwrap();
    for attempt in [1, 2] {
        let error = project.attempt(attempt, "files.move", input("out/b.txt", false)).unwrap_err();
        assert_eq!(error.code, "gone", "{error}");
    }
    insta::assert_snapshot!(project.refused("files.move", input("out/b.txt", false)), @"gone: there is no `in/a.txt`, and there is something at `out/b.txt`, of which nothing tells that this step has moved it there; look at it, and if it is that file, put it back and try again");
    assert_eq!(project.attempt(2, "files.move", input("out/none.txt", false)).unwrap_err().code, "not_found");
    assert_eq!(names(&project, "out"), ["b.txt"]);
}

#[test]
fn a_marker_does_not_stay() {
    let project = project();
    project.put("out/b.txt", "old");
    project.call("files.move", input("out/b.txt", true)).unwrap();
    assert_eq!(names(&project, "out"), ["b.txt"]);
    // Nobody knows what has become of a call that was given up.
    project.put("in/a.txt", "text");
    let context = project.context();
    context.cancel.cancel();
    project.call_within("files.move", input("out/b.txt", true), &context).unwrap();
    assert_eq!(names(&project, "out").len(), 2);
    assert_eq!(project.attempt(2, "files.move", input("out/b.txt", true)).unwrap()["moved"], false);
    assert_eq!(names(&project, "out"), ["b.txt"]);
    // Nobody comes any more for an old one.
    project.put("in/a.txt", "text");
    killed(&project, 1, input("out/b.txt", true));
    for name in names(&project, "out") {
        let file = fs::File::options().write(true).open(project.path("out").join(name)).unwrap();
        file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(8 * 24 * 60 * 60)).unwrap();
    }
    project.call("files.write_text", json!({"path": "out/b.txt", "text": "x"})).unwrap();
    assert_eq!(names(&project, "out"), ["b.txt"]);
}

#[test]
fn a_grant_to_write_is_not_enough_to_read() {
    let mut project = project();
    project.put("drop/secret", "key");
    project.grants = json!({"read": ["out"], "write": ["out", "drop"]});
    let moved = json!({"from": "drop/secret", "to": "out/x"});
    insta::assert_snapshot!(project.call("files.move", moved).unwrap_err(), @"`drop/secret` is in no folder that is granted for reading (granted: out); to allow it, write under `tools`: `files: { read: [out, drop], write: [out, drop] }`");
    // A link that only the wider grant follows.
    fs::create_dir(project.path("out")).unwrap();
    project.link("out/l", "../private");
    project.grants = json!({"read": ["out"], "write": ["."]});
    let error = project.call("files.move", json!({"from": "out/l/keys.txt", "to": "out/x"})).unwrap_err();
    assert_eq!(error.code, "denied", "{error}");
    assert_eq!((project.read("drop/secret").as_str(), project.read("private/keys.txt").as_str()), ("key", "key"));
}

#[test]
fn one_file_under_two_names_is_not_lost() {
    let mut project = project();
    project.link("in/same", ".");
    for attempt in [1, 2] {
        for to in ["in/a.txt", "in/./a.txt", "in/same/a.txt"] {
            let error = project.attempt(attempt, "files.move", input(to, true)).unwrap_err();
            assert_eq!(error.code, "invalid", "{error}");
        }
    }
    insta::assert_snapshot!(project.refused("files.move", input("in/same/a.txt", true)), @"invalid: `in/a.txt` and `in/same/a.txt` are the same file; name another one in `to`");
    fs::create_dir(project.path("out")).unwrap();
    fs::hard_link(project.path("in/a.txt"), project.path("out/b.txt")).unwrap();
    assert_eq!(project.call("files.move", input("out/b.txt", false)).unwrap_err().code, "exists");
    assert_eq!(project.call("files.move", input("out/b.txt", true)).unwrap()["moved"], true);
    assert_eq!(project.read("out/b.txt"), "text");
    assert!(!project.path("in/a.txt").exists());
    // The same folder granted twice.
    project.grants = json!({"read": ["."], "write": [".", "out"]});
    let error = project.call("files.move", json!({"from": "out/b.txt", "to": "out/b.txt"})).unwrap_err();
    assert_eq!(error.code, "invalid", "{error}");
}

#[test]
fn only_files_within_the_granted_folders_are_moved() {
    let project = project();
    project.put("in/folder/x", "");
    project.put("out/folder/x", "");
    project.link("in/link", "a.txt");
    project.link("in/away", project.outside());
    project.link("out/away", project.outside());
    std::process::Command::new("mkfifo").arg(project.path("in/pipe")).status().unwrap();
    for (from, to, code) in [
        ("in/none", "out/b", "not_found"),
        ("in/folder", "out/b", "is_folder"),
        ("in/a.txt", "out/folder", "is_folder"),
        ("in/a.txt", "out", "is_folder"),
        ("in", "out/b", "is_folder"),
        ("in/link", "out/b", "not_a_file"),
        ("in/pipe", "out/b", "not_a_file"),
        ("in/a.txt", "in/a.txt/b", "not_a_folder"),
        ("data/letters/a.txt", "out/b", "denied"),
        ("in/a.txt", "private/b", "denied"),
        ("in/away/secret.txt", "out/b", "denied"),
        ("in/a.txt", "out/away/b", "denied"),
        ("in/../private/keys.txt", "out/b", "denied"),
        ("in/a.txt", "../outside/b", "denied"),
        ("in/a.txt\0", "out/b", "denied"),
        ("in/a.txt", "", "denied"),
    ] {
        for replace in [false, true] {
            let error = project.call("files.move", json!({"from": from, "to": to, "replace": replace})).unwrap_err();
            assert_eq!((error.code.as_str(), error.not_done), (code, true), "{from} to {to}: {error}");
        }
    }
    assert_eq!(project.read("in/a.txt"), "text");
    assert_eq!(fs::read_dir(project.outside()).unwrap().count(), 1);
    // A link is replaced itself.
    project.link("out/secret", project.outside().join("secret.txt"));
    assert_eq!(project.call("files.move", input("out/secret", false)).unwrap_err().code, "exists");
    project.call("files.move", input("out/secret", true)).unwrap();
    assert_eq!(project.read("out/secret"), "text");
    assert_eq!(fs::read_to_string(project.outside().join("secret.txt")).unwrap(), "secret");
}

#[test]
fn movers_at_once_to_one_name_lose_nothing() {
    let project = project();
    for i in 0..8 {
        project.put(&format!("in/{i}"), i.to_string());
    }
    let moved: Vec<bool> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..8)
            .map(|i| {
                let project = &project;
                scope.spawn(move || {
                    let result = project.call("files.move", json!({"from": format!("in/{i}"), "to": "out/one"}));
                    result.map_err(|error| assert_eq!(error.code, "exists", "{error}")).is_ok()
                })
            })
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert_eq!(moved.iter().filter(|moved| **moved).count(), 1);
    let left: Vec<_> = (0..8).filter(|i| project.path(&format!("in/{i}")).exists()).collect();
    assert_eq!(left.len(), 7);
    assert!(!left.contains(&project.read("out/one").parse().unwrap()));
}

#[test]
fn attempts_at_once_move_a_file_once() {
    let project = project();
    let (tool, context) = (project.tool("files.move"), project.context_of(2));
    let moved: Vec<bool> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..4)
            .map(|_| {
                let call = || project.call_on(&tool, input("out/b.txt", false), &context).unwrap();
                scope.spawn(move || call()["moved"] == true)
            })
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert_eq!(moved.iter().filter(|moved| **moved).count(), 1, "{moved:?}");
    assert_eq!(project.read("out/b.txt"), "text");
}
