//! What agents remember, where it is said again, at once, in other words, or for another time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use parkway::clock::Clock as _;
use parkway::embedder::{Embedder, EmbedderInfo, Embeddings};
use parkway::id::Time;
use parkway::memory::{Content, Imported, MemoryFilter, MemoryKind, NewMemory, Question, evaluate};
use parkway::model::ModelError;
use parkway::{Inputs, Parkway, inputs};
use serde_json::{Value, json};

use crate::memories::{ada, listed, on_disk, recalled, remember, run, stands, with_clock};

const DAY: Duration = Duration::from_secs(86_400);

/// What is recalled in one step with these arguments.
async fn asked(parkway: &Parkway, args: Value) -> Value {
    let source = format!(
        "parkway: 1\nmodels: {{ main: {{}} }}\ntools: {{ memory: {{ namespaces: [shop] }} }}\nsteps:\n  \
         read: {{ tool: memory.recall, with: {args} }}\n  ask: {{ chat: {{ model: main, prompt: hello }} }}\noutputs: {{ read: \"${{{{ steps.read.output }}}}\" }}\n"
    );
    run(parkway, &source, Inputs::new()).await.unwrap()["read"].take()
}

async fn with_model() -> (Parkway, Arc<parkway::testing::FakeClock>) {
    let clock = Arc::new(parkway::testing::FakeClock::default());
    let store = Arc::new(parkway::sqlite::SqliteStore::in_memory(clock.clone()).await.unwrap());
    let model = parkway::testing::ScriptedModel::new().script(|_| Ok("{}".into()));
    let builder = Parkway::builder().store_with(store).clock(clock.clone()).model("main", model);
    (builder.build().await.unwrap(), clock)
}

#[tokio::test]
async fn what_is_said_again_with_another_end_is_lost() {
    let (parkway, clock) = with_clock().await;
    let start = clock.now();
    let hotel = json!({"text": "Anna stays at the hotel"});
    let with = |key: &str, value: Value| {
        let mut args = hotel.clone();
        args[key] = value;
        args
    };
    let written = async |args: Value| {
        clock.advance(Duration::from_secs(60));
        let done = remember(&parkway, args, "").await["written"].take();
        let superseded = done["superseded"].as_array().unwrap().len();
        (done["known"] == false).then_some(superseded)
    };
    assert_eq!(written(hotel.clone()).await, Some(0));
    assert_eq!(written(hotel.clone()).await, None);
    let (end, soon) = (json!(start.after(DAY * 9)), json!(start.after(DAY * 5)));
    assert_eq!(written(with("until", end.clone())).await, Some(1));
    assert_eq!(written(with("until", end.clone())).await, None);
    assert_eq!(written(hotel.clone()).await, None, "its end is not said");
    let mut sooner = with("until", end);
    sooner["expires"] = soon;
    assert_eq!(written(sooner).await, Some(1));
    assert_eq!(written(hotel.clone()).await, None);
    let mut pinned = with("pinned", json!(true));
    (pinned["until"], pinned["expires"]) = (json!(start.after(DAY * 9)), json!(start.after(DAY * 5)));
    assert_eq!(written(pinned).await, Some(1));
    // It is one thing that is known of her, and since when it was said first.
    let held = parkway.memories().list(&held(&clock)).await.unwrap();
    assert_eq!(held.len(), 1);
    assert!(held[0].pinned && held[0].until == Some(start.after(DAY * 9)));
    assert_eq!(held[0].from, start.after(Duration::from_secs(60)));
    clock.advance(DAY * 6);
    assert_eq!(recalled(&parkway, "shop", "hotel").await, [""; 0], "it has expired, whatever was said before");
    // What happened twice is not one thing.
    for known in [false, false] {
        let called = json!({"text": "Anna called.", "kind": "episodic"});
        assert_eq!(written(called).await.is_none(), known);
    }
    let called = json!({"text": "Anna called.", "kind": "episodic", "from": start});
    assert_eq!(remember(&parkway, called.clone(), "").await["written"]["known"], false);
    assert_eq!(remember(&parkway, called, "").await["written"]["known"], true);
}

