//! The arguments of `parkway memory`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use parkway::id::Time;

const MEMORY_EXAMPLES: &str = "\
Examples:
  parkway memory list                           the namespaces
  parkway memory list customers/anna            what is remembered of her
  parkway memory search shop 'opening hours'    what fits a question best
  parkway memory show 3f9a                      one, with where it comes from
  parkway memory forget 3f9a --note 'asked for' its text is erased
  parkway memory export > memories.jsonl        to take them elsewhere";

#[derive(Debug, ClapArgs)]
#[command(before_help = MEMORY_EXAMPLES, disable_help_subcommand = true)]
pub(crate) struct MemoryArgs {
    #[command(subcommand)]
    pub(crate) command: MemoryCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MemoryCommand {
    /// List namespaces, or the memories of one
    List {
        /// The namespace
        #[arg(value_name = "NAMESPACE")]
        namespace: Option<String>,
        /// Also what does not hold any more
        #[arg(long)]
        all: bool,
        /// Write JSON, one memory or namespace a line
        #[arg(long)]
        json: bool,
    },
    /// Find what fits a question best
    Search {
        /// The namespace
        #[arg(value_name = "NAMESPACE")]
        namespace: String,
        /// The question
        #[arg(value_name = "QUESTION")]
        question: String,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 10)]
        limit: u32,
        /// What held at this time, as 2027-01-31T12:00:00Z
        #[arg(long, value_name = "TIME")]
        at: Option<Time>,
        /// By what was known at this time
        #[arg(long, value_name = "TIME")]
        known_at: Option<Time>,
        /// Write JSON, one memory a line
        #[arg(long)]
        json: bool,
    },
    /// Show a memory, with where it comes from
    Show {
        /// Its id, or the first 4 characters of it or more
        #[arg(value_name = "MEMORY")]
        memory: String,
        /// Write JSON
        #[arg(long)]
        json: bool,
    },
    /// Forget a memory: its text is erased, that it was there stays in the log
    Forget {
        /// Its id, or the first 4 characters of it or more
        #[arg(value_name = "MEMORY")]
        memory: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// Write memories as lines of JSON
    Export {
        /// Only of this namespace
        #[arg(value_name = "NAMESPACE")]
        namespace: Option<String>,
        /// Also what does not hold any more
        #[arg(long)]
        all: bool,
    },
    /// Remember what lines of JSON say
    Import {
        /// The file; `-` is stdin
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Measure how well questions find their answers, and by which weights best
    Eval {
        /// Lines like {"namespaces": ["shop"], "text": "When?", "answers": ["The text of a memory"]}
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Write JSON
        #[arg(long)]
        json: bool,
    },
}
