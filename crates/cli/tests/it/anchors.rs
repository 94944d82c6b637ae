//! Heads that are kept where the store is not, with real repositories of git and a server.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use crate::bench::{Bench, Ended};

const FLOW: &str = "parkway: 1\nsteps: { greet: { set: { text: Hello } } }\n";
const ASK: &str = "parkway: 1\nsteps: { may: { approve: { prompt: May I? } } }\n";

/// A project, a user whose settings name places, and nothing of the developer's own git.
struct Site {
    bench: Bench,
}

impl Site {
    fn new(settings: &str) -> Site {
        let bench = Bench::new(FLOW);
        fs::create_dir_all(bench.path("config/parkway")).unwrap();
        bench.write("config/parkway/parkway.toml", settings);
        bench.write("gitconfig", "[user]\nuseConfigOnly = true\n");
        Site { bench }
    }

    fn parkway(&self, args: &[&str]) -> Ended {
        let mut command = self.bench.command(args);
        let output = command.env("GIT_CONFIG_GLOBAL", self.bench.path("gitconfig")).env("GIT_CONFIG_NOSYSTEM", "1");
        // A hook of another repository may have begun it.
        let output = output.env("GIT_DIR", self.bench.path("nowhere")).env_remove("EMAIL").output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    fn git(&self, folder: &str, args: &[&str]) -> String {
        let mut command = Command::new("git");
        command.arg("-C").arg(self.bench.path(folder)).args(args);
        command.env("GIT_CONFIG_GLOBAL", self.bench.path("gitconfig")).env("GIT_CONFIG_NOSYSTEM", "1");
        let output = command.output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// A working tree, and the repository that it is pushed to.
    fn repository(&self) {
        self.git(".", &["init", "-q", "--bare", "-b", "main", "upstream.git"]);
        self.git(".", &["clone", "-q", "upstream.git", "tree"]);
        self.git("tree", &["config", "user.name", "Ada"]);
        self.git("tree", &["config", "user.email", "ada@example.com"]);
        self.git("tree", &["checkout", "-q", "-b", "main"]);
        self.git("tree", &["commit", "-q", "--allow-empty", "-m", "begin"]);
        self.git("tree", &["push", "-q", "-u", "origin", "main"]);
    }

    /// The log's own file of heads in a folder.
    fn heads(&self, folder: &str) -> String {
        let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
        let names = fs::read_dir(self.bench.path(folder)).unwrap().map(|entry| name(entry.unwrap()));
        names.filter(|name| name.ends_with(".heads")).map(|name| format!("{folder}/{name}")).next().unwrap()
    }

    /// The head that the user's key has signed last.
    fn signed_last(&self) -> PathBuf {
        let mut keys = fs::read_dir(self.bench.path("config/parkway/keys")).unwrap().map(|entry| entry.unwrap().path());
        keys.find(|path| path.extension().is_some_and(|end| end == "head")).unwrap()
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.bench.path(file)).unwrap()
    }
}

#[test]
fn a_head_is_committed_twice_or_with_what_somebody_has_staged() {
    let site = Site::new("");
    site.repository();
    site.parkway(&["run", "flow.yaml"]).code(0);
    site.bench.write("tree/staged.txt", "mine");
    site.bench.write("tree/.gitignore", "*.heads\n");
    site.git("tree", &["add", "staged.txt"]);
    let args = ["audit", "head", "--append", "heads.txt", "--append", "more.txt", "--commit", "tree"];
    let first = site.parkway(&args).code(0).says("and pushed to origin").says("kept in ");
    site.parkway(&args).code(0).says("has it already").says("and pushed to origin");
    let file = site.heads("tree");
    for file in ["heads.txt", "more.txt", &file] {
        assert_eq!(site.read(file), first.out);
    }
    let log = site.git("upstream.git", &["log", "--format=%s", "--name-only", "main"]);
    let lines: Vec<_> = log.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), 3, "{log}");
    assert!(lines[0].starts_with("Head of parkway/") && lines[0].ends_with(": 5 events"), "{log}");
    assert!(file.ends_with(lines[1]), "{log}");
    assert!(site.git("tree", &["status", "--porcelain"]).contains("A  staged.txt"));
    // One who was killed had written it, and had not committed it.
    site.git("tree", &["reset", "-q", "--soft", "HEAD~1"]);
    site.git("tree", &["reset", "-q", "--", file.strip_prefix("tree/").unwrap()]);
    site.git("tree", &["push", "-q", "--force"]);
    site.parkway(&args).code(0);
    assert_eq!(site.git("upstream.git", &["log", "--format=%s", "main"]).lines().count(), 2);
    assert_eq!(site.read(&file), first.out);
}

