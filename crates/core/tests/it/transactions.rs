//! What transactional tools ask for becomes true with their steps: exactly once, or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parkway_core::id::RunId;
use parkway_core::label::Labels;
use parkway_core::log::{RunStatus, StepStatus};
use parkway_core::store::{Message, Queue, StoreError};
use parkway_core::testing::{FaultyStore, StoreOperation};
use parkway_core::tool::{Effect, Tool, ToolContext, ToolError, ToolOutput, ToolSpec};
use parkway_core::write::{OutboxEntry, SqlWrite, ToolWrite};
use serde_json::{Value, json};

use crate::check::World;
use crate::ledger::AllowAll;

/// A tool that asks for what its arguments say.
struct Writing {
    spec: ToolSpec,
    calls: Arc<AtomicU32>,
    /// What happens during each call.
    during: Arc<dyn Fn() + Send + Sync>,
}

fn writing(effect: Effect) -> (Writing, Arc<AtomicU32>) {
    let spec = ToolSpec {
        name: "t.write".into(),
        description: "writes".into(),
        input_schema: json!({}),
        output_schema: json!({}),
        effect,
        labels: Labels::NONE,
    };
    let calls = Arc::default();
    (Writing { spec, calls: Arc::clone(&calls), during: Arc::new(|| {}) }, calls)
}

#[async_trait::async_trait]
impl Tool for Writing {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, input: Value, _: &ToolContext) -> Result<ToolOutput, ToolError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        (self.during)();
        let mut output = ToolOutput::new(input["mail"].clone());
        if let Some(body) = input.get("mail") {
            output = output.write(ToolWrite::Outbox(OutboxEntry::new("mail", body.clone())));
        }
        if let Some(run) = input.get("to").and_then(Value::as_str) {
            let (run, name) = (run.parse().unwrap(), "news".to_owned());
            output = output.write(ToolWrite::Signal { run, name, payload: input["mail"].clone() });
        }
        if let Some(sql) = input.get("sql").and_then(Value::as_str) {
            output = output.write(ToolWrite::Sql(SqlWrite::new(sql)));
        }
        Ok(output)
    }
}

fn world() -> (World, Arc<AtomicU32>) {
    let (tool, calls) = writing(Effect::Transactional);
    (World { policy: Arc::new(AllowAll), ..World::paced().tool(tool) }, calls)
}

/// A world whose store breaks during the call, when all that was recorded before it is on disk.
fn breaking(how: impl Fn(&FaultyStore) + Send + Sync + 'static) -> (World, Arc<AtomicU32>) {
    let mut world = World { policy: Arc::new(AllowAll), ..World::paced() };
    let front = world.faulty();
    let (mut tool, calls) = writing(Effect::Transactional);
    tool.during = Arc::new(move || how(&front));
    (world.tool(tool), calls)
}

async fn outbox(world: &World) -> Vec<Value> {
    world.store.outbox(1_000).await.unwrap().into_iter().map(|outgoing| outgoing.entry.body).collect()
}

fn file(steps: &str) -> String {
    format!("parkway: 1\ntools: {{ t: {{}} }}\n{steps}")
}

