//! `parkway memory list | search | show | forget | export | import | eval`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter};
use std::path::Path;

use parkway::Parkway;
use parkway::clock::{Clock as _, SystemClock};
use parkway::id::{RunId, Time};
use parkway::log::Channel;
use parkway::memory::{self, Author, Evaluated, Measured, MemoryFilter, Question, Remembered};
use serde_json::{Value, json};

use crate::args::{Global, MemoryArgs, MemoryCommand};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::{Out, say};
use crate::project::Project;
use crate::render::{clean, counted, local, memories as counted_memories};
use crate::session::person;

/// So many characters of an id tell one memory from another.
const SHORT: usize = 8;

/// Looks at what agents remember, and changes it.
pub(crate) async fn memory(global: &Global, args: MemoryArgs, out: &mut Out) -> Result<Exit, Failure> {
    let project = Project::find(global)?;
    let parkway = match &args.command {
        // It may be the first thing that is kept.
        MemoryCommand::Import { .. } => {
            project.make_folder()?;
            project.open(Parkway::builder()).await?
        }
        _ => project.need().await?,
    };
    let memories = parkway.memories();
    let by = Author::new(person(), Channel::Command);
    match args.command {
        MemoryCommand::List { namespace: Some(namespace), all, json } => {
            let mut filter = MemoryFilter::of(namespace);
            filter.holds_from = (!all).then(now);
            let found = memories.list(&filter).await?;
            if found.is_empty() && !json {
                say("nothing is remembered there; the namespaces:  parkway memory list");
            }
            for memory in found {
                if json { out.json(&value(&memory))? } else { out.text(&line(&memory, (now(), now())))? }
            }
        }
        MemoryCommand::List { namespace: None, json, .. } => {
            let namespaces = memories.namespaces().await?;
            if namespaces.is_empty() && !json {
                say("nothing is remembered yet");
            }
            for (namespace, count) in namespaces {
                if json {
                    out.json(&json!({ "namespace": namespace, "memories": count }))?;
                } else {
                    out.text(&format!("{}  {}", clean(&namespace), counted_memories(count)))?;
                }
            }
        }
        MemoryCommand::Search { namespace, question, limit, at, known_at, json } => {
            let mut recall = memories.question(vec![namespace], &question);
            recall.limit = limit;
            (recall.at, recall.known) = (at.unwrap_or(recall.at), known_at.unwrap_or(recall.known));
            let times = (recall.at, recall.known);
            let found = memories.recall(recall).await?;
            if found.is_empty() && !json {
                say("nothing fits; what is there:  parkway memory list NAMESPACE");
            }
            for found in found {
                if json {
                    let mut value = value(&found.memory);
                    value["score"] = json!(found.score);
                    value["by_text"] = json!(found.by_text);
                    value["by_vector"] = json!(found.by_vector);
                    out.json(&value)?;
                } else {
                    out.text(&line(&found.memory, times))?;
                }
            }
        }
        MemoryCommand::Show { memory, json } => {
            let memory = memories.find(&memory).await?;
            if json { out.pretty(&value(&memory))? } else { show(&memory, out)? }
        }
        MemoryCommand::Forget { memory, note } => {
            let memory = memories.find(&memory).await?;
            if memory.forgotten.is_some() {
                return Err(Failure::invalid(format!("memory {} was forgotten before", memory.id)));
            }
            let gone = memories.forget(&by, &memory, note.as_deref()).await?;
            out.text(&format!("memory {} is forgotten", memory.id))?;
            if !gone {
                say("  another process reads the store: its bytes leave the file when that ends");
            }
            if memory.run != RunId::SYSTEM {
                say(&format!("  run {} has said it, and keeps what it said: parkway audit erase --text", memory.run));
            }
        }
        MemoryCommand::Export { namespace, all } => {
            let mut filter = namespace.map(MemoryFilter::of).unwrap_or_default();
            filter.holds_from = (!all).then(now);
            let count = memories.export(&mut BufWriter::new(io::stdout()), filter).await?;
            say(&counted_memories(count));
        }
        MemoryCommand::Import { file } => {
            let lines: Box<dyn BufRead + Send> = if file == Path::new("-") {
                Box::new(BufReader::new(io::stdin()))
            } else {
                Box::new(BufReader::new(open(&file)?))
            };
            let done = memories.import(&by, lines).await?;
            out.text(&format!("{} written, {} known already", counted_memories(done.written), done.known))?;
            if done.expired > 0 {
                say(&format!("{} passed over: nobody would recall what has expired", counted_memories(done.expired)));
            }
        }
        MemoryCommand::Eval { file, json } => {
            let questions = questions(&file)?;
            let done = memory::evaluate(&memories, &questions, parkway.finds_by_meaning()).await?;
            if json { out.pretty(&json!(done))? } else { measured(&done, out)? }
        }
    }
    Ok(Exit::Done)
}

fn open(file: &Path) -> Result<File, Failure> {
    File::open(file).map_err(|e| Failure::invalid(format!("{} cannot be read: {e}", file.display())))
}

