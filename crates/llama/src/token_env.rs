//! The vocabulary as llguidance needs it, with the model's own tokenizer, so that tokens can be forced.

use std::sync::Arc;

use llama_cpp_2::model::LlamaModel;
use toktrie::{TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};

use crate::tokenizer::{Tokenizer, id};

/// A text whose tokens come out the same wherever it stands; see [`GgufTokenEnv::tokenize_bytes`].
const LEAD: &str = "\n";

/// The token environment of one model. Takes some 0.1 s to build and is shared by all its requests.
///
/// `llama-cpp-2` has one too, but it tokenizes greedily and says that it is not canonical; llguidance then never forces
/// a token.
struct GgufTokenEnv {
    trie: TokTrie,
    tokenizer: Arc<Tokenizer>,
    /// Tokens of [`LEAD`], where the tokenizer puts a space before each text; `None` where it does not.
    lead: Option<Vec<TokenId>>,
}

/// Builds the token environment of `model`.
pub(crate) fn token_env(model: &LlamaModel, tokenizer: Arc<Tokenizer>) -> Result<TokEnv, String> {
    let vocab = model.vocab();
    let mut ends: Vec<TokenId> = [vocab.eot(), vocab.eos()].into_iter().filter(|token| token.0 >= 0).map(id).collect();
    let mut words = Vec::new();
    for token in vocab.tokens() {
        if vocab.is_eog(token) {
            ends.push(id(token));
        }
        let mut word = vocab.token_to_piece(token, false, None);
        if word.is_empty() {
            let special = vocab.token_to_piece(token, true, None);
            if !special.is_empty() {
                word.push(TokTrie::SPECIAL_TOKEN_MARKER);
                word.extend(special);
            }
        }
        words.push(word);
    }
    let mut seen = std::collections::HashSet::new();
    ends.retain(|&end| (end as usize) < words.len() && seen.insert(end));
    let first_end = *ends.first().ok_or("it has no token that ends an answer")?;
    let size = u32::try_from(words.len()).map_err(|_| "it is too large")?;
    let trie = TokTrie::from(&TokRxInfo::new(size, first_end), &words).with_eos_tokens(&ends);

    let spaced = trie.decode(&tokenizer.plain(b"a")) != b"a";
    let lead = spaced.then(|| tokenizer.plain(LEAD.as_bytes()));
    Ok(Arc::new(GgufTokenEnv { trie, tokenizer, lead }))
}

impl GgufTokenEnv {
    fn tokenize(&self, text: &str) -> Vec<TokenId> {
        let Some(lead) = &self.lead else { return self.tokenizer.plain(text.as_bytes()) };
        // The space goes before the lead instead, and both are cut off again.
        let tokens = self.tokenizer.plain(format!("{LEAD}{text}").as_bytes());
        match tokens.strip_prefix(lead.as_slice()) {
            Some(rest) if self.trie.decode(rest) == text.as_bytes() => rest.to_vec(),
            _ => self.trie.greedy_tokenize(text.as_bytes()),
        }
    }
}

impl TokenizerEnv for GgufTokenEnv {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.trie.tokenize_with_greedy_fallback(bytes, |text| self.tokenize(text))
    }

    /// This is what lets llguidance force tokens.
    fn tokenize_is_canonical(&self) -> bool {
        true
    }
}
