//! One plan, line by line.

use std::time::Instant;

use parkway_core::model::{ChatRequest, Constraint, Delta, Model as _};
use parkway_core::planning::{Done, Draft, Line};
use parkway_llama::Llama;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cases::{Case, Outcome};
use crate::{Side, ask};

/// How a plan begins.
const BEGINNING: &str = "{\"id\":\"s1\",\"tool\":\"";
/// The most lines of a plan, its last one included.
const LINES: usize = 8;
/// The most tokens of a line that is held to its form.
const LINE: u32 = 512;
/// The most tokens of a plan that is not.
const FREE: u32 = 600;

/// A plan as it was written.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) side: Side,
    pub(crate) lines: Vec<Written>,
    /// Whether a closing line stands.
    pub(crate) closed: bool,
    /// What was wrong where it could not go on.
    pub(crate) failed: Option<String>,
    pub(crate) read: u32,
    pub(crate) wrote: u32,
    pub(crate) seconds: f64,
}

/// A line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Written {
    pub(crate) text: String,
    /// The codes of what is wrong with it.
    pub(crate) wrong: Vec<String>,
}

/// Has a plan written.
pub(crate) async fn write(model: Llama, case: Case, side: Side) -> Outcome<Record> {
    let mut record = Record {
        id: case.id.clone(),
        side,
        lines: Vec::new(),
        closed: false,
        failed: None,
        read: 0,
        wrote: 0,
        seconds: 0.0,
    };
    let most = u32::try_from(LINES - 1)?;
    let mut draft = Draft::new(case.tools.clone(), None, most);
    let started = Instant::now();
    match side {
        Side::Constrained => lines(&model, &case, &mut draft, &mut record).await?,
        Side::Free => text(&model, &case, "", &mut draft, &mut record).await?,
        Side::Begun => text(&model, &case, BEGINNING, &mut draft, &mut record).await?,
    }
    record.seconds = started.elapsed().as_secs_f64();
    Ok(record)
}

/// A request a line, as the engine asks.
async fn lines(model: &Llama, case: &Case, draft: &mut Draft, record: &mut Record) -> Outcome<()> {
    let mut prefix = String::new();
    while !record.closed && record.lines.len() < LINES {
        let request = ChatRequest {
            assistant_prefix: (!prefix.is_empty()).then(|| prefix.clone()),
            constraint: Some(Constraint::JsonSchema(draft.form())),
            max_tokens: LINE,
            ..ChatRequest::new(draft.messages(&case.goal, &[]))
        };
        let (line, read, wrote) = match ask(model, request).await {
            Ok(answer) => answer,
            Err(error) => {
                record.failed = Some(error.to_string());
                return Ok(());
            }
        };
        record.read += read;
        record.wrote += wrote;
        let Some(line) = line else {
            record.lines.push(Written { text: String::new(), wrong: vec!["cut".into()] });
            return Ok(());
        };
        prefix.push_str(&line);
        prefix.push('\n');
        hold(&line, draft, record);
    }
    Ok(())
}

/// One request for all, of which each line is held to what the check of plan lines says. Fences of Markdown count as nothing. What
/// would come after the last line that counts is not waited for.
async fn text(model: &Llama, case: &Case, begun: &str, draft: &mut Draft, record: &mut Record) -> Outcome<()> {
    let request = ChatRequest {
        assistant_prefix: (!begun.is_empty()).then(|| begun.to_owned()),
        max_tokens: FREE,
        ..ChatRequest::new(draft.messages(&case.goal, &[]))
    };
    let (mut deltas, mut open, mut whole) = (model.stream(request).await?, begun.to_owned(), false);
    while !whole && !record.closed && record.lines.len() < LINES {
        match deltas.next().await {
            Some(Ok(Delta::Text(piece))) => {
                record.wrote += 1;
                open.push_str(&piece);
            }
            Some(Ok(Delta::Done(end))) => {
                (record.read, record.wrote) =
                    (end.usage.prompt_tokens - end.usage.cached_tokens, end.usage.output_tokens);
                whole = true;
                open.push('\n');
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error.into()),
            None => whole = true,
        }
        while let Some((line, rest)) = open.split_once('\n') {
            let (line, rest) = (line.trim().to_owned(), rest.to_owned());
            if !line.is_empty() && !line.starts_with("```") && !record.closed && record.lines.len() < LINES {
                hold(&line, draft, record);
            }
            open = rest;
        }
    }
    Ok(())
}

fn hold(line: &str, draft: &mut Draft, record: &mut Record) {
    let value: Result<Value, _> = serde_json::from_str(line);
    let wrong = match value.map(|value| draft.read(&value)) {
        Ok(Ok(read)) => {
            // As the engine does: who plans the same once more has nothing to add.
            let read = if draft.repeats(&read) { Line::Done(Done::default()) } else { read };
            record.closed = matches!(read, Line::Done(_));
            draft.take(read, "");
            Vec::new()
        }
        Ok(Err(errors)) => errors.iter().map(|error| error.code.to_owned()).collect(),
        Err(_) => vec!["json".to_owned()],
    };
    record.lines.push(Written { text: line.to_owned(), wrong });
}
