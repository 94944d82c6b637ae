//! Answers in the tokens that the tokenizer writes their text with, and numbers in them that somebody can read.

use parkway_core::model::ModelError;
use toktrie::{SimpleVob, TokTrie};

use super::{Guide, failed};
use crate::json;

/// Tokens at the end of an answer within which a tokenizer decides how to spell the next word: nearly always so few, or else all. The
/// first half of the few may look otherwise, since a word may begin before them.
const WINDOWS: [usize; 2] = [25, usize::MAX];
/// So few tokens that each is looked at.
const FEW: usize = 32;
/// Spellings that are tried of what may follow one token, and those that are in place of it, together: some milliseconds. Of a
/// character that is not whole there may be thousands.
const SPELLINGS: [usize; 2] = [100, 1_000];

impl Guide {
    /// Whether an answer that has these tokens, and then this one, is spelled right, and can go on so; and whether a number that it ends
    /// with can be read. A model that samples now and then spells a word with other tokens than it learned it by; what it says after
    /// that is worse.
    ///
    /// Where but few tokens may follow, and the tokenizer joins each of them with this one, it cannot go on: after `}` perhaps, where
    /// `}]` and `},` are tokens. Nor can it where a character is not whole that the tokenizer begins otherwise. `ends` tells which
    /// tokens end it.
    pub(crate) fn spells(
        &mut self,
        before: &[u32],
        token: u32,
        ends: impl Fn(u32) -> bool,
        tries: &mut Tries,
    ) -> Result<bool, ModelError> {
        let tokens = [before, &[token]].concat();
        if self.overflows(&tokens) {
            return Ok(false);
        }
        match self.spelling(&tokens, &WINDOWS) {
            Spelling::Wrong => Ok(false),
            spelling => {
                let most = tries.left.min(SPELLINGS[0]);
                let mut left = most;
                let goes_on = self.goes_on(&tokens, spelling, &ends, &mut left);
                tries.left -= most - left;
                goes_on
            }
        }
    }

    /// Whether the text of tokens ends with a number that is too large for a reader of JSON.
    fn overflows(&self, tokens: &[u32]) -> bool {
        let (Some(opening), Ok(env)) = (self.json.as_ref().map(String::as_bytes), self.matcher.tok_env()) else {
            return false;
        };
        let trie = env.tok_trie();
        let ends_with_digit =
            tokens.last().is_some_and(|last| trie.token(*last).last().is_some_and(u8::is_ascii_digit));
        if !ends_with_digit {
            return false;
        }
        let text = trie.decode_raw(tokens);
        let begin = match opening.len() {
            0 => Some(0),
            length => text.windows(length).rposition(|part| part == opening).map(|at| at + length),
        };
        begin.is_some_and(|begin| json::overflows(&text[begin..]))
    }

    /// How the tokenizer would write the text of tokens.
    ///
    /// The end is looked at first: most of the time that is enough, since tokenizers do not look far back.
    fn spelling(&self, tokens: &[u32], windows: &[usize]) -> Spelling {
        let Ok(env) = self.matcher.tok_env() else { return Spelling::Right };
        let trie = env.tok_trie();
        let tokens = behind_control(trie, tokens);
        for &window in windows {
            let start = tokens.len().saturating_sub(window);
            let spelled = &tokens[start..];
            let bytes = trie.decode_raw(spelled);
            if std::str::from_utf8(&bytes).is_err_and(|error| error.error_len().is_none()) {
                return Spelling::Open;
            }
            let again = env.tokenize_bytes(&bytes);
            if again == spelled || (start > 0 && again.ends_with(&spelled[window / 2..])) {
                return Spelling::Right;
            }
            if start == 0 {
                break;
            }
        }
        Spelling::Wrong
    }

    /// Whether these tokens stay as they are when this text follows. In place of the last one a longer one may come, which
    /// [`accept`](Self::accept) takes then.
    fn stays(&self, tokens: &[u32], text: &[u8]) -> bool {
        let Ok(env) = self.matcher.tok_env() else { return true };
        let trie = env.tok_trie();
        let tokens = behind_control(trie, tokens);
        let Some((&last, _)) = tokens.split_last() else { return true };
        WINDOWS.into_iter().any(|window| {
            let start = tokens.len().saturating_sub(window);
            let spelled = &tokens[start..];
            let mut bytes = trie.decode_raw(spelled);
            let end = bytes.len() - trie.token_len(last);
            bytes.extend_from_slice(text);
            if let Err(error) = std::str::from_utf8(&bytes) {
                bytes.truncate(error.valid_up_to());
            }
            let (again, mut at) = (env.tokenize_bytes(&bytes), 0);
            let ends_before = |token: &&u32| {
                at += trie.token_len(**token);
                at <= end
            };
            let (before, after) = again.split_at(again.iter().take_while(ends_before).count());
            let first = after.first().filter(|_| trie.decode_raw(before).len() == end);
            let kept = spelled.len() - 1;
            let same =
                if start == 0 { *before == spelled[..kept] } else { before.ends_with(&spelled[window / 2..kept]) };
            same && first.is_some_and(|first| trie.token(*first).starts_with(trie.token(last)))
        })
    }

