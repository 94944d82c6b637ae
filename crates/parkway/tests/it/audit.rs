//! The log, proven: exports that another program checks, and a store that somebody has changed.

use std::path::Path;

use parkway::audit::{AuditLog, Extent, Head, SigningKey, Trust, verify_export};
use parkway::id::{RunId, Seq};
use parkway::log::Channel;
use parkway::memory::Author;
use parkway::store::RunFilter;
use parkway::{Parkway, Workflow, inputs};
use serde_json::Value;
use sha2::Digest as _;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

const SOURCE: &str = "parkway: 1\ninputs: { who: { type: string } }\nsteps:\n  greet: { set: { text: \"Hello, ${{ inputs.who }}\" } }\noutputs: { text: \"${{ steps.greet.output.text }}\" }\n";

async fn engine(path: &Path) -> Parkway {
    Parkway::builder().store(format!("sqlite:{}", path.display())).build().await.unwrap()
}

async fn greet(parkway: &Parkway, who: &str) -> RunId {
    let workflow = Workflow::from_source("greet.yaml", SOURCE).unwrap();
    let run = parkway.start(workflow, inputs! { who: who }).await.unwrap();
    run.output::<Value>().await.unwrap();
    run.id()
}

async fn exported(log: &AuditLog, extent: Extent) -> String {
    let mut bytes = Vec::new();
    log.export(&mut bytes, extent).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

/// A log of three runs with two heads, as an export, and who trusts what.
struct Case {
    whole: String,
    part: String,
    one: String,
    trust: Trust,
    /// The head before the third run.
    first: Head,
    key: SigningKey,
}

async fn case() -> Case {
    let folder = crate::kept::folder().unwrap();
    let parkway = engine(&folder.path().join("runs.db")).await;
    let log = parkway.audit();
    let key = SigningKey::generate(&log.origin().await.unwrap()).unwrap();
    greet(&parkway, "Ada").await;
    let run = greet(&parkway, "Bob").await;
    let first: Head = log.sign(&key).await.unwrap().parse().unwrap();
    greet(&parkway, "Eve").await;
    log.sign(&key).await.unwrap();
    let whole = exported(&log, Extent::Whole).await;
    let part = exported(&log, Extent::Run(run)).await;
    let one = exported(&log, Extent::Event(run, Seq(3))).await;
    let trust = Trust { keys: vec![key.public()], heads: Vec::new() };
    Case { whole, part, one, trust, first, key }
}

#[tokio::test]
async fn an_export_cannot_be_checked_without_parkway() {
    let case = case().await;
    let report = verify_export(case.whole.as_bytes(), &case.trust).unwrap();
    assert_eq!((report.runs, report.heads, report.pinned), (3, 2, 0));
    assert_eq!(report.events, case.whole.lines().filter(|line| line.contains("\"event\"")).count() as u64);
    assert_eq!(report.newest.map(|(size, _)| size), Some(report.events));
    assert!(report.payloads > 3 && report.open.iter().all(|open| !open.contains("texts said")), "{report}");
    let pinned = Trust { heads: vec![case.first.clone()], ..case.trust.clone() };
    assert_eq!(verify_export(case.whole.as_bytes(), &pinned).unwrap().pinned, 1);
    let part = verify_export(case.part.as_bytes(), &case.trust).unwrap();
    assert_eq!((part.runs, part.newest), (1, report.newest));
    assert!(part.events > 3 && part.open[0].contains("of the log say"), "{part}");
    let one = verify_export(case.one.as_bytes(), &case.trust).unwrap();
    assert_eq!((one.runs, one.events, one.newest), (1, 1, report.newest));
    assert!(one.open.iter().any(|open| open.contains("first events are not here")), "{one}");
}

fn is(line: &str, kind: &str) -> bool {
    line.starts_with(&format!("{{\"{kind}\""))
}

/// So many characters of a line are tried.
const CHARACTERS: usize = 12;

/// Every way in which one line of an export may be something else, a few characters for all of them.
fn spoiled(export: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = export.lines().collect();
    let whole = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let all_there = lines[0].contains("\"whole\":true");
    let mut all = Vec::new();
    for at in 0..lines.len() {
        let mut without = lines.clone();
        without.remove(at);
        // A text that is left out of a part is told, and proves nothing wrong: it may have been erased elsewhere.
        if all_there || !is(lines[at], "payload") {
            all.push((format!("without line {}", at + 1), whole(&without)));
        }
        let mut twice = lines.clone();
        twice.insert(at, lines[at]);
        // A text or a head may come twice: it is the same one.
        if !is(lines[at], "payload") && !is(lines[at], "head") {
            all.push((format!("line {} twice", at + 1), whole(&twice)));
        }
        // Each signature takes its time, so not every character.
        let places = lines[at].char_indices().filter(|(_, c)| c.is_ascii_alphanumeric());
        for (place, byte) in places.step_by(lines[at].len() / CHARACTERS + 1) {
            let other = if byte == '1' { '2' } else { '1' };
            let mut line = lines[at].to_owned();
            line.replace_range(place..=place, &other.to_string());
            let mut changed = lines.clone();
            changed[at] = &line;
            all.push((format!("line {}, character {place}: {other} for {byte}", at + 1), whole(&changed)));
        }
        if let Some(next) = lines.get(at + 1) {
            let mut swapped = lines.clone();
            swapped.swap(at, at + 1);
            // The texts of one event may come in any order, and a head between them.
            if !(is(lines[at], "payload") && (is(next, "payload") || is(next, "head"))) {
                all.push((format!("lines {} and {} swapped", at + 1, at + 2), whole(&swapped)));
            }
        }
    }
    for cut in [export.len() - 1, export.len() / 2, 0] {
        all.push((format!("cut after {cut} bytes"), export[..cut].to_owned()));
    }
    all
}

#[tokio::test]
async fn an_export_that_was_changed_is_believed() {
    let case = case().await;
    for export in [&case.whole, &case.part, &case.one] {
        for (what, changed) in spoiled(export) {
            // A head that is gone, or that nobody known has signed, is not counted.
            let heads = verify_export(export.as_bytes(), &case.trust).unwrap().heads;
            if let Ok(report) = verify_export(changed.as_bytes(), &case.trust) {
                assert!(report.heads < heads, "{what}\n{report}");
            }
        }
    }
}

#[tokio::test]
async fn who_is_not_trusted_is_believed() {
    let case = case().await;
    let other = SigningKey::generate(case.key.name()).unwrap();
    let stranger = Trust { keys: vec![other.public()], heads: Vec::new() };
    for export in [&case.whole, &case.part] {
        for trust in [&stranger, &Trust::default()] {
            assert!(verify_export(export.as_bytes(), trust).is_err());
        }
    }
    // A head of another log, of a later time, and of a past that never was.
    let text = case.first.note.text();
    for (from, to) in [(case.first.origin.as_str(), "parkway/other"), ("\n", "\n9")] {
        let head: Head = case.key.sign(&text.replacen(from, to, 1)).parse().unwrap();
        let trust = Trust { heads: vec![head], ..case.trust.clone() };
        assert!(verify_export(case.whole.as_bytes(), &trust).is_err(), "{to}");
    }
    let root = text.lines().nth(2).unwrap();
    let forged: Head = case.key.sign(&text.replace(root, &format!("{}A=", &"A".repeat(42)))).parse().unwrap();
    let trust = Trust { heads: vec![forged], ..case.trust.clone() };
    let doubt = verify_export(case.whole.as_bytes(), &trust).unwrap_err();
    assert!(doubt.what.contains("known from elsewhere"), "{doubt}");
}

#[tokio::test]
async fn a_part_of_the_log_that_is_not_signed_is_exported() {
    let folder = crate::kept::folder().unwrap();
    let parkway = engine(&folder.path().join("runs.db")).await;
    let log = parkway.audit();
    let run = greet(&parkway, "Ada").await;
    let error = log.export(&mut Vec::new(), Extent::Run(run)).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("audit", false));
    assert!(error.to_string().contains("parkway audit head"), "{error}");
    let key = SigningKey::generate(&log.origin().await.unwrap()).unwrap();
    let note = log.sign(&key).await.unwrap();
    assert_eq!(log.sign(&key).await.unwrap(), note);
    assert_eq!(log.newest_head().await.unwrap(), Some(note));
    let later = greet(&parkway, "Bob").await;
    assert!(log.export(&mut Vec::new(), Extent::Run(later)).await.is_err());
    // Of the whole log that is exported which is signed.
    let trust = Trust { keys: vec![key.public()], heads: Vec::new() };
    let report = verify_export(exported(&log, Extent::Whole).await.as_bytes(), &trust).unwrap();
    assert_eq!(report.runs, 1);
    // A second key's signature stands beside the first one's.
    let (size, other) = (report.events, SigningKey::generate(key.name()).unwrap());
    let (first, both) = (log.sign(&key).await.unwrap(), log.sign(&other).await.unwrap());
    assert!(both.starts_with(&first) && both.lines().count() == first.lines().count() + 1, "{both}");
    assert_eq!(log.newest_head().await.unwrap(), Some(both));
    for key in [&key, &other] {
        let trust = Trust { keys: vec![key.public()], heads: Vec::new() };
        let report = verify_export(exported(&log, Extent::Whole).await.as_bytes(), &trust).unwrap();
        assert!(report.events > size && report.runs == 2, "{report}");
    }
    log.export(&mut Vec::new(), Extent::Run(run)).await.unwrap();
    for seq in [0, 999] {
        let error = log.export(&mut Vec::new(), Extent::Event(run, Seq(seq))).await.unwrap_err();
        assert!(error.to_string().contains(&format!("has no event {seq}")), "{error}");
    }
    let error = log.sign(&SigningKey::generate("parkway/other").unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("a key of its own"), "{error}");
}

