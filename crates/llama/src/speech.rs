//! What an answer says, told apart while it is decoded: text, thoughts and calls of tools.

use parkway_core::model::{Delta, Thoughts};

use crate::calls::Calls;
use crate::text::TextBuffer;

/// One answer's bytes on their way to a watcher.
#[derive(Debug, Default)]
pub(crate) struct Speech {
    text: TextBuffer,
    thoughts: Option<Thoughts>,
    calls: Option<Calls>,
    /// Control tokens that are read as text here, since they mark thoughts and calls.
    markers: Vec<(u32, &'static str)>,
}

impl Speech {
    pub(crate) fn new(thoughts: Option<Thoughts>, calls: Option<Calls>, markers: Vec<(u32, &'static str)>) -> Self {
        Speech { text: TextBuffer::default(), thoughts, calls, markers }
    }

    /// The text of a control token that marks something.
    pub(crate) fn marker(&self, token: u32) -> Option<&'static str> {
        self.markers.iter().find(|(marker, _)| *marker == token).map(|(_, text)| *text)
    }

    /// Takes bytes in; what is certain of them is added to `deltas`.
    pub(crate) fn push(&mut self, bytes: &[u8], deltas: &mut Vec<Delta>) {
        let text = self.text.push(bytes);
        self.say(text, deltas);
    }

    /// What was held back until the answer ended, or was cut.
    pub(crate) fn end(&mut self, cut: bool, deltas: &mut Vec<Delta>) {
        let rest = std::mem::take(&mut self.text).finish();
        self.say(rest, deltas);
        if let Some(thoughts) = &mut self.thoughts {
            let (thought, answer) = thoughts.end();
            think(thought, deltas);
            self.answer(answer, deltas);
        }
        if let Some(calls) = &mut self.calls {
            calls.end(cut, deltas);
        }
    }

    /// Whether it may be cut here as free text may: in text that could have been calls.
    pub(crate) fn is_free(&self) -> bool {
        self.calls.as_ref().is_some_and(|calls| !calls.is_within_call())
    }

    fn say(&mut self, text: String, deltas: &mut Vec<Delta>) {
        match &mut self.thoughts {
            Some(thoughts) => {
                let (thought, answer) = thoughts.push(&text);
                think(thought, deltas);
                self.answer(answer, deltas);
            }
            None => self.answer(text, deltas),
        }
    }

    fn answer(&mut self, text: String, deltas: &mut Vec<Delta>) {
        match &mut self.calls {
            _ if text.is_empty() => {}
            Some(calls) => calls.push(&text, deltas),
            None => deltas.push(Delta::Text(text)),
        }
    }
}

fn think(thought: String, deltas: &mut Vec<Delta>) {
    if !thought.is_empty() {
        deltas.push(Delta::Thinking(thought));
    }
}

#[cfg(test)]
mod tests {
    use parkway_core::model::ChatResponse;

    use super::*;
    use crate::form::Form;

    #[test]
    fn a_call_within_a_thought_is_a_thought() {
        let mut speech = Speech::new(Some(Thoughts::new(true)), Some(Calls::new(Form::Hermes)), Vec::new());
        let said =
            "I could <tool_call>.\n</think>\n\nSo ä\n<tool_call>\n{\"name\": \"a\", \"arguments\": {}}\n</tool_call>";
        let (mut deltas, mut response) = (Vec::new(), ChatResponse::default());
        said.bytes().for_each(|byte| speech.push(&[byte], &mut deltas));
        speech.end(false, &mut deltas);
        deltas.into_iter().for_each(|delta| {
            response.take(delta);
        });
        assert_eq!((response.thinking.as_str(), response.text.as_str()), ("I could <tool_call>.\n", "So ä"));
        assert_eq!(response.tool_calls.len(), 1);
    }
}
