//! What a person reads before saying yes: the prompt, and the exact calls that the answer is bound to.

use parkway::id::StepKey;
use serde_json::Value;

use super::steps::{drawn, steps_in};
use super::symbols::Symbols;
use super::words::{clean, harmless, wrap};

/// The most lines of a prompt.
const PROMPT: usize = 20;
/// A question longer than this has scrolled its prompt away when the answer is due.
const LONG: usize = 15;

/// A step that asks.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The step.
    pub step: StepKey,
    /// What the person reads.
    pub prompt: String,
    /// What the answer is bound to: `calls`, `unknown`, `show`.
    pub shown: Value,
}

impl Question {
    /// The question's lines. Arguments are neither cut nor wrapped: they are what is approved.
    pub fn lines(&self, columns: usize, symbols: Symbols) -> Vec<String> {
        let mut lines = vec![String::new(), format!("? {}", self.step)];
        let plan = self.plan();
        let prompt: Vec<_> = wrap(&clean(&self.prompt), columns.saturating_sub(2), PROMPT, symbols)
            .into_iter()
            .map(|line| format!("  {line}"))
            .collect();
        lines.extend(prompt.clone());
        for call in self.shown.get("calls").and_then(Value::as_array).into_iter().flatten() {
            let text = |name| call.get(name).and_then(Value::as_str).map(clean).unwrap_or_default();
            lines.push(format!("  then {}  {}", text("step"), text("tool")));
            lines.extend(indented(call.get("args").unwrap_or(&Value::Null), 4));
        }
        let unknown = self.shown.get("unknown").and_then(Value::as_array);
        let unknown: Vec<_> = unknown.into_iter().flatten().filter_map(Value::as_str).map(clean).collect();
        if !unknown.is_empty() {
            lines.push(format!("  then, with arguments that are not known yet: {}", unknown.join(", ")));
        }
        match (plan, self.shown.get("show")) {
            (Some(steps), _) => lines.extend(drawn(&steps, columns)),
            (None, None | Some(Value::Null)) => {}
            (None, Some(show)) => lines.extend(indented(show, 2)),
        }
        if lines.len() > LONG {
            lines.push(format!("? {}", self.step));
            lines.extend(prompt);
        }
        lines
    }

    /// The steps that it asks about, where that is a plan.
    pub(crate) fn plan(&self) -> Option<Vec<Value>> {
        self.shown.get("show").and_then(steps_in).map(<[Value]>::to_vec)
    }
}

/// A JSON value as indented lines; a text as its own lines.
pub(crate) fn indented(value: &Value, by: usize) -> Vec<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        value => format!("{value:#}"),
    };
    text.lines().map(|line| format!("{:by$}{}", "", harmless(line))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn long_arguments_do_not_scroll_the_prompt_away() {
        let call = json!({"step": "write", "tool": "t", "args": {"rows": vec![1; 100]}});
        let shown = json!({"calls": [call], "unknown": [], "show": null});
        let question = Question { step: "confirm".parse().unwrap(), prompt: "Write 100 rows?".into(), shown };
        let lines = question.lines(60, Symbols::Ascii);
        assert_eq!(lines[lines.len() - 2..], ["? confirm", "  Write 100 rows?"]);
    }

    #[test]
    fn a_plan_is_approved_with_all_of_its_arguments_in_sight() {
        let text = "word ".repeat(900);
        let args = json!({"path": "out/a.txt", "text": text});
        let step_of_plan = json!({"id": "s1", "tool": "files.write_text", "args": args, "why": "keep it"});
        let shown = |show: Value| json!({"calls": [], "unknown": [], "show": show});
        let asked = "Carry out this plan?";
        let (step, prompt) = ("g.approval_4".parse().unwrap(), asked.to_owned());
        let question = Question { step, prompt, shown: shown(json!([step_of_plan])) };
        let lines = question.lines(60, Symbols::Ascii);
        assert_eq!(lines.concat().matches("word").count(), 900);
        assert_eq!(
            lines[1..5],
            [
                "? g.approval_4",
                "  Carry out this plan?",
                "  s1  files.write_text  keep it",
                "      path = \"out/a.txt\""
            ]
        );
    }

    #[test]
    fn the_exact_arguments_are_shown() {
        let call =
            json!({"step": "write", "tool": "files.write_csv", "args": {"path": "out/o.csv\u{202e}", "rows": []}});
        let shown = json!({"calls": [call], "unknown": ["report"], "show": null});
        let step = "confirm".parse().unwrap();
        let question = Question { step, prompt: "Write the\norders?".into(), shown };
        insta::assert_snapshot!(question.lines(60, Symbols::Ascii)[1..].join("\n"), @r#"
        ? confirm
          Write the orders?
          then write  files.write_csv
            {
              "path": "out/o.csv\u{202e}",
              "rows": []
            }
          then, with arguments that are not known yet: report
        "#);
    }
}