#[tokio::test]
async fn a_log_that_nobody_vouches_for_is_believed() {
    let folder = crate::kept::folder().unwrap();
    let parkway = engine(&folder.path().join("runs.db")).await;
    let log = parkway.audit();
    let key = SigningKey::generate(&log.origin().await.unwrap()).unwrap();
    let error = log.sign(&key).await.unwrap_err();
    assert!(error.to_string().contains("nothing has happened yet"), "{error}");
    greet(&parkway, "Ada").await;
    let trust = Trust { keys: vec![key.public()], heads: Vec::new() };
    let doubt = |found: Result<parkway::audit::Report, parkway::audit::Doubt>| found.unwrap_err().to_string();
    assert!(doubt(log.verify(&Trust::default()).await.unwrap()).contains("no key for this log is known"));
    assert!(doubt(log.verify(&trust).await.unwrap()).contains("never made"));
    log.sign(&key).await.unwrap();
    let report = log.verify(&trust).await.unwrap().unwrap();
    assert_eq!((report.heads, report.keys.len()), (1, 1));
    assert!(doubt(log.verify(&Trust::default()).await.unwrap()).contains("no key for this log is known"));
    for bad in ["", "parkway/1 2", "a+b"] {
        assert!(SigningKey::generate(bad).is_err(), "{bad:?}");
    }
}

