//! The `files` family on hostile paths and strange files.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::project::Project;

fn paths(listed: &Value) -> Vec<&str> {
    listed["files"].as_array().unwrap().iter().map(|f| f["path"].as_str().unwrap()).collect()
}

#[test]
fn a_listed_path_can_be_read() {
    let project = Project::new();
    let listed = project.call("files.list", json!({"folder": "./data//letters/", "glob": "*.txt"})).unwrap();
    assert_eq!(
        listed,
        json!({"files": [
            {"path": "data/letters/a.txt", "name": "a.txt", "size": 5},
            {"path": "data/letters/b.txt", "name": "b.txt", "size": 6},
        ]})
    );
    let text = project.call("files.read_text", json!({"path": paths(&listed)[0]})).unwrap();
    assert_eq!(text, json!({"text": "first", "path": "data/letters/a.txt", "bytes": 5}));
}

#[test]
fn a_glob_chooses_by_path_below_the_folder() {
    let project = Project::new();
    for path in ["data/x.md", "data/.hidden", "data/.git/config", "data/letters/old/c.txt", "data/[odd].txt"] {
        project.put(path, "");
    }
    let list = |folder: &str, glob: Value| {
        let listed = project.call("files.list", json!({"folder": folder, "glob": glob})).unwrap();
        paths(&listed).join(" ")
    };
    assert_eq!(list("data", Value::Null), "data/[odd].txt data/x.md");
    assert_eq!(list("data", json!("*.txt")), "data/[odd].txt");
    assert_eq!(
        list("data", json!("**/*.txt")),
        "data/[odd].txt data/letters/a.txt data/letters/b.txt data/letters/old/c.txt"
    );
    assert_eq!(list("data", json!("letters/*")), "data/letters/a.txt data/letters/b.txt");
    assert_eq!(list("data", json!("{x,y}.*")), "data/x.md");
    assert_eq!(list("data", json!(".*")), "data/.hidden");
    assert_eq!(list("data", json!("*.pdf")), "");
    insta::assert_snapshot!(project.refused("files.list", json!({"folder": "data", "glob": "[a"})), @"invalid: glob `[a` cannot be read: unclosed character class; missing ']'; write it like `*.txt` or `**/*.txt`");
    insta::assert_snapshot!(project.refused("files.list", json!({"folder": "data", "glob": "a".repeat(10_000)})), @"invalid: `glob` has 10000 bytes and at most 4096 are read; write it like `*.txt`, and choose among the files by an expression");
    assert_eq!(list("data", json!("?".repeat(4096))), "");
    insta::assert_snapshot!(project.refused("files.list", json!({"folder": "data", "glob": "{a"})), @"invalid: glob `{a` cannot be read: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?); write it like `*.txt` or `**/*.txt`");
}

