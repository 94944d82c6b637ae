//! What runs have cost: run by the engine, read from the store.

use std::fs;
use std::path::{Path, PathBuf};

use parkway::audit::{Class, Erase};
use parkway::cost::{Ledger, Scope};
use parkway::energy::{EnergyMeter, Powercap};
use parkway::log::{Channel, RunStatus};
use parkway::memory::Author;
use parkway::model::ModelError;
use parkway::settings::{Settings, Sources};
use parkway::testing::ScriptedModel;
use parkway::{Parkway, Workflow, inputs};
use serde_json::json;

const PARTS: [(&str, &str); 2] = [
    (
        "main.yaml",
        "
parkway: 1
models: { main: { gguf: { name: none } } }
inputs: { ends: { type: string, default: well } }
steps:
  ask: { chat: { model: main, prompt: 'one two three' }, retry: { max: 2, initial: 1ms } }
  far: { needs: [ask], workflow: part.yaml, own_run: true }
  last: { needs: [far], tool: text.find, with: { text: '${{ inputs.ends }}', values: [well] } }
ensure: [ \"steps.last.output.all\" ]
",
    ),
    (
        "part.yaml",
        "
parkway: 1
models: { main: { gguf: { name: none } } }
steps: { say: { chat: { model: main, prompt: 'four five' } } }
outputs: { text: '${{ steps.say.output }}' }
",
    ),
];

/// A meter of a machine in a folder, for models that run nowhere else.
struct Metered(Powercap);

impl EnergyMeter for Metered {
    fn part(&self, device: &str) -> Option<&str> {
        (device == "script").then_some("cpu")
    }

    fn read(&self) -> Option<u64> {
        self.0.read()
    }
}

/// A project with a processor that has counted to 10 J and begins again after 12 J.
fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in PARTS {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let zone = folder.path().join("powercap/intel-rapl:0");
    fs::create_dir_all(&zone).unwrap();
    for (name, text) in [("name", "package-0"), ("energy_uj", "10000000"), ("max_energy_range_uj", "12000000")] {
        fs::write(zone.join(name), text).unwrap();
    }
    folder
}

fn counter(folder: &Path) -> PathBuf {
    folder.join("powercap/intel-rapl:0/energy_uj")
}

/// A model whose first answer fails, and whose every answer takes 1.5 J.
fn model(folder: &Path) -> ScriptedModel {
    let counter = counter(folder);
    let asked = std::sync::atomic::AtomicU32::new(0);
    ScriptedModel::new().script(move |request| {
        let counted: u64 = fs::read_to_string(&counter).unwrap().trim().parse().unwrap();
        fs::write(&counter, ((counted + 1_500_000) % 12_000_000).to_string()).unwrap();
        let first = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        if first && request.messages[0].content.starts_with("one") {
            return Err(ModelError::Backend { message: "once more".into(), retryable: true });
        }
        Ok("an answer".into())
    })
}

async fn engine(folder: &Path, toml: &str, metered: bool) -> Parkway {
    fs::write(folder.join("parkway.toml"), toml).unwrap();
    let settings = Settings::load(Sources::none(folder).project(folder)).unwrap();
    let store = format!("sqlite:{}", folder.join("runs.db").display());
    let builder = Parkway::builder().settings(settings).store(store).model("main", model(folder));
    let builder =
        if metered { builder.energy_meter(Metered(Powercap::at(folder.join("powercap")).unwrap())) } else { builder };
    builder.build().await.unwrap()
}

async fn run(engine: &Parkway, folder: &Path, ends: &str) -> parkway::id::RunId {
    let workflow = Workflow::from_path(folder.join("main.yaml")).unwrap();
    let run = engine.start(workflow, inputs! { ends: ends }).await.unwrap();
    let ended = run.wait().await.unwrap();
    let expected = if ends == "well" { RunStatus::Completed } else { RunStatus::Failed };
    assert_eq!(ended.status, expected, "{:?}", engine.record(run.id()).await.unwrap().events.last());
    run.id()
}

/// The ledger without what differs from run to run.
fn told(ledger: &Ledger) -> Vec<String> {
    let steps = ledger.runs.iter().flat_map(|run| run.steps.iter().map(|step| (&run.workflow, step)));
    let line = |(workflow, step): (&String, &parkway::cost::StepCost)| {
        let spent = &step.spent;
        let energy = spent.energy.measured_mj;
        format!(
            "{workflow} {} begun {} failed {}: {} calls, {} in, {} out, {energy} mJ",
            step.step, step.attempts, step.failed, spent.calls, spent.prompt_tokens, spent.output_tokens
        )
    };
    steps.map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_retry_a_run_within_a_run_or_a_failed_run_took_is_lost() {
    let folder = project();
    let folder = folder.path();
    let engine = engine(folder, "[cost]\nkwh = 0.36\ncurrency = \"EUR\"\n", true).await;
    let first = run(&engine, folder, "well").await;
    run(&engine, folder, "badly").await;
    let ledger = engine.ledger(&Scope::run(first)).await.unwrap();
    // The first answer never came, so that nobody knows its tokens.
    assert_eq!(
        told(&ledger),
        [
            "part say begun 1 failed 0: 1 calls, 2 in, 2 out, 1500 mJ",
            "main ask begun 2 failed 1: 1 calls, 3 in, 2 out, 1500 mJ",
            "main far begun 1 failed 0: 0 calls, 0 in, 0 out, 0 mJ",
            "main last begun 1 failed 0: 0 calls, 0 in, 0 out, 0 mJ",
        ]
    );
    let all = engine.ledger(&Scope::default()).await.unwrap();
    let flow = &all.workflows()[0];
    assert_eq!((flow.workflow.as_str(), flow.runs, flow.completed, flow.failed), ("main", 2, 1, 1));
    let energy = &flow.spent.energy;
    assert_eq!((energy.measured_mj, energy.estimate_mj, energy.unknown_calls), (6_000, 0, 0));
    let cost = flow.per_success.as_ref().unwrap();
    assert_eq!((cost.tokens, cost.energy_mj), (18.0, 6_000.0));
    assert!((cost.money["EUR"] - 6.0 / 3.6e6 * 0.36).abs() < 1e-9);
    assert_eq!(all.workflows().len(), 1);
    assert_eq!(all.tenants().keys().collect::<Vec<_>>(), ["default"]);
    // Only runs that were started since, and runs of other workflows.
    let mut scope = Scope::default();
    scope.since = Some(all.runs[0].created.after(std::time::Duration::from_secs(1)));
    assert!(engine.ledger(&scope).await.unwrap().runs.is_empty());
    let mut scope = Scope::default();
    scope.workflow = Some("part".into());
    assert!(engine.ledger(&scope).await.unwrap().runs.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_erased_is_no_longer_counted() {
    let folder = project();
    let folder = folder.path();
    let engine = engine(folder, "", true).await;
    let run = run(&engine, folder, "well").await;
    let before = told(&engine.ledger(&Scope::run(run)).await.unwrap());
    let author = Author::new("ada", Channel::Program);
    let mut all = Erase::run(run);
    all.classes = Class::ALL.into();
    let erased = engine.audit().erase(&author, &all, "asked for").await.unwrap();
    assert!(!erased.found.is_empty());
    assert!(engine.record(run).await.is_err());
    assert_eq!(told(&engine.ledger(&Scope::run(run)).await.unwrap()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_a_meter_passes_for_one_that_takes_nothing() {
    let folder = project();
    let folder = folder.path();
    let engine = engine(folder, "", false).await;
    let run = run(&engine, folder, "well").await;
    let total = engine.ledger(&Scope::run(run)).await.unwrap().total();
    assert_eq!((total.calls, total.energy.unknown_calls, total.money.unpriced_calls), (2, 2, 2));
    assert_eq!(json!(total.money), json!({"amounts": {}, "estimate": false, "unpriced_calls": 2, "prices": []}));
}