/// What holds in the shop.
fn held(clock: &parkway::testing::FakeClock) -> MemoryFilter {
    let mut filter = MemoryFilter::of("shop");
    filter.holds_from = Some(clock.now());
    filter
}

#[tokio::test]
async fn what_is_known_hides_what_else_is_said_with_it() {
    let (parkway, clock) = with_clock().await;
    let elm = remember(&parkway, json!({"text": "Anna lives in Elm Street"}), "").await["written"]["id"].take();
    let bus = remember(&parkway, json!({"text": "the bus stops there"}), "").await["written"]["id"].take();
    remember(&parkway, json!({"text": "Anna lives in Oak Street"}), "").await;
    clock.advance(Duration::from_secs(60));
    let args = json!({"text": "Anna lives in Oak Street", "supersedes": [elm], "on_similar": "skip"});
    let done = remember(&parkway, args.clone(), "").await["written"].take();
    assert_eq!((&done["known"], done["superseded"].as_array().unwrap().len()), (&json!(false), 2));
    assert_eq!(recalled(&parkway, "shop", "Anna").await, ["Anna lives in Oak Street"]);
    assert_eq!(remember(&parkway, args, "").await["written"]["known"], true);
    let args = json!({"text": "Anna lives in Oak Street", "contradicts": [bus]});
    assert_eq!(remember(&parkway, args.clone(), "").await["written"]["known"], false);
    assert_eq!(remember(&parkway, args, "").await["written"]["known"], true);
}

#[tokio::test]
async fn what_a_subject_has_superseded_is_not_what_changes() {
    let (parkway, clock) = with_clock().await;
    let start = clock.now();
    let say = async |text: &str, from: u32, until: Option<u32>| {
        let mut args = json!({"text": text, "subject": "address", "from": start.after(DAY * from)});
        if let Some(until) = until {
            args["until"] = json!(start.after(DAY * until));
        }
        remember(&parkway, args, "").await["written"]["superseded"].as_array().unwrap().len()
    };
    assert_eq!(say("Anna lives in Elm Street", 0, None).await, 0);
    assert_eq!(say("Anna lives in Birch Street", 30, Some(40)).await, 1);
    assert_eq!(say("Anna lives in Fir Street", 50, None).await, 1);
    assert_eq!(say("Anna lives in Ash Street", 35, Some(38)).await, 1, "only Birch Street was there then");
    assert_eq!(say("Anna lives in Oak Street", 2, None).await, 4);
    clock.advance(DAY * 3);
    assert_eq!(recalled(&parkway, "shop", "Anna").await, ["Anna lives in Oak Street"]);
    let oak = parkway.memories().list(&held(&clock)).await.unwrap();
    assert_eq!(oak.len(), 1);
    // A mistake that is forgotten has changed nothing.
    parkway.memories().forget(&ada(), &oak[0], Some("a mistake")).await.unwrap();
    assert_eq!(recalled(&parkway, "shop", "Anna").await, ["Anna lives in Elm Street"]);
}

#[tokio::test]
async fn a_program_or_an_import_makes_two_things_hold() {
    let (parkway, _) = with_clock().await;
    let memories = parkway.memories();
    let about = |text: &str| {
        let mut content = Content::new("shop", text);
        content.subject = Some("hours".into());
        memories.new_memory(content)
    };
    memories.remember(&ada(), vec![about("open at eight"), about("open at nine")]).await.unwrap();
    assert_eq!(recalled(&parkway, "shop", "open").await, ["open at nine"]);
    let lines = ["open at ten", "open at eleven", "open at ten"]
        .map(|text| json!({"namespace": "shop", "text": text, "subject": "hours"}).to_string());
    let done = memories.import(&ada(), lines.join("\n").as_bytes()).await.unwrap();
    assert_eq!((done.written, done.known), (3, 0), "what is said last is news");
    assert_eq!(recalled(&parkway, "shop", "open").await, ["open at ten"]);
    assert_eq!(memories.import(&ada(), lines[2].as_bytes()).await.unwrap().known, 1);
    let mut never = about("open at noon");
    never.until = Some(never.from);
    assert!(memories.remember(&ada(), vec![never]).await.unwrap_err().to_string().contains("no time at all"));
}

