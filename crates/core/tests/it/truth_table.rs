//! What follows from each way in which a step can end, for every place in which it can stand: each cell a workflow that
//! runs on the engine.
//!
//! `cargo test -p parkway-core --test it truth_table -- --nocapture` prints both tables.

mod cell;
mod ending;
mod expected;
mod expected_more;
mod line;

use std::fmt::Write as _;

use self::cell::{Found, cell};
use self::ending::{ENDINGS, Ending, MORE_ENDINGS};
use self::line::{Line, Section, Watch};

#[tokio::test(start_paused = true)]
async fn truth_table_says_what_follows_from_each_way_to_end() {
    insta::assert_snapshot!("truth_table", compared(ENDINGS, expected::sections()).await);
}

#[tokio::test(start_paused = true)]
async fn truth_table_holds_for_other_ways_to_the_same_ends() {
    insta::assert_snapshot!("truth_table_more", compared(MORE_ENDINGS, expected_more::sections()).await);
}

/// Runs every cell, and gives the table; all cells that differ are said at once.
#[expect(clippy::print_stdout, reason = "one command prints the table")]
async fn compared(endings: &'static [Ending], sections: Vec<Section>) -> String {
    let titles: Vec<_> = endings.iter().map(|ending| ending.title).collect();
    let mut printed = format!("| | {} |\n{}|\n", titles.join(" | "), "|---".repeat(endings.len() + 1));
    let (mut cells, mut differing, mut wrong) = (0, 0, String::new());
    for section in sections {
        writeln!(printed, "| **{}** {}|", section.title, "| ".repeat(endings.len())).unwrap();
        for line in section.lines {
            write!(printed, "| {} |", line.title).unwrap();
            let found = run_all(endings, &line).await;
            for ((ending, expected), found) in endings.iter().zip(in_words(endings, &line)).zip(found) {
                write!(printed, " {} |", found.printed).unwrap();
                cells += 1;
                if expected != found.printed {
                    differing += 1;
                    let why = found.why.replace('\n', "\n    ");
                    let (place, ending, found) =
                        (format!("{} / {}", section.title, line.title), ending.title, found.printed);
                    writeln!(wrong, "\n{place} / {ending}:\n  expected {expected}\n  found    {found}\n    {why}")
                        .unwrap();
                }
            }
            printed.push('\n');
        }
    }
    println!("{printed}");
    assert!(wrong.is_empty(), "{differing} of {cells} cells differ:\n{wrong}");
    printed
}

/// A line's workflow with each way to end, all at once.
async fn run_all(endings: &'static [Ending], line: &Line) -> Vec<Found> {
    let cell = |ending| tokio::spawn(cell(line.yaml.clone(), line.watch.clone(), ending));
    let running: Vec<_> = endings.iter().map(cell).collect();
    let mut found = Vec::new();
    for cell in running {
        found.push(cell.await.unwrap());
    }
    found
}

/// What the table should say, for each way to end.
fn in_words(endings: &[Ending], line: &Line) -> Vec<String> {
    let words = |text: &'static str| text.split_whitespace().collect::<Vec<_>>();
    let (cells, runs) = (words(line.cells), words(line.run));
    assert_eq!((cells.len(), runs.len()), (endings.len(), endings.len()), "{}", line.title);
    let cell = |(ending, (cell, run)): (&Ending, (&str, &str))| match (&line.watch, run) {
        (_, refused) if refused.starts_with("no") => {
            let codes = refused.strip_prefix("no:").unwrap_or("approve-continue");
            format!("refused `{}`", codes.replace(',', "`, `"))
        }
        (Watch::Run, _) => word(run, ending),
        _ => format!("{}; run {}", word(cell, ending), word(run, ending)),
    };
    endings.iter().zip(cells.into_iter().zip(runs)).map(cell).collect()
}

/// One word of the data, as the table says it.
fn word(word: &str, ending: &Ending) -> String {
    match word {
        "done" => "completed".into(),
        "bad" => format!("failed `{}`", ending.code),
        "stop" => "cancelled".into(),
        "wait" => "waits".into(),
        "never" => "never starts".into(),
        _ => match word.split_once(':') {
            Some(("bad", code)) => format!("failed `{code}`"),
            Some(("skip", why)) => format!("skipped ({why})"),
            _ => word.into(),
        },
    }
}
