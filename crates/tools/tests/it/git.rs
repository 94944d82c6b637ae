//! The `git` tools on repositories that the program `git` makes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::project::Project;

/// A project whose folder `work` is granted, with the repository `work/site` in it.
struct Desk {
    project: Project,
}

impl Desk {
    fn new() -> Desk {
        let mut project = Project::new();
        project.grants = json!({"read": ["work"]});
        let desk = Desk { project };
        fs::create_dir_all(desk.project.path("work/site")).unwrap();
        desk.git(&["init", "-q", "-b", "main"]);
        desk
    }

    fn git(&self, arguments: &[&str]) -> String {
        self.git_with("", arguments)
    }

    /// Runs `git` in the repository; each commit is a day later than the one before it.
    fn git_with(&self, input: &str, arguments: &[&str]) -> String {
        let count =
            Command::new("git").args(["rev-list", "--all", "--count"]).current_dir(self.site()).output().unwrap();
        let day = String::from_utf8(count.stdout).unwrap().trim().parse().unwrap_or(0) + 1;
        let date = format!("2026-11-{day:02}T12:00:00+02:00");
        let mut child = Command::new("git")
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "protocol.file.allow=always"])
            .args(arguments)
            .current_dir(self.site())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_DATE", &date)
            .env("GIT_COMMITTER_DATE", &date)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn site(&self) -> std::path::PathBuf {
        self.project.path("work/site")
    }

    fn put(&self, path: &str, content: impl AsRef<[u8]>) {
        self.project.put(&format!("work/site/{path}"), content);
    }

    fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn call(&self, tool: &str, mut input: Value) -> Value {
        input["repo"] = "work/site".into();
        self.project.call(tool, input).unwrap()
    }

    #[track_caller]
    fn refused(&self, tool: &str, input: Value) -> String {
        self.project.refused(tool, input)
    }
}

fn subjects(log: &Value) -> Vec<&str> {
    log["commits"].as_array().unwrap().iter().map(|commit| commit["subject"].as_str().unwrap()).collect()
}

#[test]
fn the_history_is_told_newest_first() {
    let desk = Desk::new();
    desk.put("a.txt", "one\n");
    let first = desk.commit("Begin");
    desk.put("b/c.txt", "two\n");
    let second = desk.commit("Add c\nin two lines\n\nBecause of ä.\n\nSigned-off-by: Ada");
    desk.put("a.txt", "three\n");
    desk.commit("Change a");
    let log = desk.call("git.log", json!({}));
    assert_eq!((subjects(&log), &log["more"]), (vec!["Change a", "Add c in two lines", "Begin"], &json!(false)));
    assert_eq!(
        log["commits"][1],
        json!({
            "id": second, "short": second[..10], "parents": [first], "author": "Ada", "email": "ada@example.com",
            "time": "2026-11-02T10:00:00.000000Z", "subject": "Add c in two lines",
            "body": "Because of ä.\n\nSigned-off-by: Ada", "cut": false
        })
    );
    assert_eq!(subjects(&desk.call("git.log", json!({"path": "a.txt"}))), ["Change a", "Begin"]);
    assert_eq!(subjects(&desk.call("git.log", json!({"path": "./b/"}))), ["Add c in two lines"]);
    let log = desk.call("git.log", json!({"from": "HEAD~1", "limit": 1}));
    assert_eq!((subjects(&log), &log["more"]), (vec!["Add c in two lines"], &json!(true)));
    assert_eq!(desk.call("git.log", json!({"path": "none"}))["commits"], json!([]));
    desk.git(&["gc", "-q"]);
    assert_eq!(subjects(&desk.call("git.log", json!({"from": &first[..8]}))), ["Begin"]);
}

#[test]
fn a_merge_is_told_once_and_touches_what_it_alone_changed() {
    let desk = Desk::new();
    desk.put("a.txt", "one\n");
    desk.commit("Begin");
    desk.git(&["checkout", "-q", "-b", "side"]);
    desk.put("b.txt", "two\n");
    desk.commit("Side");
    desk.git(&["checkout", "-q", "main"]);
    desk.put("c.txt", "three\n");
    desk.commit("Main");
    desk.git(&["merge", "-q", "-m", "Merge side", "side"]);
    assert_eq!(subjects(&desk.call("git.log", json!({}))), ["Merge side", "Main", "Side", "Begin"]);
    assert_eq!(subjects(&desk.call("git.log", json!({"path": "b.txt"}))), ["Side"]);
    let merge = desk.call("git.show", json!({"commit": "main"}));
    assert_eq!((&merge["files"][0]["path"], merge["files"].as_array().unwrap().len()), (&json!("b.txt"), 1));
}

