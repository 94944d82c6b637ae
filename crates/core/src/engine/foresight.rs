//! What models are told ahead: how much waits for an answer, how many like it are to come, and how prompts begin that are likely
//! to be asked soon. Nothing of it changes an answer; it is not recorded.

use crate::engine::executor::Executor;
use crate::id::StepKey;
use crate::log::{RunState, StepIndex};
use crate::model::{ChatMessage, ChatRequest, Hints};
use crate::workflow::{Chat, NodeIndex, Verb};

/// Characters at the beginning of a prompt that are worth to be read ahead: some hundred tokens.
const WORTH: usize = 400;

/// What a graph tells of what is to come, found out when the first model or tool is called.
#[derive(Debug, Default)]
pub(crate) struct Foresight {
    known: Option<Known>,
}

#[derive(Debug)]
struct Known {
    chains: Vec<u32>,
    /// Chats that were not told yet, with the steps that they wait for.
    ahead: Vec<(NodeIndex, Vec<NodeIndex>)>,
}

impl Executor {
    /// What the engine knows of a question beside its text.
    pub(super) fn hints(&mut self, key: &StepKey, node: NodeIndex) -> Hints {
        let chain = self.foreseen().chains.get(node.0 as usize).copied().unwrap_or(0);
        let more = self.state.index_of(key).map_or(0, |index| to_come(&self.state, index));
        Hints { run: Some(self.lease.run), chain, more }
    }

    /// Tells models how prompts begin that follow the step at `node`, while it is being done: each once.
    pub(super) fn look_ahead(&mut self, node: NodeIndex) {
        let known = self.foreseen();
        let next: Vec<NodeIndex> =
            known.ahead.extract_if(.., |(_, after)| after.contains(&node)).map(|(chat, _)| chat).collect();
        for chat in next {
            let Verb::Chat(chat) = &self.state.plan().graph.node(chat).verb else { continue };
            if let (Some(model), Some(request)) = (self.models.get(&chat.model), beginning(chat)) {
                model.prefill(&request);
            }
        }
    }

    fn foreseen(&mut self) -> &mut Known {
        let graph = &self.state.plan().graph;
        self.foresight.known.get_or_insert_with(|| {
            let chats =
                graph.iter().filter(|(_, node)| matches!(&node.verb, Verb::Chat(chat) if beginning(chat).is_some()));
            let ahead = chats.map(|(index, node)| (index, node.after.clone())).filter(|(_, after)| !after.is_empty());
            Known { chains: graph.chains(), ahead: ahead.collect() }
        })
    }
}

/// How many items of the innermost fan-out around a step have not begun.
fn to_come(state: &RunState, mut index: StepIndex) -> u32 {
    loop {
        let step = state.at(index);
        let Some(parent) = step.parent else { return 0 };
        if let (Some(_), Some(fan)) = (step.item(), &state.at(parent).fan) {
            return fan.total.saturating_sub(u32::try_from(fan.items.len()).unwrap_or(u32::MAX));
        }
        index = parent;
    }
}

/// What of a prompt is known before the run, where it is worth to be read ahead.
fn beginning(chat: &Chat) -> Option<ChatRequest> {
    if !chat.tools.is_empty() {
        // They are described in it.
        return None;
    }
    let mut messages = Vec::new();
    for said in &chat.messages {
        let text = &said.content.text;
        let end = [text.find("${{"), text.find("{%")].into_iter().flatten().min();
        let known = text[..end.unwrap_or(text.len())].trim_end();
        if !known.is_empty() {
            messages.push(ChatMessage::new(said.role, known));
        }
        if end.is_some() {
            break;
        }
    }
    let length: usize = messages.iter().map(|message| message.content.len()).sum();
    let request = ChatRequest { max_tokens: 1, adapter: chat.adapter.clone(), ..ChatRequest::new(messages) };
    (length >= WORTH).then_some(request)
}
