//! Runs that an older version has begun, in a database of its schema.

use std::fs;

use parkway::store::{RunFilter, RunSummary};
use parkway::{Parkway, RunOptions};
use serde_json::{Value, json};

#[tokio::test]
async fn a_run_of_an_older_version_does_not_go_on_to_its_end() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    // The fixture, and how it came about, belong to the store.
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/../store/tests/fixtures/v1.db"), &path).unwrap();
    let parkway = Parkway::builder().store(format!("sqlite:{}", path.display())).build().await.unwrap();
    let runs = parkway.runs(&RunFilter::default()).await.unwrap();
    let of = |workflow: &str| -> Vec<&RunSummary> { runs.iter().filter(|run| run.workflow == workflow).collect() };
    let (releases, naps) = (of("release"), of("nap"));
    let sent = json!({"text": "Sent: Dear Ada, the parts are on their way."});

    // The newer one has an answer that nobody has read.
    let answered = parkway.resume(releases[0].run, RunOptions::default()).await.unwrap();
    assert_eq!(answered.output::<Value>().await.unwrap(), sent);
    let asked = parkway.resume(releases[1].run, RunOptions::default()).await.unwrap();
    asked.approve("release").await.unwrap();
    assert_eq!(asked.output::<Value>().await.unwrap(), sent);
    // This one's process was killed, and its time has come.
    let nap = parkway.resume(naps[0].run, RunOptions::default()).await.unwrap();
    assert_eq!(nap.output::<Value>().await.unwrap(), json!({"text": "before and after"}));
}
