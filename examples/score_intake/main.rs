//! Scores a run of the order intake against the gold answers, beside a baseline of plain regular expressions.

mod baseline;
mod facts;
mod field;
mod gold;
mod load;
mod row;
mod score;
mod table;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::load::{read_gold, read_letters, read_rows};

/// Scores the results of an order intake against the gold answers and prints a table.
#[derive(Debug, Parser)]
#[command(name = "score-intake", version)]
struct Arguments {
    /// The run's results: a JSON array of {file, order, customer, delivery, proposed}.
    #[arg(long, value_name = "FILE")]
    results: PathBuf,
    /// The gold answers.
    #[arg(long, value_name = "FILE", default_value = "examples/data/gold/order-intake.json")]
    gold: PathBuf,
    /// The folder of the letters, which the baseline reads.
    #[arg(long, value_name = "FOLDER", default_value = "examples/data/letters")]
    letters: PathBuf,
    /// The run that the results come from (an id, or `last`), to tell what it cost.
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Where the run is kept.
    #[arg(long, value_name = "URL", default_value = "sqlite:.parkway/runs.db")]
    store: String,
}

fn main() -> ExitCode {
    let (text, code) = match report(&Arguments::parse()) {
        Ok(report) => (report, ExitCode::SUCCESS),
        Err(error) => {
            // Nothing is left to tell it to when the terminal itself is gone.
            let _gone = writeln!(std::io::stderr(), "error: {error}");
            return ExitCode::from(2);
        }
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

fn report(arguments: &Arguments) -> Result<String, Box<dyn std::error::Error>> {
    let gold = read_gold(&arguments.gold)?;
    let rows = read_rows(&arguments.results, &gold)?;
    let letters = read_letters(&arguments.letters, &gold)?;
    let facts = arguments.run.as_deref().map(|run| facts::of(run, &arguments.store)).transpose()?;
    let plain: Vec<_> = letters.iter().map(|(file, text)| baseline::read(file, text)).collect();
    Ok(table::render(&score::score(&gold, &rows), &score::score(&gold, &plain), facts.as_ref()))
}
