//! What agents remember, from workflows, from a program, and from the log: what holds, what is kept apart, and what is gone.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parkway::audit::{Class, Erase, Extent, SigningKey, Trust};
use parkway::clock::Clock as _;
use parkway::id::{RunId, Time};
use parkway::log::{Channel, RunStatus};
use parkway::memory::{Author, Content, MemoryFilter, MemoryKind, NewMemory, Recall};
use parkway::store::RunFilter;
use parkway::testing::{FakeClock, MemoryStore};
use parkway::upkeep::{self, Depth};
use parkway::{Inputs, Parkway, Workflow, inputs};
use serde_json::{Value, json};

pub(crate) fn ada() -> Author {
    Author::new("Ada", Channel::Program)
}

pub(crate) async fn on_disk(path: &Path) -> Parkway {
    Parkway::builder().store(format!("sqlite:{}", path.display())).build().await.unwrap()
}

/// An engine whose time stands still unless it is moved.
pub(crate) async fn with_clock() -> (Parkway, Arc<FakeClock>) {
    let clock = Arc::new(FakeClock::default());
    let store = Arc::new(parkway::sqlite::SqliteStore::in_memory(clock.clone()).await.unwrap());
    (Parkway::builder().store_with(store).clock(clock.clone()).build().await.unwrap(), clock)
}

