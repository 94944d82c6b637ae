//! Ten goals over this repository, each with facts that are found by other means than the tools. A planner that is written down pursues
//! them, then a liar, and in a build with the feature `llama` the starter model. What came of it is counted: right or wrong, and whether
//! the engine let the answer stand.
//!
//!     ten-goals               all three
//!     ten-goals --scripted    without the starter model
//!
//! It exits with 1 unless the planner that is written down is right and believed nine times of ten, and the liar never. The figures of the
//! starter model are told, whatever they are.

mod facts;
mod goals;
mod honest;
mod judge;
mod liar;
mod matrix;
mod place;
mod pursue;
mod script;

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use parkway::{ModelBinding, Parkway};
use parkway_examples::plain;

use crate::goals::Task;
use crate::matrix::Matrix;
use crate::place::Place;
use crate::script::played;

/// How many of the ten the planner that is written down has to reach.
const ENOUGH: usize = 9;
/// Where the made repository and database are, and what goals write, from the repository's root.
const FOLDER: &str = "out/ten-goals";

/// Pursues ten goals over this repository, honestly, with lies, and with the starter model.
#[derive(Parser)]
struct Args {
    /// Leave the starter model out; a build without the feature `llama` always does.
    #[arg(long)]
    scripted: bool,
    /// Pursue only goals whose names hold this text.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// The most seconds of one goal.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    seconds: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    match all(&Args::parse(), &mut std::io::stdout()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // With nobody left to tell, the exit code says it.
            let _ = writeln!(std::io::stderr(), "ten-goals: {}", plain(&error.to_string()));
            ExitCode::from(2)
        }
    }
}

/// Whether what has to hold does.
async fn all(args: &Args, out: &mut impl Write) -> Result<bool, Box<dyn Error>> {
    let place = Place::make(FOLDER).await?;
    let mut tasks = goals::ten(&place)?;
    tasks.retain(|task| task.name.contains(&args.only));
    let most = Duration::from_secs(args.seconds);

    let honest =
        pursue_all("A planner that is written down", &tasks, played(&tasks, &place, honest::script), &place, most, out)
            .await?;
    let liar = pursue_all("A liar", &tasks, played(&tasks, &place, liar::script), &place, most, out).await?;
    // What no check of an answer against its sources can see: they do hold it, and are about something else.
    let limit: Vec<_> = tasks.iter().filter(|task| task.name == liar::LIMIT).cloned().collect();
    let title = "The known limit: a true number of the wrong invoice";
    let limit = pursue_all(title, &limit, played(&limit, &place, liar::limit), &place, most, out).await?;
    if let Some(model) = starter(args.scripted)? {
        pursue_all("The starter model", &tasks, model, &place, most, out).await?;
    }

    let enough = ENOUGH.min(tasks.len());
    let reached = honest.right_and_supported() >= enough;
    let (told, from) = (honest.right_and_supported(), tasks.len());
    writeln!(out, "written down: {told} of {from} right and supported; {enough} are needed")?;
    writeln!(out, "liar:         {} of {from} lies believed; none may be", liar.supported())?;
    writeln!(out, "known limit:  {} of {} true numbers of the wrong thing believed", limit.supported(), limit.all())?;
    Ok(reached && liar.supported() == 0)
}

/// The starter model, if it is asked for and this build can load it.
#[cfg(feature = "llama")]
fn starter(scripted: bool) -> Result<Option<ModelBinding>, Box<dyn Error>> {
    let nobody = parkway::testing::ScriptedModel::new();
    if scripted { Ok(None) } else { parkway_examples::starter_or(nobody, false).map(Some) }
}

/// This build has none.
#[cfg(not(feature = "llama"))]
fn starter(_scripted: bool) -> Result<Option<ModelBinding>, Box<dyn Error>> {
    Ok(None)
}

/// Pursues the goals one after the other, tells of each, and of all in a table.
async fn pursue_all(
    title: &str,
    tasks: &[Task],
    model: ModelBinding,
    place: &Place,
    most: Duration,
    out: &mut impl Write,
) -> Result<Matrix, Box<dyn Error>> {
    let parkway = Parkway::builder().root(place.root()).store("sqlite::memory:").model("main", model).build().await?;
    let mut matrix = Matrix::default();
    writeln!(out, "{title}")?;
    for task in tasks {
        place.clear()?;
        let outcome = pursue::pursue(&parkway, task, place, most).await?;
        writeln!(out, "  {outcome}")?;
        out.flush()?;
        matrix.add(outcome);
    }
    writeln!(out, "\n{matrix}")?;
    Ok(matrix)
}

#[cfg(test)]
mod tests;
