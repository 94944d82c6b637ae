//! What a person reads before saying yes.

use std::fmt;

use parkway_examples::plain;
use serde_json::Value;

/// A question, with the exact calls that a yes allows.
pub(crate) struct Question {
    prompt: String,
    calls: Vec<Value>,
    show: Value,
}

impl Question {
    /// `shown` is what the answer is bound to: `calls`, and what the workflow shows beside them.
    pub(crate) fn new(prompt: &Value, shown: &Value) -> Self {
        let calls = shown["calls"].as_array().cloned().unwrap_or_default();
        Question { prompt: text(prompt), calls, show: shown["show"].clone() }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for call in &self.calls {
            writeln!(f, "== {} ({})", text(&call["step"]), text(&call["tool"]))?;
            for (name, value) in call["args"].as_object().into_iter().flatten() {
                let value = text(value);
                let gap = if value.contains('\n') { '\n' } else { ' ' };
                writeln!(f, "{}:{gap}{}", plain(name), value.trim_end())?;
            }
        }
        if !self.show.is_null() {
            writeln!(f, "== beside it\n{}", text(&self.show))?;
        }
        write!(f, "\n{}", self.prompt)
    }
}

/// A value as text for a terminal.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => plain(text),
        value => plain(&format!("{value:#}")),
    }
}

/// Whether a line means yes. Everything else is a no, silence too.
pub(crate) fn is_yes(line: &str) -> bool {
    matches!(line.trim().to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_will_be_written_is_shown_as_it_is_and_moves_no_cursor() {
        let shown = json!({
            "calls": [{
                "step": "write", "tool": "files.write_text",
                "args": { "path": "out/a.md", "text": "# Week\n\nall \u{1b}[2J\u{202e}good\n" },
            }],
            "show": { "left_out": [] },
        });
        assert_eq!(
            Question::new(&json!("Write it?"), &shown).to_string(),
            "== write (files.write_text)\npath: out/a.md\ntext:\n# Week\n\nall \\u{1b}[2J\\u{202e}good\n\
             == beside it\n{\n  \"left_out\": []\n}\n\nWrite it?"
        );
    }

    #[test]
    fn only_a_yes_is_a_yes() {
        assert!(["y\n", "Yes\r\n", " yes "].into_iter().all(is_yes));
        assert!(!["", "\n", "no", "yes, but", "j"].into_iter().any(is_yes));
    }
}
