//! The oracle sees what is wrong: each thing that must not be, made on purpose.

use std::fs;

use parkway_core::id::Seq;
use parkway_core::store::{Log, RunFilter};
use parkway_core::testing::WritePoint;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::life::open;
use super::matrix::{Files, compare, template, undisturbed_in};
use super::oracle::{examine, order_of};
use super::scenario::{Class, Scenario};

/// Runs a workflow undisturbed, does something to what it left, and gives what the oracle says.
async fn after(class: Class, ledger: impl Fn(&str) -> String, sql: &str, acknowledged: &[String]) -> Vec<String> {
    let folder = crate::kept::folder().unwrap();
    let template = template(folder.path()).await;
    let scenario = Scenario { point: WritePoint::Commit, class, seed: 4 };
    let calm = undisturbed_in(folder.path(), scenario, &template).await;
    let (files, path) = (Files::at(folder.path()), folder.path().join("ledger"));
    fs::write(&path, ledger(&fs::read_to_string(&path).unwrap_or_default())).unwrap();
    if !sql.is_empty() {
        let mut connection = SqliteConnectOptions::new().filename(&files.database).connect().await.unwrap();
        let changed = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        assert!(changed.rows_affected() > 0);
        connection.close().await.unwrap();
    }
    compare(&calm, examine(scenario, &files.database, &files.ledger, acknowledged).await)
}

fn same(ledger: &str) -> String {
    ledger.to_owned()
}

#[tokio::test]
async fn the_oracle_complains_about_nothing() {
    for class in Class::ALL {
        assert_eq!(after(class, same, "", &[]).await, Vec::<String>::new(), "{}", class.name());
    }
}

#[tokio::test]
async fn the_oracle_overlooks_what_is_wrong() {
    let sees = |violations: Vec<String>, what: &str| {
        assert!(violations.iter().any(|violation| violation.contains(what)), "{what}: {violations:?}");
    };
    let twice = |ledger: &str| format!("{ledger}{}\n", ledger.lines().next().unwrap());
    sees(after(Class::AtMostOnce, twice, "", &[]).await, "had its effect 2 times, under 1 keys");
    let other_key = |ledger: &str| {
        let first = ledger.lines().next().unwrap();
        let key = first.split('"').nth(7).unwrap();
        format!("{ledger}{}\n", first.replace(key, "another"))
    };
    sees(after(Class::Idempotent, other_key, "", &[]).await, "was called under 2 keys");
    sees(after(Class::Idempotent, |_| String::new(), "", &[]).await, "is completed, and had no effect");
    sees(after(Class::Transactional, same, "DELETE FROM effect", &[]).await, "has 0 rows and should have 1");
    let doubled = "INSERT INTO effect SELECT * FROM effect";
    sees(after(Class::Transactional, same, doubled, &[]).await, "has 2 rows and should have 1");
    sees(after(Class::Transactional, |_| String::new(), "", &[]).await, "has 0 deliveries and should have 1");
    sees(after(Class::Pure, same, "", &["{}".to_owned()]).await, "an acknowledged event is lost");
}

#[tokio::test]
async fn the_oracle_overlooks_an_old_fence() {
    let folder = crate::kept::folder().unwrap();
    let template = template(folder.path()).await;
    let scenario = Scenario { point: WritePoint::Claim, class: Class::Pure, seed: 1 };
    undisturbed_in(folder.path(), scenario, &template).await;
    let store = open(&Files::at(folder.path()).database).await;
    let runs = store.runs(&RunFilter::default()).await.unwrap();
    let main = runs.iter().find(|run| run.workflow == "main").unwrap().run;
    let mut events = store.events(main, Seq(0)).await.unwrap();
    assert_eq!(order_of(&events), Vec::<String>::new());
    let (first, last) = (events[0].fence, events.len() - 1);
    assert!(events[last].fence > first);
    events[last].fence = first;
    assert!(order_of(&events)[0].contains("after one with"), "{:?}", order_of(&events));
    events.remove(1);
    assert!(order_of(&events)[0].contains("stands where 2 belongs"), "{:?}", order_of(&events));
}