#[test]
fn the_oldest_commit_of_a_shallow_clone_is_shown_as_one_without_parents() {
    let desk = Desk::new();
    desk.put("a.txt", "one\n");
    desk.commit("Begin");
    desk.put("b.txt", "two\n");
    desk.commit("Add b");
    let from = format!("file://{}", desk.site().display());
    desk.git(&["clone", "-q", "--depth", "1", &from, "../shallow"]);
    let call = |tool: &str, input: Value| desk.project.call(tool, input).unwrap();
    let shown = call("git.show", json!({"repo": "work/shallow", "commit": "HEAD"}));
    let paths: Vec<_> = shown["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!((paths, &shown["commit"]["parents"]), (vec!["a.txt", "b.txt"], &json!([])));
    let log = call("git.log", json!({"repo": "work/shallow", "path": "a.txt"}));
    assert_eq!(subjects(&log), ["Add b"]);
}

#[test]
fn a_diff_is_the_one_that_git_tells() {
    let desk = Desk::new();
    let lines: Vec<String> = (0..40).map(|n| format!("line {n}\n")).collect();
    desk.put("long.txt", lines.concat());
    desk.put("gone.txt", "x\ny\n");
    desk.put("old/name.txt", "the same\n");
    desk.put("picture", [0, 159, 146, 150]);
    let first = desk.commit("Begin");
    desk.put("long.txt", lines.concat().replace("line 3\n", "line three\n").replace("line 30\n", ""));
    desk.put("new.txt", "without an end");
    desk.put("picture", [0, 1]);
    desk.put("big.txt", "many\n".repeat(300_000));
    fs::remove_file(desk.site().join("gone.txt")).unwrap();
    fs::create_dir(desk.site().join("new")).unwrap();
    fs::rename(desk.site().join("old/name.txt"), desk.site().join("new/name.txt")).unwrap();
    desk.commit("Change");
    let diff = desk.call("git.diff", json!({"from": first, "to": "main"}));
    let mut told = String::new();
    for file in diff["files"].as_array().unwrap() {
        told.push_str(&format!(
            "{} {} {} +{} -{} {}\n{}",
            file["path"],
            file["old_path"],
            file["status"],
            file["added"],
            file["removed"],
            file["left_out"],
            file["diff"].as_str().unwrap_or_default()
        ));
    }
    insta::assert_snapshot!(told, @r#"
    "big.txt" null "added" +null -null "large"
    "gone.txt" null "removed" +0 -2 null
    --- a/gone.txt
    +++ /dev/null
    @@ -1,2 +0,0 @@
    -x
    -y
    "long.txt" null "changed" +1 -2 null
    --- a/long.txt
    +++ b/long.txt
    @@ -1,7 +1,7 @@
     line 0
     line 1
     line 2
    -line 3
    +line three
     line 4
     line 5
     line 6
    @@ -28,7 +28,6 @@
     line 27
     line 28
     line 29
    -line 30
     line 31
     line 32
     line 33
    "new.txt" null "added" +1 -0 null
    --- /dev/null
    +++ b/new.txt
    @@ -0,0 +1 @@
    +without an end
    \ No newline at end of file
    "new/name.txt" "old/name.txt" "renamed" +0 -0 null
    "picture" null "changed" +null -null "binary"
    "#);
    assert_eq!(diff["more"], false);
    let gits = desk.git(&["diff", &first, "main", "--", "long.txt"]);
    let ours = desk.call("git.diff", json!({"from": first, "to": "main", "path": "long.txt"}));
    let hunks = |text: &str| {
        text.lines()
            .skip_while(|line| !line.starts_with("@@"))
            .map(|line| {
                // What git adds behind the second @@ is a guess at where the hunk stands.
                line.strip_prefix("@@")
                    .and_then(|rest| rest.split_once("@@"))
                    .map_or(line.to_owned(), |(place, _)| place.to_owned())
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(hunks(ours["files"][0]["diff"].as_str().unwrap()), hunks(&gits));
    let bare = desk.call("git.diff", json!({"from": first, "to": "main", "path": "long.txt", "context": 0}));
    assert_eq!(bare["files"][0]["diff"].as_str().unwrap().lines().count(), 7);
    assert_eq!(desk.call("git.diff", json!({"from": "main", "to": "main"})), json!({"files": [], "more": false}));
    let root = desk.call("git.show", json!({"commit": first}));
    assert_eq!((root["files"].as_array().unwrap().len(), &root["files"][0]["status"]), (4, &json!("added")));
}

#[test]
fn what_is_no_commit_is_said_to_be_none() {
    let desk = Desk::new();
    desk.put("a.txt", "one\n");
    desk.project.put("work/plain/a.txt", "");
    let show = |commit: &str| desk.refused("git.show", json!({"repo": "work/site", "commit": commit}));
    insta::assert_snapshot!(desk.refused("git.log", json!({"repo": "work/site"})), @"not_found: `HEAD` is no commit of `work/site`; give a branch, a tag, an id, or `HEAD~3`; `git.log` tells what there is");
    desk.commit("Begin");
    insta::assert_snapshot!(show("nowhere"), @"not_found: `nowhere` is no commit of `work/site`; give a branch, a tag, an id, or `HEAD~3`; `git.log` tells what there is");
    insta::assert_snapshot!(show("main:a.txt"), @"not_found: `main:a.txt` is no commit of `work/site`; give a branch, a tag, an id, or `HEAD~3`; `git.log` tells what there is");
    insta::assert_snapshot!(show("--output=/tmp/x"), @"not_found: `--output=/tmp/x` is no commit of `work/site`; give a branch, a tag, an id, or `HEAD~3`; `git.log` tells what there is");
    insta::assert_snapshot!(show(""), @"not_found: `` is no commit of `work/site`; give a branch, a tag, an id, or `HEAD~3`; `git.log` tells what there is");
    insta::assert_snapshot!(desk.refused("git.log", json!({"repo": "work/plain"})), @"no_repository: `work/plain` is no git repository; name the folder that holds `.git`");
    insta::assert_snapshot!(desk.refused("git.log", json!({"repo": "work/none"})), @"not_found: there is no folder `work/none`; correct the path");
    insta::assert_snapshot!(desk.refused("git.log", json!({"repo": "work/site", "limit": 0})), @"invalid: `limit` is 0, and must be from 1 to 1000; ask for the rest with `from`");
    insta::assert_snapshot!(desk.refused("git.log", json!({"repo": "work/site", "path": "../a"})), @"invalid: `path` is `../a`, which goes up with `..`; name a file or folder from the top of the repository");
    let many = json!({"repo": "work/site", "from": "main", "to": "main", "context": 101});
    insta::assert_snapshot!(desk.refused("git.diff", many), @"invalid: `context` is 101, and at most 100 lines are told; give a smaller number");
}

#[test]
fn only_granted_repositories_are_read() {
    let mut desk = Desk::new();
    desk.commit("Begin");
    fs::create_dir_all(desk.project.path("other")).unwrap();
    fs::create_dir_all(desk.project.path("work/linked")).unwrap();
    desk.project.put("work/worktree/.git", format!("gitdir: {}", desk.site().join(".git").display()));
    desk.project.link("work/link", desk.site());
    desk.project.link("work/linked/.git", desk.site().join(".git"));
    insta::assert_snapshot!(desk.refused("git.log", json!({"repo": "other"})), @"denied: `other` is in no folder that is granted for reading (granted: work); to allow it, write under `tools`: `git: { read: [work, other] }`");
    insta::assert_snapshot!(desk.refused("git.log", json!({"repo": "work/../other"})), @"denied: the repository `work/../other` goes up with `..`; name its folder from the project root");
    insta::assert_snapshot!(desk.refused("git.log", json!({"repo": "/etc"})), @"denied: the repository `/etc` is absolute; name its folder from the project root");
    insta::assert_snapshot!(desk.refused("git.log", json!({"repo": "work/link"})), @"denied: the repository `work/link` is reached by a link; name the folder that the link leads to");
    insta::assert_snapshot!(desk.refused("git.log", json!({"repo": "work/linked"})), @"denied: `work/linked` is a working tree whose `.git` leads elsewhere; name the repository that it belongs to");
    insta::assert_snapshot!(desk.refused("git.log", json!({"repo": "work/worktree"})), @"denied: `work/worktree` is a working tree whose `.git` leads elsewhere; name the repository that it belongs to");
    desk.git(&["clone", "-q", "--bare", ".", "../bare.git"]);
    assert_eq!(
        desk.project.call("git.log", json!({"repo": "work/bare.git"})).unwrap()["commits"][0]["subject"],
        "Begin"
    );
    desk.git(&["clone", "-q", "--shared", ".", "../shared"]);
    insta::assert_snapshot!(desk.refused("git.log", json!({"repo": "work/shared"})), @"denied: `work/shared` is a repository that uses another one; clone it with `git clone --no-local`");
    desk.git(&["clone", "-q", "--no-local", ".", "../apart"]);
    let pack = desk.project.path("work/apart/.git/objects/pack");
    fs::rename(&pack, desk.project.outside().join("pack")).unwrap();
    std::os::unix::fs::symlink(desk.project.outside().join("pack"), &pack).unwrap();
    insta::assert_snapshot!(desk.refused("git.log", json!({"repo": "work/apart"})), @"denied: `work/apart` is a repository with a link in its `.git`; copy what the link leads to");
    desk.project.grants = json!({"reads": []});
    insta::assert_snapshot!(desk.refused("git.log", json!({"repo": "work/site"})), @"invalid_grants: `tools.git` is malformed: unknown field `reads`, expected `read`; write it like `git: { read: [project] }`");
    desk.project.grants = json!({"read": ["../outside"]});
    insta::assert_snapshot!(desk.refused("git.log", json!({"repo": "work/site"})), @"invalid_grants: `tools.git` grants `../outside`, which goes up with `..`; name a folder from the project root");
}

#[test]
fn no_program_of_a_repository_runs() {
    let desk = Desk::new();
    desk.put("a.txt", "one\n");
    let first = desk.commit("Begin");
    desk.put("a.txt", "two\n");
    desk.commit("Change");
    desk.git(&["tag", "-a", "-m", "one", "v1"]);
    let mark = desk.project.path("ran");
    let program = desk.project.path("program");
    fs::write(&program, format!("#!/bin/sh\ntouch '{}'\ncat", mark.display())).unwrap();
    fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let program = program.to_str().unwrap();
    desk.put(".gitattributes", "* diff=evil filter=evil\n");
    desk.git(&["add", "-A"]);
    desk.git(&["commit", "-q", "-m", "Attributes"]);
    for (key, value) in [
        ("diff.evil.textconv", program),
        ("diff.evil.command", program),
        ("diff.external", program),
        ("filter.evil.clean", program),
        ("filter.evil.smudge", program),
        ("core.fsmonitor", program),
        ("core.pager", program),
        ("core.hooksPath", desk.project.root().to_str().unwrap()),
        ("core.alternateRefsCommand", program),
        ("include.path", "/etc/passwd"),
    ] {
        desk.git(&["config", key, value]);
    }
    for hook in ["post-checkout", "reference-transaction", "post-index-change"] {
        fs::copy(program, desk.site().join(".git/hooks").join(hook)).unwrap();
    }
    let diff = desk.call("git.diff", json!({"from": first, "to": "v1"}));
    assert!(diff["files"][0]["diff"].as_str().unwrap().contains("-one\n+two\n"), "{diff}");
    desk.call("git.log", json!({}));
    desk.call("git.show", json!({"commit": "main"}));
    assert!(!mark.exists());
}

#[test]
fn a_small_repository_that_unfolds_without_end_is_left() {
    let desk = Desk::new();
    let first = desk.commit("Begin");
    let blob = desk.git_with("x", &["hash-object", "-w", "--stdin"]);
    let mut tree = desk.git_with(&format!("100644 blob {blob}\tf\n"), &["mktree"]);
    for _ in 0..12 {
        let entries: String = (0..10).map(|n| format!("040000 tree {tree}\t{n}\n")).collect();
        tree = desk.git_with(&entries, &["mktree"]);
    }
    let bomb = desk.git(&["commit-tree", "-m", "bomb", "-p", "HEAD", &tree]);
    let started = Instant::now();
    insta::assert_snapshot!(desk.refused("git.show", json!({"repo": "work/site", "commit": bomb})), @"too_many: the commits differ in more files than can be compared; take commits that are closer to each other");
    let diff = json!({"repo": "work/site", "from": first, "to": bomb});
    assert!(desk.refused("git.diff", diff).starts_with("too_many: "));
    assert!(started.elapsed() < Duration::from_secs(120));
}

#[test]
fn a_damaged_repository_is_said_to_be_damaged() {
    let desk = Desk::new();
    desk.put("a.txt", "one\n");
    desk.commit("Begin");
    let tree = desk.git(&["rev-parse", "HEAD^{tree}"]);
    let object = desk.site().join(".git/objects").join(&tree[..2]).join(&tree[2..]);
    fs::set_permissions(&object, PermissionsExt::from_mode(0o644)).unwrap();
    fs::write(&object, "nothing").unwrap();
    assert!(desk.refused("git.show", json!({"repo": "work/site", "commit": "main"})).starts_with("corrupt: "));
    fs::write(desk.site().join(".git/config"), "[core\nbroken").unwrap();
    assert!(desk.refused("git.log", json!({"repo": "work/site"})).starts_with("no_repository: "));
    assert!(Path::new(&object).exists());
}