#[tokio::test]
async fn who_knows_one_key_of_a_log_cannot_follow_to_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let parkway = engine(&folder.path().join("runs.db")).await;
    let log = parkway.audit();
    let key = || async { SigningKey::generate(&log.origin().await.unwrap()).unwrap() };
    let (first, second, third) = (key().await, key().await, key().await);
    let by = Author::new("ada", Channel::Command);
    greet(&parkway, "Ada").await;
    log.sign(&first).await.unwrap();
    log.rotate(&by, &first, &second, "once a year").await.unwrap();
    greet(&parkway, "Bob").await;
    log.sign(&second).await.unwrap();
    let head = log.rotate(&by, &second, &third, "once a year").await.unwrap();
    // Interrupted, and done again: nothing more happens.
    assert_eq!(log.rotate(&by, &second, &third, "once a year").await.unwrap(), head);
    let whole = exported(&log, Extent::Whole).await;
    for key in [&first, &second, &third] {
        let trust = Trust { keys: vec![key.public()], heads: Vec::new() };
        for report in [verify_export(whole.as_bytes(), &trust).unwrap(), log.verify(&trust).await.unwrap().unwrap()] {
            assert_eq!((report.heads, report.keys.len()), (4, 3), "{report}");
            assert!(report.open.iter().all(|open| !open.contains("who has signed")), "{report}");
        }
    }
    // A part of the log has the newest head alone.
    let run = parkway.runs(&RunFilter::default()).await.unwrap()[0].run;
    let part = exported(&log, Extent::Run(run)).await;
    for (key, holds) in [(&first, false), (&second, false), (&third, true)] {
        let trust = Trust { keys: vec![key.public()], heads: Vec::new() };
        assert_eq!(verify_export(part.as_bytes(), &trust).is_ok(), holds);
    }
    let stranger = Trust { keys: vec![key().await.public()], heads: Vec::new() };
    assert!(verify_export(whole.as_bytes(), &stranger).is_err());
    assert!(log.verify(&stranger).await.unwrap().is_err());
    for (from, to, why) in [
        (&first, &third, "has given way to"),
        (&third, &first, "does not come back"),
        (&third, &third, "both keys are the same"),
        (&SigningKey::generate("parkway/other").unwrap(), &third, "a key of its own"),
    ] {
        let error = log.rotate(&by, from, to, "").await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    greet(&parkway, "Eve").await;
    let error = log.sign(&second).await.unwrap_err().to_string();
    assert!(error.contains("has given way to"), "{error}");
}

