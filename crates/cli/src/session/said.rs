//! What becomes of a word that was said to a run.

use parkway::{Parkway, Record};

use crate::failure::Failure;
use crate::next::Next;

/// Says who takes a word up: the process that executes the run, or the next one that does. Asked after the word was given:
/// whoever takes the run over from then on sees it.
pub(crate) async fn taken_up(parkway: &Parkway, record: &Record, word: &str, next: &Next) -> Result<String, Failure> {
    let run = record.state.run();
    if parkway.find_run(&run.to_string()).await?.held {
        return Ok(format!("  the process that executes it takes {word} up now"));
    }
    let lacks = record.plan.changed_tools(parkway.tools());
    if lacks.is_empty() {
        return Ok(format!("  no process executes it; go on with: {}", next.resume(run)));
    }
    Ok(format!(
        "  no process executes it, and this one cannot: {}\n  {word} is taken up when a program with its tools resumes it",
        lacks.join("; ")
    ))
}
