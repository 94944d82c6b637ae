//! Heads that are kept where the store is not: in files that are written to by many, and at servers.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use parkway::audit::{Anchor, Heads, SigningKey};
use parkway::secret::Secret;
use parkway::settings::{Settings, Sources};

fn note(size: u64) -> String {
    let key = SigningKey::generate("parkway/5e3e76ce").unwrap();
    key.sign(&format!("parkway/5e3e76ce\n{size}\nmb8QLQIs0Z0yP5Cstq6guj87oXWeC9gEM8oVikmm9Wk=\n"))
}

fn sizes(file: &Path) -> Vec<u64> {
    Heads::read(file).unwrap().heads.iter().map(|head| head.size).collect()
}

#[tokio::test]
async fn a_head_is_written_twice_or_lost_behind_one_that_was_cut_off() {
    let folder = crate::kept::folder().unwrap();
    let (file, first) = (folder.path().join("heads.txt"), note(20));
    let anchor = Anchor::append(&file);
    for _ in 0..2 {
        anchor.keep(&first).await.unwrap();
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), first);
    // It was there before others, of another log maybe.
    anchor.keep(&note(30)).await.unwrap();
    assert!(anchor.keep(&first).await.unwrap().contains("has it already"));
    assert_eq!(sizes(&file), [20, 30]);
    for cut in 1..first.len() {
        fs::write(&file, [note(1).as_bytes(), &first.as_bytes()[..cut]].concat()).unwrap();
        let next = note(40);
        anchor.keep(&first).await.unwrap();
        anchor.keep(&next).await.unwrap();
        let (sizes, written) = (sizes(&file), String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned());
        assert!(sizes.starts_with(&[1]) && sizes.ends_with(&[20, 40]), "{written}");
    }
}

#[tokio::test]
async fn heads_that_are_kept_at_once_are_written_into_each_other_or_twice() {
    let folder = crate::kept::folder().unwrap();
    let file = folder.path().join("heads.txt");
    let notes: Vec<_> = (1..=20).map(note).collect();
    let keep = |note: &String| {
        let (anchor, note) = (Anchor::append(&file), note.clone());
        tokio::spawn(async move { anchor.keep(&note).await.unwrap() })
    };
    // Each by two.
    let tasks: Vec<_> = notes.iter().flat_map(|note| [note, note]).map(keep).collect();
    for task in tasks {
        task.await.unwrap();
    }
    let mut found = sizes(&file);
    found.sort_unstable();
    assert_eq!(found, (1..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_folder_that_is_gone_becomes_a_file() {
    let folder = crate::kept::folder().unwrap();
    let anchor = Anchor::append(format!("{}/heads/", folder.path().display()));
    let error = anchor.keep(&note(1)).await.unwrap_err().to_string();
    assert!(error.contains("there is no folder"), "{error}");
    fs::create_dir(folder.path().join("heads")).unwrap();
    anchor.keep(&note(1)).await.unwrap();
    assert_eq!(sizes(&folder.path().join("heads/5e3e76ce.heads")), [1]);
    let error = Anchor::append(folder.path().join("heads")).keep(&note(1)).await.unwrap_err().to_string();
    assert!(error.contains("with a slash at its end"), "{error}");
    assert!(anchor.keep("no head").await.is_err());
}

#[cfg(unix)]
#[tokio::test]
async fn a_git_that_waits_for_ever_is_waited_for_or_leaves_its_lock() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = crate::kept::folder().unwrap();
    let git = |args: &[&str]| {
        let status = std::process::Command::new("git").arg("-C").arg(folder.path()).args(args).status().unwrap();
        assert!(status.success(), "{args:?}");
    };
    git(&["init", "-q"]);
    git(&["config", "user.name", "Ada"]);
    git(&["config", "user.email", "ada@example.com"]);
    let hook = folder.path().join(".git/hooks/pre-commit");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, "#!/bin/sh\ntouch began\nexec sleep 20\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let anchor = Anchor::commit(folder.path());
    let error = anchor.clone().within(Duration::from_secs(3)).keep(&note(5)).await.unwrap_err().to_string();
    assert!(
        error.contains("is written to 5e3e76ce.heads there, and not committed: `git commit` did not end in time"),
        "{error}"
    );
    assert!(folder.path().join("began").exists());
    fs::remove_file(&hook).unwrap();
    // It goes away in its own time.
    let lock = folder.path().join(".git/index.lock");
    for _ in 0..1_000 {
        if lock.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    anchor.keep(&note(6)).await.unwrap();
    assert_eq!(sizes(&folder.path().join("5e3e76ce.heads")), [5, 6]);
}

/// A server that answers each request with this, or with nothing; and what it was asked.
fn server(answer: &'static str) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = tell.send(request(&mut stream));
            if answer.is_empty() {
                // It hangs as long as the other side waits.
                let _ = stream.read(&mut [0]);
            }
            stream.write_all(answer.as_bytes()).unwrap_or_default();
        }
    });
    (address, told)
}

