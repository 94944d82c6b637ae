//! Calls of models, decoded again from the log.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parkway::audit::{Class, Difference, Erase, Excerpt, Outcome, Replay, Replaying};
use parkway::clock::SystemClock;
use parkway::id::{CommitId, Fence, RunId, Seq, WorkerId};
use parkway::log::{Channel, EventKind, Payload};
use parkway::memory::Author;
use parkway::model::{ChatRequest, ConstraintKind, Hints, SharedModel};
use parkway::store::{Commit, Lease, Log as _, NewRun, RunFilter, Store, Write};
use parkway::testing::{MemoryStore, ScriptedModel};
use parkway::{Answer, Effect, Goal, Parkway, Workflow, inputs, tool_fn};
use serde_json::{Value, json};

/// Chats of every kind: free, held to a form, with tools on offer, an item each, in a run of its own.
const FLOW: &str = "
parkway: 1
models: { main: {} }
steps:
  look: { tool: t.look, with: { what: lamps } }
  free: { chat: { model: main, prompt: 'Praise ${{ steps.look.output }}.', temperature: 0.7, seed: 11, max_tokens: 33 } }
  form: { chat: { model: main, prompt: 'Count ${{ steps.look.output }}.', output: { n: { type: integer } } } }
  offer: { chat: { model: main, prompt: 'Ask for a tool.', tools: [t.look] } }
  each: { for_each: [one, two], as: word, chat: { model: main, prompt: 'Say ${{ word }}.' } }
  own: { workflow: own.yaml, own_run: true }
outputs: { said: '${{ steps.free.output }}' }
";

const OWN: &str = "
parkway: 1
models: { main: {} }
steps: { ask: { chat: { model: main, prompt: 'Say three.' } } }
";

