//! One goal, pursued to its end, and what came of it.

use std::error::Error as StdError;
use std::fmt;
use std::time::{Duration, Instant};

use parkway::definition::Verb;
use parkway::log::{Step, StepStatus};
use parkway::{Answer, Error, Parkway, Record, Run};
use parkway_examples::plain;

use crate::goals::Task;
use crate::judge;
use crate::place::Place;

/// The most characters of an answer that are shown.
const SHOWN: usize = 300;

/// What came of a goal.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// The goal.
    pub(crate) name: &'static str,
    /// What the model answered, whether or not it was believed.
    pub(crate) answer: Option<String>,
    /// Whether that is right.
    pub(crate) right: bool,
    /// The code with which the goal failed; none, if its answer is supported.
    pub(crate) code: Option<String>,
    /// Why it failed.
    why: String,
    pub(crate) tokens: u32,
    pub(crate) took: Duration,
}

/// Pursues a goal for so long at most.
pub(crate) async fn pursue(
    parkway: &Parkway,
    task: &Task,
    place: &Place,
    most: Duration,
) -> Result<Outcome, Box<dyn StdError>> {
    let began = Instant::now();
    let run = parkway.pursue(task.pursued(place)).await?;
    let late = tokio::time::timeout(most, run.wait()).await.is_err();
    if late {
        run.cancel().await?;
    }
    let (answer, code, why) = match run.output::<Answer>().await {
        Ok(Answer { answer }) => (Some(answer), None, String::new()),
        Err(Error::Cancelled(_)) if late => {
            (None, Some("cancelled".to_owned()), format!("it took longer than {} s", most.as_secs()))
        }
        Err(Error::Failed { code, message, .. }) => (refused(parkway, &run).await?, Some(code), message),
        Err(error) => return Err(error.into()),
    };
    let took = began.elapsed();
    let record = parkway.record(run.id()).await?;
    let changed = record.state.steps().iter().any(|step| changes(&record, step));
    let right = answer.as_ref().is_some_and(|answer| judge::right(task, place, answer, changed));
    let (_, usage) = record.state.usage();
    let tokens = usage.prompt_tokens + usage.output_tokens;
    Ok(Outcome { name: task.name, answer, right, code, why, tokens, took })
}

/// The answer that a model wrote and the engine did not believe.
async fn refused(parkway: &Parkway, run: &Run) -> Result<Option<String>, Error> {
    let record = parkway.record(run.id()).await?;
    for step in record.state.steps().iter().rev() {
        let Some(output) = step.output.filter(|_| matches!(verb(&record, step), Verb::Turn(_))) else { continue };
        let said = parkway.text(output).await?;
        if let Some(answer) = said["answer"].as_str() {
            return Ok(Some(answer.to_owned()));
        }
    }
    Ok(None)
}

/// Whether a step changed something.
fn changes(record: &Record, step: &Step) -> bool {
    step.status == StepStatus::Completed
        && matches!(verb(record, step), Verb::Tool { name, .. } if name == "files.write_text")
}

fn verb<'r>(record: &'r Record, step: &Step) -> &'r Verb {
    &record.state.plan().graph.node(step.node).verb
}

impl Outcome {
    /// How it ended, in a word.
    fn end(&self) -> &str {
        self.code.as_deref().unwrap_or("supported")
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let right = match (&self.answer, self.right) {
            (None, _) => "-    ",
            (Some(_), true) => "right",
            (Some(_), false) => "wrong",
        };
        let took = self.took.as_secs_f32();
        write!(f, "{:10} {right}  {:12} {:6} tokens {took:6.1} s", self.name, plain(self.end()), self.tokens)?;
        match &self.answer {
            Some(answer) => write!(f, "\n             it says: {}", short(answer))?,
            None => write!(f, "\n             no answer")?,
        }
        if self.why.is_empty() { Ok(()) } else { write!(f, "\n             it ended: {}", short(&self.why)) }
    }
}

/// The beginning of a text, in one line and with nothing in it that steers a terminal.
pub(crate) fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let dots = if line.chars().count() > SHOWN { " …" } else { "" };
    plain(&line.chars().take(SHOWN).collect::<String>()) + dots
}
