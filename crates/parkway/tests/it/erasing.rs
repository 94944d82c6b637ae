//! Texts that are erased, and texts that are kept: for runs that are held or go on, for what their steps run, and for their forks.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use parkway::audit::Erase;
use parkway::clock::{Clock as _, SystemClock};
use parkway::id::{RunId, Seq, Time};
use parkway::log::{Channel, Commitment, Event, Verdict};
use parkway::memory::{Author, MemoryFilter};
use parkway::sqlite::SqliteStore;
use parkway::store::RunFilter;
use parkway::testing::{Moment, StopAt, WritePoint};
use parkway::upkeep::{Keys, backup_sealed};
use parkway::{Parkway, Preapproval, RunOptions, Workflow, inputs};
use serde_json::{Value, json};

fn ada() -> Author {
    Author::new("Ada", Channel::Program)
}

async fn engine(folder: &Path) -> Parkway {
    let store = format!("sqlite:{}", folder.join("runs.db").display());
    Parkway::builder().store(store).root(folder).build().await.unwrap()
}

/// Leaves a run that waits as it is.
fn leave() -> RunOptions {
    let mut options = RunOptions::default();
    options.stay = false;
    options
}

/// Says yes to all.
fn approving() -> RunOptions {
    let mut options = leave();
    options.preapprovals = vec![Preapproval { step: None, by: "Grace".into(), via: Channel::Flag }];
    options
}

/// Everything that has ended by now.
fn all() -> Erase {
    Erase::before(Time::from_micros(i64::MAX))
}

/// The texts of a run that are there.
async fn texts(parkway: &Parkway, run: RunId) -> BTreeSet<Commitment> {
    let events = parkway.events(run, Seq(0)).await.unwrap();
    let texts: Vec<Commitment> = events.iter().flat_map(|event| event.texts()).map(|(_, text)| text).collect();
    let said = parkway.texts(&texts).await.unwrap();
    texts.into_iter().zip(said).filter(|(_, said)| !said.is_null()).map(|(text, _)| text).collect()
}