fn request(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let whole = |text: &[u8]| {
        let text = String::from_utf8_lossy(text);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        (body.len() >= length.unwrap_or(0)).then_some(())
    };
    while whole(&text).is_none() {
        let mut piece = [0; 4096];
        match stream.read(&mut piece).unwrap() {
            0 => break,
            length => text.extend_from_slice(&piece[..length]),
        }
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn a_server_that_keeps_nothing_passes_for_one_that_does() {
    let (good, told) = server("HTTP/1.1 201 Created\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let (elsewhere, nothing) = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let head = note(7);
    let post =
        |at: &str| Anchor::post(&format!("{at}/hook/T0K3N-in-path"), Some(Secret::new("hunter2-secret"))).unwrap();
    assert_eq!(post(&good).keep(&head).await.unwrap(), format!("sent to {good}"));
    let asked = told.recv().unwrap();
    assert!(asked.starts_with("POST /hook/T0K3N-in-path HTTP/1.1\r\n") && asked.ends_with(&head), "{asked}");
    let asked = asked.to_lowercase();
    assert!(asked.contains("authorization: bearer hunter2-secret\r\n"), "{asked}");
    assert!(asked.contains("content-type: text/plain"), "{asked}");
    let moved = format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {elsewhere}/\r\ncontent-length: 0\r\n\r\n");
    let moved = Box::leak(moved.into_boxed_str());
    for (answer, why) in [
        ("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 14\r\n\r\nhunter2-secret", "500"),
        (&*moved, "not followed"),
        ("", "did not answer within 0."),
        ("nonsense\r\n\r\n", "cannot be sent"),
    ] {
        let (address, told) = server(answer);
        // Long enough for whoever answers.
        let limit = Duration::from_millis(if answer.is_empty() { 200 } else { 20_000 });
        let error = post(&address).within(limit).keep(&head).await.unwrap_err().to_string();
        assert!(error.contains(why) && error.contains(&address), "{error}");
        assert!(!error.contains("hunter2") && !error.contains("T0K3N"), "{error}");
        assert!(told.recv().unwrap().ends_with(&head));
    }
    assert!(nothing.try_recv().is_err(), "the redirection was followed");
    assert!(!format!("{:?}", post(&good)).contains("hunter2"));
    let bad = Anchor::post(&good, Some(Secret::new("two\nlines"))).unwrap().keep(&head).await.unwrap_err().to_string();
    assert!(bad.contains("its token") && !bad.contains("lines\n") && !bad.contains("two"), "{bad}");
}

#[test]
fn heads_are_sent_in_clear_or_with_a_password_in_the_address() {
    for url in ["https://auditor.example/heads", "http://localhost:8080/x", "http://127.0.0.1/", "http://[::1]:9/h"] {
        assert!(Anchor::post(url, None).is_ok(), "{url}");
    }
    for url in [
        "http://auditor.example/heads",
        "http://127.evil.example/",
        "http://localhost.evil.example/",
        "http://10.0.0.1/",
        "https://ada:hunter2@auditor.example/",
        "https://hunter2@auditor.example/",
        "https://auditor.example/?key=hunter2",
        "https://auditor.example/#hunter2",
        "ftp://auditor.example/",
        "auditor.example/hunter2",
        "",
    ] {
        let error = Anchor::post(url, None).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

fn settings(folder: &Path, user: &str) -> Settings {
    fs::write(folder.join("user.toml"), user).unwrap();
    Settings::load(Sources::none(folder).user(folder.join("user.toml"))).unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test]
async fn a_place_of_another_layer_or_a_token_is_forgotten() {
    let folder = crate::kept::folder().unwrap();
    let folder = folder.path();
    let (address, told) = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    fs::write(folder.join("token"), "hunter2-secret\n").unwrap();
    fs::write(folder.join("system.toml"), "[audit]\nappend = [\"system.txt\", \"both.txt\"]\nafter_runs = true\n")
        .unwrap();
    let user = format!(
        "[audit]\nappend = [\"user.txt\", \"{}/both.txt\"]\npost = [{{ url = \"{address}/\", token = \"HEADS\" }}, \"{address}/open\", {{ url = \"{address}/lost\", token = \"GONE\" }}]\n\
         [secrets]\nHEADS = {{ file = \"{}/token\" }}\n[profile.quiet.audit]\nafter_runs = false\n",
        folder.display(),
        folder.display()
    );
    fs::write(folder.join("user.toml"), &user).unwrap();
    let sources = || Sources::none(folder).user(folder.join("user.toml")).system(folder.join("system.toml"));
    let loaded = Settings::load(sources()).unwrap();
    assert!(loaded.signs_after_runs());
    assert!(!Settings::load(sources().profile("quiet")).unwrap().signs_after_runs());
    let anchors = loaded.anchors();
    assert_eq!(anchors.len(), 6, "{anchors:?}");
    let (mut kept, mut failed) = (Vec::new(), Vec::new());
    for anchor in &anchors {
        match anchor.keep(&note(3)).await {
            Ok(done) => kept.push(done),
            Err(error) => failed.push(error.to_string()),
        }
    }
    assert_eq!(kept.len(), 5, "{failed:?}");
    assert!(failed[0].contains("no source is named for the secret `GONE`"), "{failed:?}");
    assert!(told.recv().unwrap().contains("Bearer hunter2-secret"));
    assert!(!told.recv().unwrap().to_lowercase().contains("authorization"));
    assert_eq!((sizes(&folder.join("system.txt")), sizes(&folder.join("user.txt"))), (vec![3], vec![3]));
    // No run does anything else for them.
    assert_eq!(loaded.digest(), settings(folder, &user.replace("[audit]", "[profile.none.audit]")).digest());
}
