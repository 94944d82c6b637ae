//! The forms in which models write calls of tools: how to tell which one a template uses, and the grammar of answers in it.

use parkway_core::model::{Thoughts, ToolDefinition};
use serde_json::Value;

/// A form of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `<tool_call>{"name": …, "arguments": …}</tool_call>`, as Hermes and Qwen write it; several of them.
    Hermes,
    /// `{"name": …, "parameters": …}` as the whole answer, as Llama 3 writes it.
    Llama,
    /// `[TOOL_CALLS][{"name": …, "arguments": …, "id": …}]`, as Mistral writes it.
    Mistral,
    /// `<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME` and a block of JSON, as DeepSeek R1 writes it.
    DeepSeek,
}

/// What of an answer may be a thought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thinking {
    None,
    /// It may begin with one.
    May,
    /// It begins within one.
    Within,
}

impl Form {
    /// The form in which a rendered prompt holds a call of the tool `name` with the argument `key`.
    pub(crate) fn of(rendered: &str, name: &str, key: &str) -> Option<Form> {
        let rendered: String = rendered.split_whitespace().collect();
        let holds = |text: String| rendered.contains(&text);
        if holds(format!("<tool_call>{{\"name\":\"{name}\",\"arguments\":{{\"{key}\":")) {
            Some(Form::Hermes)
        } else if holds(format!("[TOOL_CALLS][{{\"name\":\"{name}\",\"arguments\":{{\"{key}\":")) {
            Some(Form::Mistral)
        } else if holds(format!("<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}```json{{\"{key}\":")) {
            Some(Form::DeepSeek)
        } else if holds(format!(">{{\"name\":\"{name}\",\"parameters\":{{\"{key}\":")) {
            Some(Form::Llama)
        } else {
            None
        }
    }