#[tokio::test]
async fn a_key_that_is_giving_way_when_it_is_killed_leaves_a_log_that_is_believed_or_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.db");
    let parkway = engine(&path).await;
    let log = parkway.audit();
    let origin = log.origin().await.unwrap();
    let (old, new) = (SigningKey::generate(&origin).unwrap(), SigningKey::generate(&origin).unwrap());
    let by = Author::new("ada", Channel::Command);
    greet(&parkway, "Ada").await;
    log.rotate(&by, &old, &new, "once a year").await.unwrap();
    // It stands in the log, and the head of the new key was not written.
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    let sql = "DELETE FROM parkway_head WHERE size = (SELECT max(size) FROM parkway_head)";
    sqlx::query(sql).execute(&mut connection).await.unwrap();
    for trusted in [vec![old.public()], vec![new.public()], vec![old.public(), new.public()]] {
        let trust = Trust { keys: trusted, heads: Vec::new() };
        let doubt = log.verify(&trust).await.unwrap().unwrap_err().to_string();
        assert!(
            doubt.contains("no head that the new key has signed") && doubt.contains("begin it once more"),
            "{doubt}"
        );
    }
    log.rotate(&by, &old, &new, "once a year").await.unwrap();
    for key in [&old, &new] {
        let trust = Trust { keys: vec![key.public()], heads: Vec::new() };
        let report = log.verify(&trust).await.unwrap().unwrap();
        assert_eq!((report.heads, report.keys.len()), (2, 2), "{report}");
        verify_export(exported(&log, Extent::Whole).await.as_bytes(), &trust).unwrap();
    }
    // The head that the note of both names was deleted.
    let sql = "DELETE FROM parkway_head WHERE size = (SELECT min(size) FROM parkway_head)";
    sqlx::query(sql).execute(&mut connection).await.unwrap();
    let trust = Trust { keys: vec![new.public()], heads: Vec::new() };
    let doubt = log.verify(&trust).await.unwrap().unwrap_err().to_string();
    assert!(doubt.contains("is not one of this log, or is missing"), "{doubt}");
    assert!(verify_export(exported(&log, Extent::Whole).await.as_bytes(), &trust).is_err());
}