const ASKS: &str = "parkway: 1
inputs: { who: { type: string } }
steps:
  greet: { set: { text: \"Hello, ${{ inputs.who }}\" } }
  sure: { needs: [greet], approve: { prompt: \"Greet?\" } }
  said: { needs: [sure], set: { text: \"${{ steps.greet.output.text }}, dear ${{ inputs.who }}\" } }
outputs: { text: \"${{ steps.said.output.text }}\" }
";

/// A run that has ended, and a fork of it that shares its first step.
async fn forked(parkway: &Parkway, options: RunOptions) -> (RunId, RunId) {
    let workflow = Workflow::from_source("asks.yaml", ASKS).unwrap();
    let source = parkway.start_with(workflow, inputs! { who: "Anna" }, approving()).await.unwrap();
    source.output::<Value>().await.unwrap();
    let fork = parkway.fork(source.id(), "sure").await.unwrap();
    let fork = parkway.start_fork(fork, "Ada", Channel::Program, options).await.unwrap();
    drop(fork.wait().await);
    (source.id(), fork.id())
}

#[tokio::test]
async fn a_fork_takes_texts_with_it_that_are_held() {
    for by_age in [false, true] {
        let folder = crate::kept::folder().unwrap();
        let parkway = engine(folder.path()).await;
        let (source, fork) = forked(&parkway, approving()).await;
        let audit = parkway.audit();
        // A fork of a held run is erased, and the other way round.
        let (held, erased) = if by_age { (fork, source) } else { (source, fork) };
        audit.hold(&ada(), Some(held), "in dispute").await.unwrap();
        let (before, common) = (texts(&parkway, held).await, texts(&parkway, erased).await);
        assert!(before.intersection(&common).count() > 2);
        let what = if by_age { all() } else { Erase::run(erased) };
        let found = audit.erase(&ada(), &what, "retention").await.unwrap().found;
        assert_eq!(texts(&parkway, held).await, before);
        // What is its own is gone, but for the plan, and it is told for what the rest is kept.
        assert!(texts(&parkway, erased).await.is_subset(&before));
        assert_eq!((found.held, found.texts.into_keys().collect::<Vec<_>>()), (vec![held], vec![erased]));
        audit.lift(&ada(), Some(held), "settled").await.unwrap();
        let found = audit.erase(&ada(), &all(), "retention").await.unwrap().found;
        assert!(found.held.is_empty() && found.len() > 2, "{found:?}");
        assert_eq!(texts(&parkway, held).await.len(), 1, "the plan");
    }
}

#[tokio::test]
async fn a_fork_goes_on_without_what_was_erased_of_its_source() {
    let folder = crate::kept::folder().unwrap();
    let parkway = engine(folder.path()).await;
    let (source, fork) = forked(&parkway, leave()).await;
    let found = parkway.audit().erase(&ada(), &Erase::run(source), "asked for").await.unwrap().found;
    assert_eq!(found.open, [fork]);
    let step = "sure".parse().unwrap();
    parkway.answer(fork, step, Verdict::Approved, None, "ada".into(), Channel::Command).await.unwrap();
    let output: Value = parkway.resume(fork, leave()).await.unwrap().output().await.unwrap();
    assert_eq!(output["text"], "Hello, Anna, dear Anna");
}

#[tokio::test]
async fn a_step_with_the_name_of_a_text_takes_it_along() {
    let folder = crate::kept::folder().unwrap();
    let parkway = engine(folder.path()).await;
    let (mut text, mut victim) = (None, None);
    while text.is_none() {
        let workflow = Workflow::from_source("asks.yaml", ASKS).unwrap();
        let run = parkway.start_with(workflow, inputs! { who: "Anna" }, approving()).await.unwrap();
        run.output::<Value>().await.unwrap();
        victim = Some(run.id());
        // The name of a step begins with a letter.
        let all = texts(&parkway, run.id()).await;
        text = all.into_iter().map(|text| text.to_string()).find(|text| text.starts_with(|c: char| c.is_alphabetic()));
    }
    let (text, victim) = (text.unwrap(), victim.unwrap());
    let source = format!("parkway: 1\nsteps:\n  {text}: {{ set: {{ n: 1 }} }}\n");
    let run = parkway.start(Workflow::from_source("b.yaml", &source).unwrap(), inputs! {}).await.unwrap();
    drop(run.wait().await);
    let before = texts(&parkway, victim).await;
    assert!(!parkway.audit().erase(&ada(), &Erase::run(run.id()), "asked for").await.unwrap().found.is_empty());
    assert_eq!(texts(&parkway, victim).await, before);
}

const PARENT: &str = "parkway: 1
tools: { memory: { namespaces: [shop] } }
steps:
  part: { workflow: part.yaml, own_run: true }
  sure: { needs: [part], approve: { prompt: \"Sure?\" } }
  last: { needs: [sure], set: { text: \"${{ steps.part.output.text }}\" } }
outputs: { text: \"${{ steps.last.output.text }}\" }
";
const PART: &str = "parkway: 1
tools: { memory: { namespaces: [shop] } }
steps:
  inner: { workflow: inner.yaml, own_run: true }
  keep: { tool: memory.remember, with: { text: Anna orders lamps, namespace: shop } }
outputs: { text: \"${{ steps.inner.output.text }}\" }
";
const INNER: &str = "parkway: 1
steps: { greet: { set: { text: Hello } } }
outputs: { text: \"${{ steps.greet.output.text }}\" }
";

/// A run whose step has a run for itself, whose step has one again, which has ended: these three, the outermost first.
async fn nested(folder: &Path, parkway: &Parkway, options: RunOptions) -> [RunId; 3] {
    for (name, text) in [("main.yaml", PARENT), ("part.yaml", PART), ("inner.yaml", INNER)] {
        fs::write(folder.join(name), text).unwrap();
    }
    let workflow = Workflow::from_path(folder.join("main.yaml")).unwrap();
    let run = parkway.start_with(workflow, inputs! {}, options).await.unwrap();
    drop(run.wait().await);
    let part = run.id().child(&"part".parse().unwrap());
    [run.id(), part, part.child(&"inner".parse().unwrap())]
}

#[tokio::test]
async fn a_run_is_held_and_what_its_steps_have_run_is_erased() {
    let folder = crate::kept::folder().unwrap();
    let parkway = engine(folder.path()).await;
    let [main, part, inner] = nested(folder.path(), &parkway, approving()).await;
    let audit = parkway.audit();
    audit.hold(&ada(), Some(main), "in dispute").await.unwrap();
    let mut before = Vec::new();
    for run in [main, part, inner] {
        before.push(texts(&parkway, run).await);
    }
    for what in [Erase::run(inner), Erase::run(part), all(), Erase::text("lamps")] {
        let found = audit.erase(&ada(), &what, "retention").await.unwrap().found;
        assert!(found.is_empty(), "{what:?}: {found:?}");
        assert_eq!(found.held, [main]);
    }
    for (run, before) in [main, part, inner].into_iter().zip(before) {
        assert_eq!(texts(&parkway, run).await, before);
    }
    let memory = parkway.memories().list(&MemoryFilter::of("shop")).await.unwrap().remove(0);
    assert_eq!(memory.run, part);
    let error = parkway.memories().forget(&ada(), &memory, None).await.unwrap_err().to_string();
    assert!(error.contains("is held"), "{error}");
    let forgets = json!({ "id": memory.id });
    let source = format!(
        "parkway: 1\ntools: {{ memory: {{ namespaces: [shop] }} }}\nsteps:\n  gone: {{ tool: memory.forget, with: {forgets} }}\n"
    );
    let run = parkway.start(Workflow::from_source("f.yaml", &source).unwrap(), inputs! {}).await.unwrap();
    let error = run.output::<Value>().await.unwrap_err().to_string();
    assert!(error.contains("is held"), "{error}");
    // A run that is a part of it is not held alone.
    audit.lift(&ada(), Some(main), "settled").await.unwrap();
    audit.hold(&ada(), Some(part), "in dispute").await.unwrap();
    let found = audit.erase(&ada(), &Erase::run(main), "retention").await.unwrap().found;
    assert_eq!((found.held, found.texts.into_keys().collect::<Vec<_>>()), (vec![part], vec![main]));
}

#[tokio::test]
async fn a_run_goes_on_without_what_its_step_has_run() {
    let folder = crate::kept::folder().unwrap();
    let parkway = engine(folder.path()).await;
    let [main, part, inner] = nested(folder.path(), &parkway, leave()).await;
    let runs = parkway.runs(&RunFilter::default()).await.unwrap();
    let ended = |id: RunId| runs.iter().any(|run| run.run == id && run.status.ended());
    assert!(!ended(main) && ended(part) && ended(inner));
    for what in [Erase::run(part), Erase::run(inner), all(), Erase::text("Hello")] {
        let found = parkway.audit().erase(&ada(), &what, "retention").await.unwrap().found;
        assert!(found.is_empty(), "{what:?}: {found:?}");
        assert_eq!(found.open, [main]);
    }
}

type Doing = Pin<Box<dyn Future<Output = ()>>>;

/// An engine on the same store, while whose first change is decided on another process does something.
async fn meanwhile(folder: &Path, act: impl Fn(Parkway) -> Doing + Send + Sync + 'static) -> Parkway {
    let store = SqliteStore::open(folder.join("runs.db"), Arc::new(SystemClock)).await.unwrap();
    let place = folder.to_owned();
    let store = StopAt::new(Arc::new(store), move |point, moment, nth| {
        if (point, moment, nth) == (WritePoint::Claim, Moment::Before, 1) {
            let other = || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async { act(engine(&place).await).await });
            };
            std::thread::scope(|scope| scope.spawn(other).join().unwrap());
        }
    });
    Parkway::builder().store_with(Arc::new(store)).root(folder).build().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_comes_while_texts_are_erased_is_passed_over() {
    let folder = crate::kept::folder().unwrap();
    let parkway = engine(folder.path()).await;
    let [main, ..] = nested(folder.path(), &parkway, approving()).await;
    let (source, _) = forked(&parkway, approving()).await;
    let before = texts(&parkway, main).await;
    let holds = move |parkway: Parkway| -> Doing {
        Box::pin(async move { parkway.audit().hold(&ada(), Some(main), "in dispute").await.unwrap() })
    };
    let found = meanwhile(folder.path(), holds).await.audit().erase(&ada(), &all(), "old").await.unwrap().found;
    assert_eq!((found.held, found.texts.contains_key(&main)), (vec![main], false));
    assert_eq!((texts(&parkway, main).await, texts(&parkway, source).await.len()), (before, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_comes_while_texts_are_erased_goes_on_without_them() {
    let folder = crate::kept::folder().unwrap();
    let parkway = engine(folder.path()).await;
    let (source, _) = forked(&parkway, approving()).await;
    let forks = move |parkway: Parkway| -> Doing {
        Box::pin(async move {
            let fork = parkway.fork(source, "sure").await.unwrap();
            drop(parkway.start_fork(fork, "Ada", Channel::Program, leave()).await.unwrap().wait().await);
        })
    };
    let found = meanwhile(folder.path(), forks).await.audit().erase(&ada(), &all(), "old").await.unwrap().found;
    let runs = parkway.runs(&RunFilter { open: true, ..RunFilter::default() }).await.unwrap();
    assert_eq!(found.open, [runs[0].run]);
    let events = parkway.events(runs[0].run, Seq(0)).await.unwrap();
    assert_eq!(
        texts(&parkway, runs[0].run).await,
        events.iter().flat_map(Event::texts).map(|(_, text)| text).collect()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_has_erased_meanwhile_is_erased_twice() {
    let folder = crate::kept::folder().unwrap();
    let parkway = engine(folder.path()).await;
    forked(&parkway, approving()).await;
    let erases = |parkway: Parkway| -> Doing {
        Box::pin(async move { drop(parkway.audit().erase(&ada(), &all(), "old").await.unwrap()) })
    };
    let erased = meanwhile(folder.path(), erases).await.audit().erase(&ada(), &all(), "old").await.unwrap();
    assert!(erased.found.is_empty(), "{:?}", erased.found);
    let events = parkway.events(RunId::SYSTEM, Seq(0)).await.unwrap();
    assert_eq!(events.iter().filter(|event| event.kind.name() == "payload_erased").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_comes_while_a_memory_is_forgotten_or_a_key_destroyed_is_passed_over() {
    let folder = crate::kept::folder().unwrap();
    let parkway = engine(folder.path()).await;
    let [main, part, _] = nested(folder.path(), &parkway, approving()).await;
    let memory = parkway.memories().list(&MemoryFilter::of("shop")).await.unwrap().remove(0);
    assert_eq!(memory.run, part);
    let holds = move |parkway: Parkway| -> Doing {
        Box::pin(async move { parkway.audit().hold(&ada(), Some(main), "in dispute").await.unwrap() })
    };
    let other = meanwhile(folder.path(), holds).await;
    let error = other.memories().forget(&ada(), &memory, None).await.unwrap_err().to_string();
    assert!(error.contains("is held"), "{error}");
    assert!(!texts(&parkway, part).await.is_empty());
    assert_eq!(parkway.memories().list(&MemoryFilter::of("shop")).await.unwrap().len(), 1);
    let keys = Keys::at(folder.path().join("keys"));
    let (path, safe) = (folder.path().join("runs.db"), folder.path().join("safe.age"));
    let made = backup_sealed(&path, &safe, &keys, SystemClock.now()).await.unwrap().sealed.unwrap();
    let holds = |parkway: Parkway| -> Doing {
        Box::pin(async move { parkway.audit().hold(&ada(), None, "in dispute").await.unwrap() })
    };
    let other = meanwhile(folder.path(), holds).await;
    let error = other.audit().shred(&ada(), &keys, &[made], "retention").await.unwrap_err().to_string();
    assert!(error.contains("until the hold of everything is lifted"), "{error}");
    assert_eq!(keys.backup_in(&safe).unwrap(), made, "the key is there");
}