#[test]
fn a_head_that_is_not_pushed_is_lost_or_passes_for_pushed() {
    let site = Site::new("");
    site.repository();
    site.git(".", &["clone", "-q", "upstream.git", "other"]);
    let other = ["-c", "user.name=Bob", "-c", "user.email=bob@example.com"];
    site.git("other", &[&other[..], &["commit", "-q", "--allow-empty", "-m", "before you"]].concat());
    site.git("other", &["push", "-q"]);
    site.parkway(&["run", "flow.yaml"]).code(0);
    let args = ["audit", "head", "--commit", "tree", "--append", "heads.txt"];
    let refused = site.parkway(&args).code(1).says("the head is committed there, and not pushed to origin: git says:");
    let refused = refused.says("pull --rebase").says("kept in ");
    assert_eq!(site.read("heads.txt"), refused.out);
    assert!(site.git("tree", &["log", "-1", "--format=%s"]).starts_with("Head of "));
    site.git("tree", &["pull", "-q", "--rebase"]);
    site.parkway(&args).code(0).says("and pushed to origin");
    assert!(site.git("upstream.git", &["log", "-1", "--format=%s", "main"]).starts_with("Head of "));
    // A remote that wants a password gets none, and what stands in its address is not told.
    site.git("tree", &["remote", "set-url", "origin", "http://ada:hunter2@127.0.0.1:1/x.git?key=hunter2"]);
    let failed = site.parkway(&args).code(1).says("not pushed to origin");
    assert!(!failed.err.contains("hunter2"), "{}", failed.err);
}

#[test]
fn git_says_in_its_own_words_what_is_to_be_done() {
    let site = Site::new("");
    site.parkway(&["run", "flow.yaml"]).code(0);
    let head = |folder| site.parkway(&["audit", "head", "--commit", folder]).code(1);
    head("missing").says("there is no such folder");
    fs::create_dir(site.bench.path("plain")).unwrap();
    head("plain").says("it is in no git repository; make one: `git init ");
    site.git(".", &["init", "-q", "--bare", "bare.git"]);
    head("bare.git").says("it is in no working tree of git");
    site.git(".", &["init", "-q", "-b", "main", "tree"]);
    head("tree").says("git knows no author: `git -C ").says("config user.name NAME");
    assert!(!fs::read_dir(site.bench.path("tree")).unwrap().any(|entry| entry.unwrap().path().is_file()));
    site.bench.write("gitconfig", "[user]\nname = Ada\nemail = ada@example.com\n[commit]\ngpgSign = true\n");
    head_ok(&site, "tree").says("committed in ");
    let mut command = site.bench.command(&["audit", "head", "--commit", "tree"]);
    let output = command.env("PATH", site.bench.path("plain")).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && told.contains("git is not there: install it"), "{told}");
    site.bench.write("tree/.git/hooks/pre-commit", "#!/bin/sh\necho we do not commit on Mondays >&2\nexit 1\n");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let hook = site.bench.path("tree/.git/hooks/pre-commit");
        fs::set_permissions(hook, fs::Permissions::from_mode(0o755)).unwrap();
        site.parkway(&["run", "flow.yaml"]).code(0);
        head("tree").says("and not committed: git says: we do not commit on Mondays");
    }
}

fn head_ok(site: &Site, folder: &str) -> Ended {
    site.parkway(&["audit", "head", "--commit", folder]).code(0)
}

/// A server that says yes to each head, and hands on what it was sent.
fn server() -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut text) = (stream.unwrap(), Vec::new());
            // Each head ends with its signature, and nothing else does.
            while !text.ends_with(b"=\n") {
                let mut piece = [0; 4096];
                let length = stream.read(&mut piece).unwrap();
                text.extend_from_slice(&piece[..length]);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
            tell.send(String::from_utf8(text).unwrap()).unwrap_or_default();
        }
    });
    (address, told)
}

