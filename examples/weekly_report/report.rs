//! The workflow's outputs, as the program knows them.

use std::fmt;

/// What the workflow made.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Report {
    report: String,
    week_end: String,
    orders: u32,
    revenue: String,
    sentences: usize,
    left_out: Vec<LeftOut>,
    wrong_lines: Vec<String>,
}

/// A sentence of the model that the figures do not bear out.
#[derive(Debug, serde::Deserialize)]
struct LeftOut {
    sentence: String,
    wrong: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { report, week_end, orders, revenue, sentences, left_out, wrong_lines } = self;
        writeln!(f, "week until {week_end}: {orders} orders, {revenue} EUR; {report}")?;
        writeln!(f, "{sentences} sentences of the model kept, {} left out", left_out.len())?;
        for LeftOut { sentence, wrong } in left_out {
            writeln!(f, "  {sentence} ({wrong})")?;
        }
        writeln!(f, "lines of the exports left out: {}", wrong_lines.join(", "))
    }
}
