//! What is said of a goal: `plan` and `do`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};

use super::Following;
use crate::exit::EXIT_CODES;

/// A goal, and what a model may do to reach it.
#[derive(Debug, ClapArgs)]
pub(crate) struct GoalArgs {
    /// What is to be reached, in words
    #[arg(value_name = "GOAL")]
    pub(crate) goal: String,
    /// Tools that may be called, as `files.read_text,git.*`: of a family those
    /// that are granted [default: all that something is granted to]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) tools: Vec<String>,
    /// Grant something to a family of tools; VALUE is a text, or JSON;
    /// repeatable [default: files.read=. and git.read=.]
    #[arg(long, value_name = "FAMILY.KEY=VALUE")]
    pub(crate) grant: Vec<String>,
    /// Ask before anything of the plan is changed in the world
    #[arg(long)]
    pub(crate) approve_plan: bool,
    /// How often the rest of a plan may be planned anew after a failure
    #[arg(long, value_name = "N")]
    pub(crate) max_replans: Option<u32>,
    /// The most steps of a plan, those of its patches counted in
    #[arg(long, value_name = "N")]
    pub(crate) max_steps: Option<u32>,
    /// The most turns of an agent that goes on where a plan was given up
    #[arg(long, value_name = "N")]
    pub(crate) max_turns: Option<u32>,
    /// A JSON Schema that the answer must fit; text without it
    #[arg(long, value_name = "FILE")]
    pub(crate) output_schema: Option<PathBuf>,
}

const PLAN_EXAMPLES: &str = "\
Examples:
  parkway plan 'Which files under docs are longer than 300 lines?'
  parkway plan 'Sum up the last 20 commits' --save commits.yaml
  parkway plan 'Put all TODOs into out/todo.md' --grant files.write=out
  parkway plan 'What changed in src this week?' --tools 'git.*,files.read_text'

A grant may be JSON: --grant 'sql.databases={\"shop\": {\"sqlite\": \"shop.db\"}}'.
The model `main` plans, wherever it is bound; else the only one of `--model`.";

#[derive(Debug, ClapArgs)]
#[command(before_help = PLAN_EXAMPLES, after_help = EXIT_CODES)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) goal: GoalArgs,
    /// Write the plan as a workflow, to a file that must not be there yet
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
    /// Draw the plan, in a file that must not be there yet: SVG, DOT or Mermaid, by its ending
    #[arg(long, value_name = "FILE")]
    pub(crate) picture: Option<PathBuf>,
    /// How to write the plan
    #[arg(long, value_enum, default_value_t = PlanFormat::Text)]
    pub(crate) format: PlanFormat,
    /// Fail where a model does not fit on a GPU
    #[arg(long)]
    pub(crate) require_gpu: bool,
}

/// How `plan` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanFormat {
    Text,
    Json,
}

const DO_EXAMPLES: &str = "\
Examples:
  parkway do 'Which files under docs are longer than 300 lines?'
  parkway do 'Put TODOs into out/todo.md' --grant files.write=out --approve-plan
  parkway do 'How many commits has each author?' --output-schema authors.json
  parkway do 'Sum up the last 20 commits' --remember   and learn from that plan

The model `main` plans, wherever it is bound; else the only one of `--model`.
`--approve goal` says yes in advance to the plan of `--approve-plan`.";

#[derive(Debug, ClapArgs)]
#[command(before_help = DO_EXAMPLES, after_help = EXIT_CODES)]
pub(crate) struct DoArgs {
    #[command(flatten)]
    pub(crate) goal: GoalArgs,
    /// Keep the plan as an example for others, if it reaches the goal
    #[arg(long)]
    pub(crate) remember: bool,
    #[command(flatten)]
    pub(crate) following: Following,
}

const DISTIL_EXAMPLES: &str = "\
Examples:
  parkway distil last
  parkway distil 0c2f --out flows/commits.yaml";

#[derive(Debug, ClapArgs)]
#[command(before_help = DISTIL_EXAMPLES)]
pub(crate) struct DistilArgs {
    /// The run: its id, the beginning or end of it, or `last`
    pub(crate) run: String,
    /// The workflow to write, with a test beside it [default: a name made of the goal]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}
