//! The ten goals, each with what a right answer says.

use std::error::Error;

use parkway::Goal;

use crate::facts::{self, FAX, INVOICE, LETTERS, LOG, WEEK};
use crate::place::Place;

const LOOK: &[&str] = &["files.list", "files.read_text", "text.find", "text.match"];
const TABLES: &[&str] = &["files.list", "files.read_csv", "json.query"];
const HISTORY: &[&str] = &["git.log", "git.show", "git.diff"];
const DATABASE: &[&str] = &["sql.query"];
const COPY: &[&str] = &["files.list", "files.read_text", "files.write_text"];

/// A goal, and what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) name: &'static str,
    pub(crate) goal: String,
    tools: &'static [&'static str],
    /// What stands in a right answer.
    pub(crate) facts: Vec<String>,
    /// What does not: others of the same kind.
    pub(crate) others: Vec<String>,
    /// A file that is there in the end, and its text.
    pub(crate) file: Option<(String, String)>,
}

impl Task {
    fn new(name: &'static str, goal: impl Into<String>, tools: &'static [&'static str], fact: impl ToString) -> Task {
        Task { name, goal: goal.into(), tools, facts: vec![fact.to_string()], others: Vec::new(), file: None }
    }

    /// The same for the engine: with the tools that it may call, and what these may reach.
    pub(crate) fn pursued(&self, place: &Place) -> Goal {
        let mut goal = Goal::new(&self.goal).tools(self.tools.iter().copied()).max_replans(1).max_steps(8);
        let mut families: Vec<&str> = self.tools.iter().filter_map(|tool| tool.split('.').next()).collect();
        families.dedup();
        for family in families.into_iter().filter(|family| ["files", "git", "sql"].contains(family)) {
            goal = goal.grant(family, place.grants(family));
        }
        goal
    }
}

/// All ten. What they expect is found anew each time.
pub(crate) fn ten(place: &Place) -> Result<Vec<Task>, Box<dyn Error>> {
    let letters = facts::letters(place)?;
    let count = Task::new("count", format!("How many letters are there in the folder {LETTERS}?"), LOOK, letters.len());

    let number = facts::word_after(&facts::text(place, FAX)?, "RE:      Order no. ")?;
    let order = Task::new("order", format!("What is the order number in {FAX}?"), LOOK, number);

    let (speak, silent): (Vec<_>, Vec<_>) = letters.into_iter().partition(|(_, text)| text.contains("birthday"));
    let names = |letters: Vec<(String, String)>| letters.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    let mut birthday =
        Task::new("birthday", format!("Which letter in the folder {LETTERS} speaks of a birthday?"), LOOK, "");
    (birthday.facts, birthday.others) = (names(speak), names(silent));

    let bill = facts::text(place, INVOICE)?;
    let total = facts::word_after(&bill, "Total")?;
    let mut invoice =
        Task::new("invoice", format!("What is the total of the invoice {INVOICE}, with VAT?"), LOOK, total);
    invoice.others = vec![facts::word_after(&bill, "Net")?];

    let goal = format!("How many of the orders in {WEEK} were cancelled?");
    let lost = facts::week(place, WEEK)?.iter().filter(|order| order.status == "cancelled").count();
    let cancelled = Task::new("cancelled", goal, TABLES, lost);

    let goal = format!("How many entries of the level ERROR are in {LOG}?");
    let errors = facts::text(place, LOG)?.lines().filter(|line| line.contains(r#""level":"ERROR""#)).count();
    let errors = Task::new("errors", goal, LOOK, errors);

    let parcels = place.name("parcels");
    let goal = format!("Who wrote the commit express~1 of the repository {parcels}, and what is its subject?");
    let mut author =
        Task::new("author", goal, HISTORY, facts::git(place, &["log", "-1", "--format=%an", "express~1"])?);
    author.facts.push(facts::git(place, &["log", "-1", "--format=%s", "express~1"])?);
    author.others = vec!["ines".into()];

    let goal = format!("How many lines did the commit express~2 of the repository {parcels} add?");
    let stat = facts::git(place, &["show", "--numstat", "--format=", "express~2"])?;
    let added = stat.lines().filter_map(|line| line.split_whitespace().next()?.parse::<u32>().ok()).sum::<u32>();
    let added = Task::new("added", goal, HISTORY, added);

    let goal = "Of which product were most pieces shipped, and how many? The database `sales` has a table `orders` with the columns \
                number, product, pieces and status.";
    let (first, pieces) = facts::shipped(&facts::orders(place)?).into_iter().next().ok_or("nothing was shipped")?;
    let mut product = Task::new("product", goal, DATABASE, first);
    product.facts.push(pieces.to_string());

    let to = place.name("written/fax.txt");
    let mut copy = Task::new("copy", format!("Copy the text of {FAX} into the file {to}."), COPY, &to);
    copy.file = Some((to, facts::text(place, FAX)?));

    Ok(vec![count, order, birthday, invoice, cancelled, errors, author, added, product, copy])
}
