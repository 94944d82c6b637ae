//! Exports that somebody has made up. Both programs that check one must say the same of it: `parkway-verify`, and the script in Python.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use parkway::audit::{Head, SigningKey, Trust, verify_export};
use parkway::log::{Event, Payload};
use parkway_verify::Rotation;
use parkway_verify::tree::{Tree, leaf_hash};
use serde_json::{Value, json};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

const LOG: &str = "parkway/0123456789abcdef0123456789abcdef";
const SYSTEM: &str = "00000000-0000-7000-8000-000000000000";
const RUN: &str = "018bcfe5-6800-7707-8707-070707070707";

fn key() -> SigningKey {
    SigningKey::generate(LOG).unwrap()
}

/// A whole export that grows.
struct Export {
    lines: Vec<String>,
    tree: Tree,
    runs: HashMap<String, u64>,
}

impl Export {
    fn new() -> Self {
        let first = json!({ "parkway_audit": 1, "origin": LOG, "whole": true }).to_string();
        Export { lines: vec![first], tree: Tree::default(), runs: HashMap::new() }
    }

    /// An event, as it is hashed.
    fn event(&mut self, run: &str, kind: &Value) -> String {
        let seq = self.runs.entry(run.to_owned()).or_default();
        *seq += 1;
        let event = json!({
            "v": 7, "tenant": "default", "run": run, "seq": seq.to_string(), "at": "2026-01-01T00:00:00Z", "fence": "1", "kind": kind,
        });
        let event = event.to_string();
        self.lines.push(json!({ "leaf": self.tree.size().to_string(), "event": event }).to_string());
        self.tree.append(leaf_hash(event.as_bytes()));
        event
    }

    fn cancelled(&mut self) -> &mut Self {
        self.event(RUN, &json!({ "type": "run_cancelled" }));
        self
    }

    fn rotated(&mut self, run: &str, note: &str) -> &mut Self {
        self.event(run, &json!({ "type": "key_rotated", "rotation": note }));
        self
    }

    fn text(&mut self, text: &Payload) -> &mut Self {
        let bytes = String::from_utf8_lossy(&text.bytes);
        let line = json!({ "payload": text.commitment.to_string(), "salt": hex::encode(text.salt), "bytes": bytes });
        self.lines.push(line.to_string());
        self
    }

    /// The head of all so far.
    fn here(&self, key: &SigningKey) -> Head {
        let root = BASE64_STANDARD.encode(self.tree.root());
        key.sign(&format!("{LOG}\n{}\n{root}\n", self.tree.size())).parse().unwrap()
    }

    fn head(&mut self, key: &SigningKey) -> &mut Self {
        let note = key.sign(self.here(key).note.text());
        self.lines.push(json!({ "head": note }).to_string());
        self
    }

    fn end(&self) -> String {
        let end = json!({ "end": self.tree.size().to_string() });
        self.lines.iter().map(|line| format!("{line}\n")).collect::<String>() + &format!("{end}\n")
    }
}

/// The note by which a key gives way to another behind a head.
fn note(head: &Head, from: &SigningKey, to: &SigningKey) -> String {
    let text = Rotation::text(head, &from.public(), &to.public());
    format!("{}{}\n", from.sign(&text), to.sign(&text).lines().next_back().unwrap())
}