    /// Whether an answer can go on, or end, after the last of these tokens, which it has not taken yet, and stay spelled right.
    fn goes_on(
        &mut self,
        tokens: &[u32],
        spelling: Spelling,
        ends: &impl Fn(u32) -> bool,
        tries: &mut usize,
    ) -> Result<bool, ModelError> {
        self.matcher.consume_tokens(&tokens[tokens.len().saturating_sub(1)..]).map_err(failed)?;
        let certain = self.matcher.compute_ff_bytes();
        let mut goes_on = self.matcher.is_stopped() || (!certain.is_empty() && self.stays(tokens, &certain));
        if !goes_on && certain.is_empty() {
            let next = self.matcher.compute_mask().map_err(failed)?;
            goes_on = spelling == Spelling::Right && next.num_set() > FEW;
            for after in if goes_on { Vec::new() } else { entries(&next) } {
                if goes_on || *tries == 0 {
                    break;
                }
                *tries -= 1;
                let longer = [tokens, &[after]].concat();
                goes_on = ends(after)
                    || match self.spelling(&longer, &WINDOWS[..1]) {
                        Spelling::Right => true,
                        Spelling::Wrong => false,
                        Spelling::Open => self.goes_on(&longer, Spelling::Open, ends, tries)?,
                    };
            }
        }
        self.matcher.rollback(1).map_err(failed)?;
        Ok(goes_on)
    }

    /// Goes on by one sampled token, which does not end the answer. Tells which token stands in the answer for it.
    ///
    /// Often the sampled token is only the beginning of text that is certain by then: after `"` the grammar may force
    /// `:"`. Where the tokenizer writes that text with a longer token, such as `":"`, that one is taken. This is free, as
    /// the model has not seen the sampled token yet, and keeps the answer in the tokens that the model was trained on.
    pub(crate) fn accept(&mut self, token: u32) -> Result<u32, ModelError> {
        self.matcher.consume_token(token).map_err(failed)?;
        if self.matcher.is_stopped() {
            return Ok(token);
        }
        let forced = self.matcher.compute_ff_bytes();
        if forced.is_empty() {
            return Ok(token);
        }
        let env = self.matcher.tok_env().map_err(failed)?;
        let trie = env.tok_trie();
        let certain = [trie.token(token), &forced].concat();
        let joined = match env.tokenize_bytes(&certain).first() {
            Some(&first) if trie.token_len(first) > trie.token_len(token) => first,
            _ => return Ok(token),
        };
        self.matcher.rollback(1).map_err(failed)?;
        let fits = self.matcher.validate_tokens(&[joined]).map_err(failed)? == 1;
        let taken = if fits { joined } else { token };
        self.matcher.consume_token(taken).map_err(failed)?;
        Ok(taken)
    }
}

/// How many spellings may still be tried for a token and those in place of it.
pub(crate) struct Tries {
    left: usize,
}

impl Default for Tries {
    fn default() -> Self {
        Tries { left: SPELLINGS[1] }
    }
}

/// Whether the tokenizer writes a text with the tokens that it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spelling {
    Right,
    Wrong,
    /// It ends within a character; which one it becomes tells.
    Open,
}

/// The tokens behind the last control token: these spell nothing, and a tokenizer does not look past them.
fn behind_control<'a>(trie: &TokTrie, tokens: &'a [u32]) -> &'a [u32] {
    let is_control = |token: &u32| trie.token(*token).first() == Some(&TokTrie::SPECIAL_TOKEN_MARKER);
    &tokens[tokens.iter().rposition(is_control).map_or(0, |at| at + 1)..]
}

/// The tokens of a mask.
fn entries(mask: &SimpleVob) -> Vec<u32> {
    let mut entries = Vec::new();
    mask.iter_set_entries(|token| entries.extend(u32::try_from(token)));
    entries
}