#[tokio::test(start_paused = true)]
async fn what_a_tool_asks_for_is_there_once_its_step_has_completed() {
    let (world, _) = world();
    let (listener, _) = world.run("parkway: 1\nsteps: { w: { wait: { signal: news } } }", json!({})).await;
    let yaml = file(&format!("steps: {{ a: {{ tool: t.write, with: {{ mail: dear, to: {listener} }} }} }}"));
    let (run, ended) = world.run(&yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(run).await);
    assert_eq!(outbox(&world).await, [json!("dear")]);
    let inbox = world.store.inbox(listener).await.unwrap();
    let Message::Signal { name, payload, by, .. } = &inbox[0].message else { panic!("{inbox:?}") };
    assert_eq!((name.as_str(), payload, by), ("news", &json!("dear"), &format!("step `a` of run {run}")));
    assert_eq!(world.resume(listener).await.unwrap().status, RunStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_refused_write_leaves_nothing_of_its_step_and_harms_no_other() {
    let (world, calls) = world();
    // All are ready for one commit; two of them ask for what the store cannot do.
    let yaml = file(
        "
steps:
  each:
    for_each: [0, 1, 2, 3, 4, 5]
    max_parallel: 6
    on_item_error: collect
    tool: t.write
    with: { mail: '${{ item }}', sql: \"${{ 'INSERT' if item in [1, 4] else none }}\" }
outputs: { got: '${{ steps.each.output }}' }
",
    );
    let (run, ended) = world.run(&yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(run).await);
    assert_eq!(world.outputs(run).await["got"], json!([0, null, 2, 3, null, 5]));
    let mut mails = outbox(&world).await;
    mails.sort_by_key(Value::as_u64);
    assert_eq!(mails, [json!(0), json!(2), json!(3), json!(5)]);
    assert_eq!(calls.load(Ordering::SeqCst), 6);
    let log = world.log(run).await;
    let said = "step_failed each[4] refused: the store refused write 2 of the call: the store in memory has no SQL";
    assert!(log.contains(said), "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_write_is_tried_again_only_where_retry_names_it() {
    for (retry, attempts) in [("{ max: 2, initial: 1s }", 1), ("{ max: 2, initial: 1s, on: [refused] }", 3)] {
        let (world, calls) = world();
        let yaml = file(&format!("steps: {{ a: {{ tool: t.write, with: {{ sql: x }}, retry: {retry} }} }}"));
        let (run, ended) = world.run(&yaml, json!({})).await;
        assert_eq!(ended.status, RunStatus::Failed);
        assert_eq!(calls.load(Ordering::SeqCst), attempts, "{}", world.log(run).await);
    }
}

#[tokio::test(start_paused = true)]
async fn writes_of_a_tool_that_is_not_transactional_are_never_made() {
    for (effect, end) in [
        (Effect::Pure, StepStatus::Failed),
        (Effect::Read, StepStatus::Failed),
        (Effect::Idempotent, StepStatus::Failed),
        // It has done whatever it does, and must not be called again for that.
        (Effect::AtMostOnce, StepStatus::InDoubt),
    ] {
        let (tool, _) = writing(effect);
        let world = World { policy: Arc::new(AllowAll), ..World::paced().tool(tool) };
        let (run, _) = world.run(&file("steps: { a: { tool: t.write, with: { mail: x } } }"), json!({})).await;
        let state = world.state(run).await;
        let step = state.step(&"a".parse().unwrap()).unwrap();
        assert_eq!(step.status, end, "{}", world.log(run).await);
        assert_eq!(step.error.as_ref().unwrap().code, "writes");
        assert!(outbox(&world).await.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_the_commit_does_not_write_twice() {
    let lost = StoreError::Backend { message: "no answer".into(), retryable: true };
    let (world, calls) = breaking(move |store| store.lose_answers(StoreOperation::Commit, lost.clone()));
    let executor = world.create(&file("steps: { a: { tool: t.write, with: { mail: once } } }"), json!({})).await;
    let (run, going) = (executor.run(), tokio::spawn(executor.execute()));
    let error = going.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("no answer"), "{error}");
    let other = world.beside();
    assert_eq!(other.resume(run).await.unwrap().status, RunStatus::Completed);
    assert_eq!((outbox(&world).await.len(), calls.load(Ordering::SeqCst)), (1, 1), "{}", world.log(run).await);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_between_call_and_commit_has_written_nothing_and_the_call_is_made_again() {
    let (world, calls) = breaking(|store| store.fail(StoreOperation::Commit, StoreError::Full("no room".into())));
    let executor = world.create(&file("steps: { a: { tool: t.write, with: { mail: once } } }"), json!({})).await;
    let (run, going) = (executor.run(), tokio::spawn(executor.execute()));
    assert!(going.await.unwrap().is_err());
    assert!(outbox(&world).await.is_empty());
    let other = world.beside();
    assert_eq!(other.resume(run).await.unwrap().status, RunStatus::Completed);
    assert_eq!((outbox(&world).await.len(), calls.load(Ordering::SeqCst)), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn the_state_does_not_run_ahead_of_a_write_that_may_be_refused() {
    let (world, _) = world();
    let yaml = file(
        "
steps:
  before: { set: { n: 1 } }
  a: { needs: [before], tool: t.write, with: { mail: x, sql: y }, on_error: continue }
  after: { set: { code: '${{ steps.a.error.code }}' } }
outputs: { code: '${{ steps.after.output.code }}' }
",
    );
    let (run, _) = world.run(&yaml, json!({})).await;
    assert_eq!(world.outputs(run).await, json!({"code": "refused"}));
    assert!(outbox(&world).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_signal_to_a_run_that_does_not_exist_fails_the_step_and_not_the_executor() {
    let (world, _) = world();
    let nobody = RunId::new(world.clock.now(), [9; 16]);
    let yaml = file(&format!("steps: {{ a: {{ tool: t.write, with: {{ mail: x, to: {nobody} }} }} }}"));
    let (run, ended) = world.run(&yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Failed);
    let log = world.log(run).await;
    assert!(log.contains(&format!("write 2 of the call: there is no run {nobody}")), "{log}");
    assert!(outbox(&world).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_secret_does_not_stay_in_messages_that_a_tool_sends() {
    let (mut world, _) = world();
    world.secrets.0.insert("TOKEN".into(), "hunter2".into());
    let yaml = "
parkway: 1
tools: { t: {} }
secrets: [TOKEN]
steps: { a: { tool: t.write, with: { mail: '${{ secrets.TOKEN }}' } } }";
    let (run, ended) = world.run(yaml, json!({})).await;
    assert_eq!(ended.status, RunStatus::Completed, "{}", world.log(run).await);
    assert_eq!(outbox(&world).await, [json!("[secret TOKEN]")]);
}
