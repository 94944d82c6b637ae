//! The arguments of `parkway audit`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

const AUDIT_EXAMPLES: &str = "\
Examples:
  parkway audit head --append heads.txt      sign the log; keep heads elsewhere
  parkway audit head --commit ../heads       the same, in a repository of git
  parkway audit verify --head heads.txt      is it the log that it was?
  parkway audit replay 0197                  do its models still answer so?
  parkway audit export audit.jsonl           all of it, for an auditor
  parkway audit prove 0197 12                event 12 of a run, with its proof
  parkway audit erase --run 0197 --note WHY  its texts; the proofs stay
  parkway audit hold 0197 --note WHY         nothing of it may be erased
  parkway audit rotate --note WHY            another key signs from now on";

#[derive(Debug, ClapArgs)]
#[command(before_help = AUDIT_EXAMPLES, disable_help_subcommand = true)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    pub(crate) command: AuditCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Sign the log as it is now, and write the head to stdout
    Head {
        #[command(flatten)]
        key: KeyArgs,
        #[command(flatten)]
        places: PlaceArgs,
    },
    /// Check the store, the tree over all of its events, and the heads
    Verify {
        /// A file of heads that were kept elsewhere: the log must have been each of them; repeatable
        #[arg(long, value_name = "FILE")]
        head: Vec<PathBuf>,
        /// A key whose signatures count, NAME+ID+KEY, beside the one that signs here; repeatable
        #[arg(long = "key", value_name = "KEY")]
        keys: Vec<String>,
        /// Write JSON
        #[arg(long)]
        json: bool,
    },
    /// Decode the recorded calls of models again, and hold the answers against the recorded ones
    Replay {
        /// The run; the runs that its steps had for themselves belong to it
        #[arg(value_name = "RUN")]
        run: String,
        /// Also by another model file, template or adapter than the recorded one
        #[arg(long)]
        anyway: bool,
        /// Write JSON
        #[arg(long)]
        json: bool,
    },
    /// Write an event with the proof that it stands in the log, as lines that parkway-verify reads
    Prove {
        /// The run
        #[arg(value_name = "RUN")]
        run: String,
        /// The event's number in the run, as `parkway logs` shows it
        #[arg(value_name = "EVENT")]
        event: u64,
        #[command(flatten)]
        key: KeyArgs,
    },
    /// Erase texts of runs that have ended; events and proofs stay as they are
    Erase {
        #[command(flatten)]
        what: EraseArgs,
        /// Only texts of these classes: plan, inputs, arguments, outputs, prompts, answers, errors, names, notes
        /// [default: all but plan; with --text all]
        #[arg(long, value_name = "LIST", value_delimiter = ',')]
        only: Vec<String>,
        /// Why; it stays
        #[arg(long, value_name = "TEXT")]
        note: String,
        /// Say what would be erased, and erase nothing
        #[arg(long)]
        dry_run: bool,
        /// Write JSON
        #[arg(long)]
        json: bool,
    },
    /// Have nothing of a run be erased, or nothing at all
    Hold {
        /// The run; everything where it is left out
        #[arg(value_name = "RUN")]
        run: Option<String>,
        /// Why
        #[arg(long, value_name = "TEXT")]
        note: String,
    },
    /// End a hold
    Lift {
        /// The run; the hold of everything where it is left out
        #[arg(value_name = "RUN")]
        run: Option<String>,
        /// Why
        #[arg(long, value_name = "TEXT")]
        note: String,
    },
    /// Have a new key sign the log from now on; the log says so, signed by both
    Rotate {
        #[command(flatten)]
        key: KeyArgs,
        /// Why
        #[arg(long, value_name = "TEXT")]
        note: String,
    },
    /// Write the log for an auditor, as lines that parkway-verify reads
    Export {
        /// The new file; `-` is stdout
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Only the events of this run, each with its proof
        #[arg(long, value_name = "RUN")]
        run: Option<String>,
        /// Write a run as an agent audit trail in place of that: records of draft-sharif-agent-audit-trail-06, unsigned
        #[arg(long, value_name = "NAME", requires = "run", value_parser = [parkway::audit::TRAIL])]
        form: Option<String>,
        #[command(flatten)]
        key: KeyArgs,
    },
}

/// Where a head is kept beside the places that the settings name.
#[derive(Debug, ClapArgs)]
pub(crate) struct PlaceArgs {
    /// Write it behind the heads in this file, or in FOLDER/ to LOG.heads; repeatable
    #[arg(long, value_name = "FILE")]
    pub(crate) append: Vec<PathBuf>,
    /// Write it to LOG.heads in this working tree of git, commit that, and push it if the branch has an upstream; repeatable
    #[arg(long, value_name = "FOLDER")]
    pub(crate) commit: Vec<PathBuf>,
    /// Send it there, as a text; repeatable
    #[arg(long, value_name = "URL")]
    pub(crate) post: Vec<String>,
}

/// What is erased.
#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = true)]
pub(crate) struct EraseArgs {
    /// Texts of this run, and of the runs that its steps had for themselves
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// Texts of runs that ended more than so many days ago
    #[arg(long, value_name = "DAYS")]
    pub(crate) older_than: Option<u32>,
    /// Every text of any run that has this in it; memories that do are forgotten
    #[arg(long, value_name = "TEXT")]
    pub(crate) text: Option<String>,
}

/// The key that signs.
#[derive(Debug, ClapArgs)]
pub(crate) struct KeyArgs {
    /// The file of the key that signs; made where there is none [default: ~/.config/parkway/keys/LOG.key]
    #[arg(long = "sign-with", value_name = "FILE")]
    pub(crate) sign_with: Option<PathBuf>,
}