#[tokio::test]
async fn a_key_that_gave_way_signs_as_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.db");
    let parkway = engine(&path).await;
    let log = parkway.audit();
    let origin = log.origin().await.unwrap();
    let (old, new) = (SigningKey::generate(&origin).unwrap(), SigningKey::generate(&origin).unwrap());
    greet(&parkway, "Ada").await;
    log.sign(&old).await.unwrap();
    log.rotate(&Author::new("ada", Channel::Command), &old, &new, "it was seen").await.unwrap();
    greet(&parkway, "Bob").await;
    // The engine does not sign with it; a thief does, and puts the head in the place of the newest.
    let head: Head = log.sign(&new).await.unwrap().parse().unwrap();
    let stolen = old.sign(head.note.text());
    let options = SqliteConnectOptions::new().filename(&path);
    let mut connection = options.connect().await.unwrap();
    let sql = "UPDATE parkway_head SET note = $1 WHERE size = $2";
    sqlx::query(sql).bind(&stolen).bind(head.size as i64).execute(&mut connection).await.unwrap();
    let whole = exported(&log, Extent::Whole).await;
    for key in [&old, &new] {
        let trust = Trust { keys: vec![key.public()], heads: Vec::new() };
        let doubt = log.verify(&trust).await.unwrap().unwrap_err().to_string();
        assert!(doubt.contains("which had given way to"), "{doubt}");
        let doubt = verify_export(whole.as_bytes(), &trust).unwrap_err().to_string();
        assert!(doubt.contains("nobody who is trusted has signed them"), "{doubt}");
    }
}

#[tokio::test]
async fn signing_reads_again_what_the_key_has_signed_or_signs_what_does_not_begin_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.db");
    let parkway = engine(&path).await;
    let log = parkway.audit();
    let origin = log.origin().await.unwrap();
    let key = || SigningKey::generate(&origin).unwrap();
    let (first, second, third) = (key(), key(), key());
    let by = Author::new("ada", Channel::Command);
    greet(&parkway, "Ada").await;
    for n in 0..9 {
        log.hold(&by, None, &format!("hold {n}")).await.unwrap();
    }
    log.sign(&first).await.unwrap();
    // What is behind the newest head is read, however many events of other runs and outside of them lie there.
    greet(&parkway, "Bob").await;
    log.hold(&by, None, "one more").await.unwrap();
    log.rotate(&by, &first, &second, "").await.unwrap();
    for n in 0..5 {
        log.hold(&by, None, &format!("later {n}")).await.unwrap();
        greet(&parkway, "Eve").await;
        let error = log.sign(&first).await.unwrap_err().to_string();
        assert!(error.contains("has given way to"), "{error}");
    }
    log.sign(&second).await.unwrap();
    // A body that nobody can read stands where the first key gave way.
    let options = SqliteConnectOptions::new().filename(&path);
    let mut connection = options.connect().await.unwrap();
    let garble = "UPDATE parkway_event SET body = CAST(replace(body, 'rotation', 'station!') AS BLOB) WHERE body LIKE '%key_rotated%'";
    assert_eq!(sqlx::query(garble).execute(&mut connection).await.unwrap().rows_affected(), 1);
    greet(&parkway, "Zoe").await;
    log.sign(&second).await.unwrap();
    assert!(log.sign(&third).await.is_err(), "a key that has signed nothing is not looked for in all of the log");
    // The log is cut off behind what was signed.
    let cut = "DELETE FROM parkway_event WHERE leaf = (SELECT max(leaf) FROM parkway_event)";
    sqlx::query(cut).execute(&mut connection).await.unwrap();
    let error = log.sign(&second).await.unwrap_err().to_string();
    assert!(error.contains("does not begin with"), "{error}");
}

