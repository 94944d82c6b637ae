//! A short table of times on this machine: a whole process, durable steps, tokens; beside the load and the cost of a sync.
//! Every figure is measured when it is printed. `make times` runs it in a release build with the model.

mod held;
mod machine;
mod shape;
mod steps;
#[cfg(feature = "llama")]
mod tokens;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use clap::Parser;

/// Measures a few times and prints them.
#[derive(Debug, Parser)]
struct Args {
    /// The `parkway` binary to time as a whole process; default: the one beside this program.
    #[arg(long)]
    parkway: Option<PathBuf>,
    /// The folder for the databases; it says which disk is measured.
    #[arg(long, default_value = "out/times")]
    folder: PathBuf,
    /// Measures only work of this shape, and prints what it took as a line of JSON.
    #[arg(long, value_enum)]
    shape: Option<shape::Shape>,
    /// Measures only what it costs to hold so many runs that wait, and prints that as a line of JSON.
    #[arg(long, value_name = "RUNS", conflicts_with = "shape")]
    held: Option<usize>,
    /// How many runs at once; beside `--shape`.
    #[arg(long, default_value_t = 1, requires = "shape")]
    runs: usize,
    /// How many steps a run; beside `--shape`.
    #[arg(long, default_value_t = 300, requires = "shape")]
    steps: usize,
}

/// A workflow of tools only, for the whole process.
const TOOLS_ONLY: &str = r#"
parkway: 1
name: tools_only
steps:
  words: { set: { list: [order, customer, delivery] } }
  found:
    for_each: ${{ steps.words.output.list }}
    tool: text.find
    with: { text: "the order of a customer", values: ["${{ item }}"] }
outputs: { found: "${{ steps.found.output | selectattr('all') | list | length }}" }
"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    std::fs::create_dir_all(&args.folder)?;
    let mut out = std::io::stdout();
    if let Some(shape) = args.shape {
        let took = shape::measure(&args.folder, shape, args.runs, args.steps).await?;
        return Ok(writeln!(out, "{took}")?);
    }
    if let Some(runs) = args.held {
        let took = held::measure(&args.folder, runs).await?;
        return Ok(writeln!(out, "{took}")?);
    }
    let sync = machine::sync_cost(&args.folder)?;
    writeln!(out, "machine   {}", machine::describe())?;
    writeln!(out, "load      {}", machine::load())?;
    writeln!(
        out,
        "fdatasync {:.2} ms median, {:.2} ms at 99 % (in {})\n",
        sync.median,
        sync.p99,
        args.folder.display()
    )?;

    let parkway = args.parkway.clone().map_or_else(beside, Ok)?;
    match process(&parkway, &args.folder) {
        Ok(median) => writeln!(out, "tool-only workflow, process start to exit   {median:7.1} ms (median of 20)")?,
        Err(error) => writeln!(out, "tool-only workflow, process start to exit   not measured: {error}")?,
    }
    for (what, figure) in steps::measure(&args.folder).await? {
        writeln!(out, "{what:<44}{figure:7.0} steps/s")?;
    }
    #[cfg(feature = "llama")]
    for (what, figure) in tokens::measure().await? {
        writeln!(out, "{what:<44}{figure:7.0} tokens/s")?;
    }
    writeln!(out, "\nload      {}", machine::load())?;
    Ok(())
}

fn beside() -> Result<PathBuf, std::io::Error> {
    Ok(std::env::current_exe()?.with_file_name("parkway"))
}

/// The median time of a whole process, in milliseconds.
fn process(parkway: &Path, folder: &Path) -> Result<f64, String> {
    let file = folder.join("tools-only.yaml");
    std::fs::write(&file, TOOLS_ONLY).map_err(|e| e.to_string())?;
    let store = format!("sqlite:{}", folder.join("process.db").display());
    let mut times = Vec::new();
    for _ in 0..20 {
        let started = Instant::now();
        let status = Command::new(parkway)
            .args(["--store", &store, "run"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(|e| format!("{}: {e}", parkway.display()))?;
        if !status.success() {
            return Err(format!("{} ended with {status}", parkway.display()));
        }
        times.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(machine::median(&mut times))
}
