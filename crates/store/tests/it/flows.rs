//! Runs of real workflows, as an engine writes them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use parkway_core::clock::{Clock, SystemClock};
use parkway_core::engine::{Control, Ended, Executor, ExecutorError, Notice, Services, Watched};
use parkway_core::id::{RunId, Seq, WorkerId};
use parkway_core::log::{Event, EventKind};
use parkway_core::policy::{DefaultPolicy, Policy};
use parkway_core::store::Store;
use parkway_core::tool::Toolbox;
use parkway_core::workflow::{Definition, Inputs, Plan, Requirements};
use parkway_store::SqliteStore;

use crate::runs::open;

/// Items one after the other, and a sum.
pub(crate) const ITEMS: &str = r#"
parkway: 1
name: items
inputs: { items: { type: integer, default: 20 } }
steps:
  each:
    for_each: ${{ range(inputs.items) | list }}
    as: n
    steps: { text: { set: { text: "number ${{ n }} of ${{ inputs.items }}" } } }
    result: ${{ steps.text.output.text }}
outputs: { all: "${{ steps.each.output }}" }
"#;

/// A step that asks.
pub(crate) const ASK: &str =
    "parkway: 1\nname: ask\nsteps: { a: { set: { n: 1 } }, ask: { needs: [a], approve: { prompt: go? } } }";

/// A store with a run that completed, one that waits, and one of many items.
pub(crate) async fn filled(path: &Path) -> Arc<SqliteStore> {
    let store = Arc::new(open(path).await);
    for flow in [ITEMS, ASK, ITEMS] {
        run(store.clone(), flow).await.unwrap();
    }
    store
}

pub(crate) fn services(store: Arc<dyn Store>, tools: Toolbox) -> Services {
    let worker = format!("w{}", RunId::new(SystemClock.now(), SystemClock.random()));
    Services::new(store, Arc::new(tools), Arc::new(DefaultPolicy), Arc::new(SystemClock), WorkerId::new(worker))
}

/// Runs a workflow as far as it goes without anybody.
pub(crate) async fn run(store: Arc<dyn Store>, flow: &str) -> Result<(RunId, Ended), ExecutorError> {
    run_with(services(store, Toolbox::new()), flow).await
}

pub(crate) async fn run_with(services: Services, flow: &str) -> Result<(RunId, Ended), ExecutorError> {
    let executor = create(services, flow).await?;
    let run = executor.run();
    Ok((run, executor.execute().await?))
}

async fn create(services: Services, flow: &str) -> Result<Executor, ExecutorError> {
    let definition = Definition::parse("test.yaml", flow, |path| Err(format!("no file {path}"))).unwrap();
    let plan = Plan::check(&definition, &Requirements::new(&services.tools, DefaultPolicy.fingerprint())).unwrap();
    let inputs = plan.fill_inputs(Inputs::new()).unwrap();
    Executor::create(services, BTreeMap::new(), Control::default(), Arc::new(plan), &inputs).await
}

/// Runs a workflow, and notes the events that are told, which are on disk by then.
pub(crate) async fn watched(
    services: Services,
    flow: &str,
    told: &Arc<Mutex<Vec<Event>>>,
) -> Result<Ended, ExecutorError> {
    let store = services.store.clone();
    let executor = create(services, flow).await?;
    let mut notices = executor.reporter().watch();
    let begun = store.events(executor.run(), Seq(0)).await?;
    told.lock().unwrap().extend(begun);
    let told = told.clone();
    let watching = tokio::spawn(async move {
        loop {
            match notices.next().await {
                Watched::Notice(Notice::Event(event)) => told.lock().unwrap().push((*event).clone()),
                Watched::Closed => return,
                _ => {}
            }
        }
    });
    let ended = executor.execute().await;
    watching.await.unwrap();
    ended
}

/// Goes on with a run.
pub(crate) async fn resume(services: Services, run: RunId) -> Result<Ended, ExecutorError> {
    let store = services.store.clone();
    let events = store.events(run, Seq(0)).await?;
    let EventKind::RunCreated { plan, .. } = &events[0].kind else { unreachable!("{:?}", events[0]) };
    let text = store.payloads(&[*plan]).await?.remove(0).unwrap();
    let plan = Plan::from_value(text.value().unwrap()).unwrap();
    let executor = Executor::take_over(services, BTreeMap::new(), Control::default(), Arc::new(plan), run).await?;
    executor.execute().await
}
