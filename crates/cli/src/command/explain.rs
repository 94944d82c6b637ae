//! `parkway explain [CODE]`.

use parkway::definition::{did_you_mean, library_page};

use crate::args::ExplainArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::Out;

/// All codes, each under a heading of its own: a title, an explanation, a file that gives it, and one that does not.
const CODES: &str = include_str!("explain/codes.md");

/// The codes of failures, in tables: `| `code`, `code` | what happened |`, each table under the heading of who fails.
const FAILURES: &str = include_str!("explain/failures.md");

/// One code.
struct Entry {
    code: &'static str,
    title: &'static str,
    /// All that stands below the title.
    rest: &'static str,
}

/// Says what a code means, with an example; or lists all.
pub(crate) fn explain(args: &ExplainArgs, out: &mut Out) -> Result<Exit, Failure> {
    let Some(asked) = &args.code else {
        let width = entries().map(|entry| entry.code.len()).max().unwrap_or(0);
        for entry in entries() {
            out.text(&format!("{:width$}  {}", entry.code, entry.title))?;
        }
        for (whose, code, what) in failures() {
            out.text(&format!("{code:width$}  {}: {what}", whose.to_lowercase()))?;
        }
        return Ok(Exit::Done);
    };
    if asked == "filters" {
        library_page().lines().try_for_each(|line| out.text(line))?;
        return Ok(Exit::Done);
    }
    // As it is shown: `error[unknown-step]`.
    let code = asked.trim_start_matches("error").trim_start_matches("warning").trim_matches(['[', ']', ':']);
    let failed: Vec<_> = failures().filter(|(_, known, _)| *known == code).collect();
    for (whose, code, what) in &failed {
        out.text(&format!("{code}, {}: {what}", whose.to_lowercase()))?;
    }
    let Some(entry) = entries().find(|entry| entry.code == code) else {
        if !failed.is_empty() {
            return Ok(Exit::Done);
        }
        let failure = Failure::invalid(format!("no code is called `{asked}`"));
        let known: Vec<_> = entries().map(|entry| entry.code).chain(failures().map(|(_, code, _)| code)).collect();
        let near = did_you_mean(code, known).filter(|help| help.starts_with("did you mean"));
        return Err(failure.help(near.unwrap_or_else(|| "`parkway explain` lists all codes".into())));
    };
    out.text(&format!("{}: {}", entry.code, entry.title))?;
    entry.lines().iter().try_for_each(|line| out.text(line))?;
    Ok(Exit::Done)
}

/// What a code is about, in a few words.
pub(super) fn title(code: &str) -> &'static str {
    entries().find(|entry| entry.code == code).map_or("", |entry| entry.title)
}

fn entries() -> impl Iterator<Item = Entry> {
    CODES.split("\n## ").skip(1).filter_map(|part| {
        let (code, rest) = part.split_once("\n\n")?;
        let (title, rest) = rest.split_once("\n\n")?;
        Some(Entry { code, title, rest })
    })
}

/// Each code of a failure: whose it is, the code, and what happened.
fn failures() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    FAILURES.split("\n## ").skip(1).flat_map(|part| {
        let (whose, table) = part.split_once('\n').unwrap_or((part, ""));
        let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | "));
        rows.flat_map(move |(codes, what)| codes.split("`, `").map(move |code| (whose, code, what)))
    })
}

impl Entry {
    /// The explanation and the examples, without the marks of the page.
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![String::new()];
        let mut inside = false;
        for line in self.rest.trim_end().lines() {
            let fence = line.strip_prefix("```");
            match fence.map(|info| info.trim_start_matches("yaml").trim()) {
                Some(info) => {
                    inside = !inside;
                    match info {
                        "bad" => lines.push("This gives it:".into()),
                        "good" => lines.push("This does not:".into()),
                        "" => {}
                        beside => lines.push(format!("with {}:", beside.trim_start_matches("beside "))),
                    }
                }
                None if inside => lines.push(format!("    {line}")),
                None => lines.push(line.to_owned()),
            }
        }
        lines
    }
}