fn scripted() -> ScriptedModel {
    ScriptedModel::new()
        .when("is not valid", r#"{"n": 2}"#)
        .when("Praise two old lamps", "What fine lamps these are, all of them")
        .when("Count", r#"{"n": "many"}"#)
        .when("Ask for a tool", r#"{"text": "", "calls": [{"tool": "t.look", "args": {"what": "x"}}]}"#)
        .when("Say one", "one")
        .when("Say two", "two")
        .when("Say three", "three")
}

/// What a test looks at.
struct Scene {
    folder: tempfile::TempDir,
    store: Arc<MemoryStore>,
    calls: Arc<AtomicUsize>,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("flow.yaml"), FLOW).unwrap();
        fs::write(folder.path().join("own.yaml"), OWN).unwrap();
        let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
        Scene { folder, store, calls: Arc::default() }
    }

    /// An engine on the store, with this model.
    async fn engine(&self, model: &Arc<ScriptedModel>) -> Parkway {
        let (calls, model) = (self.calls.clone(), Arc::clone(model) as SharedModel);
        let look = tool_fn("t.look", Effect::Pure, move |_: Value| {
            calls.fetch_add(1, Ordering::Relaxed);
            async { Ok(json!("two old lamps")) }
        });
        let store: Arc<dyn Store> = self.store.clone();
        let builder = Parkway::builder().store_with(store).root(self.folder.path()).model("main", model);
        builder.tool(look).build().await.unwrap()
    }

    /// Runs a file's workflow to its end.
    async fn run(&self, model: ScriptedModel, file: &str) -> (RunId, Arc<ScriptedModel>) {
        let model = Arc::new(model);
        let engine = self.engine(&model).await;
        let workflow = Workflow::from_path(self.folder.path().join(file)).unwrap();
        let run = engine.start(workflow, inputs! {}).await.unwrap();
        run.output::<Value>().await.unwrap();
        (run.id(), model)
    }

    /// Runs this workflow.
    async fn run_text(&self, model: ScriptedModel, text: &str) -> RunId {
        fs::write(self.folder.path().join("text.yaml"), text).unwrap();
        self.run(model, "text.yaml").await.0
    }

    async fn replay(&self, run: RunId, model: ScriptedModel) -> (Replay, Arc<ScriptedModel>) {
        let model = Arc::new(model);
        (self.replay_as(run, &model, false).await, model)
    }

    async fn replay_as(&self, run: RunId, model: &Arc<ScriptedModel>, anyway: bool) -> Replay {
        let mut how = Replaying::default();
        how.anyway = anyway;
        self.engine(model).await.replay(run, &how, |_| {}).await.unwrap()
    }
}

/// The requests that a model was asked, without what no answer depends on, in an order of their own.
fn asked(model: &ScriptedModel) -> Vec<String> {
    let plain = |mut request: ChatRequest| {
        request.hints = Hints::default();
        format!("{request:?}")
    };
    let mut all: Vec<_> = model.requests().into_iter().map(plain).collect();
    all.sort();
    all
}

/// The outcome of each call, by its step and answer.
fn outcomes(replay: &Replay) -> Vec<String> {
    let told = replay.calls.iter().map(|call| {
        let what = match &call.outcome {
            Outcome::Same { tokens: Some(tokens) } => format!("same {tokens}"),
            Outcome::Same { tokens: None } => "same text".into(),
            Outcome::Differs(difference) => match &difference.excerpt {
                Excerpt::Apart { recorded, now } => format!("{:?}: {recorded:?}, now {now:?}", difference.token),
                other => format!("{:?}: {other:?}", difference.token),
            },
            Outcome::NotDecoded(why) => format!("not decoded: {why}"),
        };
        format!("{}#{} {what}", call.step, call.turn)
    });
    told.collect()
}

#[tokio::test]
async fn a_request_is_not_the_one_that_was_recorded() {
    for model in [
        || scripted().of_file("a"),
        scripted,
        // Its answers are checked, and asked for again.
        || scripted().of_file("a").enforces([]),
        || scripted().of_file("a").calls_tools(),
    ] {
        let scene = Scene::new();
        let (run, first) = scene.run(model(), "flow.yaml").await;
        let before = scene.store.audit().tree().await.unwrap();
        assert_eq!(scene.calls.load(Ordering::Relaxed), 1);
        let (replay, second) = scene.replay(run, model()).await;
        assert!(replay.holds(), "{:?}", outcomes(&replay));
        assert_eq!(replay.counts(), (first.requests().len(), 0, 0));
        assert_eq!(asked(&first), asked(&second));
        // The run of the step belongs to it.
        assert!(replay.calls.iter().any(|call| call.run != run && call.step.to_string() == "ask"));
        // Nothing was run, and nothing written.
        assert_eq!(scene.calls.load(Ordering::Relaxed), 1);
        assert_eq!(scene.store.audit().tree().await.unwrap(), before);
    }
}

#[tokio::test]
async fn another_answer_passes_for_the_recorded_one() {
    let scene = Scene::new();
    let (run, _) = scene.run(scripted().of_file("a"), "flow.yaml").await;
    let other = ScriptedModel::new().when("Praise", "What fine lamps those are").when("Say two", "two of them");
    let other = other.when("Count", "{\"n\": 2}").when("Ask", "{\"text\": \"no\", \"calls\": []}");
    let (replay, _) = scene.replay(run, other.when("Say one", "one").when("Say three", "three").of_file("a")).await;
    assert!(!replay.holds());
    let mut told = outcomes(&replay);
    told.sort();
    insta::assert_snapshot!(told.join("\n"));
    let free = replay.calls.iter().find(|call| call.step.to_string() == "free").unwrap();
    assert_eq!((free.device.as_str(), free.device_now.as_deref()), ("script", Some("script")));
    let Outcome::Differs(Difference { token, tokens, .. }) = &free.outcome else { panic!("{free:?}") };
    // Of the fourth word on, in eight and in five words.
    assert_eq!((*token, *tokens), (Some(4), Some((8, 5))));
}

#[tokio::test]
async fn another_model_is_taken_for_the_recorded_one() {
    let scene = Scene::new();
    let (run, _) = scene.run(scripted().of_file("a"), "flow.yaml").await;
    let other = Arc::new(scripted().of_file("b"));
    let replay = scene.replay_as(run, &other, false).await;
    let (same, differs, not_decoded) = replay.counts();
    assert_eq!((same, differs), (0, 0));
    assert!(not_decoded > 5 && other.requests().is_empty());
    assert!(outcomes(&replay)[0].contains("another model file: ca978112ca1b was recorded, here it is 3e23e8160039"));
    // Told also where it answers alike.
    let replay = scene.replay_as(run, &other, true).await;
    assert_eq!(replay.counts(), (not_decoded, 0, 0));
    assert!(!replay.holds() && replay.calls.iter().all(|call| call.others.len() == 1));
    // A model without a file is known by its name alone, and a file is not.
    let (replay, _) = scene.replay(run, scripted()).await;
    assert_eq!(replay.counts(), (0, 0, not_decoded));
    assert!(replay.calls[0].others[0].ends_with("here it is none"), "{:?}", replay.calls[0].others);
}

#[tokio::test]
async fn another_adapter_is_taken_for_the_recorded_one() {
    let text = "
parkway: 1
models: { main: {} }
steps: { ask: { chat: { model: main, prompt: 'Say one.', adapter: formal } } }";
    let scene = Scene::new();
    let run = scene.run_text(scripted().of_file("a").adapters(["formal"]), text).await;
    let (replay, asked) = scene.replay(run, scripted().of_file("a").adapters(["formal"])).await;
    assert!(replay.holds(), "{:?}", outcomes(&replay));
    assert_eq!(asked.requests()[0].adapter.as_deref(), Some("formal"));
    let without = Arc::new(scripted().of_file("a"));
    let replay = scene.replay_as(run, &without, false).await;
    assert!(outcomes(&replay)[0].contains("another adapter"), "{:?}", outcomes(&replay));
    let replay = scene.replay_as(run, &without, true).await;
    assert_eq!(outcomes(&replay), ["ask#1 not decoded: the model here has no adapter `formal`"]);
}

#[tokio::test]
async fn what_holds_an_answer_now_is_taken_for_what_held_it() {
    let scene = Scene::new();
    let text = "
parkway: 1
models: { main: {} }
steps: { ask: { chat: { model: main, prompt: 'Say it.', output: { n: { type: integer } } } } }";
    let answer = |enforces: Vec<ConstraintKind>| scripted().otherwise("{\"n\": 1}").enforces(enforces).of_file("a");
    let run = scene.run_text(answer(Vec::new()), text).await;
    let (replay, _) = scene.replay(run, answer(vec![ConstraintKind::JsonSchema])).await;
    assert_eq!(outcomes(&replay), ["ask#1 same 2"]);
    assert!(!replay.holds());
    assert!(replay.calls[0].others[0].starts_with("what held the answer to its form: none was recorded, here it is "));
}

#[tokio::test]
async fn erased_texts_count_as_the_same() {
    let erased = async |classes: &[Class]| {
        let scene = Scene::new();
        let (run, _) = scene.run(scripted().of_file("a"), "flow.yaml").await;
        let mut what = Erase::run(run);
        what.classes = classes.iter().copied().collect();
        let by = Author::new("ada", Channel::Program);
        let model = Arc::new(scripted().of_file("a"));
        scene.engine(&model).await.audit().erase(&by, &what, "a test").await.unwrap();
        let (replay, asked) = scene.replay(run, scripted().of_file("a")).await;
        let (same, differs, not_decoded) = replay.counts();
        assert_eq!((same, differs), (0, 0), "{:?}", outcomes(&replay));
        assert!(not_decoded > 5 && asked.requests().is_empty() && !replay.holds());
        outcomes(&replay).into_iter().find(|told| told.starts_with("free")).unwrap()
    };
    assert_eq!(erased(&[Class::Prompts]).await, "free#1 not decoded: its messages were erased");
    assert_eq!(erased(&[Class::Answers]).await, "free#1 not decoded: the ids of its tokens were erased");
    let plan = erased(&[Class::Plan]).await;
    assert!(plan.starts_with("free#1 not decoded: the plan of run ") && plan.contains("was erased"), "{plan}");
}

#[tokio::test]
async fn a_model_that_is_not_here_counts_as_the_same() {
    let scene = Scene::new();
    let (run, _) = scene.run(scripted().of_file("a"), "flow.yaml").await;
    let store: Arc<dyn Store> = scene.store.clone();
    let parkway = Parkway::builder().store_with(store).build().await.unwrap();
    let replay = parkway.replay(run, &Replaying::default(), |_| {}).await.unwrap();
    assert_eq!(replay.counts(), (0, 0, replay.calls.len()));
    assert!(outcomes(&replay)[0].contains("the model `main` cannot be used"), "{:?}", outcomes(&replay));
    let none = parkway.replay(RunId::SYSTEM, &Replaying::default(), |_| {}).await.unwrap_err();
    assert_eq!(none.code(), "no_run");
}

/// Answers of a planner whose first line is refused, whose plan is mended, and of the agent that goes on.
fn planner(request: &ChatRequest) -> String {
    let turn = request.step.as_ref().and_then(|step| Some(step.last()?.id.clone())).unwrap_or_default();
    let again = request.messages.last().is_some_and(|last| last.content.contains("is not valid"));
    let answer = match turn.as_str() {
        "line_1" => json!({"id": "s1", "tool": "t.look", "args": 3, "why": "wrong"}),
        "line_2" => json!({"id": "s1", "tool": "t.look", "args": {"what": "lamps"}, "why": "to know"}),
        // A model that is not held to a form says something else first.
        "line_3" if !again => return "I am done".into(),
        "line_3" => json!({"done": true}),
        "turn_1" => json!({"why": "look", "calls": [{"tool": "t.look", "args": {"what": "lamps"}}]}),
        "turn_2" => json!({"sources": ["turn_1_1"], "answer": "two old lamps"}),
        "answer" => json!({"sources": ["s1"], "answer": "two old lamps"}),
        other => panic!("no answer to {other}"),
    };
    answer.to_string()
}

/// Runs a workflow of one goal, whose model is not held to a form, so that some turns take two answers: the beginning of the first is no
/// message of the second.
async fn pursued(scene: &Scene, verb: &str) -> (RunId, Arc<ScriptedModel>) {
    let goal = "model: main, goal: What is there?, tools: [t.look]";
    let text = format!("parkway: 1\nmodels: {{ main: {{}} }}\nsteps: {{ ask: {{ {verb}: {{ {goal} }} }} }}\n");
    fs::write(scene.folder.path().join("goal.yaml"), text).unwrap();
    scene.run(unheld(), "goal.yaml").await
}

fn unheld() -> ScriptedModel {
    ScriptedModel::new().script(|request| Ok(planner(request))).enforces([]).of_file("a")
}

#[tokio::test]
async fn a_turn_of_a_goal_is_not_the_one_that_was_recorded() {
    for (verb, answers) in [("plan", 5), ("agent", 2)] {
        let scene = Scene::new();
        let (run, first) = pursued(&scene, verb).await;
        let calls = scene.calls.load(Ordering::Relaxed);
        let (replay, second) = scene.replay(run, unheld()).await;
        assert!(replay.holds(), "{:?}", outcomes(&replay));
        assert_eq!(first.requests().len(), answers);
        assert_eq!(asked(&first), asked(&second));
        assert_eq!(scene.calls.load(Ordering::Relaxed), calls);
    }
}

#[tokio::test]
async fn a_form_that_a_goal_is_held_to_is_not_the_recorded_one() {
    let scene = Scene::new();
    let held = || {
        ScriptedModel::new()
            .script(|request| Ok(planner(request).replace("I am done", "{\"done\": true}")))
            .of_file("a")
    };
    let first = Arc::new(held());
    let run = scene.engine(&first).await.pursue(Goal::new("What is there?").tools(["t.look"])).await.unwrap();
    run.output::<Answer>().await.unwrap();
    let (replay, second) = scene.replay(run.id(), held()).await;
    assert!(replay.holds(), "{:?}", outcomes(&replay));
    assert!(first.requests().iter().all(|request| request.constraint.is_some()));
    assert_eq!(asked(&first), asked(&second));
}

/// The same run as a version wrote it that did not keep what the answers of goals were held to.
async fn older(scene: &Scene, run: RunId) -> Arc<MemoryStore> {
    let mut events = scene.store.events(run, Seq(0)).await.unwrap();
    let summary = scene.store.runs(&RunFilter { run: Some(run), ..RunFilter::default() }).await.unwrap().remove(0);
    let mut payloads: Vec<Payload> = Vec::new();
    for event in &mut events {
        if let EventKind::ModelCalled { call, .. } = &mut event.kind {
            assert!(call.form.take().is_some());
        }
        let said: Vec<_> = event.texts().into_iter().map(|(_, text)| text).collect();
        let texts = scene.store.payloads(&said).await.unwrap();
        payloads.extend(texts.into_iter().flatten());
    }
    payloads.sort_by_key(|payload| payload.commitment);
    payloads.dedup_by_key(|payload| payload.commitment);
    let (tenant, workflow) = (summary.tenant, summary.workflow);
    let new = NewRun { run, tenant, workflow, at: summary.created, parent: None };
    let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
    let lease = Lease { run, worker: WorkerId::new("older"), fence: Fence(1) };
    let commit = Commit {
        id: CommitId::new([1; 16]),
        lease,
        expect: Seq(0),
        events,
        payloads,
        writes: vec![Write::Enqueue(new)],
        status: summary.status,
        wake: None,
    };
    store.commit(commit).await.unwrap();
    store
}

#[tokio::test]
async fn what_an_older_version_did_not_keep_is_made_up() {
    let scene = Scene::new();
    let (run, _) = pursued(&scene, "plan").await;
    let store = older(&scene, run).await;
    let scene = Scene { store, ..scene };
    let (replay, asked) = scene.replay(run, scripted().of_file("a")).await;
    assert_eq!(replay.counts(), (0, 0, replay.calls.len()));
    assert!(asked.requests().is_empty());
    assert!(outcomes(&replay)[0].ends_with("was not recorded: an older Parkway has made the run"));
}
