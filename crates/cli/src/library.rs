//! Plans that reached their goals, kept beside the project's runs: a planner learns from those that were for a goal like its own.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use parkway::definition::PlanExample;
use parkway::planning::search;
use parkway::{Effect, Labels, ToolSpec};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::project::Project;

/// Where the plans are, from the project's folder.
const FILE: &str = ".parkway/plans.jsonl";
/// The most plans that a planner is shown: each takes room of the prompt.
const SHOWN: usize = 2;
/// Only so many of the newest are looked through.
const LOOKED_AT: usize = 500;

/// The plans of a project.
#[derive(Debug)]
pub(crate) struct Library {
    file: PathBuf,
}

impl Library {
    pub(crate) fn of(project: &Project) -> Self {
        Library { file: project.root.join(FILE) }
    }

    /// Those for the goals most like this one, of these tools alone. A line that is no plan is passed over: it may be of a newer
    /// version.
    pub(crate) fn nearest(&self, goal: &str, tools: &HashSet<String>) -> Result<Vec<PlanExample>, Failure> {
        let plans: Vec<_> =
            self.read()?.into_iter().rev().take(LOOKED_AT).filter(|plan| plans_with(plan, tools)).collect();
        let words = words(goal);
        let specs: Vec<_> = (0_u32..).zip(&plans).map(|(number, plan)| spec(number, &plan.goal)).collect();
        let found = search(&specs.iter().collect::<Vec<_>>(), goal, SHOWN);
        let near = found.into_iter().filter_map(|spec| plans.get(spec.name.parse::<usize>().ok()?));
        // What has no word in common teaches nothing.
        Ok(near.filter(|plan| !words.is_disjoint(&self::words(&plan.goal))).cloned().collect())
    }

    /// Adds a plan, unless it is there.
    pub(crate) fn add(&self, plan: &PlanExample) -> Result<(), Failure> {
        if self.read()?.contains(plan) {
            return Ok(());
        }
        let line = json!({ "goal": plan.goal, "lines": plan.lines }).to_string() + "\n";
        let written = self.file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
            let mut file = File::options().append(true).create(true).open(&self.file)?;
            file.write_all(line.as_bytes())
        });
        written.map_err(|e| Failure::failed(format!("the plan cannot be kept in {}: {e}", self.file.display())))
    }

    fn read(&self) -> Result<Vec<PlanExample>, Failure> {
        match fs::read_to_string(&self.file) {
            Ok(text) => Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(Failure::failed(format!("the plans in {} cannot be read: {error}", self.file.display()))),
        }
    }
}

/// Whether a plan calls these tools alone.
fn plans_with(plan: &PlanExample, tools: &HashSet<String>) -> bool {
    plan.lines.iter().filter_map(|line| line.get("tool").and_then(Value::as_str)).all(|tool| tools.contains(tool))
}

/// A goal as what the search for tools reads.
fn spec(number: u32, goal: &str) -> ToolSpec {
    ToolSpec {
        name: number.to_string(),
        description: goal.into(),
        input_schema: json!({}),
        output_schema: json!({}),
        effect: Effect::Pure,
        labels: Labels::NONE,
    }
}

/// The words that say what a goal is about.
fn words(text: &str) -> HashSet<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
    words.filter(|word| word.chars().count() > 3).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_for_another_goal_or_of_other_tools_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let library = Library { file: folder.path().join(FILE) };
        let tools = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert!(library.nearest("Count the lines", &tools(&["files.list"])).unwrap().is_empty());
        let plan = |goal: &str, tool: &str| PlanExample {
            goal: goal.into(),
            lines: vec![json!({ "id": "s1", "tool": tool, "args": {} }), json!({ "done": true })],
        };
        let count = plan("Count the lines of all files", "files.list");
        for plan in
            [&count, &count, &plan("Count the lines of a page", "http.get"), &plan("Send a letter", "files.list")]
        {
            library.add(plan).unwrap();
        }
        assert_eq!(library.read().unwrap().len(), 3);
        assert_eq!(library.nearest("Count lines in docs", &tools(&["files.list"])).unwrap(), [count]);
    }
}
