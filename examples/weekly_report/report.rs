//! The workflow's outputs, as the program knows them.

use std::fmt;

use parkway_examples::plain;

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
        let Report { orders, sentences, left_out, wrong_lines, .. } = self;
        let (report, week_end, revenue) = (plain(&self.report), plain(&self.week_end), plain(&self.revenue));
        writeln!(f, "week until {week_end}: {orders} orders, {revenue} EUR; {report}")?;
        writeln!(f, "{sentences} sentences of the model kept, {} left out", left_out.len())?;
        for LeftOut { sentence, wrong } in left_out {
            writeln!(f, "  {} ({})", plain(sentence), plain(wrong))?;
        }
        writeln!(f, "lines of the exports left out: {}", plain(&wrong_lines.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_export_steers_the_terminal() {
        let evil = "\u{1b}[2J\u{202e}";
        let report: Report = serde_json::from_value(json!({
            "report": evil, "week_end": evil, "orders": 1, "revenue": evil, "sentences": 1, "wrong_lines": [evil],
            "left_out": [{ "sentence": evil, "wrong": evil }],
        }))
        .unwrap();
        let told = report.to_string();
        assert_eq!(told.matches(r"\u{1b}[2J\u{202e}").count(), 6, "{told:?}");
        assert!(!told.contains(['\u{1b}', '\u{202e}']), "{told:?}");
    }
}
