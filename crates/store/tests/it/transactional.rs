//! Transactional tools on a database that holds tables of a program's own.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parkway_core::engine::ExecutorError;
use parkway_core::log::RunStatus;
use parkway_core::store::{Log, Queue, RunFilter, StoreError};
use parkway_core::testing::{FaultyStore, StoreOperation};
use parkway_core::tool::{Effect, Tool, ToolContext, ToolError, ToolOutput, ToolSpec, Toolbox};
use parkway_core::write::{OutboxEntry, SqlWrite, ToolWrite};
use parkway_store::SqliteStore;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::flows::{resume, run_with, services};
use crate::runs::{execute, number, open};

// ANCHOR: tool
/// Takes pieces from the stock, and has a letter sent about it.
struct Take {
    spec: ToolSpec,
}

#[async_trait::async_trait]
impl Tool for Take {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, input: Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        let (part, pieces) = (input["part"].clone(), input["pieces"].clone());
        let take = SqlWrite::new("UPDATE stock SET pieces = pieces - $2 WHERE part = $1 AND pieces >= $2")
            .bind(part.clone())
            .bind(pieces.clone())
            // Nothing of the step becomes true if there are too few.
            .expect_rows(1);
        let letter = OutboxEntry::new("mail", json!({ "about": part, "order": context.key.to_string() }));
        Ok(ToolOutput::new(json!({ "taken": pieces })).write(ToolWrite::Sql(take)).write(ToolWrite::Outbox(letter)))
    }
}
// ANCHOR_END: tool

fn take() -> Take {
    let input = json!({
        "type": "object",
        "properties": { "part": { "type": "string" }, "pieces": { "type": "integer" } },
        "required": ["part", "pieces"],
    });
    let spec = ToolSpec {
        name: "stock.take".into(),
        description: "Takes pieces of a part from the stock.".into(),
        input_schema: input,
        output_schema: json!({ "type": "object" }),
        effect: Effect::Transactional,
        labels: parkway_core::label::Labels::default(),
    };
    Take { spec }
}

struct Shop {
    store: Arc<SqliteStore>,
    path: PathBuf,
    _folder: TempDir,
}

impl Shop {
    async fn new() -> Shop {
        let folder = crate::kept::folder().unwrap();
        let path = folder.path().join("shop.db");
        let store = Arc::new(open(&path).await);
        execute(&path, "CREATE TABLE stock (part TEXT PRIMARY KEY, pieces INTEGER)").await;
        execute(&path, "INSERT INTO stock VALUES ('A-1', 10)").await;
        Shop { store, path, _folder: folder }
    }

    async fn left(&self) -> (i64, usize) {
        let pieces = number(&self.path, "SELECT pieces FROM stock").await;
        (pieces, self.store.outbox(100).await.unwrap().len())
    }
}

fn tools() -> Toolbox {
    let mut tools = Toolbox::new();
    tools.insert(Arc::new(take()));
    tools
}

fn flow(pieces: &str) -> String {
    format!(
        "
parkway: 1
tools: {{ stock: {{}} }}
steps:
  take:
    for_each: {pieces}
    max_parallel: 8
    on_item_error: collect
    tool: stock.take
    with: {{ part: A-1, pieces: '${{{{ item }}}}' }}
"
    )
}

#[tokio::test]
async fn what_tools_ask_for_at_once_is_done_without_those_that_the_database_refuses() {
    let shop = Shop::new().await;
    // 9 of 3 + 3 + 3 + 11 + 3 can be had: the fourth asks for too many, and one of the others comes too late.
    let (run, ended) = run_with(services(shop.store.clone(), tools()), &flow("[3, 3, 3, 11, 3]")).await.unwrap();
    assert_eq!(ended.status, RunStatus::Completed, "{run}");
    assert_eq!(shop.left().await, (1, 3));
}

#[tokio::test]
async fn a_lost_answer_to_the_commit_takes_pieces_twice() {
    let shop = Shop::new().await;
    let front = Arc::new(FaultyStore::new(shop.store.clone()));
    let lost = StoreError::Backend { message: "no answer".into(), retryable: true };
    let mut tools = Toolbox::new();
    tools.insert(Arc::new(Breaking { take: take(), store: front.clone(), lost, broken: AtomicBool::new(false) }));
    let mut services = services(front.clone(), tools);
    let error = run_with(services.clone(), &flow("[4]")).await.unwrap_err();
    assert!(matches!(error, ExecutorError::Store(StoreError::Backend { .. })), "{error}");
    assert_eq!(shop.left().await, (6, 1));
    front.heal();
    services.store = shop.store.clone();
    let run = shop.store.runs(&RunFilter::default()).await.unwrap()[0].run;
    assert_eq!(resume(services, run).await.unwrap().status, RunStatus::Completed);
    assert_eq!(shop.left().await, (6, 1));
}

/// Loses the answers of the store from its first call on.
struct Breaking {
    take: Take,
    store: Arc<FaultyStore>,
    lost: StoreError,
    broken: AtomicBool,
}

#[async_trait::async_trait]
impl Tool for Breaking {
    fn spec(&self) -> &ToolSpec {
        self.take.spec()
    }

    async fn call(&self, input: Value, context: &ToolContext) -> Result<ToolOutput, ToolError> {
        if !self.broken.swap(true, Ordering::SeqCst) {
            self.store.lose_answers(StoreOperation::Commit, self.lost.clone());
        }
        self.take.call(input, context).await
    }
}