    /// What calls begin with; `None` where they are told by their JSON alone.
    pub(crate) fn begin(self) -> Option<&'static str> {
        self.markers().first().copied()
    }

    /// What the form is marked by, the beginning of calls first. Some vocabularies have control tokens for these texts.
    pub(crate) fn markers(self) -> &'static [&'static str] {
        match self {
            Form::Hermes => &["<tool_call>", "</tool_call>"],
            Form::Llama => &[],
            Form::Mistral => &["[TOOL_CALLS]"],
            Form::DeepSeek => &[
                "<｜tool▁calls▁begin｜>",
                "<｜tool▁call▁begin｜>",
                "<｜tool▁sep｜>",
                "<｜tool▁call▁end｜>",
                "<｜tool▁calls▁end｜>",
            ],
        }
    }

    /// The name under which arguments stand in the JSON of a call; `None` where that is nothing but arguments.
    pub(crate) fn arguments(self) -> Option<&'static str> {
        match self {
            Form::Hermes | Form::Mistral => Some("arguments"),
            Form::Llama => Some("parameters"),
            Form::DeepSeek => None,
        }
    }

    /// What the arguments of a call begin behind. Within strings of JSON it is written otherwise.
    pub(crate) fn opening(self) -> String {
        self.arguments().map_or_else(|| "```json\n".to_owned(), |key| format!("\"{key}\": "))
    }

    /// A grammar in Lark of answers that are free text or calls of these tools, whose schemas are given as they are to be compiled.
    /// `control` tells the control token of a marker, where it is one.
    pub(crate) fn grammar(
        self,
        tools: &[(&ToolDefinition, String)],
        thinking: Thinking,
        control: impl Fn(&str) -> Option<u32>,
    ) -> String {
        let marker = |text: &str| control(text).map_or_else(|| quote(text), |token| format!("<[{token}]>"));
        let mut rules = Vec::new();
        // A text holds none of the markers that mean something where it stands.
        let mut not = Vec::new();
        if let Some(begin) = self.begin().filter(|begin| control(begin).is_none()) {
            not.push(format!("(.|\\n)*{}(.|\\n)*", escape(begin)));
        }
        if thinking == Thinking::May && control(Thoughts::OPEN).is_none() {
            not.push(format!("[ \\t\\r\\n]*{}(.|\\n)*", escape(Thoughts::OPEN)));
        }
        let not: String = not.iter().map(|pattern| format!(" & ~/{pattern}/")).collect();

        let calls = match self {
            Form::Hermes => format!("head call (\"\\n\" {} call)*", marker("<tool_call>")),
            Form::Llama => "call".into(),
            Form::Mistral => "head \"[\" call (\", \" call)* \"]\"".into(),
            Form::DeepSeek => format!("head call (\"\\n\" call)* {}", marker("<｜tool▁calls▁end｜>")),
        };
        let answer = format!("answer: TEXT | {calls}");
        match thinking {
            Thinking::None => rules.push("start: answer".to_owned()),
            Thinking::May => rules.push(format!("start: answer | {} thought answer", opening(control(Thoughts::OPEN)))),
            Thinking::Within => rules.push("start: thought answer".into()),
        }
        if thinking != Thinking::None {
            rules.push(match control(Thoughts::CLOSE) {
                Some(token) => format!("thought: THOUGHT <[{token}]>\nTHOUGHT: /(.|\\n)*/"),
                None => format!("thought[lazy]: /(.|\\n)*/ {}", quote(Thoughts::CLOSE)),
            });
        }
        rules.push(answer);
        match self {
            Form::Llama => rules.push(format!("TEXT: /([ \\t\\r\\n]*[^{{ \\t\\r\\n](.|\\n)*)?/{not}")),
            _ => rules.push(format!("TEXT: /(.|\\n)*/{not}")),
        }
        if let Some(begin) = self.begin() {
            rules.push(match control(begin) {
                Some(token) => format!("head: TEXT <[{token}]>"),
                None => format!("head[lazy]: TEXT {}", quote(begin)),
            });
        }
        let names: Vec<String> = (0..tools.len()).map(|at| format!("call_{at}")).collect();
        rules.push(format!("call: {}", names.join(" | ")));
        for (at, (tool, schema)) in tools.iter().enumerate() {
            let name = Value::from(tool.name.as_str());
            rules.push(match self {
                Form::Hermes => {
                    let begin = format!("\n{{\"name\": {name}, \"arguments\": ");
                    format!("call_{at}: {} %json {schema} \"}}\\n\" {}", quote(&begin), marker("</tool_call>"))
                }
                Form::Llama => {
                    let begin = format!("{{\"name\": {name}, \"parameters\": ");
                    format!("call_{at}: {} %json {schema} \"}}\"", quote(&begin))
                }
                Form::Mistral => {
                    let begin = format!("{{\"name\": {name}, \"arguments\": ");
                    format!("call_{at}: {} %json {schema} {} ID {}", quote(&begin), quote(", \"id\": \""), quote("\"}"))
                }
                Form::DeepSeek => format!(
                    "call_{at}: {} \"function\" {} {} %json {schema} \"\\n```\" {}",
                    marker("<｜tool▁call▁begin｜>"),
                    marker("<｜tool▁sep｜>"),
                    quote(&format!("{}\n```json\n", tool.name)),
                    marker("<｜tool▁call▁end｜>"),
                ),
            });
        }
        if self == Form::Mistral {
            rules.push("ID: /[a-zA-Z0-9]{9}/".into());
        }
        rules.join("\n") + "\n"
    }
}

fn opening(control: Option<u32>) -> String {
    control.map_or_else(
        || format!("/[ \\t\\r\\n]*{}/", escape(Thoughts::OPEN)),
        |token| format!("/[ \\t\\r\\n]*/ <[{token}]>"),
    )
}

/// A text as a string of Lark, which is written as in JSON.
fn quote(text: &str) -> String {
    Value::from(text).to_string()
}

/// A text as a part of a pattern between slashes.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if c.is_ascii_punctuation() && !matches!(c, '<' | '>' | '_') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
