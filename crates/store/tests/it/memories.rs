//! Finding among so many memories that some words are in most of them.

use std::sync::Arc;

use parkway_core::clock::{Clock as _, SystemClock};
use parkway_core::engine::{Author, Outside, Services, record_outside};
use parkway_core::id::{MemoryId, WorkerId};
use parkway_core::log::Channel;
use parkway_core::memory::{Content, MemoryKind, NewMemory, Recall, Recalled};
use parkway_core::policy::DefaultPolicy;
use parkway_core::store::Log as _;
use parkway_core::tool::Toolbox;
use parkway_store::SqliteStore;

async fn store(memories: Vec<(MemoryKind, String)>) -> Arc<SqliteStore> {
    let clock = Arc::new(SystemClock);
    let store = Arc::new(SqliteStore::in_memory(clock.clone()).await.unwrap());
    let shared = store.clone();
    let (tools, worker) = (Arc::new(Toolbox::new()), WorkerId::new("w"));
    let services = Services::new(shared, tools, Arc::new(DefaultPolicy), clock.clone(), worker);
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