#[test]
fn a_run_is_not_signed_though_the_settings_say_so() {
    let (address, told) = server();
    let site = Site::new(&format!(
        "[audit]\nappend = \"../../elsewhere/\"\npost = {{ url = \"{address}/hook\", token = \"HEADS\" }}\nafter_runs = true\n\
         [secrets]\nHEADS = {{ file = \"../../token\" }}\n"
    ));
    site.bench.write("token", "hunter2-secret\n");
    site.bench.write("ask.yaml", ASK);
    // The place is not there: the run has ended as it has, and how to go on is said.
    let run = site.parkway(&["run", "flow.yaml"]).code(0).says("warning: after the run: the log is signed");
    let run = run.says("there is no folder").says("by hand:     parkway audit head");
    assert!(run.err.contains(&format!("sent to {address}")) && !run.err.contains("hunter2"), "{}", run.err);
    let sent = told.recv().unwrap().to_lowercase();
    assert!(sent.contains("authorization: bearer hunter2-secret\r\n") && sent.contains("\n5\n"), "{sent}");
    fs::create_dir(site.bench.path("elsewhere")).unwrap();
    // What waits is signed as well, and again when it goes on.
    let waits = site.parkway(&["run", "ask.yaml"]).code(4);
    assert!(!waits.err.contains("warning: after"), "{}", waits.err);
    site.parkway(&["approve", "last", "may"]).code(0);
    site.parkway(&["resume"]).code(0);
    let (file, after) = (site.heads("elsewhere"), |site: &Site, file: &str| site.read(file).matches("\n\n").count());
    assert_eq!(after(&site, &file), 2);
    let bad = "parkway: 1\nsteps: { bad: { tool: files.read_text, with: { path: none } } }\ntools: { files: { read: [.] } }\n";
    site.bench.write("bad.yaml", bad);
    site.parkway(&["run", "bad.yaml"]).code(1);
    site.parkway(&["retry", "last"]).code(1);
    assert_eq!(after(&site, &file), 4);
    site.parkway(&["audit", "verify"]).code(0).says("4 heads of ");
    let shown = site.parkway(&["config", "show"]).code(0).out;
    assert!(shown.contains("audit.after_runs = true") && !shown.contains("hunter2"), "{shown}");
    // Looking signs nothing, and neither does a store that goes away.
    site.parkway(&["show"]).code(0);
    site.parkway(&["run", "flow.yaml", "--store", "sqlite::memory:"]).code(0);
    assert_eq!(after(&site, &file), 4);
    let verbose = site.parkway(&["audit", "head", "--verbose"]).code(0);
    assert!(!verbose.err.contains("hunter2"), "{}", verbose.err);
}

#[test]
fn an_older_copy_of_a_store_passes_though_the_settings_name_a_place() {
    let site = Site::new("[audit]\nappend = \"../../elsewhere/heads.txt\"\ncommit = \"../../tree\"\n");
    site.repository();
    fs::create_dir(site.bench.path("elsewhere")).unwrap();
    site.parkway(&["run", "flow.yaml"]).code(0);
    let verified = site.parkway(&["audit", "verify", "--key", KEY]).code(1);
    assert!(verified.out.contains("a key for this log is known, and no head"), "{}", verified.out);
    assert!(!verified.out.contains("the settings keep heads there"), "{}", verified.out);
    site.parkway(&["audit", "head"]).code(0);
    site.parkway(&["store", "backup", "before.db"]).code(0);
    site.parkway(&["run", "flow.yaml"]).code(0);
    site.parkway(&["audit", "head"]).code(0);
    let verified = site.parkway(&["audit", "verify"]).code(0).says("2 heads of ");
    assert!(verified.out.contains("4 from elsewhere"), "{}", verified.out);
    // The end of a file that was cut off is told, and the heads before it count.
    let whole = site.read("elsewhere/heads.txt");
    site.bench.write("elsewhere/heads.txt", &(whole.clone() + &whole[..60]));
    let verified = site.parkway(&["audit", "verify"]).code(0);
    assert!(verified.out.contains("line 11: a head that was not written to its end"), "{}", verified.out);
    site.bench.write("elsewhere/heads.txt", &whole);
    site.parkway(&["store", "restore", "before.db"]).code(0);
    let verified = site.parkway(&["audit", "verify"]).code(1);
    assert!(verified.out.contains("its end was cut off"), "{}", verified.out);
    // Nor do those of another log, or a place that is gone, where not even the key has kept what it signed.
    fs::remove_file(site.signed_last()).unwrap();
    site.parkway(&["store", "restore", "before.db"]).code(0);
    site.bench.write("elsewhere/heads.txt", &whole.replace("parkway/", "parkway/0"));
    site.git("tree", &["reset", "-q", "--hard", "HEAD~1"]);
    let verified = site.parkway(&["audit", "verify"]).code(1);
    assert!(verified.out.contains("no head of this log is in "), "{}", verified.out);
    fs::remove_file(site.bench.path("elsewhere/heads.txt")).unwrap();
    let verified = site.parkway(&["audit", "verify", "--json"]).code(1).json();
    assert!(verified["doubt"].as_str().unwrap().contains("the settings keep heads there"), "{verified}");
    site.git("tree", &["reset", "-q", "--hard", "origin/main"]);
    // The newer head is known there still.
    site.parkway(&["audit", "head"]).code(1).says("the log does not begin with the 10 events of the head in ");
    let verified = site.parkway(&["audit", "verify"]).code(1);
    assert!(verified.out.contains("its end was cut off"), "{}", verified.out);
}