#[tokio::test]
async fn calls_that_run_at_once_make_two_things_hold() {
    let (parkway, clock) = with_clock().await;
    let flow = "parkway: 1
tools: { memory: { namespaces: [shop] } }
steps:
  write:
    for_each: [1, 2, 3, 4, 5, 6, 7, 8]
    as: n
    tool: memory.remember
    with: { text: \"SAID\", SUBJECT }
";
    let same = flow.replace("SAID", "the same in every call").replace(", SUBJECT", "");
    run(&parkway, &same, inputs! {}).await.unwrap();
    let about = flow.replace("SAID", "the number is ${{ n }}").replace("SUBJECT", "subject: number");
    run(&parkway, &about, inputs! {}).await.unwrap();
    assert_eq!(recalled(&parkway, "shop", "the same in every call").await.len(), 1);
    assert_eq!(recalled(&parkway, "shop", "number").await.len(), 1);
    assert_eq!(parkway.memories().list(&held(&clock)).await.unwrap().len(), 2);
}

/// What a namespace holds on some days, by all that is known, with the kinds and pins.
async fn history(parkway: &Parkway, start: Time) -> Vec<Vec<(String, Option<String>, MemoryKind, bool)>> {
    let all = parkway.memories().list(&MemoryFilter::default()).await.unwrap();
    let on = |day: u32| {
        let holds = all.iter().filter(|memory| memory.holds(start.after(DAY * day), Time::from_micros(i64::MAX)));
        let mut held: Vec<_> = holds
            .map(|memory| {
                let content = memory.content.clone().unwrap();
                (content.text, content.subject, memory.kind, memory.pinned)
            })
            .collect();
        held.sort();
        held
    };
    (0..60).map(on).collect()
}

#[tokio::test]
async fn what_held_before_is_lost_on_its_way_elsewhere() {
    let (parkway, clock) = with_clock().await;
    let (memories, start) = (parkway.memories(), clock.now());
    let new = |text: &str, subject: Option<&str>, from: u32, until: Option<u32>| {
        let mut content = Content::new("shop", text);
        content.subject = subject.map(str::to_owned);
        let mut memory = memories.new_memory(content);
        (memory.from, memory.until) = (start.after(DAY * from), until.map(|until| start.after(DAY * until)));
        memory
    };
    // There and back again; for a while; twice for a time that is over; what is named; what contradicts it; what has expired.
    let mut all = vec![
        new("in Elm Street", Some("address"), 0, None),
        new("in Oak Street", Some("address"), 3, None),
        new("in Elm Street", Some("address"), 6, None),
        new("in a hotel", Some("address"), 10, Some(17)),
        new("on holiday", None, 2, Some(4)),
        new("on holiday", None, 20, Some(24)),
        new("drinks tea", None, 0, None),
        new("drinks beer", None, 5, Some(8)),
        new("opens at nine", Some("hours"), 0, None),
        new("opens at ten", Some("hours"), 1, None),
        new("the code is 7", None, 0, None),
        new("the code is 7", None, 1, None),
        new("she called", None, 1, None),
        new("she called", None, 2, None),
        new("in Ash Street", Some("address"), 40, None),
    ];
    all[7].supersedes = vec![all[6].id];
    all[9].contradicts = vec![all[8].id];
    all[10].expires = Some(start.after(DAY));
    (all[11].pinned, all[11].kind) = (true, MemoryKind::Procedural);
    (all[12].kind, all[13].kind) = (MemoryKind::Episodic, MemoryKind::Episodic);
    let count = all.len() as u64;
    for memory in all {
        memories.remember(&ada(), vec![memory]).await.unwrap();
    }
    let mut expected = history(&parkway, start).await;
    clock.advance(DAY * 30);
    let mut out = Vec::new();
    assert_eq!(memories.export(&mut out, MemoryFilter::default()).await.unwrap(), count);
    let (other, later) = with_clock().await;
    later.advance(DAY * 30);
    let done = other.memories().import(&ada(), out.as_slice()).await.unwrap();
    assert_eq!((done.written, done.known, done.expired), (count - 1, 0, 1));
    // Nobody would recall it.
    expected.iter_mut().for_each(|held| held.retain(|(text, _, _, pinned)| text != "the code is 7" || *pinned));
    assert_eq!(history(&other, start).await, expected);
    let contradicting: Vec<usize> =
        other.memories().list(&MemoryFilter::default()).await.unwrap().iter().map(|m| m.contradicts.len()).collect();
    assert_eq!(contradicting.iter().sum::<usize>(), 2);
    // Once more, it is known, and here it was.
    for (parkway, known) in [(&other, count - 1), (&parkway, count - 1)] {
        let again: Imported = parkway.memories().import(&ada(), out.as_slice()).await.unwrap();
        assert_eq!((again.written, again.known, again.expired), (0, known, 1));
    }
    // Only what holds or will hold.
    let mut out = Vec::new();
    let mut filter = MemoryFilter::of("shop");
    filter.holds_from = Some(clock.now());
    memories.export(&mut out, filter).await.unwrap();
    let said = String::from_utf8(out).unwrap();
    assert!(said.contains("Elm") && said.contains("Ash") && !said.contains("Oak") && !said.contains("hotel"), "{said}");
}

#[tokio::test]
async fn a_line_that_says_another_time_counts_as_known() {
    let (parkway, clock) = with_clock().await;
    let memories = parkway.memories();
    let mut tea = memories.new_memory(Content::new("shop", "Anna likes tea"));
    tea.until = Some(clock.now().after(DAY));
    memories.remember(&ada(), vec![tea]).await.unwrap();
    let line = "{\"namespace\": \"shop\", \"text\": \"Anna likes tea.\"}";
    assert_eq!(memories.import(&ada(), line.as_bytes()).await.unwrap().written, 1);
    clock.advance(DAY * 2);
    assert_eq!(recalled(&parkway, "shop", "tea").await, ["Anna likes tea."]);
    assert_eq!(memories.import(&ada(), line.as_bytes()).await.unwrap().known, 1);
}

#[tokio::test]
async fn one_long_memory_hides_all_others() {
    let (parkway, clock) = with_model().await;
    let memories = parkway.memories();
    let texts = ["tea is hot", &"tea and word ".repeat(300), "tea is green", &"word ".repeat(300), "tea is cold"];
    let new = texts.map(|text| memories.new_memory(Content::new("shop", text)));
    memories.remember(&ada(), new.to_vec()).await.unwrap();
    // One that will hold is listed now: nobody comes back for it.
    let mut later = memories.new_memory(Content::new("shop", "tea is dear"));
    later.from = clock.now().after(DAY);
    memories.remember(&ada(), vec![later]).await.unwrap();
    let all = listed(&parkway, json!({"max_tokens": 40, "model": "main"})).await.unwrap();
    assert_eq!(all["text"], "tea is hot\ntea is green\ntea is cold\ntea is dear");
    assert_eq!((&all["too_long"], &all["last"], &all["more"]), (&json!([2, 4]), &json!(6), &json!(false)));
    let part = listed(&parkway, json!({"max_tokens": 40, "model": "main", "limit": 2})).await.unwrap();
    assert_eq!((&part["last"], &part["more"]), (&json!(3), &json!(true)));
    let none = listed(&parkway, json!({"max_tokens": 1, "model": "main", "limit": 2})).await.unwrap();
    assert_eq!((&none["memories"], &none["last"], &none["more"]), (&json!([]), &json!(6), &json!(false)));
    let found = asked(&parkway, json!({"query": "tea and word", "max_tokens": 40, "model": "main"})).await;
    assert_eq!((found["memories"].as_array().unwrap().len(), &found["left_out"]), (3, &json!(2)));
}

#[tokio::test]
async fn one_memory_looks_like_two_or_hides_that_others_are_left_out() {
    let (parkway, _) = with_model().await;
    let memories = parkway.memories();
    let text = "tea\nThe shop is closed\u{2028}for ever\r\ntoday";
    let mut new = vec![memories.new_memory(Content::new("shop", text))];
    new.extend((0..12).map(|i| {
        let mut memory = memories.new_memory(Content::new("shop", format!("rule {i}")));
        memory.pinned = true;
        memory
    }));
    memories.remember(&ada(), new).await.unwrap();
    let found = asked(&parkway, json!({"query": "tea", "limit": 5})).await;
    assert_eq!(found["memories"][4]["text"], text);
    assert!(found["text"].as_str().unwrap().ends_with("\ntea The shop is closed for ever today"), "{found}");
    assert_eq!((found["text"].as_str().unwrap().lines().count(), &found["left_out"]), (5, &json!(8)));
    assert_eq!(asked(&parkway, json!({"query": "tea", "limit": 50})).await["left_out"], 0);
}

#[tokio::test]
async fn an_answer_about_the_past_tells_what_was_learnt_later() {
    let (parkway, clock) = with_model().await;
    let start = clock.now();
    let say = |text: &str| json!({"text": text, "subject": "address"});
    let elm = remember(&parkway, say("in Elm Street"), "").await["written"]["id"].take();
    clock.advance(DAY);
    let mut fir = say("in Fir Street");
    fir["contradicts"] = json!([elm]);
    remember(&parkway, fir, "").await;
    clock.advance(DAY);
    remember(&parkway, say("in Oak Street"), "").await;
    let past = json!({"query": "street", "at": start, "known_at": start});
    let found = asked(&parkway, past).await["memories"].take();
    assert_eq!(
        (found.as_array().unwrap().len(), &found[0]["until"], &found[0]["contradicts"]),
        (1, &Value::Null, &json!([]))
    );
    let now = asked(&parkway, json!({"query": "street", "at": start})).await["memories"].take();
    assert_eq!((&now[0]["until"], now[0]["contradicts"].as_array().unwrap().len()), (&json!(clock.now()), 1));
}

#[tokio::test]
async fn the_text_of_a_memory_that_a_step_forgets_stays_in_the_log_of_the_database() {
    let folder = crate::kept::folder().unwrap();
    let parkway = on_disk(&folder.path().join("runs.db")).await;
    let memories = parkway.memories();
    let word = "Qworblezyx";
    let memory = memories.new_memory(Content::new("shop", format!("the {word} is in the shed")));
    let id = memory.id.to_string();
    memories.remember(&ada(), vec![memory]).await.unwrap();
    assert!(stands(folder.path(), word));
    let flow = "parkway: 1
inputs: { id: { type: string } }
tools: { memory: { namespaces: [shop] } }
steps:
  gone: { tool: memory.forget, with: { id: \"${{ inputs.id }}\" } }
";
    run(&parkway, flow, inputs! { id: id.clone() }).await.unwrap();
    // Somebody may read while it is tried.
    let mut tries = 0;
    while stands(folder.path(), word) {
        assert!(tries < 200, "the text is in a file");
        tries += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // What is gone is in no namespace that anybody has.
    let refused = run(&parkway, flow, inputs! { id: id }).await.unwrap_err().to_string();
    assert!(refused.contains("there is no memory"), "{refused}");
    for short in ["", "a", "abc"] {
        let refused = memories.find(short).await.unwrap_err().to_string();
        assert!(refused.contains("write at least 4 characters"), "{refused}");
    }
}

/// Tells what it was sent.
#[derive(Clone)]
struct Overheard(EmbedderInfo, Arc<Mutex<Vec<String>>>);

impl Overheard {
    fn new() -> Self {
        let info = EmbedderInfo { name: "o".into(), dimensions: Some(2), max_tokens: None, model_hash: None };
        Overheard(info, Arc::default())
    }

    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut *self.1.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait::async_trait]
impl Embedder for Overheard {
    fn info(&self) -> &EmbedderInfo {
        &self.0
    }

    async fn embed(&self, texts: &[String]) -> Result<Embeddings, ModelError> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(texts);
        let near = |text: &String| if text.contains("odd") { vec![1.0, 0.0] } else { vec![0.0, 1.0] };
        Ok(Embeddings::normalized(texts.iter().map(near).collect(), 1))
    }
}

fn question(namespace: &str, text: &str, answers: &[&str]) -> Question {
    let mut question = Question::default();
    (question.namespaces, question.text) = (vec![namespace.into()], text.into());
    question.answers = answers.iter().map(|answer| (*answer).to_owned()).collect();
    question
}

#[tokio::test]
async fn an_embedder_is_sent_what_nobody_asked_about() {
    let heard = Overheard::new();
    let parkway = Parkway::builder().store("sqlite::memory:").tool_search(heard.clone()).build().await.unwrap();
    let memories = parkway.memories();
    let said = |namespace: &str, i: usize| memories.new_memory(Content::new(namespace, format!("{namespace} {i}")));
    let new: Vec<NewMemory> = (0..70).flat_map(|i| [said("a", i), said("b", i), said("c", i)]).collect();
    memories.remember(&ada(), new).await.unwrap();
    heard.heard();
    let ask = async |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        memories.recall(memories.question(names, "what")).await.unwrap();
        heard.heard()
    };
    let first = ask(&["a"]).await;
    assert!(first.len() == 65 && first[1..].iter().all(|text| text.starts_with("a ")), "{first:?}");
    let both = ask(&["a", "c"]).await;
    assert_eq!(both.len(), 65);
    assert_eq!(both.iter().filter(|text| text.starts_with("a ")).count(), 6);
    assert_eq!(both.iter().filter(|text| text.starts_with("c ")).count(), 58);
    assert_eq!((ask(&["c"]).await.len(), ask(&["c"]).await.len()), (13, 1));
    let questions = ["c 1", "c 2", "c 3"].map(|answer| question("c", "what", &[answer]));
    evaluate(&memories, &questions, true).await.unwrap();
    assert!(heard.heard().iter().all(|text| !text.starts_with("b ")));
    memories.complete_vectors().await.unwrap();
    assert_eq!(heard.heard().iter().filter(|text| text.starts_with("b ")).count(), 70);
}

#[tokio::test]
async fn an_evaluation_says_nothing_of_answers_that_nothing_can_find() {
    let parkway = Parkway::builder().store("sqlite::memory:").tool_search(Overheard::new()).build().await.unwrap();
    let memories = parkway.memories();
    // By words, those that are wanted are not found; by meaning, they come first.
    let texts = (0..30).map(|i| format!("what even {i}")).chain((0..3).map(|i| format!("odd {i}")));
    memories.remember(&ada(), texts.map(|text| memories.new_memory(Content::new("a", text))).collect()).await.unwrap();
    let question = |answers: &[&str]| question("a", "is that oddly even?", answers);
    let questions = [&["odd 0", "gone"][..], &["odd 1"], &["odd 2", "nowhere"], &["odd 0"]].map(question);
    let done = evaluate(&memories, &questions, true).await.unwrap();
    assert_eq!(done.strange, 2);
    assert!(done.fused.unwrap().recall_at_10 >= done.vector.unwrap().recall_at_10, "{done:?}");
    let error =
        evaluate(&memories, &[question(&["odd 0"]), question(&[]), question(&["odd 1"])], true).await.unwrap_err();
    assert!(error.to_string().contains("has no answers"), "{error}");
}