#[test]
fn a_name_that_no_argument_can_hold_is_not_passed_over() {
    use std::os::unix::ffi::OsStrExt;
    let project = Project::new();
    fs::write(project.path("data").join(std::ffi::OsStr::from_bytes(b"M\xfc.txt")), "").unwrap();
    insta::assert_snapshot!(project.refused("files.list", json!({"folder": "data"})), @r#"invalid_name: a file in `data` has a name that is not UTF-8: "M\xFC.txt"; rename it"#);
    assert_eq!(paths(&project.call("files.list", json!({"folder": "data", "glob": "*.md"})).unwrap()), [""; 0]);
}

#[test]
fn the_whole_project_can_be_granted() {
    let mut project = Project::new();
    project.grants = json!({"read": ["."], "write": ["."]});
    project.put("top.txt", "");
    let listed = project.call("files.list", json!({"folder": "."})).unwrap();
    assert_eq!(paths(&listed), ["top.txt"]);
    project.call("files.write_text", json!({"path": "new.txt", "text": "x"})).unwrap();
    assert_eq!(project.read("new.txt"), "x");
}

#[test]
fn what_is_not_granted_is_denied_with_the_line_to_add() {
    let mut project = Project::new();
    insta::assert_snapshot!(project.refused("files.read_text", json!({"path": "private/keys.txt"})), @"denied: `private/keys.txt` is in no folder that is granted for reading (granted: data); to allow it, write under `tools`: `files: { read: [data, private], write: [out] }`");
    insta::assert_snapshot!(project.refused("files.list", json!({"folder": "database"})), @"denied: `database` is in no folder that is granted for reading (granted: data); to allow it, write under `tools`: `files: { read: [data, database], write: [out] }`");
    // What may be written may not be read for that.
    insta::assert_snapshot!(project.refused("files.read_text", json!({"path": "out/a.txt"})), @"denied: `out/a.txt` is in no folder that is granted for reading (granted: data); to allow it, write under `tools`: `files: { read: [data, out], write: [out] }`");
    insta::assert_snapshot!(project.refused("files.write_text", json!({"path": "data/a.txt", "text": ""})), @"denied: `data/a.txt` is in no folder that is granted for writing (granted: out); to allow it, write under `tools`: `files: { read: [data], write: [out, data] }`");
    project.grants = Value::Null;
    insta::assert_snapshot!(project.refused("files.read_text", json!({"path": "a b/c.txt"})), @r#"denied: `a b/c.txt` is in no folder that is granted for reading (none is); to allow it, write under `tools`: `files: { read: ["a b"] }`"#);
    insta::assert_snapshot!(project.refused("files.write_csv", json!({"path": "c.csv", "rows": []})), @"denied: `c.csv` is in no folder that is granted for writing (none is); to allow it, write under `tools`: `files: { write: [.] }`");
    assert!(!project.path("out").exists());
}

#[test]
fn malformed_grants_are_refused_with_words() {
    let mut project = Project::new();
    let read = json!({"path": "data/letters/a.txt"});
    project.grants = json!({"reads": ["data"]});
    insta::assert_snapshot!(project.refused("files.read_text", read.clone()), @"invalid_grants: `tools.files` is malformed: unknown field `reads`, expected `read` or `write`; write it like `files: { read: [data], write: [out] }`");
    project.grants = json!({"read": "data"});
    insta::assert_snapshot!(project.refused("files.read_text", read.clone()), @r#"invalid_grants: `tools.files` is malformed: invalid type: string "data", expected a sequence; write it like `files: { read: [data], write: [out] }`"#);
    project.grants = json!({"read": ["../outside"]});
    insta::assert_snapshot!(project.refused("files.read_text", read.clone()), @"invalid_grants: `tools.files` grants `../outside`, which goes up with `..`; name a folder from the project root");
    project.grants = json!({"read": ["/"]});
    insta::assert_snapshot!(project.refused("files.read_text", read.clone()), @"invalid_grants: `tools.files` grants `/`, which is absolute; name a folder from the project root");
    project.grants = json!({"read": ["data/letters/a.txt"]});
    insta::assert_snapshot!(project.refused("files.read_text", read.clone()), @"not_a_folder: `data/letters/a.txt` is granted to `files` but is not a folder; grant the folder that holds it");
    project.grants = json!({"read": ["data", "nowhere"]});
    insta::assert_snapshot!(project.refused("files.list", json!({"folder": "nowhere/x"})), @"not_found: the granted folder `nowhere` does not exist; create it, or correct `tools.files`");
}

#[test]
fn a_path_cannot_climb_out() {
    let project = Project::new();
    let outside = project.outside().join("secret.txt");
    for path in [
        "../outside/secret.txt",
        "data/../../outside/secret.txt",
        "data/letters/../../private/keys.txt",
        "data/..",
        "..",
        outside.to_str().unwrap(),
        "/etc/passwd",
        "//etc/passwd",
        "",
        "data/letters/a.txt\0.png",
    ] {
        for (tool, input) in [
            ("files.read_text", json!({"path": path})),
            ("files.list", json!({"folder": path})),
            ("files.write_text", json!({"path": path, "text": "x"})),
            ("files.write_csv", json!({"path": path, "rows": [["x"]]})),
        ] {
            let error = project.call(tool, input).unwrap_err();
            assert_eq!(
                (error.code.as_str(), error.retryable, error.not_done),
                ("denied", false, true),
                "{tool} {path}: {error}"
            );
        }
    }
    insta::assert_snapshot!(project.refused("files.read_text", json!({"path": "data/../private/keys.txt"})), @"denied: path `data/../private/keys.txt` goes up with `..`; name it from the project root, as in `data/a.txt`");
    insta::assert_snapshot!(project.refused("files.read_text", json!({"path": "/etc/passwd"})), @"denied: path `/etc/passwd` is absolute; name it from the project root, as in `data/a.txt`");
    // Dots and backslashes within a name are a name.
    project.put("data/..a..", "dots");
    assert_eq!(project.call("files.read_text", json!({"path": "data/..a.."})).unwrap()["text"], "dots");
    assert!(project.refused("files.read_text", json!({"path": "data\\..\\..\\x"})).starts_with("denied"));
}

#[test]
fn a_symbolic_link_cannot_lead_out() {
    let project = Project::new();
    fs::create_dir(project.path("out")).unwrap();
    project.link("data/file.txt", project.outside().join("secret.txt"));
    project.link("data/folder", project.outside());
    project.link("data/up", "../..");
    project.link("data/sibling.txt", "../private/keys.txt");
    project.link("data/loop", "loop");
    project.link("data/proc", "/proc/self/root");
    project.link("data/inside.txt", "letters/a.txt");
    project.link("out/folder", project.outside());
    project.link("out/sibling", "../private");
    for path in [
        "data/file.txt",
        "data/folder/secret.txt",
        "data/up/outside/secret.txt",
        "data/sibling.txt",
        "data/proc/etc/passwd",
    ] {
        let error = project.call("files.read_text", json!({"path": path})).unwrap_err();
        assert_eq!(error.code, "denied", "{path}: {error}");
    }
    insta::assert_snapshot!(project.refused("files.read_text", json!({"path": "data/sibling.txt"})), @"denied: `data/sibling.txt` leads out of the granted folder by a link; grant the folder that it leads to");
    assert!(project.refused("files.list", json!({"folder": "data/folder"})).starts_with("denied"));
    assert!(project.call("files.read_text", json!({"path": "data/loop"})).is_err());
    assert_eq!(project.call("files.read_text", json!({"path": "data/inside.txt"})).unwrap()["text"], "first");
    // A list names no file that could not be read, and follows no link to a folder.
    let listed = project.call("files.list", json!({"folder": "data", "glob": "**/*"})).unwrap();
    assert_eq!(paths(&listed), ["data/inside.txt", "data/letters/a.txt", "data/letters/b.txt"]);

    for path in ["out/folder/new.txt", "out/folder/deep/new.txt", "out/sibling/keys.txt"] {
        let error = project.call("files.write_text", json!({"path": path, "text": "x"})).unwrap_err();
        assert_eq!(error.code, "denied", "{path}: {error}");
    }
    assert_eq!(project.read("private/keys.txt"), "key");
    assert_eq!(fs::read_dir(project.outside()).unwrap().count(), 1);
}

#[test]
fn a_link_swapped_in_between_calls_is_refused() {
    let mut project = Project::new();
    let read = json!({"path": "data/letters/a.txt"});
    project.call("files.read_text", read.clone()).unwrap();
    fs::remove_file(project.path("data/letters/a.txt")).unwrap();
    project.link("data/letters/a.txt", project.outside().join("secret.txt"));
    assert!(project.refused("files.read_text", read.clone()).starts_with("denied"));

    // A folder on the way.
    fs::remove_dir_all(project.path("data/letters")).unwrap();
    project.link("data/letters", project.outside());
    let below = project.call("files.read_text", json!({"path": "data/letters/secret.txt"})).unwrap_err();
    assert_eq!(below.code, "denied", "{below}");

    // The granted folder itself.
    fs::remove_dir_all(project.path("data")).unwrap();
    project.link("data", project.outside());
    project.grants = json!({"read": ["data"], "write": ["data"]});
    insta::assert_snapshot!(project.refused("files.list", json!({"folder": "data"})), @"denied: the granted folder `data` leads out of the project by a link; grant a folder in it");
    assert!(project.refused("files.write_text", json!({"path": "data/x", "text": "x"})).starts_with("denied"));
    assert_eq!(fs::read_dir(project.outside()).unwrap().count(), 1);
}

#[test]
fn links_swapped_while_reading_never_leak() {
    let project = Project::new();
    let (inside, link) = (project.path("data/letters/a.txt"), project.path("data/letters/swap"));
    fs::write(&inside, "harmless").unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (good, bad) = (project.path("data/good"), project.path("data/bad"));
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                for (name, target) in [(&good, inside.clone()), (&bad, project.outside().join("secret.txt"))] {
                    let target =
                        target.strip_prefix(project.path("data/letters")).map(ToOwned::to_owned).unwrap_or(target);
                    let _ = std::os::unix::fs::symlink(target, name);
                    let _ = fs::rename(name, &link);
                }
            }
        });
        for _ in 0..300 {
            if let Ok(read) = project.call("files.read_text", json!({"path": "data/letters/swap"})) {
                assert_eq!(read["text"], "harmless");
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn a_missing_file_names_the_nearest() {
    let project = Project::new();
    insta::assert_snapshot!(project.refused("files.read_text", json!({"path": "data/leters/a.txt"})), @"not_found: there is no `data/leters/a.txt`; the nearest name is `data/letters`");
    insta::assert_snapshot!(project.refused("files.read_text", json!({"path": "data/letters/a.tx"})), @"not_found: there is no `data/letters/a.tx`; the nearest name is `data/letters/a.txt`");
    insta::assert_snapshot!(project.refused("files.list", json!({"folder": "data/letter"})), @"not_found: there is no `data/letter`; the nearest name is `data/letters`");
    insta::assert_snapshot!(project.refused("files.list", json!({"folder": "data/zzz"})), @"not_found: there is no `data/zzz`; look at the folder above it with `files.list`");
    insta::assert_snapshot!(project.refused("files.list", json!({"folder": "data/letters/a.txt"})), @"not_a_folder: cannot list `data/letters/a.txt`: a part of its path is a file, not a folder");
    insta::assert_snapshot!(project.refused("files.read_text", json!({"path": "data/letters/a.txt/b"})), @"not_a_folder: cannot read `data/letters/a.txt/b`: a part of its path is a file, not a folder");
    insta::assert_snapshot!(project.refused("files.read_text", json!({"path": "data/letters"})), @"is_folder: `data/letters` is a folder; name a file in it");
}

#[test]
fn only_utf_8_of_a_bearable_size_is_read() {
    let project = Project::new();
    let read = |name: &str, content: &[u8]| {
        project.put(&format!("data/{name}"), content);
        project.call("files.read_text", json!({"path": format!("data/{name}")}))
    };
    assert_eq!(read("empty", b"").unwrap(), json!({"text": "", "path": "data/empty", "bytes": 0}));
    assert_eq!(read("bom", b"\xef\xbb\xbfhi").unwrap(), json!({"text": "hi", "path": "data/bom", "bytes": 5}));
    assert_eq!(read("only-bom", b"\xef\xbb\xbf").unwrap()["text"], "");
    assert_eq!(read("full", &[b'x'; 1 << 20]).unwrap()["bytes"], 1 << 20);
    insta::assert_snapshot!(read("latin-1", b"M\xfcller").unwrap_err(), @"`data/latin-1` is not UTF-8: byte 1 is 0xfc; convert it, for example with `iconv -t UTF-8`");
    insta::assert_snapshot!(read("utf-16", b"\xff\xfeh\0i\0").unwrap_err(), @"`data/utf-16` is not UTF-8 (it looks like UTF-16): byte 0 is 0xff; convert it, for example with `iconv -t UTF-8`");
    insta::assert_snapshot!(read("binary", b"\x7fELF\x00\x00\xf0").unwrap_err(), @"`data/binary` is not UTF-8 (it looks like a binary file): byte 6 is 0xf0; convert it, for example with `iconv -t UTF-8`");
    insta::assert_snapshot!(read("cut", "é".as_bytes().split_last().unwrap().1).unwrap_err(), @"`data/cut` is not UTF-8: byte 0 is 0xc3; convert it, for example with `iconv -t UTF-8`");
    insta::assert_snapshot!(read("huge", &[b'x'; (1 << 20) + 1]).unwrap_err(), @"`data/huge` has 1048577 bytes and at most 1048576 (1 MiB) are read; split it into smaller files");
    std::process::Command::new("mkfifo").arg(project.path("data/pipe")).status().unwrap();
    insta::assert_snapshot!(project.refused("files.read_text", json!({"path": "data/pipe"})), @"not_a_file: `data/pipe` is a device, pipe or socket; only files are read");
}

#[test]
fn a_write_creates_the_folders_within_its_grant() {
    let mut project = Project::new();
    project.grants = json!({"write": ["a/b/out"]});
    let written = project.call("files.write_text", json!({"path": "a/b/out/c/d.md", "text": "héllo"})).unwrap();
    assert_eq!(
        written,
        json!({"path": "a/b/out/c/d.md", "bytes": 6, "sha256": "3c48591d8d098a4538f5e013dfcf406e948eac4d3277b10bf614e295d6068179"})
    );
    assert_eq!(project.read("a/b/out/c/d.md"), "héllo");
}

#[test]
fn a_repeated_write_is_one_write() {
    let project = Project::new();
    let write =
        || project.call("files.write_csv", json!({"path": "out/o.csv", "rows": [{"a": 1}, {"a": "=x"}]})).unwrap();
    let first = write();
    assert_eq!((first.clone(), project.read("out/o.csv")), (write(), "a\r\n1\r\n'=x\r\n".into()));
    assert_eq!((&first["rows"], &first["columns"]), (&json!(2), &json!(["a"])));
    let kept = json!({"path": "out/o.csv", "rows": [{"a": "=x"}], "formulas": "keep"});
    project.call("files.write_csv", kept).unwrap();
    assert_eq!(project.read("out/o.csv"), "a\r\n=x\r\n");
    assert_eq!(fs::read_dir(project.path("out")).unwrap().count(), 1, "a temporary file was left");
}

#[test]
fn what_a_kill_left_of_a_write_does_not_stay() {
    let project = Project::new();
    let names = [".parkway-4194305-0.tmp", ".parkway-1-7.tmp", ".parkway-notes.tmp", ".parkway--.tmp", "a.tmp"];
    for name in names {
        project.put(&format!("out/deep/{name}"), "a part");
    }
    fs::create_dir(project.path("out/deep/.parkway-2-2.tmp")).unwrap();
    project.link("out/deep/.parkway-3-3.tmp", "a.tmp");
    // The second one belongs to somebody who lives.
    let alive = fs::File::open(project.path("out/deep/.parkway-1-7.tmp")).unwrap();
    alive.lock().unwrap();
    project.call("files.write_text", json!({"path": "out/deep/b.txt", "text": "whole"})).unwrap();
    let mut left: Vec<_> = fs::read_dir(project.path("out/deep"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    let stay = [".parkway--.tmp", ".parkway-1-7.tmp", ".parkway-2-2.tmp", ".parkway-3-3.tmp", ".parkway-notes.tmp"];
    assert_eq!(left, [&stay[..], &["a.tmp", "b.txt"]].concat());
}

#[test]
fn what_cannot_be_replaced_is_left_whole() {
    let project = Project::new();
    let write = json!({"path": "out/a.txt", "text": "new"});
    project.put("out/folder/x", "");
    insta::assert_snapshot!(project.refused("files.write_text", json!({"path": "out/folder", "text": ""})), @"is_folder: `out/folder` is a folder; name a file in it");
    insta::assert_snapshot!(project.refused("files.write_text", json!({"path": "out", "text": ""})), @"is_folder: `out` is a folder; name a file in it");
    insta::assert_snapshot!(project.refused("files.write_text", json!({"path": "out/folder/x/y", "text": ""})), @"not_a_folder: cannot create the folder of `out/folder/x/y`: a part of its path is a file, not a folder");
    // Root may write what is marked read-only and into any folder, so only the mark on the file can be tested as root.
    project.put("out/a.txt", "old");
    fs::set_permissions(project.path("out/a.txt"), PermissionsExt::from_mode(0o444)).unwrap();
    insta::assert_snapshot!(project.refused("files.write_text", write.clone()), @"permission: `out/a.txt` is marked read-only; make it writable, or write to another file");
    assert_eq!(project.read("out/a.txt"), "old");
    // The mode of a file that is replaced is kept: a private file stays private.
    fs::set_permissions(project.path("out/a.txt"), PermissionsExt::from_mode(0o600)).unwrap();
    project.call("files.write_text", write.clone()).unwrap();
    assert_eq!(fs::metadata(project.path("out/a.txt")).unwrap().permissions().mode() & 0o777, 0o600);
    // A link is replaced itself.
    fs::remove_file(project.path("out/a.txt")).unwrap();
    project.link("out/a.txt", project.outside().join("secret.txt"));
    project.call("files.write_text", write).unwrap();
    assert_eq!(
        (
            project.read("out/a.txt").as_str(),
            fs::read_to_string(project.outside().join("secret.txt")).unwrap().as_str()
        ),
        ("new", "secret")
    );
}

#[test]
fn a_folder_without_permission_says_so() {
    let project = Project::new();
    fs::create_dir(project.path("out")).unwrap();
    fs::set_permissions(project.path("out"), PermissionsExt::from_mode(0o555)).unwrap();
    let written = project.call("files.write_text", json!({"path": "out/a.txt", "text": "x"}));
    // Root is not stopped by a mode.
    match written {
        Ok(_) => assert_eq!(project.read("out/a.txt"), "x"),
        Err(error) => assert_eq!(error.code, "permission", "{error}"),
    }
    fs::set_permissions(project.path("out"), PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn a_folder_that_may_not_be_read_is_told_before_anything_is_written() {
    let project = Project::new();
    project.put("out/a.txt", "old");
    fs::set_permissions(project.path("out"), PermissionsExt::from_mode(0o300)).unwrap();
    let written = project.call("files.write_text", json!({"path": "out/a.txt", "text": "new"}));
    // Root is not stopped by a mode.
    match written {
        Ok(_) => assert_eq!(project.read("out/a.txt"), "new"),
        Err(error) => {
            assert_eq!((error.code.as_str(), error.not_done), ("permission", true), "{error}");
            assert_eq!(project.read("out/a.txt"), "old");
        }
    }
    fs::set_permissions(project.path("out"), PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn a_private_file_is_private_while_it_is_replaced() {
    let project = Project::new();
    project.put("out/a.txt", "old");
    fs::set_permissions(project.path("out/a.txt"), PermissionsExt::from_mode(0o600)).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut seen = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                for entry in fs::read_dir(project.path("out")).unwrap().flatten() {
                    if let Ok(found) = entry.metadata() {
                        assert_eq!(found.permissions().mode() & 0o077, 0, "{:?}", entry.file_name());
                        seen += usize::from(entry.file_name() != "a.txt");
                    }
                }
            }
            seen
        });
        let text = "x".repeat(20_000_000);
        for _ in 0..3 {
            project.call("files.write_text", json!({"path": "out/a.txt", "text": text})).unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(watch.join().unwrap() > 0, "no temporary file was seen");
    });
    // A new file has the mode that any has.
    project.call("files.write_text", json!({"path": "out/new.txt", "text": ""})).unwrap();
    project.put("out/other.txt", "");
    let mode = |path: &str| fs::metadata(project.path(path)).unwrap().permissions().mode();
    assert_eq!(mode("out/new.txt"), mode("out/other.txt"));
}

#[test]
fn writers_at_once_leave_one_whole_file() {
    let project = Project::new();
    let texts: Vec<String> = (0..8).map(|i| i.to_string().repeat(200_000)).collect();
    std::thread::scope(|scope| {
        for text in &texts {
            let project = &project;
            scope.spawn(move || {
                project.call("files.write_text", json!({"path": "out/same.txt", "text": text})).unwrap()
            });
        }
        scope.spawn(|| {
            for _ in 0..50 {
                if let Ok(seen) = fs::read_to_string(project.path("out/same.txt")) {
                    assert!(texts.contains(&seen), "a part of a file was seen");
                }
            }
        });
    });
    assert!(texts.contains(&project.read("out/same.txt")));
    assert_eq!(fs::read_dir(project.path("out")).unwrap().count(), 1, "a temporary file was left");
}
