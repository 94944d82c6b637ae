//! What an answer to a goal rests on.

use parkway::Parkway;
use parkway::distil::{self, Evidence};
use parkway::id::RunId;

use crate::failure::Failure;
use crate::next::Next;
use crate::out::say;
use crate::render::{clean, counted};

/// Says which steps the answer rests on, and how to look at them.
pub(crate) async fn evidence(parkway: &Parkway, run: RunId, next: &Next) -> Result<(), Failure> {
    let evidence = distil::evidence(parkway, run).await?;
    let width = evidence.iter().map(|found| found.step.to_string().len()).max().unwrap_or(0);
    let line = |found: &Evidence| {
        let calls = if found.calls > 1 { format!(", {}", counted(found.calls as u64, "call")) } else { String::new() };
        format!("  evidence:    {:width$}  {}{calls}", found.step.to_string(), clean(&found.tool))
    };
    evidence.iter().for_each(|found| say(&line(found)));
    say(&format!("  look at it:  {}", next.show(run)));
    if let Some(first) = evidence.first() {
        say(&format!("  one step:    {}", next.show_step(run, &first.step)));
    }
    Ok(())
}