#[tokio::test]
async fn another_log_is_signed_in_the_place_of_the_one_that_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.db");
    let parkway = engine(&path).await;
    let log = parkway.audit();
    let key = SigningKey::generate(&log.origin().await.unwrap()).unwrap();
    greet(&parkway, "Ada").await;
    log.sign(&key).await.unwrap();
    greet(&parkway, "Bob").await;
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    sqlx::query("UPDATE parkway_event SET hash = zeroblob(length(hash)) WHERE leaf < 5")
        .execute(&mut connection)
        .await
        .unwrap();
    let error = log.sign(&key).await.unwrap_err().to_string();
    assert!(error.contains("does not begin with"), "{error}");
}

/// Sorted keys, no spaces, and nothing but texts and whole numbers: RFC 8785 has no other form for these.
fn canonical(value: &Value) -> String {
    let Value::Object(fields) = value else { return value.to_string() };
    let mut fields: Vec<_> = fields.iter().map(|(name, value)| format!("{:?}:{}", name, canonical(value))).collect();
    fields.sort();
    format!("{{{}}}", fields.join(","))
}

#[tokio::test]
async fn a_trail_for_others_is_broken_or_says_what_a_text_does() {
    let source = "parkway: 1
tools: { files: { read: [.] } }
steps:
  found: { tool: text.find, with: { text: hidden words, values: [words] } }
  missing: { tool: files.read_text, with: { path: nowhere.txt }, on_error: continue }
  note: { needs: [found, missing], set: { n: 1 } }
";
    let folder = tempfile::tempdir().unwrap();
    let parkway = engine(&folder.path().join("runs.db")).await;
    let run = parkway.start(Workflow::from_source("trail.yaml", source).unwrap(), inputs! {}).await.unwrap();
    run.output::<Value>().await.unwrap();
    let records = parkway.audit().trail(&parkway.record(run.id()).await.unwrap()).await.unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let acts: Vec<_> = records
        .iter()
        .map(|r| format!("{} {} {}", text(&r["action_type"]), text(&r["outcome"]), text(&r["record_phase"])))
        .collect();
    let count = |act: &str| acts.iter().filter(|a| *a == act).count();
    assert_eq!(acts[0], "lifecycle success concurrent");
    assert_eq!(acts.last().unwrap(), "lifecycle success post_execution");
    assert_eq!(
        (count("tool_call success pre_execution"), count("tool_response success post_execution")),
        (2, 1),
        "{acts:?}"
    );
    assert_eq!(count("tool_response failure post_execution"), 1, "{acts:?}");
    assert!(records[0]["prev_hash"].is_null() && records[0]["parent_record_id"].is_null());
    let mut hashes = Vec::new();
    for pair in records.windows(2) {
        let hash = sha2::Sha256::digest(canonical(&pair[0]));
        assert_eq!(text(&pair[1]["prev_hash"]), hex::encode(hash));
        assert_eq!(pair[1]["parent_record_id"], pair[0]["record_id"]);
        assert!(text(&pair[1]["timestamp"]) >= text(&pair[0]["timestamp"]));
        hashes.extend(hash);
    }
    let end = &records.last().unwrap()["action_detail"];
    assert_eq!(text(&end["session_hash"]), hex::encode(sha2::Sha256::digest(&hashes)));
    assert_eq!(
        (&end["record_count"], &end["session_outcome"]),
        (&Value::from(records.len()), &Value::from("completed"))
    );
    let responses: Vec<_> = records.iter().filter(|r| r["action_type"] == "tool_response").collect();
    let calls: Vec<_> = records.iter().filter(|r| r["action_type"] == "tool_call").map(|r| &r["record_id"]).collect();
    assert!(responses.iter().all(|r| calls.contains(&&r["action_detail"]["parent_call_id"])));
    let all = serde_json::to_string(&records).unwrap();
    assert!(!all.contains("hidden") && !all.contains("nowhere.txt"), "{all}");
}
