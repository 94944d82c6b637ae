//! `files.patch`: all edits or none, and never twice.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::project::Project;

/// A project with `out/a.txt`, and `out` granted for reading and writing.
fn project(text: &str) -> Project {
    let mut project = Project::new();
    project.grants = json!({"read": ["out"], "write": ["out"]});
    project.put("out/a.txt", text);
    project
}

fn input(edits: &[(&str, &str)]) -> Value {
    let edits: Vec<_> = edits.iter().map(|(old, new)| json!({"old": old, "new": new})).collect();
    json!({"path": "out/a.txt", "edits": edits})
}

#[test]
fn a_second_call_changes_nothing() {
    let project = project("\u{feff}one\r\ntwo\r\nthree\r\n");
    let patch = input(&[("two", "2"), ("2\r\nthree", "2\r\n3")]);
    let first = project.call("files.patch", patch.clone()).unwrap();
    assert_eq!(first["changed"], true);
    assert_eq!(project.read("out/a.txt"), "\u{feff}one\r\n2\r\n3\r\n");
    let mut second = project.call("files.patch", patch).unwrap();
    assert_eq!(second["changed"], false);
    second["changed"] = json!(true);
    assert_eq!(second, first);
    assert_eq!(fs::read_dir(project.path("out")).unwrap().count(), 1, "a temporary file was left");
}

#[test]
fn a_line_is_added_or_removed_once() {
    for (before, old, new, after) in [
        ("use a;\nfn x() {}\n", "use a;\n", "use a;\nuse b;\n", "use a;\nuse b;\nfn x() {}\n"),
        ("a\nb\nc\n", "a\nb\n", "a\n", "a\nc\n"),
    ] {
        let project = project(before);
        for changed in [true, false, false] {
            let output = project.call("files.patch", input(&[(old, new)])).unwrap();
            assert_eq!((&output["changed"], project.read("out/a.txt").as_str()), (&json!(changed), after));
        }
    }
}

