//! Turns rendered prompts into token ids, so that only markup can become control tokens.

use std::sync::Arc;

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token_type::LlamaTokenAttr;

use crate::template::Piece;

/// The tokenizer of a loaded model; may be used from any thread.
///
/// A prompt is tokenized as llama.cpp tokenizes the whole rendered text: it is cut at control tokens, and each stretch
/// between two of them is tokenized at once, with template text and message text joined, so that no seam between them
/// shows in the tokens (nor a leading space that SPM vocabularies put before each stretch). The one difference is that
/// only markup is searched for control tokens; text goes through `parse_special = false`, which cannot make one. That
/// mode still makes *user-defined* tokens, so those which the template uses as markup are broken apart inside messages.
#[derive(Debug)]
pub(crate) struct Tokenizer {
    model: Arc<LlamaModel>,
    /// Longest first, as llama.cpp looks for them.
    control: Vec<Control>,
    guarded: Vec<String>,
    bos: Option<u32>,
}

/// A token that only markup may hold.
#[derive(Debug)]
struct Control {
    text: String,
    token: u32,
    strips_before: bool,
    strips_after: bool,
}

/// A stretch of a prompt.
enum Item<'a> {
    Control(&'a Control),
    Text(String),
    /// A seam that the texts on both sides keep.
    Break,
}

impl Tokenizer {
    /// The tokenizer of `model`, whose chat template is `template`.
    pub(crate) fn new(model: Arc<LlamaModel>, template: &str) -> Self {
        let vocab = model.vocab();
        let mut control = Vec::new();
        let mut guarded = Vec::new();
        for token in vocab.tokens() {
            let attr = vocab.attr(token);
            let is_control = attr.intersects(LlamaTokenAttr::Control | LlamaTokenAttr::Unknown);
            if !is_control && !attr.contains(LlamaTokenAttr::UserDefined) {
                continue;
            }
            let Ok(text) = String::from_utf8(vocab.token_to_piece(token, true, None)) else { continue };
            if text.trim().is_empty() {
                continue;
            }
            if is_control {
                control.push(Control {
                    text,
                    token: id(token),
                    strips_before: attr.contains(LlamaTokenAttr::LStrip),
                    strips_after: attr.contains(LlamaTokenAttr::RStrip),
                });
            } else if vocab.is_eog(token) || template.contains(&text) {
                guarded.push(text);
            }
        }
        control.sort_by_key(|control: &Control| std::cmp::Reverse(control.text.len()));
        let bos = (vocab.should_add_bos() && vocab.bos().0 >= 0).then(|| id(vocab.bos()));
        Tokenizer { model, control, guarded, bos }
    }

    /// Texts that only markup may hold.
    pub(crate) fn reserved(&self) -> Vec<String> {
        self.control.iter().map(|control| control.text.clone()).chain(self.guarded.iter().cloned()).collect()
    }

    /// The control token that stands for a text, if there is one.
    pub(crate) fn control(&self, text: &str) -> Option<u32> {
        self.control.iter().find(|control| control.text == text).map(|control| control.token)
    }

    /// The tokens of a prompt; `prefix` is text that the answer starts with.
    pub(crate) fn prompt(&self, pieces: &[Piece], prefix: Option<&str>) -> Vec<u32> {
        let mut items = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Markup(markup) => self.push_markup(&mut items, markup),
                Piece::Text(text) => self.push_text(&mut items, text),
            }
        }
        self.push_text(&mut items, prefix.unwrap_or_default());

        let mut tokens = Vec::new();
        for (at, item) in items.iter().enumerate() {
            match item {
                Item::Control(control) => tokens.push(control.token),
                Item::Text(text) => {
                    let mut text = text.as_str();
                    if matches!(at.checked_sub(1).map(|before| &items[before]), Some(Item::Control(c)) if c.strips_after)
                    {
                        text = text.trim_ascii_start();
                    }
                    if matches!(items.get(at + 1), Some(Item::Control(c)) if c.strips_before) {
                        text = text.trim_ascii_end();
                    }
                    tokens.extend(self.plain(text.as_bytes()));
                }
                Item::Break => {}
            }
        }
        if let Some(bos) = self.bos
            && tokens.first() != Some(&bos)
        {
            tokens.insert(0, bos);
        }
        tokens
    }

    /// The tokens of mere text.
    pub(crate) fn plain(&self, text: &[u8]) -> Vec<u32> {
        self.model.vocab().tokenize(text, false, false).into_iter().map(id).collect()
    }

    /// What a token adds to the answer's text: its bytes, none for a control token.
    pub(crate) fn bytes(&self, token: u32) -> Vec<u8> {
        token_of(token).map_or_else(Vec::new, |token| self.model.vocab().token_to_piece(token, false, None))
    }

    /// Whether this token ends an answer.
    pub(crate) fn ends(&self, token: u32) -> bool {
        token_of(token).is_some_and(|token| self.model.vocab().is_eog(token))
    }

    fn push_markup<'a>(&'a self, items: &mut Vec<Item<'a>>, markup: &str) {
        let mut rest = markup;
        while let Some((control, (before, after))) =
            self.control.iter().find_map(|control| Some((control, rest.split_once(&control.text)?)))
        {
            // What stands before holds shorter control tokens at most, so this goes as deep as there are lengths.
            self.push_markup(items, before);
            items.push(Item::Control(control));
            rest = after;
        }
        push_joined(items, rest);
    }

    fn push_text(&self, items: &mut Vec<Item<'_>>, text: &str) {
        let mut rest = text;
        while let Some(at) = self.guarded.iter().filter_map(|guarded| rest.find(guarded)).min() {
            let after_first = at + rest[at..].chars().next().map_or(1, char::len_utf8);
            let (before, after) = rest.split_at(after_first);
            push_joined(items, before);
            items.push(Item::Break);
            rest = after;
        }
        push_joined(items, rest);
    }
}

fn push_joined(items: &mut Vec<Item<'_>>, text: &str) {
    match items.last_mut() {
        _ if text.is_empty() => {}
        Some(Item::Text(before)) => before.push_str(text),
        _ => items.push(Item::Text(text.to_owned())),
    }
}

/// A token's id as the port counts it.
pub(crate) fn id(token: LlamaToken) -> u32 {
    token.0.cast_unsigned()
}

/// The token of an id; `None` above what llama.cpp can count.
pub(crate) fn token_of(id: u32) -> Option<LlamaToken> {
    i32::try_from(id).ok().map(LlamaToken::new)
}
