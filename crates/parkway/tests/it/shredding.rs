//! Keys of sealed backups that are destroyed: the log says who did it and why, and says it when it is so.

use std::fs;

use parkway::Parkway;
use parkway::audit::{AuditLog, Extent, SigningKey};
use parkway::clock::{Clock, SystemClock};
use parkway::log::Channel;
use parkway::memory::Author;
use parkway::upkeep::{BackupId, Depth, Keys, backup_sealed, check, check_sealed};
use serde_json::Value;

/// The backups that were shredded by what the log says, in order; each with who and why.
async fn events(log: &AuditLog, key: &SigningKey) -> Vec<String> {
    log.sign(key).await.unwrap();
    let mut bytes = Vec::new();
    log.export(&mut bytes, Extent::Whole).await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let events = text.lines().filter_map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        let event: Value = serde_json::from_str(line["event"].as_str()?).unwrap();
        let kind = &event["kind"];
        // Who and why are texts beside it.
        let told =
            |text: &Value| kind["type"] == "backup_shredded" && text.as_str().is_some_and(|text| text.len() > 20);
        (told(&kind["note"]) && told(&event["by"]["name"])).then(|| kind["backup"].as_str().unwrap().to_owned())
    });
    let events: Vec<String> = events.collect();
    assert!(events.is_empty() || (text.contains("retention") && text.contains("Ada")));
    events
}

#[tokio::test]
async fn a_key_is_destroyed_without_a_word_or_a_word_is_said_of_a_key_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (path, safe) = (folder.path().join("runs.db"), folder.path().join("safe"));
    fs::create_dir(&safe).unwrap();
    let parkway = Parkway::builder().store(format!("sqlite:{}", path.display())).build().await.unwrap();
    let (log, keys) = (parkway.audit(), Keys::at(folder.path().join("keys")));
    let key = SigningKey::generate(&log.origin().await.unwrap()).unwrap();
    let by = Author::new("Ada", Channel::Command);
    let mut made: Vec<BackupId> = Vec::new();
    for name in ["one.age", "two.age", "three.age"] {
        let backup = backup_sealed(&path, &safe.join(name), &keys, SystemClock.now()).await.unwrap();
        made.extend(backup.sealed);
    }
    // What is held is held.
    log.hold(&by, None, "in dispute").await.unwrap();
    let error = log.shred(&by, &keys, &made[..1], "retention").await.unwrap_err().to_string();
    assert!(error.contains("until the hold of everything is lifted"), "{error}");
    assert_eq!((keys.list().unwrap(), events(&log, &key).await), (made.clone(), vec![]));
    log.lift(&by, None, "settled").await.unwrap();
    log.shred(&by, &keys, &made[..1], "retention").await.unwrap();
    // One that was interrupted between the key and the word.
    keys.destroy(made[1]).unwrap();
    assert_eq!((keys.list().unwrap(), events(&log, &key).await), (made[1..].to_vec(), vec![made[0].to_string()]));
    log.shred(&by, &keys, &made[1..2], "retention").await.unwrap();
    let error = log.shred(&by, &keys, &made[..1], "again").await.unwrap_err().to_string();
    assert!(error.contains("there is no key of the backup"), "{error}");
    assert_eq!(keys.list().unwrap(), made[2..]);
    assert_eq!(events(&log, &key).await, [made[0].to_string(), made[1].to_string()]);
    let error = check_sealed(&path, &safe.join("one.age"), &keys, Depth::Full).await.unwrap_err().to_string();
    assert!(error.contains("it was shredded"), "{error}");
    check_sealed(&path, &safe.join("three.age"), &keys, Depth::Full).await.unwrap();
    assert!(check(&path, Depth::Full).await.unwrap().is_sound());
}
