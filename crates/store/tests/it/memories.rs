//! Memories in SQLite: finding among so many that some words are in most of them, and those of an older version.

use std::sync::Arc;

use parkway_core::clock::{Clock as _, SystemClock};
use parkway_core::engine::{Author, Outside, Services, record_outside};
use parkway_core::id::{MemoryId, WorkerId};
use parkway_core::log::Channel;
use parkway_core::memory::{Content, MemoryFilter, MemoryKind, NewMemory, Recall, Recalled, Remembered};
use parkway_core::policy::DefaultPolicy;
use parkway_core::store::Log as _;
use parkway_core::tool::Toolbox;
use parkway_store::SqliteStore;
use parkway_store::upkeep::{Depth, check};

use crate::runs::{execute, number, open};

fn services(store: &Arc<SqliteStore>) -> Services {
    let (tools, worker) = (Arc::new(Toolbox::new()), WorkerId::new("w"));
    Services::new(store.clone(), tools, Arc::new(DefaultPolicy), Arc::new(SystemClock), worker)
}

async fn store(memories: Vec<(MemoryKind, String)>) -> Arc<SqliteStore> {
    let clock = Arc::new(SystemClock);
    let store = Arc::new(SqliteStore::in_memory(clock.clone()).await.unwrap());
    let services = services(&store);
    let memory = |(kind, text): (MemoryKind, String)| {
        let mut memory = NewMemory::new(MemoryId::new(clock.random()), Content::new("shop", text), clock.now());
        memory.kind = kind;
        Outside::Remember(memory)
    };
    let all: Vec<_> = memories.into_iter().map(memory).collect();
    for part in all.chunks(200) {
        record_outside(&services, &Author::new("ada", Channel::Program), part).await.unwrap();
    }
    store
}

async fn recalled(store: &SqliteStore, text: &str, kinds: &[MemoryKind]) -> Vec<String> {
    let mut recall = Recall::new(vec!["shop".into()], text, SystemClock.now());
    (recall.kinds, recall.limit) = (kinds.to_vec(), 10);
    let found = store.memory().recall(&recall).await.unwrap();
    found.into_iter().map(|found: Recalled| found.memory.content.unwrap().text).collect()
}

#[tokio::test]
async fn a_word_that_most_memories_have_hides_those_that_few_have() {
    use MemoryKind::{Procedural, Semantic};
    let mut all: Vec<(MemoryKind, String)> = (0..1_100).map(|n| (Semantic, format!("order {n} has come"))).collect();
    all.extend((0..1_400).map(|n| (Semantic, format!("nothing to tell {n}"))));
    all.extend((0..80).map(|n| (Semantic, format!("lamp number {n}"))));
    all.extend((0..5).map(|n| (Semantic, format!("{n} order lamp"))));
    all.extend((0..3).map(|n| (Semantic, format!("{n} Fridays"))));
    all.extend((0..4).map(|n| {
        (Procedural, format!("{n}: how a lamp is wrapped so that it does not break on its way to a customer abroad"))
    }));
    let store = store(all).await;
    // Enough has the rare word: nothing comes that has the common one alone, and what has both comes first.
    let found = recalled(&store, "Which order was for a lamp?", &[]).await;
    assert_eq!(found.len(), 10);
    assert!(found.iter().all(|text| text.contains("lamp")), "{found:?}");
    assert!(found[..5].iter().all(|text| text.contains("order")), "{found:?}");
    // Too little has it: the others come behind.
    let found = recalled(&store, "orders on Friday", &[]).await;
    assert!(found.len() == 10 && found[..3].iter().all(|text| text.contains("Fridays")), "{found:?}");
    assert!(found[3..].iter().all(|text| text.contains("order")), "{found:?}");
    assert_eq!(recalled(&store, "orders", &[]).await.len(), 10);
    // Those that fit best may not be recalled: those that may are found all the same.
    let found = recalled(&store, "the lamp of an order", &[Procedural]).await;
    assert!(found.len() == 4 && found.iter().all(|text| text.contains("wrapped")), "{found:?}");
}

#[tokio::test]
async fn what_a_memory_of_an_older_version_supersedes_is_lost() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let store = Arc::new(open(&path).await);
    let clock = SystemClock;
    let new = |text: &str| NewMemory::new(MemoryId::new(clock.random()), Content::new("shop", text), clock.now());
    let (elm, bus, mut oak, mut ash) =
        (new("in Elm Street"), new("by bus"), new("in Oak Street"), new("in Ash Street"));
    oak.supersedes = vec![elm.id, MemoryId::new([9; 16]), elm.id, oak.id];
    ash.supersedes = vec![oak.id, bus.id];
    for memory in [elm, bus, oak, ash] {
        let written = [Outside::Remember(memory)];
        record_outside(&services(&store), &Author::new("ada", Channel::Program), &written).await.unwrap();
    }
    let kept =
        async |store: &SqliteStore| -> Vec<Remembered> { store.memory().list(&MemoryFilter::default()).await.unwrap() };
    let written = kept(&store).await;
    assert_eq!(written.iter().map(|memory| memory.superseded.len()).collect::<Vec<_>>(), [1, 1, 1, 0]);
    store.close().await.unwrap();
    // As the version before has it.
    let script = include_str!("../../migrations/sqlite/0005_memory.sql");
    let (_, made) = script.split_once("CREATE TABLE parkway_memory (").unwrap();
    let (made, _) = made.split_once("CREATE TABLE").unwrap();
    let sql = format!(
        "PRAGMA foreign_keys = OFF; PRAGMA legacy_alter_table = ON;
        DROP TABLE parkway_memory_supersession; ALTER TABLE parkway_memory RENAME TO later;
        DROP INDEX parkway_memory_namespace; DROP INDEX parkway_memory_digest; DROP INDEX parkway_memory_pinned;
        DROP INDEX parkway_memory_subject;
        CREATE TABLE parkway_memory ({made};
        INSERT INTO parkway_memory SELECT key, id, run, seq, content, namespace, subject, digest, kind, untrusted, secret, pinned, known,
            valid_from, valid_until, expires, NULL, NULL, NULL, forgotten FROM later;
        DROP TABLE later; DELETE FROM parkway_migrations WHERE version > 5"
    );
    execute(&path, &sql).await;
    let older = check(&path, Depth::Full).await.unwrap();
    assert!(older.is_sound() && older.schema == 5, "{:?}", older.problems);
    assert!(older.unchecked.iter().any(|what| what.contains("form of version 5")), "{:?}", older.unchecked);
    let store = open(&path).await;
    assert_eq!(kept(&store).await, written);
    store.close().await.unwrap();
    assert_eq!(number(&path, "SELECT count(*) FROM parkway_memory_supersession").await, 3);
    let checked = check(&path, Depth::Full).await.unwrap();
    assert!(checked.is_sound() && checked.counts.memories == 4, "{:?}", checked.problems);
}