#[test]
fn a_place_hears_of_another_key_by_the_next_head_only() {
    let site = Site::new("[audit]\nappend = \"../../heads.txt\"\n");
    site.parkway(&["run", "flow.yaml"]).code(0);
    site.parkway(&["audit", "head"]).code(0);
    let head = site.parkway(&["audit", "rotate", "--note", "once a year"]).code(0).says("heads.txt").out;
    assert!(site.read("heads.txt").ends_with(&head), "{}", site.read("heads.txt"));
    // The log is signed, whatever comes of the place.
    fs::remove_file(site.bench.path("heads.txt")).unwrap();
    fs::create_dir(site.bench.path("heads.txt")).unwrap();
    site.parkway(&["audit", "rotate", "--note", "why"]).code(1).says("but not in all places").says("sign once more");
    fs::remove_dir(site.bench.path("heads.txt")).unwrap();
    site.parkway(&["audit", "head"]).code(0);
    site.parkway(&["audit", "verify"]).code(0);
}

/// Of another log: nothing here is signed by it.
const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

#[test]
fn a_project_sends_the_heads_of_its_user_where_it_likes() {
    let site = Site::new("");
    site.bench.write("parkway.toml", "[profile.x.audit]\npost = \"https://auditor.example/\"\n");
    site.parkway(&["run", "flow.yaml"]).code(2).says("error[outside-project]").says("names no places for heads");
    site.bench.write("parkway.toml", "");
    let wrong = "[audit]\nappend = 3\ncomit = \"x\"\nafter_runs = \"yes\"\npost = [\"http://auditor.example/\", \"https://a:hunter2@b.example/\", { url = \"https://b.example/?k=hunter2\" }, {}, { url = \"https://b.example\", token = \"hunter2!\" }]\n";
    site.bench.write("config/parkway/parkway.toml", wrong);
    let told =
        site.parkway(&["config", "show"]).code(2).says("did you mean `commit`?").says("`after_runs` is true or false");
    let told = told.says("`append` takes a text").says("only this machine").says("a server for heads has a `url`");
    assert!(!told.err.contains("hunter2"), "{}", told.err);
    site.bench.write("config/parkway/parkway.toml", "");
    site.parkway(&["run", "flow.yaml"]).code(0);
    site.parkway(&["audit", "head", "--post", "http://auditor.example/"]).code(2).says("write `https`");
}

#[test]
fn an_older_copy_is_signed_as_if_it_went_on() {
    let site = Site::new("");
    site.parkway(&["run", "flow.yaml"]).code(0);
    site.parkway(&["audit", "head"]).code(0);
    site.parkway(&["store", "backup", "old.db"]).code(0);
    site.parkway(&["run", "flow.yaml"]).code(0);
    let signed = site.parkway(&["audit", "head"]).code(0).out;
    assert_eq!(fs::read_to_string(site.signed_last()).unwrap(), signed);
    assert!(site.parkway(&["audit", "verify"]).code(0).out.contains("1 from elsewhere"));
    // Nobody has kept a head but who signs.
    site.parkway(&["store", "restore", "old.db"]).code(0);
    for _ in 0..3 {
        site.parkway(&["run", "flow.yaml"]).code(0);
    }
    site.parkway(&["audit", "verify"]).code(1);
    for args in [&["audit", "head"][..], &["audit", "rotate", "--note", "why"], &["audit", "export", "all.jsonl"]] {
        site.parkway(args).code(1).says("the log does not begin with the 10 events of the head in").says(".head away");
    }
    fs::remove_file(site.signed_last()).unwrap();
    site.parkway(&["audit", "head"]).code(0);
    site.parkway(&["audit", "verify"]).code(0);
}