#[test]
fn one_edit_that_does_not_fit_keeps_all_from_being_made() {
    let text = "fn main() {\n    let a = 1;\n    let b = 1;\n}\n";
    let project = project(text);
    let refused = |edits: &[(&str, &str)]| {
        let refused = project.refused("files.patch", input(edits));
        assert_eq!(project.read("out/a.txt"), text);
        refused
    };
    insta::assert_snapshot!(refused(&[("main", "start"), ("let c = 2;", "x")]), @"mismatch: `old` of edit 1 does not stand in `out/a.txt` as the edits before it leave it: the line nearest to its first is line 2; read the file and copy the text");
    insta::assert_snapshot!(refused(&[("    let b = 1\n", "x")]), @"mismatch: `old` of edit 0 does not stand in `out/a.txt`: the line nearest to its first is line 3; read the file and copy the text");
    insta::assert_snapshot!(refused(&[("zzzzzz", "x")]), @"mismatch: `old` of edit 0 does not stand in `out/a.txt`: no line is like its first; read the file and copy the text");
    insta::assert_snapshot!(refused(&[("let ", "x")]), @"mismatch: `old` of edit 0 stands 2 times in `out/a.txt`, and must stand once; take lines around it into `old` and `new`");
    insta::assert_snapshot!(refused(&[("a = 1", "b = 1")]), @"unclear: `new` of edit 0 would stand 2 times in `out/a.txt`, and a second call could not tell whether the patch is made; take lines around it into `old` and `new`");
    insta::assert_snapshot!(refused(&[("let a", "let t"), ("let b", "let a"), ("let t", "let b")]), @"unclear: `out/a.txt` may be the file before this patch as well as the one after it; give the `sha256` of the one before");
    insta::assert_snapshot!(refused(&[("let a", "")]), @"unclear: `new` of edit 0 is empty, and a second call could not tell that something is gone; take a line before or after it into `old` and `new`");
    insta::assert_snapshot!(refused(&[("", "x")]), @"invalid: `old` of edit 0 is empty; give the text to be replaced");
    insta::assert_snapshot!(refused(&[("a", "a")]), @"invalid: edit 0 changes nothing: `old` and `new` are the same; leave it out");
    insta::assert_snapshot!(refused(&[]), @"invalid: `edits` has 0 items; give 1 to 100");
    insta::assert_snapshot!(refused(&[("main", &"x".repeat(1 << 20))]), @"too_large: `out/a.txt` would have 1048616 bytes and at most 1048576 (1 MiB) are patched; write it with `files.write_text`");
    project.put("out/a.txt", "a\r\nb\r\n");
    insta::assert_snapshot!(project.refused("files.patch", input(&[("a\nb", "x")])), @r#"mismatch: `old` of edit 0 does not stand in `out/a.txt`: lines end with `\r\n` there; write them so"#);
}

#[test]
fn a_file_that_changed_meanwhile_is_left_alone() {
    let project = project("a b");
    let sha256 = "c8687a08aa5d6ed2044328fa6a697ab8e96dc34291e8c2034ae8c38e6fcc6d65";
    let mut patch = input(&[("a", "t"), ("b", "a"), ("t", "b")]);
    patch["sha256"] = json!(sha256);
    for changed in [true, false] {
        let output = project.call("files.patch", patch.clone()).unwrap();
        assert_eq!((&output["changed"], project.read("out/a.txt").as_str()), (&json!(changed), "b a"));
    }
    project.put("out/a.txt", "a  b");
    insta::assert_snapshot!(project.refused("files.patch", patch.clone()), @"changed: `out/a.txt` is neither the file of this `sha256` nor what the patch makes of it; read it again, and give the `sha256` of what you read");
    patch["sha256"] = json!("abc");
    insta::assert_snapshot!(project.refused("files.patch", patch), @"invalid: `sha256` is `abc`, not 64 hexadecimal digits; take it from what wrote the file");
    assert_eq!(project.read("out/a.txt"), "a  b");
}

#[test]
fn what_may_not_be_read_may_not_be_guessed() {
    let mut project = project("key");
    project.grants = json!({"write": ["out"]});
    assert!(project.refused("files.patch", input(&[("key", "x")])).starts_with("denied: "));
    project.grants = json!({"read": ["out"]});
    assert!(project.refused("files.patch", input(&[("key", "x")])).starts_with("denied: "));
    project.grants = json!({"read": ["."], "write": ["out"]});
    project.link("out/link", "a.txt");
    project.link("out/away", project.outside().join("secret.txt"));
    project.put("out/folder/x", "");
    project.put("out/binary", b"\xff");
    project.put("out/read-only", "key");
    fs::set_permissions(project.path("out/read-only"), PermissionsExt::from_mode(0o444)).unwrap();
    std::process::Command::new("mkfifo").arg(project.path("out/pipe")).status().unwrap();
    for (path, code) in [
        ("out/none", "not_found"),
        ("out/link", "not_a_file"),
        ("out/away", "not_a_file"),
        ("out/folder", "is_folder"),
        ("out/pipe", "not_a_file"),
        ("out/binary", "encoding"),
        ("out/read-only", "permission"),
        ("out/../private/keys.txt", "denied"),
        ("private/keys.txt", "denied"),
        ("out/a\0", "denied"),
    ] {
        let error =
            project.call("files.patch", json!({"path": path, "edits": [{"old": "key", "new": "x"}]})).unwrap_err();
        assert_eq!((error.code.as_str(), error.not_done), (code, true), "{path}: {error}");
    }
    assert_eq!(fs::read_to_string(project.outside().join("secret.txt")).unwrap(), "secret");
}

#[test]
fn patches_at_once_lose_none() {
    let lines: String = (0..16).map(|i| format!("line {i:02}\n")).collect();
    let project = project(&lines);
    std::thread::scope(|scope| {
        for i in 0..16 {
            let project = &project;
            scope.spawn(move || {
                let edits = input(&[(&format!("line {i:02}"), &format!("done {i:02}"))]);
                assert_eq!(project.call("files.patch", edits).unwrap()["changed"], true);
            });
        }
    });
    assert_eq!(project.read("out/a.txt"), lines.replace("line", "done"));
}

#[test]
fn a_file_that_somebody_holds_is_waited_for() {
    let project = project("a");
    let file = fs::File::open(project.path("out/a.txt")).unwrap();
    file.lock().unwrap();
    std::thread::scope(|scope| {
        let patch = scope.spawn(|| project.call("files.patch", input(&[("a", "b")])).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert_eq!(project.read("out/a.txt"), "a");
        drop(file);
        assert_eq!(patch.join().unwrap()["changed"], true);
    });
}

#[test]
fn a_link_that_only_the_grant_to_write_follows_is_refused() {
    let mut project = project("a");
    project.link("out/l", "../private");
    let patch = json!({"path": "out/l/keys.txt", "edits": [{"old": "key", "new": "x"}]});
    for grants in [json!({"read": ["out"], "write": ["."]}), json!({"read": ["."], "write": ["out"]})] {
        project.grants = grants;
        assert!(project.refused("files.patch", patch.clone()).starts_with("denied: "));
    }
    // The granted folder itself is the link.
    project.grants = json!({"read": ["out"], "write": ["out/l"]});
    assert!(project.refused("files.patch", patch).starts_with("denied: "));
    assert_eq!(project.read("private/keys.txt"), "key");
    // Grants of different depth still meet.
    project.grants = json!({"read": ["."], "write": ["out"]});
    assert_eq!(project.call("files.patch", input(&[("a", "b")])).unwrap()["changed"], true);
    assert_eq!(project.read("out/a.txt"), "b");
}

#[test]
fn what_a_kill_left_of_a_patch_does_not_stay() {
    let project = project("a");
    project.put("out/.parkway-4194305-0.tmp", "a part");
    assert_eq!(project.call("files.patch", input(&[("a", "b")])).unwrap()["changed"], true);
    assert_eq!(fs::read_dir(project.path("out")).unwrap().count(), 1);
    assert_eq!(project.read("out/a.txt"), "b");
}

#[test]
fn a_huge_file_takes_no_longer_than_others() {
    for (line, old) in
        [("x".repeat(99), "y".repeat(1000)), ("a".into(), "ab".repeat(1000)), ("ab".into(), "b\n".into())]
    {
        let project = project(&format!("{line}\n").repeat((1 << 20) / (line.len() + 1)));
        let begun = std::time::Instant::now();
        let edits: Vec<_> = (0..100).map(|i| (old.clone(), i.to_string())).collect();
        let edits: Vec<_> = edits.iter().map(|(old, new)| (old.as_str(), new.as_str())).collect();
        assert!(project.refused("files.patch", input(&edits)).starts_with("mismatch: "));
        assert!(begun.elapsed().as_secs() < 120, "`{line}` took {:?}", begun.elapsed());
    }
}
