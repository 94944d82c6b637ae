//! One plan, line by line.

use std::time::Instant;

use parkway_core::model::{ChatRequest, Constraint};
use parkway_core::planning::{Draft, Line};
use parkway_llama::Llama;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cases::{Case, Outcome};
use crate::{Side, ask};

/// The most lines of a plan, its last one included.
const LINES: usize = 8;
/// The most tokens of a line that is held to its form.
const LINE: u32 = 200;
/// The most tokens of a plan that is not.
const FREE: u32 = 600;

/// A plan as it was written.
#[derive(Debug, Serialize, Deserialize)]
pub struct Record {
    pub id: String,
    pub side: Side,
    pub lines: Vec<Written>,
    /// Whether a closing line stands.
    pub closed: bool,
    /// What was wrong where it could not go on.
    pub failed: Option<String>,
    pub read: u32,
    pub wrote: u32,
    pub seconds: f64,
}

/// A line.
#[derive(Debug, Serialize, Deserialize)]
pub struct Written {
    pub text: String,
    /// The codes of what is wrong with it.
    pub wrong: Vec<String>,
}

/// Has a plan written.
pub async fn write(model: Llama, case: Case, side: Side) -> Outcome<Record> {
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
        Side::Free => text(&model, &case, &mut draft, &mut record).await?,
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

/// One request for all, of which each line is held to what the check of plan lines says. Fences of Markdown count as nothing.
async fn text(model: &Llama, case: &Case, draft: &mut Draft, record: &mut Record) -> Outcome<()> {
    let request = ChatRequest { max_tokens: FREE, ..ChatRequest::new(draft.messages(&case.goal, &[])) };
    let (text, read, wrote) = ask(model, request).await?;
    (record.read, record.wrote) = (read, wrote);
    for line in text.unwrap_or_default().lines().map(str::trim) {
        if record.closed || record.lines.len() == LINES {
            break;
        }
        if !line.is_empty() && !line.starts_with("```") {
            hold(line, draft, record);
        }
    }
    Ok(())
}

fn hold(line: &str, draft: &mut Draft, record: &mut Record) {
    let value: Result<Value, _> = serde_json::from_str(line);
    let wrong = match value.map(|value| draft.read(&value)) {
        Ok(Ok(read)) => {
            record.closed = matches!(read, Line::Done(_));
            draft.take(read, "");
            Vec::new()
        }
        Ok(Err(errors)) => errors.iter().map(|error| error.code.to_owned()).collect(),
        Err(_) => vec!["json".to_owned()],
    };
    record.lines.push(Written { text: line.to_owned(), wrong });
}