fn questions(file: &Path) -> Result<Vec<Question>, Failure> {
    let mut questions = Vec::new();
    for (number, line) in (1..).zip(BufReader::new(open(file)?).lines()) {
        let wrong = |what: String| Failure::invalid(format!("{}, line {number}: {what}", file.display()));
        let line = line.map_err(|e| wrong(e.to_string()))?;
        if !line.trim().is_empty() {
            questions.push(serde_json::from_str(&line).map_err(|e| wrong(format!("it is no question: {e}")))?);
        }
    }
    Ok(questions)
}

fn now() -> Time {
    SystemClock.now()
}

/// `3f9a01c2  2027-01-31 12:00  Anna drinks tea`: the time in which it holds at `at`, or the next one, by what was known then.
fn line(memory: &Remembered, (at, known): (Time, Time)) -> String {
    let span = memory.span(at, known);
    let id = memory.id.to_string();
    let id = id.get(..SHORT).unwrap_or(&id);
    let said = match &memory.content {
        Some(content) => match &content.subject {
            Some(subject) => format!("{}: {}", clean(subject), clean(&content.text)),
            None => clean(&content.text),
        },
        None => "(forgotten)".into(),
    };
    let mut marks = Vec::new();
    if memory.pinned {
        marks.push("pinned".to_owned());
    }
    if let Some(until) = span.or_else(|| memory.spans(known).pop()).map_or(memory.until, |span| span.until) {
        marks.push(format!("until {}", local(until)));
    }
    if !memory.contradicts.is_empty() {
        marks.push(format!("contradicts {}", counted_memories(memory.contradicts.len() as u64)));
    }
    let marks = if marks.is_empty() { String::new() } else { format!("  ({})", marks.join(", ")) };
    format!("{id}  {}  {said}{marks}", local(span.map_or(memory.from, |span| span.from)))
}

fn show(memory: &Remembered, out: &mut Out) -> Result<(), Failure> {
    out.text(&format!("memory {}, {}", memory.id, memory.kind.as_str()))?;
    if let Some(content) = &memory.content {
        out.text(&format!("  namespace    {}", clean(&content.namespace)))?;
        if let Some(subject) = &content.subject {
            out.text(&format!("  subject      {}", clean(subject)))?;
        }
        out.text(&format!("  text         {}", clean(&content.text)))?;
    }
    let by = match memory.run {
        RunId::SYSTEM => "a person or a program".to_owned(),
        run => format!("run {run}, event {}", memory.seq),
    };
    out.text(&format!("  written by   {by}"))?;
    out.text(&format!("  known since  {}", local(memory.known)))?;
    out.text(&format!("  holds from   {}", local(memory.from)))?;
    if let Some(until) = memory.until {
        out.text(&format!("  holds until  {}", local(until)))?;
    }
    for superseded in &memory.superseded {
        let (by, from, known) = (superseded.by, local(superseded.from), local(superseded.known));
        let until = superseded.until.map_or_else(String::new, |until| format!(" until {}", local(until)));
        out.text(&format!("  superseded   by {by}, which holds from {from}{until}; known since {known}"))?;
    }
    for other in &memory.contradicts {
        out.text(&format!("  contradicts  {other}"))?;
    }
    if let Some(expires) = memory.expires {
        out.text(&format!("  expires      {}", local(expires)))?;
    }
    if memory.labels.untrusted {
        out.text("  labels       untrusted")?;
    }
    if let Some(forgotten) = memory.forgotten {
        out.text(&format!("  forgotten    {}", local(forgotten)))?;
    }
    Ok(())
}

fn value(memory: &Remembered) -> Value {
    let content = memory.content.as_ref();
    json!({
        "id": memory.id, "namespace": content.map(|content| &content.namespace), "text": content.map(|content| &content.text),
        "subject": content.and_then(|content| content.subject.as_ref()), "kind": memory.kind, "labels": memory.labels,
        "from": memory.from, "until": memory.until, "expires": memory.expires, "pinned": memory.pinned, "known": memory.known,
        "run": (memory.run != RunId::SYSTEM).then(|| memory.run.to_string()), "event": memory.seq.0,
        "superseded": memory.superseded, "contradicts": memory.contradicts, "forgotten": memory.forgotten,
    })
}

fn measured(done: &Evaluated, out: &mut Out) -> Result<(), Failure> {
    let line = |name: &str, measured: &Measured| {
        let percent = |share: f64| format!("{:5.1} %", share * 100.0);
        let (five, ten, twenty) =
            (percent(measured.recall_at_5), percent(measured.recall_at_10), percent(measured.recall_at_20));
        format!("{name:<10}  {five}  {ten}  {twenty}  {:.3}", measured.mrr)
    };
    out.text(&format!("{:<10}  {:>7}  {:>7}  {:>7}  {}", "found by", "in 5", "in 10", "in 20", "MRR"))?;
    out.text(&line("words", &done.text))?;
    if let Some(vector) = &done.vector {
        out.text(&line("meaning", vector))?;
    }
    if let Some(fused) = &done.fused {
        out.text(&line("both", fused))?;
    }
    if done.strange > 0 {
        let answers = counted(done.strange, "answer");
        say(&format!("nothing can find {answers} of the file: no memory of the namespaces has that text or id"));
    }
    let questions = counted(done.text.questions, "question");
    let weights = done.weights;
    out.text(&format!(
        "over {questions}; the weights, words {} and meaning {}, were chosen on the others, every third",
        weights.text, weights.vector
    ))?;
    Ok(())
}
