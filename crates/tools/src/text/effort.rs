//! How much of a text a pattern is searched through. One search is linear, but each of many may look at all that follows, as
//! `.*x|y` does where there is no `x`. The bytes are counted, so that the end does not depend on the machine.

use parkway_core::tool::ToolError;
use regex_automata::Input;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::syntax;

/// How many bytes searches look at together, whatever the text.
const ANYWAY: usize = 1 << 27;
/// How often they look at each byte of the text beyond that.
const TIMES: usize = 16;

/// What searches of one pattern in one text have looked at.
pub(crate) struct Effort<'t> {
    written: &'t str,
    text: &'t str,
    /// The bytes that followed where the searches began.
    followed: usize,
    /// Those that were looked at, counted from where `followed` alone is too much.
    seen: usize,
    automaton: Option<Option<(DFA, Cache)>>,
}

impl<'t> Effort<'t> {
    /// Of none yet.
    pub(crate) fn new(written: &'t str, text: &'t str) -> Self {
        Effort { written, text, followed: 0, seen: 0, automaton: None }
    }

    /// Counts a search that began at that byte; an error where all of them are too much.
    pub(crate) fn searched(&mut self, from: usize) -> Result<(), ToolError> {
        let most = ANYWAY.saturating_add(self.text.len().saturating_mul(TIMES));
        let follows = self.text.len() - from;
        self.followed = self.followed.saturating_add(follows);
        if self.followed <= most {
            return Ok(());
        }
        let automaton = self.automaton.get_or_insert_with(|| automaton(self.written));
        let seen = automaton.as_mut().and_then(|(dfa, cache)| looked_at(dfa, cache, self.text, from));
        self.seen = self.seen.saturating_add(seen.unwrap_or(follows));
        if self.seen <= most {
            return Ok(());
        }
        let message = format!(
            "the pattern looks at more than {most} bytes, as it goes through what follows a match again and again; let it have no \
             `.*` that may find nothing behind it, no `\\b` beside letters that are not ASCII, or give a part of the text"
        );
        Err(ToolError::invalid("too_long", message))
    }
}

/// What runs the pattern a byte at a time; none where it cannot.
fn automaton(written: &str) -> Option<(DFA, Cache)> {
    // Where states do not repeat, making them would take longer than the search.
    let config = DFA::config()
        .unicode_word_boundary(true)
        .skip_cache_capacity_check(true)
        .minimum_cache_clear_count(Some(4))
        .minimum_bytes_per_state(Some(16));
    let dfa = DFA::builder()
        .configure(config)
        .syntax(syntax::Config::new().utf8(false))
        .thompson(thompson::Config::new().utf8(false).which_captures(WhichCaptures::None))
        .build(written)
        .ok()?;
    let cache = dfa.create_cache();
    Some((dfa, cache))
}

/// How many bytes a search looks at before nothing that follows can change its result; none where that is not known.
fn looked_at(dfa: &DFA, cache: &mut Cache, text: &str, from: usize) -> Option<usize> {
    let mut state = dfa.start_state_forward(cache, &Input::new(text).range(from..)).ok()?;
    cache.search_start(from);
    let mut seen = 0;
    for byte in &text.as_bytes()[from..] {
        state = dfa.next_state(cache, state, *byte).ok()?;
        seen += 1;
        if state.is_tagged() {
            cache.search_update(from + seen);
            if state.is_quit() {
                return None;
            }
            if state.is_dead() {
                break;
            }
        }
    }
    cache.search_finish(from + seen);
    Some(seen)
}