/// What is wrong with an export, if one key is trusted. Both say so, or none.
fn doubt(export: &str, trusted: &SigningKey) -> Option<String> {
    let trust = Trust { keys: vec![trusted.public()], heads: Vec::new() };
    let ours = verify_export(export.as_bytes(), &trust);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("export.jsonl");
    fs::write(&file, export).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/check-export");
    let key = trusted.public().to_string();
    let output = Command::new("python3").arg("-B").arg(script).arg(&file).args(["--key", &key]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(ours.is_ok(), output.status.success(), "{ours:?}\n{said}\n{}", &export[..export.len().min(2_000)]);
    assert_eq!(ours.is_err(), said.starts_with("doubt: "), "{said}");
    ours.err().map(|doubt| doubt.to_string())
}

#[test]
fn a_key_that_gave_way_and_was_stolen_vouches_for_another_log() {
    let (old, new, thief) = (key(), key(), key());
    let mut log = Export::new();
    log.cancelled().cancelled().head(&old);
    let genuine = note(&log.here(&old), &old, &new);
    let begin = |events: usize| {
        let mut log = Export::new();
        for _ in 0..events {
            log.cancelled();
        }
        log.head(&old);
        log
    };
    log.rotated(SYSTEM, &genuine).head(&new).cancelled().head(&new);
    for trusted in [&old, &new] {
        assert_eq!(doubt(&log.end(), trusted), None);
    }
    // Whoever has the old key knows the note of both, and the log up to it.
    let own_before = {
        let mut log = begin(1);
        let own = note(&log.here(&old), &old, &thief);
        log.rotated(SYSTEM, &own).rotated(SYSTEM, &genuine).cancelled().head(&thief);
        log
    };
    let own_first = {
        let mut log = begin(2);
        let own = note(&log.here(&old), &old, &thief);
        log.rotated(SYSTEM, &own).rotated(SYSTEM, &genuine).cancelled().head(&thief);
        log
    };
    let own_last = {
        let mut log = begin(2);
        let own = note(&log.here(&old), &old, &thief);
        log.rotated(SYSTEM, &genuine).rotated(SYSTEM, &own).cancelled().head(&thief);
        log
    };
    let own_alone = {
        let mut log = begin(2);
        let own = note(&log.here(&old), &old, &thief);
        log.rotated(SYSTEM, &own).cancelled().head(&thief);
        log
    };
    let elsewhere = {
        let mut log = begin(2);
        log.event("other", &json!({ "type": "run_cancelled" }));
        log.head(&old).rotated(SYSTEM, &genuine).head(&old);
        log
    };
    let another_log = {
        let mut log = Export::new();
        log.event("other", &json!({ "type": "run_cancelled" }));
        log.cancelled().head(&old).rotated(SYSTEM, &genuine).head(&old);
        log
    };
    let too_early = {
        let mut log = begin(1);
        log.rotated(SYSTEM, &genuine).cancelled().head(&old);
        log
    };
    let without_its_head = {
        let mut log = Export::new();
        log.cancelled().cancelled().rotated(SYSTEM, &genuine).head(&new);
        log
    };
    for (name, log) in [
        ("a note of the thief before that of both", own_before),
        ("the same, behind the same events", own_first),
        ("one behind it", own_last),
        ("one alone", own_alone),
        ("the note of both moved to the end", elsewhere),
        ("the note of both in another log", another_log),
        ("the note of both moved forward", too_early),
        ("the note of both without the head that it names", without_its_head),
    ] {
        assert!(doubt(&log.end(), &new).is_some(), "{name}");
    }
    let form = format!("parkway-key-rotation/1\n{LOG}\n{}\n{}\n", old.public(), new.public());
    let second = new.sign(&form);
    let before = format!("{}{}\n", old.sign(&form), second.lines().next_back().unwrap());
    let mut log = begin(2);
    log.rotated(SYSTEM, &before).head(&new);
    assert!(doubt(&log.end(), &new).unwrap().contains("not of the form parkway-key-rotation/2"));
}

#[test]
fn a_key_gives_way_by_what_a_run_says() {
    let (old, new) = (key(), key());
    for (run, followed) in [(SYSTEM, true), (RUN, false)] {
        let mut log = Export::new();
        log.cancelled().head(&old);
        let genuine = note(&log.here(&old), &old, &new);
        log.rotated(run, &genuine).head(&new);
        assert_eq!(doubt(&log.end(), &old).is_none(), followed, "{run}");
    }
}

#[test]
fn a_text_that_was_erased_is_there_or_one_that_was_not_is_missing() {
    let key = key();
    let text = Payload::json("secret", [7; 16]).unwrap();
    let name = text.commitment.to_string();
    for (there, erased, wrong) in [
        (true, false, None),
        (false, true, None),
        (true, true, Some("the log says that it was erased")),
        (false, false, Some("no event says that they were erased")),
    ] {
        let mut log = Export::new();
        log.event(RUN, &json!({ "type": "run_completed", "outputs": name }));
        if there {
            log.text(&text);
        }
        if erased {
            log.event(SYSTEM, &json!({ "type": "payload_erased", "payloads": [name] }));
        }
        log.head(&key);
        match (wrong, doubt(&log.end(), &key)) {
            (None, None) => {}
            (Some(wrong), Some(doubt)) if doubt.contains(wrong) => {}
            (_, found) => panic!("there: {there}, erased: {erased}: {found:?}"),
        }
    }
}

#[test]
fn an_export_is_read_otherwise_in_python() {
    let key = key();
    let text = Payload::json("said", [7; 16]).unwrap();
    let name = text.commitment.to_string();
    let mut log = Export::new();
    log.event(RUN, &json!({ "type": "run_completed", "outputs": name }));
    log.text(&text).head(&key);
    let good = log.end();
    assert_eq!(doubt(&good, &key), None);
    let twice = good.replace("\"bytes\":", "\"bytes\":\"forged\",\"bytes\":");
    let line = |number: usize| good.lines().nth(number).unwrap();
    let (event, head) = (line(1), line(3));
    let signature = {
        let id = hex::decode(key.public().to_string().split('+').nth(1).unwrap()).unwrap();
        format!("\u{2014} {LOG} {}\\n", BASE64_STANDARD.encode([id, vec![0; 64]].concat()))
    };
    let changed = |line: &str, from: &str, to: &str| good.replace(line, &line.replacen(from, to, 1));
    for (what, export) in [
        ("a text that is said twice", twice),
        ("a version that is none", good.replace("\"parkway_audit\":1", "\"parkway_audit\":true")),
        ("a version with a point", good.replace("\"parkway_audit\":1", "\"parkway_audit\":1.0")),
        ("a word for whole", good.replace("\"whole\":true", "\"whole\":\"no\"")),
        ("a number with a sign", good.replace("\"leaf\":\"0\"", "\"leaf\":\" +0_0 \"")),
        ("a number with a zero", good.replace("\"end\":\"1\"", "\"end\":\"01\"")),
        ("a number that is none", good.replace("\"leaf\":\"0\"", "\"leaf\":0")),
        ("a size with a sign", changed(head, "\\n1\\n", "\\n+1\\n")),
        ("a signature that is right and one that is wrong", changed(head, "\\n\"}", &format!("\\n{signature}\"}}"))),
        ("an event that is a head", changed(event, "{", "{\"head\":\"rubbish\",")),
        ("a field that nobody knows", changed(event, "{", "{\"more\":1,")),
        (
            "a hash in large letters",
            good.replace(&format!("\"payload\":\"{name}"), &format!("\"payload\":\"{}", name.to_uppercase())),
        ),
        ("a line that is a list", good.replace(event, "[]")),
        ("a line that is empty", good.replace(event, &format!("{event}\n"))),
        ("a line without an end", good.trim_end().to_owned()),
        ("a line without a bottom", good.replace(event, &("[".repeat(200_000) + &"]".repeat(200_000)))),
        ("a number without an end", good.replace(event, &format!("{{\"end\":\"1{}\"}}", "0".repeat(5_000)))),
        ("a note without an end", changed(head, "{\"head\":\"", &format!("{{\"head\":\"{}", "x".repeat(70_000)))),
        ("a key that gives way to nothing", {
            let mut log = Export::new();
            log.event(SYSTEM, &json!({ "type": "key_rotated", "rotation": 7 }));
            log.head(&key).end()
        }),
    ] {
        assert_ne!(export, good, "{what}");
        assert!(doubt(&export, &key).is_some(), "{what}");
    }
}

/// Two events of which each is proven by the other's hash.
fn part(events: [&str; 2], proofs: [&str; 2], heads: usize, key: &SigningKey) -> String {
    let mut tree = Tree::default();
    events.iter().for_each(|event| tree.append(leaf_hash(event.as_bytes())));
    let text = format!("{LOG}\n2\n{}\n", BASE64_STANDARD.encode(tree.root()));
    let mut lines = vec![json!({ "parkway_audit": 1, "origin": LOG, "whole": false })];
    (0..heads).for_each(|_| lines.push(json!({ "head": key.sign(&text) })));
    for (place, (event, proof)) in events.iter().zip(proofs).enumerate() {
        lines.push(json!({ "leaf": place.to_string(), "event": event, "proof": [proof] }));
    }
    lines.push(json!({ "end": "2" }));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_part_of_a_log_is_read_otherwise_in_python() {
    let key = key();
    let event = |seq: u64| {
        json!({ "run": RUN, "seq": seq.to_string(), "fence": "1", "kind": { "type": "run_cancelled" } }).to_string()
    };
    let hash = |event: &str| BASE64_STANDARD.encode(leaf_hash(event.as_bytes()));
    let (one, two, most) = (event(1), event(2), event(u64::MAX));
    let (first, second) = (hash(&one), hash(&two));
    let proofs = [second.as_str(), &first];
    assert_eq!(doubt(&part([&one, &two], proofs, 1, &key), &key), None);
    let short = BASE64_STANDARD.encode([7; 31]);
    // The last character of a hash in Base64 has two bits that say nothing.
    let loose = second.replacen(&second[42..43], &char::from(second.as_bytes()[42] + 1).to_string(), 1);
    for (what, export) in [
        ("two heads", part([&one, &two], proofs, 2, &key)),
        ("no head", part([&one, &two], proofs, 0, &key)),
        ("a node that is too short", part([&one, &two], [&short, &first], 1, &key)),
        ("a node that is written otherwise", part([&one, &two], [&loose, &first], 1, &key)),
        ("an event behind the last that can be", part([&most, &two], [&second, &hash(&most)], 1, &key)),
    ] {
        assert!(doubt(&export, &key).is_some(), "{what}");
    }
}

#[test]
fn what_is_a_text_of_an_event_is_known_otherwise_elsewhere() {
    let key = key();
    let name = "f".repeat(64);
    let call = r#""model":"@","name":"@","device":"@","adapter":"@","model_hash":"@","seed":"1","temperature_milli":0,"max_tokens":1,"usage":{"prompt_tokens":1,"output_tokens":1},"finish":"stop","took_ms":1,"valid":true"#;
    let called = format!(
        r##"{{"type":"model_called","key":"@","attempt":1,"turn":1,"call":{{{call},"messages":"#","form":"#","answer":"#","thinking":"#","tool_calls":"#","tokens":"#"}}}}"##
    );
    let memory = "00000000000000000000000000000001";
    let written = format!(
        r##"{{"type":"memory_written","key":"@","id":"{memory}","content":"#","kind":"semantic","from":"1970-01-01T00:00:00Z"}}"##
    );
    let forgotten = format!(r##"{{"type":"memory_forgotten","id":"{memory}","content":"#","note":"#"}}"##);
    // `#` is a text, and `@` the name of something, which has the form of one.
    let kinds = [
        r##"{"type":"run_created","plan":"#","plan_hash":"@","inputs":"#","env":"#"}"##,
        r##"{"type":"run_reopened","note":"#"}"##,
        r##"{"type":"step_started","key":"@","attempt":1,"args":"#","secrets":"#","rule":"@"}"##,
        r##"{"type":"step_expanded","key":"@","items":1,"list":"#","names":"#"}"##,
        r##"{"type":"step_completed","key":"@","attempt":1,"output":"#"}"##,
        r##"{"type":"step_failed","key":"@","attempt":1,"code":"@","message":"#"}"##,
        r##"{"type":"step_retried","key":"@","attempt":1,"code":"@","message":"#","not_before":"1970-01-01T00:00:00Z"}"##,
        r##"{"type":"step_skipped","key":"@","reason":{"type":"dependency","id":"@"}}"##,
        r##"{"type":"step_in_doubt","key":"@","attempt":1,"code":"@","message":"#"}"##,
        r##"{"type":"step_resolved","key":"@","outcome":{"type":"done","output":"#"},"note":"#"}"##,
        r##"{"type":"step_waiting","key":"@","for":{"type":"signal","name":"#"}}"##,
        r##"{"type":"step_waiting","key":"@","for":{"type":"input","prompt":"#","filled":"#"}}"##,
        r##"{"type":"signal_received","key":"@","name":"#","payload":"#"}"##,
        r##"{"type":"input_received","key":"@","values":"#"}"##,
        called.as_str(),
        r##"{"type":"policy_decided","key":"@","tool":"@","verdict":"ask","rule":"@"}"##,
        r##"{"type":"approval_requested","key":"@","prompt":"#","shown":"#"}"##,
        r##"{"type":"approval_decided","key":"@","verdict":"approved","note":"#"}"##,
        r##"{"type":"plan_extended","key":"@","nodes":[{"id":"@","after":["@"],"does":{"type":"workflow","name":"@"}}],"texts":"#"}"##,
        written.as_str(),
        forgotten.as_str(),
        r##"{"type":"payload_erased","payloads":["#","#"],"note":"#"}"##,
        r##"{"type":"hold_placed","note":"#"}"##,
        r##"{"type":"hold_lifted","note":"#"}"##,
        r##"{"type":"backup_shredded","backup":"@","note":"#"}"##,
        r##"{"type":"cancel_requested","note":"#"}"##,
        r##"{"type":"run_completed","outputs":"#"}"##,
        r##"{"type":"run_failed","reason":{"code":"@","step":"@","message":"#"}}"##,
    ];
    let (mut log, mut next) = (Export::new(), 0_u16);
    for kind in kinds {
        let (mut texts, mut filled) = (HashMap::new(), kind.replace('@', &name));
        while filled.contains('#') {
            next += 1;
            let text = Payload::json(&next, [7; 16]).unwrap();
            filled = filled.replacen('#', &text.commitment.to_string(), 1);
            texts.insert(text.commitment, text);
        }
        let event = log.event(RUN, &serde_json::from_str(&filled).unwrap());
        // It is one that a Parkway reads.
        let read = Event::from_bytes(event.as_bytes()).unwrap_or_else(|why| panic!("{kind}: {why}"));
        let found: Vec<_> = read.texts().into_iter().map(|(_, text)| text).collect();
        assert_eq!(found.len(), texts.len(), "{kind}");
        for text in found.iter().filter(|text| !read.kind.erased().contains(text)) {
            log.text(&texts[text]);
        }
    }
    log.head(&key);
    assert_eq!(doubt(&log.end(), &key), None);
}
