//! A store that somebody has changed behind Parkway's back, with and without a head that was kept elsewhere: what `audit verify` sees, and
//! what it cannot see. The table in the book is this one.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use parkway::audit::{Class, Erase, Head, SigningKey, Trust};
use parkway::id::Digest;
use parkway::log::tree::{Frontier, leaf_hash};
use parkway::log::{Channel, Payload, RunStatus};
use parkway::memory::{Author, Content};
use parkway::store::RunFilter;
use parkway::upkeep::{self, Depth};
use parkway::{Parkway, Preapproval, RunOptions, Workflow, inputs};
use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

/// Who sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// `audit verify`, by itself.
    Alone,
    /// Only with a head that was kept where the store is not.
    WithHead,
    /// Nobody: it is no evidence, or not yet.
    Never,
}

use Seen::*;

/// What somebody does, in which table, and who sees it.
struct Tamper {
    name: &'static str,
    table: &'static str,
    seen: Seen,
    how: How,
}

enum How {
    /// Statements.
    Sql(&'static str),
    /// Statements, and then the hashes of all events are made anew, as somebody does who knows how they are made.
    Rewritten(&'static str),
    /// A text more, under the hash that it has.
    Text,
    /// The file is that of an earlier time.
    RolledBack,
    /// All heads are signed anew by another key.
    Resigned,
    /// The plan of the second run is erased, as may be, and then statements.
    WithoutPlan(&'static str),
    /// A key has given way, and then statements; whoever has the old key signs all but the last event with it, or signs nothing.
    GaveWay(&'static str, bool),
}

use How::*;

const fn t(table: &'static str, name: &'static str, seen: Seen, how: How) -> Tamper {
    Tamper { name, table, seen, how }
}

/// The newest run, with all that is its own.
const LAST_RUN: &str = "
    DELETE FROM parkway_payload WHERE run = 3; DELETE FROM parkway_snapshot WHERE run = 3; DELETE FROM parkway_message WHERE run = 3;
    DELETE FROM parkway_outbox WHERE run = 3; DELETE FROM parkway_event WHERE run = 3; DELETE FROM parkway_run WHERE key = 3;";
/// The same, with what happened outside of runs since, and its head.
const LAST_RUN_AND_HEAD: &str = "
    DELETE FROM parkway_payload WHERE run = 3; DELETE FROM parkway_snapshot WHERE run = 3; DELETE FROM parkway_message WHERE run = 3;
    DELETE FROM parkway_outbox WHERE run = 3; DELETE FROM parkway_event WHERE run = 3; DELETE FROM parkway_run WHERE key = 3;
    DELETE FROM parkway_memory_contradiction; DELETE FROM parkway_memory_supersession; DELETE FROM parkway_memory_text; DELETE FROM parkway_memory;
    DELETE FROM parkway_payload WHERE run = 4; DELETE FROM parkway_event WHERE run = 4; DELETE FROM parkway_run WHERE key = 4;
    DELETE FROM parkway_head WHERE size > (SELECT max(leaf) FROM parkway_event);";

/// Heads of the new key.
const DELETE_NEW_HEADS: &str =
    "DELETE FROM parkway_head WHERE size >= (SELECT leaf FROM parkway_log WHERE body LIKE '%key_rotated%')";
/// The same, and the event by which the key gave way is the last one.
const MOVED: &str = "
    DELETE FROM parkway_head WHERE size >= (SELECT leaf FROM parkway_log WHERE body LIKE '%key_rotated%');
    CREATE TEMP TABLE moved AS SELECT leaf FROM parkway_log WHERE body LIKE '%key_rotated%';
    UPDATE parkway_event SET leaf = 10000 WHERE leaf = (SELECT leaf FROM moved);
    UPDATE parkway_event SET leaf = -(leaf - 1) WHERE leaf > (SELECT leaf FROM moved) AND leaf < 10000;
    UPDATE parkway_event SET leaf = -leaf WHERE leaf < 0;
    UPDATE parkway_event SET leaf = (SELECT count(*) FROM parkway_event) WHERE leaf = 10000;
    DROP TABLE moved;";

const TAMPERS: &[Tamper] = &[
    t(
        "event",
        "flip a byte of an event",
        Alone,
        Sql("UPDATE parkway_event SET body = substr(body, 1, 20) || x'58' || substr(body, 22) WHERE leaf = 5"),
    ),
    t(
        "event",
        "flip a byte, and make all hashes anew",
        Alone,
        Rewritten(
            "UPDATE parkway_event SET body = CAST(replace(body, '\"attempt\":1', '\"attempt\":2') AS BLOB) WHERE leaf = (SELECT min(leaf) FROM parkway_event WHERE body LIKE '%step_started%')",
        ),
    ),
    t(
        "event",
        "change when something happened, and make all hashes anew",
        Alone,
        Rewritten("UPDATE parkway_event SET body = CAST(replace(body, '\"at\":\"20', '\"at\":\"19') AS BLOB)"),
    ),
    t("event", "flip a hash", Alone, Sql("UPDATE parkway_event SET hash = zeroblob(length(hash)) WHERE leaf = 5")),
    t("event", "delete one in the middle", Alone, Sql("DELETE FROM parkway_event WHERE leaf = 5")),
    t(
        "event",
        "delete one, and number the others anew",
        Alone,
        Rewritten(
            "DELETE FROM parkway_event WHERE leaf = 5; UPDATE parkway_event SET leaf = -(leaf - 1) WHERE leaf > 5; UPDATE parkway_event SET leaf = -leaf WHERE leaf < 0",
        ),
    ),
    t(
        "event",
        "delete the last one",
        Alone,
        Sql("DELETE FROM parkway_event WHERE leaf = (SELECT max(leaf) FROM parkway_event)"),
    ),
    t(
        "event",
        "put one in twice",
        Alone,
        Rewritten(
            "INSERT INTO parkway_event SELECT leaf + 1, run, seq + 1, hash, body, cut FROM parkway_event ORDER BY leaf DESC LIMIT 1",
        ),
    ),
    t(
        "event",
        "swap two",
        Alone,
        Rewritten(
            "UPDATE parkway_event SET leaf = -6 WHERE leaf = 5; UPDATE parkway_event SET leaf = 5 WHERE leaf = 6; UPDATE parkway_event SET leaf = 6 WHERE leaf = -6",
        ),
    ),
    t(
        "event",
        "give one to another run",
        Alone,
        Rewritten(
            "UPDATE parkway_event SET run = (SELECT min(key) FROM parkway_run), seq = 99 WHERE leaf = (SELECT max(leaf) FROM parkway_event)",
        ),
    ),
    t(
        "event",
        "put one of a newer version in, behind which nothing is known of the run",
        Alone,
        Rewritten(
            "INSERT INTO parkway_event SELECT (SELECT max(leaf) + 1 FROM parkway_event), run, seq + 1, hash, body, 99 FROM parkway_event WHERE run = 3 ORDER BY seq DESC LIMIT 1; UPDATE parkway_run SET head = head + 1, status = 'failed', updated = updated + 1 WHERE key = 3",
        ),
    ),
    t("run", "erase its plan", Never, WithoutPlan("")),
    t(
        "run",
        "erase its plan, and give it another status",
        Alone,
        WithoutPlan("UPDATE parkway_run SET status = 'failed' WHERE key = 2"),
    ),
    t(
        "run",
        "erase its plan, and have it go on",
        Alone,
        WithoutPlan("UPDATE parkway_run SET status = 'waiting' WHERE key = 2"),
    ),
    t(
        "run",
        "erase its plan, and give it another time of the last change",
        Alone,
        WithoutPlan("UPDATE parkway_run SET updated = updated + 1 WHERE key = 2"),
    ),
    t(
        "run",
        "erase its plan, and make it a part of another run",
        Alone,
        WithoutPlan("UPDATE parkway_run SET parent = (SELECT id FROM parkway_run WHERE key = 1) WHERE key = 2"),
    ),
    t(
        "schema",
        "keep what is erased, by a trigger",
        Alone,
        Sql(
            "CREATE TABLE kept (text); CREATE TRIGGER keeps AFTER DELETE ON parkway_payload BEGIN INSERT INTO kept VALUES (old.bytes); END",
        ),
    ),
    t("schema", "take a trigger away", Alone, Sql("DROP TRIGGER parkway_payload_erased")),
    t("schema", "take an index away", Alone, Sql("DROP INDEX parkway_memory_digest")),
    t(
        "schema",
        "show another log, by a view",
        Alone,
        Sql(
            "DROP VIEW parkway_log; CREATE VIEW parkway_log (leaf, run, seq, hash, body) AS
SELECT leaf, run.id, seq, hash, CASE
        WHEN cut IS NULL THEN body
        ELSE CAST(body || ',\"run\":\"' || run.id || '\",\"seq\":\"' || seq || '\",\"tenant\":\"' || tenant || '\",\"v\":' || cut || '}' AS BLOB)
    END
FROM parkway_event AS event JOIN parkway_run AS run ON run.key = event.run WHERE leaf < 99999999",
        ),
    ),
    t("run", "another status", Alone, Sql("UPDATE parkway_run SET status = 'failed' WHERE key = 2")),
    t("run", "another status, opened again", Alone, Sql("UPDATE parkway_run SET status = 'running' WHERE key = 2")),
    t("run", "another number of events", Alone, Sql("UPDATE parkway_run SET head = head + 1 WHERE key = 2")),
    t("run", "another tenant", Alone, Sql("UPDATE parkway_run SET tenant = 'other' WHERE key = 2")),
    t("run", "another workflow", Alone, Sql("UPDATE parkway_run SET workflow = 'other' WHERE key = 2")),
    t(
        "run",
        "another time of creation",
        Alone,
        Sql("UPDATE parkway_run SET created = created - 1000000 WHERE key = 2"),
    ),
    t(
        "run",
        "another time of the last change",
        Alone,
        Sql("UPDATE parkway_run SET updated = updated + 1 WHERE key = 2"),
    ),
    t(
        "run",
        "a part of another run",
        Alone,
        Sql("UPDATE parkway_run SET parent = (SELECT id FROM parkway_run WHERE key = 1) WHERE key = 2"),
    ),
    t("run", "another id", Alone, Sql("UPDATE parkway_run SET id = replace(id, '7', '8') WHERE key = 2")),
    t("run", "delete one, with all that is its own", Alone, Sql(LAST_RUN)),
    t(
        "run",
        "put one in that has ended and has no events",
        Alone,
        Sql(
            "INSERT INTO parkway_run (id, tenant, workflow, status, created, updated, head, fence, lease_until) SELECT replace(id, '-7', '-6'), tenant, workflow, 'completed', created, updated, 0, 1, 0 FROM parkway_run WHERE key = 1",
        ),
    ),
    t(
        "run",
        "put one in without events",
        Alone,
        Sql(
            "INSERT INTO parkway_run (id, tenant, workflow, status, created, updated, head, fence, lease_until) SELECT replace(id, '7', '6'), tenant, workflow, status, created, updated, head, fence, lease_until FROM parkway_run WHERE key = 1",
        ),
    ),
    t(
        "payload",
        "flip a byte of a text",
        Alone,
        Sql("UPDATE parkway_payload SET bytes = CAST(replace(bytes, 'Ada', 'Eda') AS BLOB) WHERE bytes LIKE '%Ada%'"),
    ),
    t("payload", "another salt", Alone, Sql("UPDATE parkway_payload SET salt = randomblob(16) WHERE key = 1")),
    t("payload", "delete a text", Alone, Sql("DELETE FROM parkway_payload WHERE key = 1")),
    t(
        "payload",
        "swap two texts",
        Alone,
        Sql("UPDATE parkway_payload SET bytes = (SELECT bytes FROM parkway_payload WHERE key = 1) WHERE key = 2"),
    ),
    t("payload", "put in a text that no event points to", Never, Text),
    t(
        "payload",
        "delete the name of who has approved",
        Alone,
        Sql("DELETE FROM parkway_payload WHERE bytes = CAST('\"Grace\"' AS BLOB) AND run = 1"),
    ),
    t(
        "payload",
        "put in a text under the hash of another",
        Alone,
        Sql(
            "INSERT INTO parkway_payload (run, commitment, salt, codec, bytes) SELECT 1, randomblob(16), salt, codec, bytes FROM parkway_payload WHERE key = 1",
        ),
    ),
    t(
        "blob",
        "flip a byte of a long text",
        Alone,
        Sql("UPDATE parkway_blob SET bytes = substr(bytes, 1, 20) || x'58' || substr(bytes, 22)"),
    ),
    t("blob", "delete a long text", Alone, Sql("DELETE FROM parkway_blob")),
    t("blob", "count it otherwise", Alone, Sql("UPDATE parkway_blob SET uses = uses + 1")),
    t("tenant", "another secret", Alone, Sql("UPDATE parkway_tenant SET secret = randomblob(32)")),
    t("message", "delete one that no run has read", Never, Sql("DELETE FROM parkway_message")),
    t(
        "message",
        "change one that no run has read",
        Never,
        Sql("UPDATE parkway_message SET body = replace(body, 'never', 'maybe')"),
    ),
    t(
        "snapshot",
        "put one of a later time in",
        Alone,
        Sql("INSERT OR REPLACE INTO parkway_snapshot VALUES (1, 99, 'x', x'00')"),
    ),
    t(
        "snapshot",
        "put one in that says something else",
        Never,
        Sql("INSERT OR REPLACE INTO parkway_snapshot VALUES (1, 1, 'x', x'00')"),
    ),
    t(
        "head",
        "flip a byte of a signature",
        Alone,
        Sql(
            "UPDATE parkway_head SET note = replace(note, substr(note, -20, 1), CASE substr(note, -20, 1) WHEN 'A' THEN 'B' ELSE 'A' END)",
        ),
    ),
    t("head", "another root", Alone, Sql("UPDATE parkway_head SET root = zeroblob(32)")),
    t("head", "another size", Alone, Sql("UPDATE parkway_head SET size = size - 1")),
    t(
        "head",
        "swap two notes",
        Alone,
        Sql(
            "UPDATE parkway_head SET note = (SELECT note FROM parkway_head ORDER BY size DESC LIMIT 1) WHERE size = (SELECT min(size) FROM parkway_head)",
        ),
    ),
    t(
        "head",
        "delete the newest",
        Never,
        Sql("DELETE FROM parkway_head WHERE size = (SELECT max(size) FROM parkway_head)"),
    ),
    t("head", "delete all", Alone, Sql("DELETE FROM parkway_head")),
    t("head", "sign all anew by another key", Alone, Resigned),
    t(
        "memory",
        "put one into another namespace",
        Alone,
        Sql("UPDATE parkway_memory SET namespace = 'other' WHERE key = 1"),
    ),
    t(
        "memory",
        "have it hold at another time",
        Alone,
        Sql("UPDATE parkway_memory SET valid_from = valid_from - 1 WHERE key = 1"),
    ),
    t("memory", "pin it", Alone, Sql("UPDATE parkway_memory SET pinned = 1 WHERE key = 1")),
    t(
        "memory",
        "call what it says trusted",
        Alone,
        Sql("UPDATE parkway_memory SET untrusted = NOT untrusted WHERE key = 1"),
    ),
    t("memory", "bring a superseded one back", Alone, Sql("DELETE FROM parkway_memory_supersession")),
    t("memory", "supersede one", Alone, Sql("INSERT INTO parkway_memory_supersession (memory, other) VALUES (3, 2)")),
    t(
        "memory",
        "forget one that was not",
        Alone,
        Sql(
            "UPDATE parkway_memory SET forgotten = 1, namespace = NULL, subject = NULL, digest = NULL WHERE key = 2; DELETE FROM parkway_memory_text WHERE rowid = 2",
        ),
    ),
    t(
        "memory",
        "delete one",
        Alone,
        Sql(
            "DELETE FROM parkway_memory_contradiction; DELETE FROM parkway_memory_text WHERE rowid = 2; DELETE FROM parkway_memory WHERE key = 2",
        ),
    ),
    t(
        "memory",
        "put one in twice",
        Alone,
        Sql(
            "INSERT INTO parkway_memory (id, run, seq, content, kind, untrusted, secret, pinned, known, valid_from) SELECT randomblob(16), run, 99, content, kind, untrusted, secret, pinned, known, valid_from FROM parkway_memory WHERE key = 1",
        ),
    ),
    t(
        "memory_text",
        "have it found by other words",
        Alone,
        Sql("UPDATE parkway_memory_text SET text = 'other' WHERE rowid = 1"),
    ),
    t("memory_text", "have one not be found", Alone, Sql("DELETE FROM parkway_memory_text WHERE rowid = 1")),
    t(
        "memory_text",
        "put a text in that belongs to none",
        Alone,
        Sql("INSERT INTO parkway_memory_text (rowid, scope, text) VALUES (99, 'n', 'other')"),
    ),
    t("memory_contradiction", "take one away", Alone, Sql("DELETE FROM parkway_memory_contradiction")),
    t("memory_contradiction", "put one in", Alone, Sql("INSERT INTO parkway_memory_contradiction VALUES (2, 1)")),
    t(
        "memory_vector",
        "put one in",
        Never,
        Sql("INSERT INTO parkway_memory_vector (memory, model, vector) VALUES (1, 'x', x'0000803f')"),
    ),
    t(
        "payload",
        "bring an erased text back",
        Alone,
        Sql(
            "INSERT INTO parkway_payload (run, commitment, salt, codec, bytes) SELECT run, (SELECT content FROM parkway_memory WHERE key = 4), salt, codec, bytes FROM parkway_payload WHERE key = 1",
        ),
    ),
    t(
        "payload",
        "delete what a memory says",
        Alone,
        Sql(
            "DELETE FROM parkway_payload WHERE substr(commitment, 1, 16) = (SELECT content FROM parkway_memory WHERE key = 1)",
        ),
    ),
    t("outbox", "delete an entry that was not delivered", Never, Sql("DELETE FROM parkway_outbox")),
    t("outbox", "change an entry that was not delivered", Never, Sql("UPDATE parkway_outbox SET body = '{}'")),
    t("log_id", "call it another log", Alone, Sql("UPDATE parkway_log_id SET id = 'other'")),
    t("all", "cut the last run off, with its head", WithHead, Sql(LAST_RUN_AND_HEAD)),
    t("all", "go back to a backup", WithHead, RolledBack),
    t("head", "delete the newest, behind which a key has given way", Alone, GaveWay(DELETE_NEW_HEADS, false)),
    t(
        "all",
        "rewrite what came since a key gave way, with that event at the end, and sign it by the old key",
        Alone,
        GaveWay(MOVED, true),
    ),
];

const SOURCE: &str = "parkway: 1
inputs: { who: { type: string } }
steps:
  sure: { approve: { prompt: \"Sure?\" } }
  greet: { needs: [sure], set: { text: \"Hello, ${{ inputs.who }}\" } }
outputs: { text: \"${{ steps.greet.output.text }}\" }
";

/// A store of three runs, each after the other, with a head after the second and the third, and a copy from before the third.
struct Made {
    folder: tempfile::TempDir,
    key: SigningKey,
    /// To which that one gives way.
    next: SigningKey,
    heads: Vec<Head>,
}

impl Made {
    async fn new() -> Made {
        let folder = crate::kept::folder().unwrap();
        let path = folder.path().join("runs.db");
        let parkway = engine(&path).await;
        let key = SigningKey::generate(&parkway.audit().origin().await.unwrap()).unwrap();
        let mut heads = Vec::new();
        for (who, sign) in [("Ada".to_owned(), false), ("Bob ".repeat(600), true), ("Eve".to_owned(), true)] {
            if heads.len() == 1 {
                upkeep::backup(&path, &folder.path().join("before.db")).await.unwrap();
            }
            let workflow = Workflow::from_source("greet.yaml", SOURCE).unwrap();
            let mut options = RunOptions::default();
            options.preapprovals = vec![Preapproval { step: None, by: "Grace".into(), via: Channel::Flag }];
            let run = parkway.start_with(workflow, inputs! { who: who }, options).await.unwrap();
            run.output::<Value>().await.unwrap();
            if heads.len() == 1 {
                remembered(&parkway).await;
            }
            if sign {
                heads.push(parkway.audit().sign(&key).await.unwrap().parse().unwrap());
            }
        }
        let runs = parkway.runs(&RunFilter::default()).await.unwrap();
        assert!(runs.iter().all(|run| run.status == RunStatus::Completed));
        drop(parkway);
        let mut connection = connect(&path).await;
        execute(&mut connection, "INSERT INTO parkway_outbox (run, at, topic, body) VALUES (1, 0, 'mail', '1')").await;
        let said = r#"{"type":"signal","name":"never","payload":null,"by":"Ada","via":"command"}"#;
        execute(&mut connection, &format!("INSERT INTO parkway_message (run, at, body) VALUES (1, 0, '{said}')")).await;
        connection.close().await.unwrap();
        upkeep::backup(&path, &folder.path().join("made.db")).await.unwrap();
        let next = SigningKey::generate(key.name()).unwrap();
        Made { folder, key, next, heads }
    }

    /// A copy of the store, somewhere else.
    fn copy(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::copy(self.folder.path().join("made.db"), &path).unwrap();
        path
    }

    /// What is wrong with a store, as `audit verify` says it.
    async fn doubts(&self, path: &Path, key: &SigningKey, with_head: bool) -> Option<String> {
        let heads = if with_head { self.heads.clone() } else { Vec::new() };
        let trust = Trust { keys: vec![key.public()], heads };
        match upkeep::check(path, Depth::Full).await {
            Ok(checked) if checked.is_sound() => {}
            Ok(checked) => return Some(checked.problems[0].to_string()),
            Err(error) => return Some(error.to_string()),
        }
        let parkway = match Parkway::builder().store(format!("sqlite:{}", path.display())).build().await {
            Ok(parkway) => parkway,
            Err(error) => return Some(error.to_string()),
        };
        match parkway.audit().verify(&trust).await {
            Ok(Ok(_)) => None,
            Ok(Err(doubt)) => Some(doubt.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }
}

/// Four memories: one that is superseded, one that holds, one that contradicts it, one that is forgotten.
async fn remembered(parkway: &Parkway) {
    let (memories, ada) = (parkway.memories(), Author::new("Ada", Channel::Program));
    let new = |text: &str| memories.new_memory(Content::new("shop", text));
    let (old, forgotten) = (new("it opens at nine"), new("a secret"));
    let mut holds = new("it opens at ten");
    holds.supersedes = vec![old.id];
    let mut other = new("it opens at eleven");
    other.contradicts = vec![holds.id];
    let id = forgotten.id.to_string();
    memories.remember(&ada, vec![old, holds, other, forgotten]).await.unwrap();
    let forgotten = memories.find(&id).await.unwrap();
    memories.forget(&ada, &forgotten, None).await.unwrap();
}

async fn engine(path: &Path) -> Parkway {
    Parkway::builder().store(format!("sqlite:{}", path.display())).build().await.unwrap()
}

async fn connect(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).foreign_keys(false).connect().await.unwrap()
}

async fn execute(connection: &mut SqliteConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap();
}

/// Gives every event the hash that its bytes have, with the nodes of the tree that it completes. Returns the tree of all but the last.
async fn hash_anew(connection: &mut SqliteConnection) -> Frontier {
    let rows: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT leaf, body FROM parkway_log ORDER BY leaf").fetch_all(&mut *connection).await.unwrap();
    let (mut tree, mut before) = (Frontier::default(), Frontier::default());
    for (leaf, body) in rows {
        before = tree.clone();
        let own = leaf_hash(&body);
        let nodes = tree.append(own);
        let hash: Vec<u8> = std::iter::once(&own).chain(&nodes).flat_map(|hash: &Digest| *hash.as_bytes()).collect();
        sqlx::query("UPDATE parkway_event SET hash = $1 WHERE leaf = $2")
            .bind(hash)
            .bind(leaf)
            .execute(&mut *connection)
            .await
            .unwrap();
    }
    before
}

async fn tampered(made: &Made, number: usize, tamper: &Tamper) -> PathBuf {
    let path = made.copy(&format!("{number}.db"));
    match tamper.how {
        Sql(sql) => {
            let mut connection = connect(&path).await;
            execute(&mut connection, sql).await;
            connection.close().await.unwrap();
        }
        Rewritten(sql) => {
            let mut connection = connect(&path).await;
            execute(&mut connection, sql).await;
            hash_anew(&mut connection).await;
            connection.close().await.unwrap();
        }
        Text => {
            let text = Payload::json("never said", [7; 16]).unwrap();
            let sql =
                "INSERT INTO parkway_payload (run, commitment, salt, codec, bytes) VALUES (1, $1, $2, 'json', $3)";
            let query =
                sqlx::query(sql).bind(text.commitment.as_bytes().to_vec()).bind(text.salt.to_vec()).bind(text.bytes);
            let mut connection = connect(&path).await;
            query.execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        }
        WithoutPlan(sql) => {
            let parkway = engine(&path).await;
            let runs = parkway.runs(&RunFilter::default()).await.unwrap();
            let mut plan = Erase::run(runs[1].run);
            plan.classes = [Class::Plan].into();
            let by = Author::new("Ada", Channel::Program);
            assert_eq!(parkway.audit().erase(&by, &plan, "old").await.unwrap().found.len(), 1);
            drop(parkway);
            let mut connection = connect(&path).await;
            execute(&mut connection, sql).await;
            connection.close().await.unwrap();
        }
        GaveWay(sql, signs) => {
            let parkway = engine(&path).await;
            let by = Author::new("Ada", Channel::Command);
            parkway.audit().rotate(&by, &made.key, &made.next, "it was seen").await.unwrap();
            let workflow = Workflow::from_source("set.yaml", "parkway: 1\nsteps:\n  one: { set: { n: 1 } }\n").unwrap();
            parkway.start(workflow, inputs! {}).await.unwrap().output::<Value>().await.unwrap();
            parkway.audit().sign(&made.next).await.unwrap();
            drop(parkway);
            let mut connection = connect(&path).await;
            execute(&mut connection, sql).await;
            let tree = hash_anew(&mut connection).await;
            if signs {
                let (size, root) = (tree.size(), tree.root());
                let text = format!("{}\n{size}\n{}\n", made.key.name(), BASE64_STANDARD.encode(root.as_bytes()));
                let query = sqlx::query("INSERT INTO parkway_head (size, root, note) VALUES ($1, $2, $3)")
                    .bind(i64::try_from(size).unwrap())
                    .bind(root.as_bytes().to_vec())
                    .bind(made.key.sign(&text));
                query.execute(&mut connection).await.unwrap();
            }
            connection.close().await.unwrap();
        }
        RolledBack => drop(fs::copy(made.folder.path().join("before.db"), &path).unwrap()),
        Resigned => {
            let other = SigningKey::generate(made.key.name()).unwrap();
            let mut connection = connect(&path).await;
            for head in &made.heads {
                let sql = "UPDATE parkway_head SET note = $1 WHERE size = $2";
                let query = sqlx::query(sql).bind(other.sign(head.note.text())).bind(i64::try_from(head.size).unwrap());
                query.execute(&mut connection).await.unwrap();
            }
            connection.close().await.unwrap();
        }
    }
    path
}

#[tokio::test]
async fn a_store_that_was_changed_passes_for_what_it_was() {
    let made = Made::new().await;
    for with_head in [false, true] {
        let path = made.copy("as-it-is.db");
        assert_eq!(made.doubts(&path, &made.key, with_head).await, None);
    }
    let (mut table, mut wrong) = (String::new(), Vec::new());
    for (number, tamper) in TAMPERS.iter().enumerate() {
        let path = tampered(&made, number, tamper).await;
        let key = if matches!(tamper.how, GaveWay(..)) { &made.next } else { &made.key };
        let (alone, with_head) = (made.doubts(&path, key, false).await, made.doubts(&path, key, true).await);
        let seen = match (&alone, &with_head) {
            (Some(_), Some(_)) => Alone,
            (None, Some(_)) => WithHead,
            (None, None) => Never,
            (Some(_), None) => panic!("{}: {alone:?}, and nothing with a head", tamper.name),
        };
        writeln!(table, "{:8} {:60} {seen:?}", tamper.table, tamper.name).unwrap();
        if seen != tamper.seen {
            wrong.push(format!(
                "{} {}: {seen:?}, not {:?} ({alone:?}, {with_head:?})",
                tamper.table, tamper.name, tamper.seen
            ));
        }
    }
    println!("{table}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
