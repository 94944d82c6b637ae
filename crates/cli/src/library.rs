//! Plans that reached their goals, remembered in the store of the runs: a planner learns from those that were for a goal like its own.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use parkway::Parkway;
use parkway::definition::PlanExample;
use parkway::log::Channel;
use parkway::memory::{Author, Content, Memories, MemoryFilter, MemoryKind};
use serde_json::Value;

use crate::failure::Failure;
use crate::out::say;
use crate::project::Project;
use crate::session::person;

/// The namespace of the plans.
pub(crate) const PLANS: &str = "parkway/plans";
/// Where earlier versions kept them, from the project's folder.
const FILE: &str = ".parkway/plans.jsonl";
/// The most plans that a planner is shown: each takes room of the prompt.
const SHOWN: usize = 2;
/// Only so many of those that fit best are looked through for some of the tools at hand.
const LOOKED_AT: u32 = 100;

/// The plans of a project.
pub(crate) struct Library {
    memories: Memories,
    earlier: PathBuf,
}

impl Library {
    pub(crate) fn of(project: &Project, parkway: &Parkway) -> Self {
        Library { memories: parkway.memories(), earlier: project.root.join(FILE) }
    }

    /// Those for the goals most like this one, of these tools alone. A memory that is no plan is passed over: it may be of a newer version.
    pub(crate) async fn nearest(&self, goal: &str, tools: &HashSet<String>) -> Result<Vec<PlanExample>, Failure> {
        self.move_earlier().await?;
        let mut question = self.memories.question(vec![PLANS.into()], goal);
        (question.kinds, question.limit) = (vec![MemoryKind::Procedural], LOOKED_AT);
        let found = self.memories.recall(question).await?;
        let plans = found.iter().filter_map(|found| plan(&found.memory.content.as_ref()?.text));
        let words = words(goal);
        // What has no word in common teaches nothing, whatever its steps have.
        let near = plans.filter(|plan| plans_with(plan, tools) && !words.is_disjoint(&self::words(&plan.goal)));
        Ok(near.take(SHOWN).collect())
    }

    /// Remembers a plan, unless it is known, or too long for a memory.
    pub(crate) async fn add(&self, plan: &PlanExample) -> Result<(), Failure> {
        self.move_earlier().await?;
        self.remember(std::slice::from_ref(plan)).await
    }

    async fn remember(&self, plans: &[PlanExample]) -> Result<(), Failure> {
        let mut new = Vec::new();
        for plan in plans {
            let mut memory = self.memories.new_memory(Content::new(PLANS, text(plan)));
            memory.kind = MemoryKind::Procedural;
            if let Err(why) = memory.check() {
                let goal: String = plan.goal.chars().take(60).collect();
                say(&format!("warning: the plan for `{goal}` is not kept as an example: {why}"));
                continue;
            }
            let mut same = MemoryFilter::of(PLANS);
            (same.digest, same.holds_from, same.limit) = (Some(memory.content.digest()), Some(memory.from), 1);
            if self.memories.list(&same).await?.is_empty() {
                new.push(memory);
            }
        }
        Ok(self.memories.remember(&Author::new(person(), Channel::Command), new).await?)
    }

    /// Moves what an earlier version has kept in a file.
    async fn move_earlier(&self) -> Result<(), Failure> {
        let failed = |e| Failure::failed(format!("the plans in {} cannot be moved: {e}", self.earlier.display()));
        let text = match fs::read_to_string(&self.earlier) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            text => text.map_err(failed)?,
        };
        let plans: Vec<PlanExample> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        self.remember(&plans).await?;
        fs::remove_file(&self.earlier).map_err(failed)?;
        say(&format!("the plans in {} are memories now: parkway memory list {PLANS}", self.earlier.display()));
        Ok(())
    }
}

/// A plan as it is remembered: its goal, and a line for each step.
fn text(plan: &PlanExample) -> String {
    let lines: Vec<String> = plan.lines.iter().map(ToString::to_string).collect();
    format!("{}\n{}", plan.goal.split_whitespace().collect::<Vec<_>>().join(" "), lines.join("\n"))
}

fn plan(text: &str) -> Option<PlanExample> {
    let (goal, lines) = text.split_once('\n')?;
    let lines: Result<_, _> = lines.lines().map(serde_json::from_str).collect();
    Some(PlanExample { goal: goal.into(), lines: lines.ok()? })
}

/// Whether a plan calls these tools alone.
fn plans_with(plan: &PlanExample, tools: &HashSet<String>) -> bool {
    plan.lines.iter().filter_map(|line| line.get("tool").and_then(Value::as_str)).all(|tool| tools.contains(tool))
}

/// The words that say what a goal is about.
fn words(text: &str) -> HashSet<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
    words.filter(|word| word.chars().count() > 3).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_plan_for_another_goal_or_of_other_tools_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let parkway = Parkway::builder().store("sqlite::memory:").build().await.unwrap();
        let library = Library { memories: parkway.memories(), earlier: folder.path().join("plans.jsonl") };
        let tools = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert!(library.nearest("Count the lines", &tools(&["files.list"])).await.unwrap().is_empty());
        let plan = |goal: &str, tool: &str| PlanExample {
            goal: goal.into(),
            lines: vec![json!({ "id": "s1", "tool": tool, "args": {} }), json!({ "done": true })],
        };
        let count = plan("Count the lines of all files", "files.list");
        // One that an earlier version has kept in a file, beside what is no plan, and one that is too long.
        let line = json!({ "goal": count.goal, "lines": count.lines });
        let long = plan(&"Count ".repeat(20_000), "files.list");
        let other = json!({ "goal": long.goal, "lines": long.lines });
        fs::write(&library.earlier, format!("{other}\n{line}\nno plan\n")).unwrap();
        library.add(&long).await.unwrap();
        for plan in [&count, &plan("Count the lines of a page", "http.get"), &plan("Send a letter", "files.list")] {
            library.add(plan).await.unwrap();
        }
        assert!(!library.earlier.exists());
        assert_eq!(library.memories.list(&MemoryFilter::of(PLANS)).await.unwrap().len(), 3);
        assert_eq!(library.nearest("Count lines in docs", &tools(&["files.list"])).await.unwrap(), [count]);
    }
}
