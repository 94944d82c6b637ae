//! The command line of Parkway: data on stdout, progress and messages on stderr, and the next command named at each end.

mod args;
mod command;
mod exit;
mod failure;
mod help;
mod library;
mod next;
mod out;
pub mod picture;
mod project;
pub mod render;
mod session;
mod signals;
mod signing;
mod spin;
mod step;
mod verbose;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use args::{Args, Command};
use exit::Exit;
use failure::Failure;
use out::Out;

/// Reads the command line, does what it says, and gives the exit code.
pub fn main() -> ExitCode {
    // A model with `isolation: process` is this program, started again.
    #[cfg(feature = "llama")]
    parkway::llama::serve_child();
    let matches = help::grouped(Args::command()).get_matches();
    let args = Args::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    if args.command.computes() {
        spin::shorten();
    }
    if args.global.verbose {
        verbose::start();
    }
    let colors = !args.global.no_color;
    let result = perform(args);
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.tell(colors);
            failure.exit.into()
        }
    }
}

fn perform(args: Args) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(dispatch(args));
    // A model that is still being loaded, or a read from the terminal, must not keep the program.
    runtime.shutdown_background();
    result
}

async fn dispatch(args: Args) -> Result<Exit, Failure> {
    let mut out = Out::new();
    let (global, out_ref) = (args.global, &mut out);
    let exit = match args.command {
        Command::Run(args) => command::run::run(&global, args, out_ref).await,
        Command::Resume(args) => command::resume::resume(&global, args, out_ref).await,
        Command::Retry(args) => command::retry::retry(&global, args, out_ref).await,
        Command::Fork(args) => command::fork::fork(&global, args, out_ref).await,
        Command::Show(args) => command::show::show(&global, args, out_ref).await,
        Command::Logs(args) => command::logs::logs(&global, args, out_ref).await,
        Command::Diff(args) => command::diff::diff(&global, args, out_ref).await,
        Command::Export(args) => command::export::export(&global, args, out_ref).await,
        Command::Completions(args) => command::completions::completions(&args, out_ref),
        Command::Man(args) => command::man::man(&args, out_ref),
        Command::Runs(args) => command::runs::runs(&global, args, out_ref).await,
        Command::Cost(args) => command::cost::cost(&global, args, out_ref).await,
        Command::Approve(args) => command::approve::approve(&global, args).await,
        Command::Input(args) => command::input::input(&global, args).await,
        Command::Resolve(args) => command::resolve::resolve(&global, args).await,
        Command::Signal(args) => command::signal::signal(&global, args).await,
        Command::Cancel(args) => command::cancel::cancel(&global, args, out_ref).await,
        Command::Plan(args) => command::plan::plan(&global, args, out_ref).await,
        Command::Do(args) => command::do_::do_(&global, args, out_ref).await,
        Command::Distil(args) => command::distil::distil(&global, args, out_ref).await,
        Command::Check(args) => command::check::check(&global, args, out_ref).await,
        Command::Explain(args) => command::explain::explain(&args, out_ref),
        Command::New(args) => command::new::new(&args, out_ref),
        Command::Test(args) => command::test::test(&global, args, out_ref).await,
        Command::Graph(args) => command::graph::graph(&global, &args, out_ref).await,
        Command::Schema(args) => command::schema::schema(&args, out_ref),
        Command::Models(args) => command::models::models(&global, args, out_ref),
        Command::Config(args) => command::config::config(&global, args, out_ref),
        Command::Store(args) => command::store::store(&global, args, out_ref).await,
        Command::Audit(args) => command::audit::audit(&global, args, out_ref).await,
        Command::Memory(args) => command::memory::memory(&global, args, out_ref).await,
        Command::Doctor => command::doctor::doctor(&global, out_ref).await,
        Command::Try(args) => command::try_::try_(&global, args, out_ref).await,
    }?;
    out.flush()?;
    Ok(exit)
}
