//! The scorer's report: plain text, aligned, at most 80 columns wide.

use std::fmt::Write;

use crate::field::Field;
use crate::score::{Score, Tally, Wrong};

/// What the run cost and where it ran; the log of the run has it.
#[derive(Debug, Clone)]
pub(crate) struct RunFacts {
    pub(crate) run: String,
    /// Calls of the model.
    pub(crate) calls: u32,
    pub(crate) tokens_in: u64,
    pub(crate) tokens_out: u64,
    /// Of these, tokens that the form of the answer left no choice about.
    pub(crate) tokens_forced: u64,
    pub(crate) wall_seconds: f64,
    pub(crate) model: String,
    pub(crate) device: String,
    /// Commands to look at the run with.
    pub(crate) next: Vec<String>,
}

/// The whole report: the run's score, the baseline's, and what the run cost.
pub(crate) fn render(run: &Score, baseline: &Score, facts: Option<&RunFacts>) -> String {
    let mut out = String::new();
    section(&mut out, &format!("The workflow, on {} letters", run.letters), run);
    section(&mut out, &format!("Regular expressions alone, on the same {} letters", baseline.letters), baseline);
    line(&mut out, "\"Left to a person\" counts every value that was not accepted. Of these, \"caught\"");
    line(&mut out, "were proposed wrongly, and \"no value\" have none in the letter, so that leaving");
    line(&mut out, "them is right.");
    if let Some(facts) = facts {
        render_facts(&mut out, facts);
    }
    out
}

fn section(out: &mut String, title: &str, score: &Score) {
    line(out, title);
    line(out, "");
    line(out, "                               wrong and      left to      of these    of these");
    line(out, "  field               right     accepted     a person        caught    no value");
    for field in Field::ALL {
        tally(out, field.name(), score.fields.get(field));
    }
    tally(out, "total", &score.total());
    if score.trapped_letters > 0 {
        tally(out, &format!("{} with a trap", score.trapped_letters), &score.trapped);
    }
    line(out, "");
    if score.wrong.is_empty() {
        line(out, "  Wrong and accepted: none");
    } else {
        line(out, "  Wrong and accepted:");
        for wrong in &score.wrong {
            named(out, wrong);
        }
    }
    line(out, "");
}

fn tally(out: &mut String, name: &str, tally: &Tally) {
    let right = format!("{} of {}", tally.right, tally.present);
    let Tally { wrong, left, caught, absent, .. } = tally;
    line(out, &format!("  {name:<15}{right:>10}{wrong:>13}{left:>13}{caught:>14}{absent:>12}"));
}

/// One line if it fits; else the values below the place, one below the other where they must.
fn named(out: &mut String, wrong: &Wrong) {
    let accepted = quoted(&wrong.accepted);
    let gold = format!("gold: {}", wrong.gold.as_deref().map_or("no value".to_owned(), quoted));
    let place = format!("    {:<26} {:<9}", wrong.file, wrong.field.name());
    let one = format!("{place} {accepted}, {gold}");
    if fits(&one) {
        return line(out, &one);
    }
    line(out, place.trim_end());
    let values = format!("      {accepted}, {gold}");
    if fits(&values) {
        return line(out, &values);
    }
    line(out, &format!("      {accepted},"));
    line(out, &format!("      {gold}"));
}

fn fits(text: &str) -> bool {
    text.chars().count() <= WIDTH
}

const WIDTH: usize = 80;

/// The value in quotation marks, on one line, cut to what a line holds.
fn quoted(value: &str) -> String {
    const LONGEST: usize = 60;
    let value = crate::field::folded(value);
    let mut short: String = value.chars().take(LONGEST).collect();
    if short.len() < value.len() {
        short.push('…');
    }
    format!("\"{short}\"")
}

fn render_facts(out: &mut String, facts: &RunFacts) {
    line(out, "");
    line(out, &format!("  run       {}", facts.run));
    line(out, &format!("  model     {}, {} calls", facts.model, facts.calls));
    let (read, wrote, forced) = (facts.tokens_in, facts.tokens_out, facts.tokens_forced);
    line(out, &format!("  tokens    {read} read, {wrote} written ({forced} of them forced by the form)"));
    line(out, &format!("  time      {:.1} s", facts.wall_seconds));
    line(out, &format!("  device    {}", facts.device));
    for (index, command) in facts.next.iter().enumerate() {
        line(out, &format!("  {:<10}{command}", if index == 0 { "next" } else { "" }));
    }
}

fn line(out: &mut String, text: &str) {
    // Writing to a string does not fail.
    let _written = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::score::score;

    fn sample() -> String {
        let gold = json!({
            "01-first.txt": {"order": "AB-12", "customer": "Ash Ltd", "delivery": "1 May 2027"},
            "02-second.txt": {"order": null, "customer": "Birch Ltd", "delivery": "2 May 2027", "trap": "no number"},
        });
        let rows = json!([
            {"file": "01-first.txt", "order": "AB-12", "customer": "Ash Ltd", "delivery": null,
             "proposed": {"delivery": "9 May 2027"}},
            {"file": "02-second.txt", "order": "CD-34", "customer": "x".repeat(90), "delivery": "2 May 2027"},
        ]);
        let facts = RunFacts {
            run: "0198-7a".into(),
            calls: 41,
            tokens_in: 6400,
            tokens_out: 820,
            tokens_forced: 205,
            wall_seconds: 41.04,
            model: "m".into(),
            device: "cpu, 2 threads".into(),
            next: vec!["parkway show 0198-7a".into(), "parkway runs".into()],
        };
        let gold = serde_json::from_value(gold).unwrap();
        let rows: Vec<crate::row::Row> = serde_json::from_value(rows).unwrap();
        render(&score(&gold, &rows), &score(&gold, &[]), Some(&facts))
    }

    #[test]
    fn the_report_fits_a_terminal_of_80_columns() {
        for line in sample().lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
            assert_eq!(line, line.trim_end());
        }
    }

    #[test]
    fn the_report_reads_as_shown() {
        let expect = r#"The workflow, on 2 letters

                               wrong and      left to      of these    of these
  field               right     accepted     a person        caught    no value
  order              1 of 1            1            0             0           0
  customer           1 of 2            1            0             0           0
  delivery           1 of 2            0            1             1           0
  total              3 of 5            2            1             1           0
  1 with a trap      1 of 2            2            0             0           0

  Wrong and accepted:
    02-second.txt              order     "CD-34", gold: no value
    02-second.txt              customer
"#;
        let report = sample();
        assert!(report.starts_with(expect), "{report}");
        assert!(report.contains("  Wrong and accepted: none\n"), "{report}");
        assert!(report.ends_with("  next      parkway show 0198-7a\n            parkway runs\n"), "{report}");
    }
}