const FLOW: &str = "parkway: 1
inputs: { query: { type: string, default: '' } }
tools: { memory: { namespaces: [shop, 'customers/*'], read: [house] } }
steps:
  write: { tool: memory.remember, with: ARGS }
  read: { needs: [write], tool: memory.recall, with: { query: \"${{ inputs.query }}\", namespaces: [shop] } }
outputs: { written: \"${{ steps.write.output }}\", read: \"${{ steps.read.output }}\" }
";

pub(crate) async fn run(parkway: &Parkway, source: &str, inputs: Inputs) -> Result<Value, parkway::Error> {
    let workflow = Workflow::from_source("flow.yaml", source)?;
    parkway.start(workflow, inputs).await?.output().await
}

/// The workflow that writes this.
fn writing(args: &Value) -> String {
    FLOW.replace("ARGS", &args.to_string())
}

pub(crate) async fn remember(parkway: &Parkway, args: Value, query: &str) -> Value {
    run(parkway, &writing(&args), inputs! { query: query }).await.unwrap()
}

/// What is recalled of a namespace, best first.
pub(crate) async fn recalled(parkway: &Parkway, namespace: &str, question: &str) -> Vec<String> {
    let recall = parkway.memories().question(vec![namespace.into()], question);
    texts(parkway, recall).await
}

async fn texts(parkway: &Parkway, recall: Recall) -> Vec<String> {
    let found = parkway.memories().recall(recall).await.unwrap();
    found.into_iter().map(|found| found.memory.content.unwrap().text).collect()
}

#[tokio::test]
async fn what_a_step_remembers_is_recalled_by_the_next_and_by_later_runs() {
    let (parkway, clock) = with_clock().await;
    let done =
        remember(&parkway, json!({"text": "The shop in Elm Street opens at nine."}), "When does the shop open?").await;
    assert_eq!(done["written"]["known"], false);
    assert_eq!(done["read"]["text"], "The shop in Elm Street opens at nine.");
    assert_eq!(done["read"]["memories"][0]["id"], done["written"]["id"]);
    clock.advance(Duration::from_secs(60));
    let again = remember(&parkway, json!({"text": "the SHOP in Elm street opens  at nine"}), "open").await;
    assert_eq!((&again["written"]["known"], &again["written"]["id"]), (&json!(true), &done["written"]["id"]));
    let other = remember(&parkway, json!({"text": "The shop in Elm Street opens at ten."}), "open").await;
    assert_eq!(other["written"]["known"], false);
    assert_eq!(other["written"]["similar"][0]["id"], done["written"]["id"], "it is told of, and both are kept");
    assert_eq!(other["read"]["memories"].as_array().unwrap().len(), 2);
    let skipped =
        remember(&parkway, json!({"text": "The shop in Elm Street opens: at nine!?", "on_similar": "skip"}), "open")
            .await;
    assert_eq!(skipped["written"]["known"], true);
    let listed = parkway.memories().list(&MemoryFilter::of("shop")).await.unwrap();
    assert_eq!(listed.len(), 2);
    let runs = parkway.runs(&RunFilter::default()).await.unwrap();
    assert_eq!(runs.len(), 4, "what happens outside of runs is no run");
    assert_eq!(listed[0].run, runs[3].run, "it says where it comes from");
}

#[tokio::test]
async fn a_subject_holds_one_value_at_a_time_and_what_held_before_is_not_lost() {
    let (parkway, clock) = with_clock().await;
    let start = clock.now();
    let day = Duration::from_secs(86_400);
    let say = |text: &str, from: Option<Time>| {
        let mut args = json!({"text": text, "subject": "address", "namespace": "customers/anna"});
        if let Some(from) = from {
            args["from"] = json!(from);
        }
        args
    };
    remember(&parkway, say("Anna lives in Elm Street 3.", None), "").await;
    clock.advance(day * 10);
    // She moved three days ago.
    let moved = start.after(day * 7);
    let done = remember(&parkway, say("Anna lives in Oak Street 9.", Some(moved)), "").await;
    assert_eq!(done["written"]["superseded"].as_array().unwrap().len(), 1);
    let ask = |at: Time, known: Time| {
        let mut recall = parkway.memories().question(vec!["customers/anna".into()], "Where does Anna live?");
        (recall.at, recall.known) = (at, known);
        recall
    };
    for (at, known, street) in [(10, 10, "Oak"), (8, 10, "Oak"), (6, 10, "Elm"), (8, 9, "Elm"), (1, 1, "Elm")] {
        let found = texts(&parkway, ask(start.after(day * at), start.after(day * known))).await;
        assert_eq!(found.len(), 1, "on day {at}, known on day {known}");
        assert!(found[0].contains(street), "on day {at}, known on day {known}: {found:?}");
    }
    // The same again is known; the first again is news.
    let same = remember(&parkway, say("Anna lives in Oak Street 9", None), "").await;
    assert_eq!(same["written"]["known"], true);
    clock.advance(day);
    let back = remember(&parkway, say("Anna lives in Elm Street 3.", None), "").await;
    assert_eq!(back["written"]["known"], false);
    assert_eq!(recalled(&parkway, "customers/anna", "Which street?").await, ["Anna lives in Elm Street 3."]);
}

#[tokio::test]
async fn a_workflow_reaches_no_namespace_but_those_that_it_is_granted() {
    let (parkway, _) = with_clock().await;
    let memories = parkway.memories();
    let said = |namespace: &str| memories.new_memory(Content::new(namespace, "the code is 1234"));
    memories.remember(&ada(), vec![said("house"), said("staff"), said("customers/bob")]).await.unwrap();
    for (args, denied) in [
        (json!({"text": "x", "namespace": "house"}), true),
        (json!({"text": "x", "namespace": "staff"}), true),
        (json!({"text": "x", "namespace": "customers"}), true),
        (json!({"text": "x", "namespace": "customers/"}), true),
        (json!({"text": "x", "namespace": "customers/anna"}), false),
        (json!({"text": " ", "namespace": "shop"}), true),
    ] {
        let done = run(&parkway, &writing(&args), inputs! {}).await;
        assert_eq!(done.is_err(), denied, "{args}: {done:?}");
    }
    let flow = "parkway: 1
inputs: { namespaces: { type: array, items: { type: string } } }
tools: { memory: { namespaces: [shop], read: [house] } }
steps:
  read: { tool: memory.recall, with: { query: code, namespaces: \"${{ inputs.namespaces }}\" } }
outputs: { text: \"${{ steps.read.output.text }}\" }
";
    let read = run(&parkway, flow, inputs! { namespaces: json!([]) }).await.unwrap();
    assert_eq!(read["text"], "the code is 1234");
    for namespace in ["staff", "customers/bob", "house/", "*", ""] {
        let refused = run(&parkway, flow, inputs! { namespaces: json!(["house", namespace]) }).await.unwrap_err();
        assert!(refused.to_string().contains("is not granted to recall from it"), "{namespace:?}: {refused}");
    }
    // A memory of somebody else is not even there to be forgotten, or named.
    let theirs = memories.list(&MemoryFilter::of("staff")).await.unwrap()[0].id.to_string();
    let flow = "parkway: 1
inputs: { id: { type: string } }
tools: { memory: { namespaces: [shop], read: [house, staff] } }
steps:
  gone: { tool: memory.forget, with: { id: \"${{ inputs.id }}\" } }
";
    let refused = run(&parkway, flow, inputs! { id: theirs.clone() }).await.unwrap_err();
    assert!(refused.to_string().contains("there is no memory"), "{refused}");
    let args = json!({"text": "other", "namespace": "shop", "supersedes": [theirs]});
    let refused = run(&parkway, &writing(&args), inputs! {}).await.unwrap_err();
    assert!(refused.to_string().contains("there is no memory"), "{refused}");
    let grants = "tools: { memory: { namespaces: [shop, 'customers/*'], read: [house] } }\n";
    let ungranted = writing(&json!({"text": "x"})).replace(grants, "");
    let refused = run(&parkway, &ungranted, inputs! {}).await.unwrap_err();
    assert!(refused.to_string().contains("nothing is granted to `memory`"), "{refused}");
}

/// Numbers that look like chance, the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below as u64).unwrap()
    }
}

const THINGS: [&str; 24] = [
    "lamp",
    "chair",
    "table",
    "invoice",
    "delivery",
    "Friday",
    "colour",
    "oak",
    "steel",
    "discount",
    "address",
    "phone",
    "return",
    "warranty",
    "colleague",
    "garden",
    "ladder",
    "screws",
    "glass",
    "blue",
    "green",
    "morning",
    "courier",
    "credit",
];

#[tokio::test]
async fn ten_thousand_questions_find_nothing_of_another_namespace() {
    let (parkway, _) = with_clock().await;
    let memories = parkway.memories();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    // Names that begin alike, or that the index could take for one.
    let names: Vec<String> = (0..60)
        .map(|i| ["a", "a/b", "A", "a b", "a-b", "ab", "a/b/c", "ä"][i % 8].to_owned() + &"x".repeat(i / 8))
        .collect();
    let mut all = Vec::new();
    for (i, name) in names.iter().enumerate() {
        for _ in 0..20 {
            let words: Vec<&str> = (0..6).map(|_| THINGS[dice.roll(THINGS.len())]).collect();
            // Each text names its own namespace, so that a leak can be seen.
            let mut memory = memories.new_memory(Content::new(name, format!("{} of owner{i}", words.join(" "))));
            memory.pinned = dice.roll(30) == 0;
            all.push(memory);
        }
    }
    memories.remember(&ada(), all).await.unwrap();
    let mut found = 0;
    for _ in 0..10_000 {
        let (own, other) = (dice.roll(names.len()), dice.roll(names.len()));
        let mut asked: Vec<String> =
            (0..1 + dice.roll(4)).map(|_| THINGS[dice.roll(THINGS.len())].to_owned()).collect();
        // The other's own words, and what an index might take for an order.
        asked.push(
            [format!("owner{other}"), names[other].clone(), format!("\" OR {} *", names[other]), "scope:*".into()]
                [dice.roll(4)]
            .clone(),
        );
        let mut recall = memories.question(vec![names[own].clone()], &asked.join(" "));
        recall.limit = 1 + u32::try_from(dice.roll(30)).unwrap();
        for recalled in memories.recall(recall).await.unwrap() {
            let content = recalled.memory.content.unwrap();
            assert_eq!(content.namespace, names[own]);
            assert!(content.text.ends_with(&format!(" of owner{own}")), "{:?}: {}", names[own], content.text);
            found += 1;
        }
    }
    assert!(found > 10_000, "only {found} memories were found at all");
}

/// Texts that differ in what counts.
const DIFFERENT: [(&str, &str); 16] = [
    ("Anna owes Bob 5 euros", "Bob owes Anna 5 euros"),
    ("The order was sent to Anna", "The order was sent by Anna"),
    ("Deliver on Friday", "Deliver on Fridays"),
    ("Anna likes tea", "Anna does not like tea"),
    ("Pay 100 euros", "Pay 1000 euros"),
    ("Pay 10.5 euros", "Pay 105 euros"),
    ("Room -1", "Room 1"),
    ("before 2026-01-02", "before 2026-02-01"),
    ("C is fine", "C++ is fine"),
    ("Is it paid?", "It is paid"),
    ("re-sign the contract", "resign the contract"),
    ("Anna and Bob", "Anna or Bob"),
    ("no later than Monday", "later than Monday"),
    ("Straße 5", "Strasse 5"),
    ("the key is abc", "the key is \"abc\""),
    ("a b", "ab"),
];

/// Texts that say the same.
const SAME: [(&str, &str); 6] = [
    ("Anna likes tea", "Anna likes tea."),
    ("Anna likes tea", "anna LIKES Tea"),
    ("Anna likes tea", "  Anna   likes\ttea\n"),
    ("Anna likes tea!", "Anna likes tea"),
    ("ÄPFEL", "äpfel"),
    ("paid 5", "Paid 5."),
];

#[tokio::test]
async fn what_differs_in_what_counts_is_never_taken_for_known() {
    let (parkway, _) = with_clock().await;
    for (i, (first, second)) in DIFFERENT.iter().chain(&SAME).enumerate() {
        let namespace = format!("customers/{i}");
        let say = |text: &str| json!({"text": text, "namespace": namespace});
        let one = remember(&parkway, say(first), "").await;
        let two = remember(&parkway, say(second), "").await;
        assert_eq!(one["written"]["known"], false);
        assert_eq!(two["written"]["known"], i >= DIFFERENT.len(), "{first:?} and {second:?}");
    }
}

#[tokio::test]
async fn what_expires_is_not_recalled_and_a_contradiction_is_told() {
    let (parkway, clock) = with_clock().await;
    let soon = clock.now().after(Duration::from_secs(10));
    remember(&parkway, json!({"text": "The code today is 77", "expires": soon}), "").await;
    let first = remember(&parkway, json!({"text": "The lift is broken"}), "").await;
    let args = json!({"text": "The lift works", "contradicts": [first["written"]["id"]]});
    let done = remember(&parkway, args, "lift code").await;
    let found = done["read"]["memories"].as_array().unwrap().clone();
    assert_eq!(found.len(), 3);
    let lift: Vec<_> = found.iter().filter(|memory| memory["text"].as_str().unwrap().contains("lift")).collect();
    assert!(lift.iter().all(|memory| memory["contradicts"].as_array().unwrap().len() == 1), "{lift:?}");
    clock.advance(Duration::from_secs(10));
    assert_eq!(recalled(&parkway, "shop", "code").await, Vec::<String>::new());
    let again = remember(&parkway, json!({"text": "The code today is 77"}), "code").await;
    assert_eq!(again["written"]["known"], false, "what has expired is not known");
}

#[tokio::test]
async fn a_prompt_gets_as_much_as_it_has_room_for() {
    let store = Arc::new(MemoryStore::new(Arc::new(parkway::clock::SystemClock)));
    let model = parkway::testing::ScriptedModel::new().script(|_| Ok("{}".into()));
    let parkway = Parkway::builder().store_with(store).model("main", model).build().await.unwrap();
    let memories = parkway.memories();
    let new = (0..9)
        .map(|i| memories.new_memory(Content::new("shop", format!("tea number {i} {}", "word ".repeat(20).trim()))));
    memories.remember(&ada(), new.collect()).await.unwrap();
    let flow = |most: u32, model: &str| {
        format!(
            "parkway: 1
models: {{ main: {{}} }}
tools: {{ memory: {{ read: [shop] }} }}
steps:
  read: {{ tool: memory.recall, with: {{ query: tea, max_tokens: {most}{model} }} }}
  ask: {{ needs: [read], chat: {{ model: main, prompt: \"${{{{ steps.read.output.text }}}}\" }} }}
outputs: {{ read: \"${{{{ steps.read.output }}}}\" }}
"
        )
    };
    let mut before = 10;
    for most in [10_000, 100, 30, 0] {
        let read = run(&parkway, &flow(most, ", model: main"), inputs! {}).await.unwrap()["read"].clone();
        let count = read["memories"].as_array().unwrap().len();
        assert_eq!(count + usize::try_from(read["left_out"].as_u64().unwrap()).unwrap(), 9);
        assert!(count < before, "{most} tokens have room for {count}");
        assert_eq!(read["text"].as_str().unwrap().lines().count(), count);
        before = count;
    }
    assert_eq!(before, 0);
    let refused = run(&parkway, &flow(10, ""), inputs! {}).await.unwrap_err();
    assert!(refused.to_string().contains("`max_tokens` needs `model`"), "{refused}");
}

/// Whether some bytes stand in any file of a folder.
pub(crate) fn stands(folder: &Path, needle: &str) -> bool {
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if fs::read(&path).unwrap().windows(needle.len()).any(|bytes| bytes == needle.as_bytes()) {
                return true;
            }
        }
    }
    false
}

/// Words that nothing else has: as they are said, and as the index of texts has them.
const WORD: &str = "Zyxquorbles";
const STEM: &str = "yxquorbl";

#[tokio::test]
async fn what_is_forgotten_is_found_by_nobody_and_its_bytes_are_gone() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let parkway = on_disk(&path).await;
    let memories = parkway.memories();
    let mut turns: Vec<NewMemory> = (0..300)
        .map(|i| {
            memories
                .new_memory(Content::new("shop", format!("turn {i} about {} and {}", THINGS[i % 24], THINGS[i / 24])))
        })
        .collect();
    turns[150].content.text = format!("Anna keeps {WORD} in the shed");
    turns[150].content.subject = Some(format!("{WORD} of Anna"));
    // What comes after it has it as context; long texts are kept apart.
    turns.iter_mut().for_each(|turn| turn.kind = MemoryKind::Episodic);
    turns[20].content.text = format!("{WORD} {}", "long ".repeat(3_000));
    let ids = [turns[150].id, turns[20].id];
    memories.remember(&ada(), turns).await.unwrap();
    assert_eq!(recalled(&parkway, "shop", "zyxquorble").await.len(), 4, "both, and what came after each");
    assert!(stands(folder.path(), WORD) && stands(folder.path(), STEM));
    for id in ids {
        let memory = memories.find(&id.to_string()).await.unwrap();
        assert!(memories.forget(&ada(), &memory, Some("she asked for it")).await.unwrap());
    }
    assert_eq!(recalled(&parkway, "shop", "zyxquorble").await, Vec::<String>::new());
    assert!(!stands(folder.path(), WORD), "the text is in a file");
    assert!(!stands(folder.path(), STEM), "the index has it still");
    assert_eq!(memories.list(&MemoryFilter::of("shop")).await.unwrap().len(), 298);
    let tombstone = memories.find(&ids[0].to_string()).await.unwrap();
    assert!(tombstone.content.is_none() && tombstone.forgotten.is_some());
    // That it was there, who forgot it and why, is in the log, and the log is whole.
    let key = SigningKey::generate(&parkway.audit().origin().await.unwrap()).unwrap();
    parkway.audit().sign(&key).await.unwrap();
    let trust = Trust { keys: vec![key.public()], heads: Vec::new() };
    assert!(parkway.audit().verify(&trust).await.unwrap().is_ok());
    let mut export = Vec::new();
    parkway.audit().export(&mut export, Extent::Whole).await.unwrap();
    let report = parkway::audit::verify_export(export.as_slice(), &trust).unwrap();
    assert!(report.open.iter().any(|open| open.starts_with("what 2 of ") && open.contains("erased")), "{report}");
    let export = String::from_utf8(export).unwrap();
    assert!(export.contains("she asked for it") && export.contains("memory_forgotten") && !export.contains(WORD));
    drop((parkway, memories));
    let checked = upkeep::check(&path, Depth::Full).await.unwrap();
    assert!(checked.is_sound(), "{:?}", checked.problems);
    assert_eq!((checked.counts.memories, checked.counts.erased), (300, 2));
}

#[tokio::test]
async fn what_is_erased_is_gone_from_every_run_and_the_proofs_stay() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let parkway = on_disk(&path).await;
    for who in ["Anna", "Bob"] {
        let args = json!({"text": "${{ inputs.query }}", "namespace": format!("customers/{who}")});
        remember(&parkway, args, &format!("{who} keeps {WORD}{who} in the shed")).await;
    }
    let key = SigningKey::generate(&parkway.audit().origin().await.unwrap()).unwrap();
    let head = parkway.audit().sign(&key).await.unwrap();
    let trust = Trust { keys: vec![key.public()], heads: vec![head.parse().unwrap()] };
    let needle = format!("{WORD}Anna");
    assert!(stands(folder.path(), &needle));
    let audit = parkway.audit();
    assert!(audit.erasable(&Erase::text(" ")).await.is_err());
    let runs = parkway.runs(&RunFilter::default()).await.unwrap();
    // A hold keeps what it covers.
    audit.hold(&ada(), Some(runs[1].run), "in dispute").await.unwrap();
    let held = audit.erase(&ada(), &Erase::text(&needle), "asked for").await.unwrap();
    assert_eq!((held.found.len(), held.found.held.clone()), (0, vec![runs[1].run]));
    audit.hold(&ada(), None, "audit").await.unwrap();
    assert!(audit.erase(&ada(), &Erase::run(runs[0].run), "x").await.unwrap().found.is_empty());
    audit.lift(&ada(), None, "done").await.unwrap();
    assert!(audit.lift(&ada(), None, "done").await.is_err());
    audit.lift(&ada(), Some(runs[1].run), "settled").await.unwrap();
    // What is said of a run is not said of another.
    let mut other = Erase::text(&needle);
    other.run = Some(runs[0].run);
    assert!(audit.erasable(&other).await.unwrap().is_empty());
    let erased = audit.erase(&ada(), &Erase::text(&needle), "asked for").await.unwrap();
    assert!(erased.purged && erased.found.held.is_empty());
    assert_eq!(erased.found.memories.len(), 1);
    assert_eq!(erased.found.texts.keys().collect::<BTreeSet<_>>(), BTreeSet::from([&runs[1].run]));
    assert!(!stands(folder.path(), &needle));
    assert!(stands(folder.path(), &format!("{WORD}Bob")));
    assert!(audit.erase(&ada(), &Erase::text(&needle), "again").await.unwrap().found.is_empty());
    // What is asked for later says that it was erased, and fails no more than that.
    assert!(audit.verify(&trust).await.unwrap().is_ok());
    assert!(parkway.record(runs[1].run).await.is_ok());
    let erased = audit.erase(&ada(), &Erase::run(runs[0].run), "old").await.unwrap();
    assert!(erased.found.classes.contains_key(&Class::Outputs) && !erased.found.classes.contains_key(&Class::Plan));
    assert_eq!(
        recalled(&parkway, "customers/Bob", "Bob").await.len(),
        1,
        "a run is erased, and what it remembered stays"
    );
    let mut only = Erase::before(Time::from_micros(i64::MAX));
    only.classes = BTreeSet::from([Class::Plan]);
    assert_eq!(audit.erase(&ada(), &only, "old").await.unwrap().found.len(), 2);
    let told = parkway.record(runs[1].run).await.unwrap_err().to_string();
    assert!(told.contains("the plan of run") && told.contains("was erased"), "{told}");
    assert!(audit.verify(&trust).await.unwrap().is_ok());
    drop((parkway, audit));
    let checked = upkeep::check(&path, Depth::Full).await.unwrap();
    assert!(checked.is_sound(), "{:?}", checked.problems);
    assert!(checked.unchecked.iter().any(|what| what.contains("2 runs whose plan")), "{:?}", checked.unchecked);
}

#[tokio::test]
async fn a_run_that_has_not_ended_keeps_its_texts() {
    let (parkway, _) = with_clock().await;
    let source = "parkway: 1\nsteps:\n  sure: { approve: { prompt: \"Sure of Zyxquorbles?\" } }\n";
    let mut options = parkway::RunOptions::default();
    options.stay = false;
    let run = parkway.start_with(Workflow::from_source("a.yaml", source).unwrap(), inputs! {}, options).await.unwrap();
    let id = run.id();
    drop(run.wait().await);
    let found = parkway.audit().erase(&ada(), &Erase::text(WORD), "x").await.unwrap().found;
    assert_eq!((found.len(), found.open), (0, vec![id]));
    assert_eq!(parkway.runs(&RunFilter::default()).await.unwrap()[0].status, RunStatus::Waiting);
    assert!(parkway.audit().erase(&ada(), &Erase::run(RunId::new(Time::default(), [3; 16])), "x").await.is_err());
}

#[tokio::test]
async fn memories_are_taken_elsewhere_and_back() {
    let (parkway, _) = with_clock().await;
    let memories = parkway.memories();
    let lines = "{\"namespace\": \"shop\", \"text\": \"Tea is at \u{00e4} good price\", \"kind\": \"procedural\", \"pinned\": true}\n\n\
         {\"namespace\":\"shop\",\"text\":\"tea is at \u{00e4} good price.\",\"kind\":\"procedural\",\"pinned\":true}\n{\"namespace\":\"shop\",\"text\":\"b\",\"from\":\"2027-01-31T12:00:00Z\",\"labels\":{\"untrusted\":true}}";
    let done = memories.import(&ada(), lines.as_bytes()).await.unwrap();
    assert_eq!((done.written, done.known), (2, 1));
    let mut out = Vec::new();
    assert_eq!(memories.export(&mut out, MemoryFilter::default()).await.unwrap(), 2);
    let (other, _) = with_clock().await;
    assert_eq!(other.memories().import(&ada(), out.as_slice()).await.unwrap().written, 2);
    assert_eq!(other.memories().import(&ada(), out.as_slice()).await.unwrap().known, 2);
    let contents = async |parkway: &Parkway| {
        let all = parkway.memories().list(&MemoryFilter::default()).await.unwrap();
        all.into_iter().map(|m| (m.content, m.kind, m.from, m.pinned, m.labels)).collect::<Vec<_>>()
    };
    assert_eq!(contents(&other).await, contents(&parkway).await);
    for (line, why) in [
        ("{", "line 1: it is no memory"),
        ("{\"namespace\":\"a\",\"text\":\"x\"}\n{\"namespace\":\"a\"}", "line 2: it is no memory"),
        ("\n{\"namespace\":\"\",\"text\":\"x\"}", "line 2: a namespace has 1 to 256 bytes"),
        ("{\"namespace\":\"a\",\"text\":\"\"}", "line 1: there is nothing to remember"),
        (
            "\n{\"namespace\":\"a\",\"text\":\"x\",\"from\":\"2027-01-31T12:00:00Z\",\"until\":\"2027-01-31T12:00:00Z\"}",
            "line 2: it is to hold from",
        ),
    ] {
        let error = memories.import(&ada(), line.as_bytes()).await.unwrap_err().to_string();
        assert!(error.starts_with(why), "{error}");
    }
    let long = format!("{{\"namespace\":\"a\",\"text\":\"{}\"}}", "x".repeat(2 << 20));
    assert!(memories.import(&ada(), long.as_bytes()).await.unwrap_err().to_string().contains("more than"));
    assert_eq!(memories.namespaces().await.unwrap(), [("shop".to_owned(), 2)]);
}

#[tokio::test]
async fn many_at_once_lose_nothing() {
    let folder = crate::kept::folder().unwrap();
    let path = folder.path().join("runs.db");
    let engines = [on_disk(&path).await, on_disk(&path).await];
    let mut tasks = Vec::new();
    for i in 0..24 {
        let parkway = engines[i % 2].clone();
        tasks.push(tokio::spawn(async move {
            let memories = parkway.memories();
            let memory = memories.new_memory(Content::new("shop", format!("thing {i}")));
            memories.remember(&ada(), vec![memory]).await.unwrap();
            remember(&parkway, json!({"text": format!("other {i}")}), "").await;
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(engines[0].memories().namespaces().await.unwrap(), [("shop".to_owned(), 48)]);
    drop(engines);
    let checked = upkeep::check(&path, Depth::Full).await.unwrap();
    assert!(checked.is_sound(), "{:?}", checked.problems);
}

/// A list of `memory.list` with these arguments.
pub(crate) async fn listed(parkway: &Parkway, args: Value) -> Result<Value, parkway::Error> {
    let source = format!(
        "parkway: 1\nmodels: {{ main: {{}} }}\ntools: {{ memory: {{ namespaces: [shop, 'customers/*'] }} }}\nsteps:\n  \
         list: {{ tool: memory.list, with: {args} }}\n  ask: {{ chat: {{ model: main, prompt: hello }} }}\noutputs: {{ list: \"${{{{ steps.list.output }}}}\" }}\n"
    );
    Ok(run(parkway, &source, inputs! {}).await?["list"].take())
}

#[tokio::test]
async fn a_list_in_parts_leaves_something_out_or_tells_it_twice() {
    let clock = Arc::new(FakeClock::default());
    let store = Arc::new(parkway::sqlite::SqliteStore::in_memory(clock.clone()).await.unwrap());
    let model = parkway::testing::ScriptedModel::new().script(|_| Ok("{}".into()));
    let builder = Parkway::builder().store_with(store).clock(clock.clone()).model("main", model);
    let parkway = builder.build().await.unwrap();
    let memories = parkway.memories();
    let mut new: Vec<NewMemory> =
        (0..1_203).map(|n| memories.new_memory(Content::new("shop", format!("note number {n}")))).collect();
    new.iter_mut().step_by(2).for_each(|memory| memory.kind = MemoryKind::Episodic);
    // Gone before anybody lists.
    new[4].expires = Some(clock.now().after(Duration::from_secs(5)));
    let mut about = memories.new_memory(Content::new("shop", "open at nine"));
    about.content.subject = Some("hours".into());
    new.push(about);
    memories.remember(&ada(), new).await.unwrap();
    memories.remember(&ada(), vec![memories.new_memory(Content::new("customers/anna", "drinks tea"))]).await.unwrap();
    clock.advance(Duration::from_secs(10));
    let (mut told, mut after) = (Vec::new(), json!(0));
    loop {
        let part = listed(&parkway, json!({"kinds": ["episodic"], "limit": 250, "after": after})).await.unwrap();
        let part_of: Vec<String> =
            part["memories"].as_array().unwrap().iter().map(|m| m["text"].as_str().unwrap().to_owned()).collect();
        assert_eq!(part["text"], part_of.join("\n"));
        after = part["last"].clone();
        told.extend(part_of);
        if part["more"] == false {
            break;
        }
    }
    let wanted: Vec<String> = (0..1_203).step_by(2).filter(|n| *n != 4).map(|n| format!("note number {n}")).collect();
    assert_eq!(told, wanted);
    let end = listed(&parkway, json!({"kinds": ["episodic"], "after": after})).await.unwrap();
    assert_eq!((&end["memories"], &end["last"], &end["more"]), (&json!([]), &after, &json!(false)));
    let about = listed(&parkway, json!({"subject": "hours"})).await.unwrap();
    assert_eq!((&about["text"], &about["more"]), (&json!("open at nine"), &json!(false)));
    let anna = listed(&parkway, json!({"namespace": "customers/anna"})).await.unwrap();
    assert_eq!(anna["text"], "drinks tea");
    let short = listed(&parkway, json!({"max_tokens": 20, "model": "main"})).await.unwrap();
    let count = short["memories"].as_array().unwrap().len();
    assert!(count > 0 && count < 50 && short["more"] == true, "{short}");
    for (args, why) in [(json!({"namespace": "house"}), "is not granted"), (json!({"max_tokens": 5}), "needs `model`")]
    {
        let error = listed(&parkway, args).await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}
