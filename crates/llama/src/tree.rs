//! Which tokens the sequences of a context hold, and which of them share cells.
//!
//! A radix tree over token ids: an edge is a stretch of tokens that the same sequences share, and a sequence holds the
//! tokens from the root to the node where it ends. Sequences of different adapters share nothing. A fork shares its beginning with the sequence that it comes from, as
//! cells do in llama.cpp's unified cache; two sequences that computed the same tokens apart have nodes apart. What a running
//! sequence is going to compute is in the tree from the beginning, so that others can wait for it instead of computing it too.

use std::collections::BTreeMap;

use crate::adapter::Adapter;

/// A name for requests that begin alike.
pub(crate) type Group = u64;

/// After so many uses of others, what was kept for some that were to come is kept no longer.
const KEPT: u64 = 1_000;

/// The number of a sequence, as llama.cpp counts them.
pub(crate) type Seq = i32;

/// A stretch of tokens.
#[derive(Debug)]
struct Node {
    parent: usize,
    children: Vec<usize>,
    tokens: Vec<u32>,
    /// How many tokens come before it.
    start: usize,
}

/// A sequence and how far it has come.
#[derive(Debug)]
struct Holder {
    /// The adapter that it is computed with. Only sequences with the same one share nodes.
    adapter: Adapter,
    /// Where it ends.
    node: usize,
    /// How many of its tokens are in the context.
    computed: usize,
    busy: bool,
    /// For which requests it is kept that are still to come.
    wanted: Option<Group>,
    /// When it was last of use.
    used: u64,
}

/// What a prompt finds in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The sequence whose cells can be shared now, and how many.
    pub(crate) ready: Option<(Seq, usize)>,
    /// How many tokens could be shared once those that run have come so far; never less.
    pub(crate) coming: usize,
}

const ROOT: usize = 0;

/// The tokens of all sequences.
#[derive(Debug)]
pub(crate) struct Tree {
    /// Node 0 is the root, which has no tokens. `None` where a node was taken out.
    nodes: Vec<Option<Node>>,
    holders: BTreeMap<Seq, Holder>,
    tokens: usize,
    now: u64,
}

impl Tree {
    pub(crate) fn new() -> Self {
        let root = Node { parent: ROOT, children: Vec::new(), tokens: Vec::new(), start: 0 };
        Tree { nodes: vec![Some(root)], holders: BTreeMap::new(), tokens: 0, now: 0 }
    }

    /// Tokens in the tree: the cells that its sequences take, those counted in that are still to be computed.
    pub(crate) fn tokens(&self) -> usize {
        self.tokens
    }

    /// How many sequences there are.
    pub(crate) fn sequences(&self) -> usize {
        self.holders.len()
    }

    /// Tokens and sequences that are left when all that rests is taken out, but for `but`.
    pub(crate) fn least(&self, but: Option<Seq>) -> (usize, usize) {
        let stays = self.holders.iter().filter(|(seq, holder)| holder.busy || Some(**seq) == but).map(|(seq, _)| *seq);
        (self.cells(stays.clone()), stays.count())
    }

    /// Tokens that these sequences have, what they share counted once.
    pub(crate) fn cells(&self, sequences: impl Iterator<Item = Seq>) -> usize {
        let (mut seen, mut tokens) = (vec![false; self.nodes.len()], 0);
        for holder in sequences.filter_map(|seq| self.holders.get(&seq)) {
            let mut at = holder.node;
            while let Some(node) = self.node(at).filter(|_| !std::mem::replace(&mut seen[at], true)) {
                tokens += node.tokens.len();
                at = node.parent;
            }
        }
        tokens
    }

    /// The adapter of a sequence.
    pub(crate) fn adapter_of(&self, seq: Seq) -> Adapter {
        self.holders.get(&seq).and_then(|holder| holder.adapter)
    }

    /// The tokens of a sequence, and how many of them it shares with no other one.
    pub(crate) fn tokens_of(&self, seq: Seq) -> (Vec<u32>, usize) {
        let (mut stretches, mut own, mut alone) = (Vec::new(), 0, true);
        let mut at = self.holders.get(&seq).map_or(ROOT, |holder| holder.node);
        let mut below = None;
        while let Some(node) = self.node(at).filter(|_| at != ROOT) {
            let held = self.holders.iter().any(|(other, holder)| *other != seq && holder.node == at);
            alone &= !held && node.children.iter().all(|child| Some(*child) == below);
            own += if alone { node.tokens.len() } else { 0 };
            stretches.push(node.tokens.as_slice());
            (below, at) = (Some(at), node.parent);
        }
        stretches.reverse();
        (stretches.concat(), own)
    }

    /// What of a prompt is there, computed with the adapter that is asked for.
    pub(crate) fn find(&self, adapter: Adapter, prompt: &[u32]) -> Found {
        let mut found = Found { ready: None, coming: 0 };
        let shared = self.shared(prompt);
        for (&seq, holder) in self.holders.iter().filter(|(_, holder)| holder.adapter == adapter) {
            let shared = shared[holder.node];
            let ready = shared.min(holder.computed);
            if ready > found.ready.map_or(0, |(_, ready)| ready) {
                found.ready = Some((seq, ready));
            }
            // What rests goes no further.
            let coming = if holder.busy { shared } else { ready };
            found.coming = found.coming.max(coming);
        }
        found
    }

    /// How many tokens a prompt has in common with the way to each node.
    fn shared(&self, prompt: &[u32]) -> Vec<usize> {
        let mut shared = vec![0; self.nodes.len()];
        let mut open = vec![ROOT];
        while let Some(at) = open.pop() {
            let reached = shared[at];
            for &child in self.node(at).map_or(&[][..], |node| &node.children) {
                // Behind an edge that differs nothing more is in common.
                let goes_on = self.node(child).filter(|node| node.start == reached);
                let (edge, rest) = (goes_on.map_or(&[][..], |node| &node.tokens), &prompt[reached..]);
                shared[child] = reached + edge.iter().zip(rest).take_while(|(a, b)| a == b).count();
                open.push(child);
            }
        }
        shared
    }

    /// Begins a busy sequence with what is to be computed. It shares `from.1` tokens with the sequence `from.0` of the same adapter,
    /// which are in the context already; the rest of `tokens` is new.
    pub(crate) fn begin(&mut self, seq: Seq, adapter: Adapter, from: Option<(Seq, usize)>, tokens: &[u32]) {
        let (node, computed) = match from.and_then(|(from, depth)| Some((self.holders.get(&from)?.node, depth))) {
            Some((node, depth)) => (self.split(node, depth), depth),
            None => (ROOT, 0),
        };
        if let Some((from, _)) = from {
            self.touch(from);
        }
        self.now += 1;
        self.holders.insert(seq, Holder { adapter, node, computed, busy: true, wanted: None, used: self.now });
        self.extend(seq, tokens.get(computed..).unwrap_or_default());
    }

    /// Adds tokens that a sequence is going to compute next.
    pub(crate) fn extend(&mut self, seq: Seq, tokens: &[u32]) {
        let Some(at) = self.holders.get(&seq).map(|holder| holder.node).filter(|_| !tokens.is_empty()) else { return };
        self.tokens += tokens.len();
        let others = self.holders.iter().any(|(other, holder)| *other != seq && holder.node == at);
        match self.nodes.get_mut(at) {
            Some(Some(node)) if at != ROOT && node.children.is_empty() && !others => {
                node.tokens.extend_from_slice(tokens)
            }
            _ => {
                let start = self.end(at);
                let new = self.add(Node { parent: at, children: Vec::new(), tokens: tokens.to_vec(), start });
                if let Some(holder) = self.holders.get_mut(&seq) {
                    holder.node = new;
                }
            }
        }
    }

    /// Says that a sequence has so many tokens in the context now.
    pub(crate) fn computed(&mut self, seq: Seq, computed: usize) {
        if let Some(holder) = self.holders.get_mut(&seq) {
            holder.computed = computed;
        }
    }

    /// Lets a sequence rest with what is computed of it, for others to share.
    pub(crate) fn rest(&mut self, seq: Seq) {
        self.now += 1;
        let now = self.now;
        let Some(holder) = self.holders.get_mut(&seq) else { return };
        (holder.busy, holder.used) = (false, now);
        let (node, computed) = (holder.node, holder.computed);
        if computed < self.end(node) {
            let kept = self.split(node, computed);
            if let Some(holder) = self.holders.get_mut(&seq) {
                holder.node = kept;
            }
            self.prune(node);
        }
    }

    /// Keeps a sequence for the requests of a group, in place of the one that was kept for them; `None` where no more are to come.
    pub(crate) fn keep_for(&mut self, group: Group, seq: Option<Seq>) {
        for (other, holder) in &mut self.holders {
            if Some(*other) == seq {
                holder.wanted = Some(group);
            } else if holder.wanted == Some(group) {
                holder.wanted = None;
            }
        }
    }

    /// Takes a sequence out.
    pub(crate) fn remove(&mut self, seq: Seq) {
        if let Some(holder) = self.holders.remove(&seq) {
            self.prune(holder.node);
        }
    }

    /// Whether a sequence rests.
    pub(crate) fn rests(&self, seq: Seq) -> bool {
        self.holders.get(&seq).is_some_and(|holder| !holder.busy)
    }

    /// The resting sequence that was of no use for longest, but for `but`; one that is kept for others only where there is none
    /// else. What was kept and of no use for long was left by its run.
    pub(crate) fn oldest(&self, but: Option<Seq>) -> Option<Seq> {
        let resting = self.holders.iter().filter(|(seq, holder)| !holder.busy && Some(**seq) != but);
        resting.min_by_key(|(seq, holder)| (self.is_kept(**seq), holder.used)).map(|(seq, _)| *seq)
    }

    /// Whether a sequence is kept for others that are to come.
    pub(crate) fn is_kept(&self, seq: Seq) -> bool {
        self.holders.get(&seq).is_some_and(|holder| holder.wanted.is_some() && self.now - holder.used < KEPT)
    }

    /// A number below `most` that no sequence has.
    pub(crate) fn free(&self, most: Seq) -> Option<Seq> {
        (0..most).find(|seq| !self.holders.contains_key(seq))
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Tree { now: self.now, ..Tree::new() };
    }

    fn touch(&mut self, seq: Seq) {
        self.now += 1;
        if let Some(holder) = self.holders.get_mut(&seq) {
            holder.used = self.now;
        }
    }

    fn node(&self, at: usize) -> Option<&Node> {
        self.nodes.get(at)?.as_ref()
    }

    fn node_mut(&mut self, at: usize) -> Option<&mut Node> {
        self.nodes.get_mut(at)?.as_mut()
    }

    /// How many tokens there are from the root to the end of a node.
    fn end(&self, at: usize) -> usize {
        self.node(at).map_or(0, |node| node.start + node.tokens.len())
    }

    fn add(&mut self, node: Node) -> usize {
        let parent = node.parent;
        let free = self.nodes.iter().position(Option::is_none);
        let at = free.unwrap_or(self.nodes.len());
        match self.nodes.get_mut(at) {
            Some(place) => *place = Some(node),
            None => self.nodes.push(Some(node)),
        }
        if let Some(parent) = self.node_mut(parent) {
            parent.children.push(at);
        }
        at
    }

    /// The node on the way to `at` that ends after `depth` tokens, made if need be: the node that goes over `depth` keeps its
    /// number, its end and all that hangs on it, and gets a new parent.
    fn split(&mut self, mut at: usize, depth: usize) -> usize {
        while let Some(node) = self.node(at).filter(|node| node.start >= depth && at != ROOT) {
            at = node.parent;
        }
        let end = self.end(at);
        let Some(node) = self.node_mut(at).filter(|_| at != ROOT && end > depth) else { return at };
        let (parent, start, within) = (node.parent, node.start, depth - node.start);
        let rest = node.tokens.split_off(within);
        let first = std::mem::replace(&mut node.tokens, rest);
        node.start = depth;
        let upper = self.add(Node { parent, children: vec![at], tokens: first, start });
        if let Some(node) = self.node_mut(at) {
            node.parent = upper;
        }
        if let Some(parent) = self.node_mut(parent) {
            parent.children.retain(|child| *child != at);
        }
        upper
    }

    /// Takes a node out that nobody holds any more, and so its parents.
    fn prune(&mut self, mut at: usize) {
        while at != ROOT
            && !self.holders.values().any(|holder| holder.node == at)
            && let Some(node) = self.nodes.get_mut(at).and_then(|node| node.take_if(|node| node.children.is_empty()))
        {
            self.tokens -= node.tokens.len();
            if let Some(parent) = self.node_mut(node.parent) {
                parent.children.retain(|child| *child != at);
            }
            at = node.parent;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_second_prompt_waits_for_the_beginning_that_the_first_one_fills() {
        let mut tree = Tree::new();
        tree.begin(0, None, None, &[1, 2, 3, 4]);
        assert_eq!(tree.find(None, &[1, 2, 9]), Found { ready: None, coming: 2 });
        tree.computed(0, 1);
        assert_eq!(tree.find(None, &[1, 2, 9]), Found { ready: Some((0, 1)), coming: 2 });
        tree.computed(0, 3);
        assert_eq!(tree.find(None, &[1, 2, 9]), Found { ready: Some((0, 2)), coming: 2 });
        tree.begin(1, None, Some((0, 2)), &[1, 2, 9]);
        assert_eq!(tree.tokens(), 5);
        // What only the second one is going to compute can be waited for as well.
        assert_eq!(tree.find(None, &[1, 2, 9, 9]), Found { ready: Some((0, 2)), coming: 3 });
    }

    #[test]
    fn what_one_adapter_computes_is_lent_to_no_other() {
        let mut tree = Tree::new();
        tree.begin(0, Some(0), None, &[1, 2, 3, 4]);
        tree.computed(0, 2);
        for other in [None, Some(1)] {
            assert_eq!(tree.find(other, &[1, 2, 3]), Found { ready: None, coming: 0 });
        }
        tree.begin(1, None, None, &[1, 2, 3, 4]);
        tree.computed(1, 1);
        assert_eq!(tree.find(Some(0), &[1, 2, 3]), Found { ready: Some((0, 2)), coming: 3 });
        assert_eq!(tree.find(None, &[1, 2, 3]), Found { ready: Some((1, 1)), coming: 3 });
        assert_eq!(tree.tokens(), 8);
        // A fork is of the same adapter.
        tree.begin(2, Some(0), Some((0, 2)), &[1, 2, 9]);
        assert_eq!((tree.adapter_of(2), tree.tokens()), (Some(0), 9));
    }

    #[test]
    fn what_was_not_computed_is_not_kept_and_nobody_waits_for_it() {
        let mut tree = Tree::new();
        tree.begin(0, None, None, &[1, 2, 3, 4]);
        tree.computed(0, 2);
        tree.rest(0);
        assert_eq!((tree.find(None, &[1, 2, 3]), tree.tokens()), (Found { ready: Some((0, 2)), coming: 2 }, 2));
        tree.remove(0);
        assert_eq!((tree.find(None, &[1, 2, 3]), tree.tokens()), (Found { ready: None, coming: 0 }, 0));
    }

    #[test]
    fn a_fork_keeps_what_it_shares_when_the_trunk_goes() {
        let mut tree = Tree::new();
        tree.begin(0, None, None, &[1, 2, 3]);
        tree.computed(0, 3);
        tree.begin(1, None, Some((0, 2)), &[1, 2, 7, 8]);
        tree.rest(0);
        tree.remove(0);
        assert_eq!((tree.tokens(), tree.find(None, &[1, 2, 3]).ready), (4, Some((1, 2))));
    }

    #[test]
    fn the_oldest_that_rests_is_the_first_to_go() {
        let mut tree = Tree::new();
        for seq in 0..3 {
            tree.begin(seq, None, None, &[u32::try_from(seq).unwrap(), 5]);
            tree.computed(seq, 2);
            tree.rest(seq);
        }
        tree.begin(3, None, Some((0, 2)), &[0, 5, 6]);
        assert_eq!((tree.oldest(None), tree.oldest(Some(1)), tree.free(5)), (Some(1), Some(2), Some(4)));
    }

    /// What a sequence does.
    #[test]
    fn what_more_requests_are_to_come_for_goes_last() {
        let mut tree = Tree::new();
        for seq in 0..3 {
            tree.begin(seq, None, None, &[seq.unsigned_abs(), 7]);
            tree.computed(seq, 2);
            tree.rest(seq);
        }
        tree.keep_for(5, Some(0));
        assert_eq!(tree.oldest(None), Some(1));
        // The next one of the group takes its place.
        tree.keep_for(5, Some(1));
        assert_eq!(tree.oldest(None), Some(0));
        tree.keep_for(5, Some(0));
        tree.remove(1);
        tree.remove(2);
        assert_eq!(tree.oldest(None), Some(0), "where there is none else");
        tree.begin(1, None, None, &[9]);
        tree.computed(1, 1);
        tree.rest(1);
        assert_eq!(tree.oldest(None), Some(1));
        tree.keep_for(5, None);
        assert_eq!(tree.oldest(None), Some(0));
        // What nobody comes for is not kept for ever.
        tree.keep_for(5, Some(0));
        for _ in 0..KEPT {
            tree.rest(1);
        }
        assert_eq!(tree.oldest(None), Some(0));
    }

    #[derive(Clone, Debug)]
    enum Deed {
        Begin(Adapter, Vec<u32>),
        Compute(usize),
        Extend(usize, Vec<u32>),
        Rest(usize),
        Remove(usize),
    }

    fn deeds() -> impl Strategy<Value = Vec<Deed>> {
        let tokens = || proptest::collection::vec(0..3u32, 1..8);
        let deed = prop_oneof![
            (proptest::option::of(0..2usize), tokens()).prop_map(|(adapter, tokens)| Deed::Begin(adapter, tokens)),
            (0..8usize).prop_map(Deed::Compute),
            (0..8usize, tokens()).prop_map(|(seq, tokens)| Deed::Extend(seq, tokens)),
            (0..8usize).prop_map(Deed::Rest),
            (0..8usize).prop_map(Deed::Remove),
        ];
        proptest::collection::vec(deed, 1..60)
    }

    /// The same, told with whole texts, and cells that sequences share as llama.cpp's do.
    #[derive(Default)]
    struct Plain {
        /// Tokens, the cell of each, how many are computed, and whether it is busy.
        all: BTreeMap<Seq, (Vec<u32>, Vec<usize>, usize, bool)>,
        adapters: BTreeMap<Seq, Adapter>,
        cells: usize,
    }

    impl Plain {
        fn cells(&mut self, n: usize) -> Vec<usize> {
            self.cells += n;
            (self.cells - n..self.cells).collect()
        }

        fn find(&self, adapter: Adapter, prompt: &[u32]) -> (usize, usize) {
            let (mut ready, mut coming) = (0, 0);
            let of_adapter = self.all.iter().filter(|(seq, _)| self.adapters[*seq] == adapter);
            for (_, (tokens, _, computed, busy)) in of_adapter {
                let shared = tokens.iter().zip(prompt).take_while(|(a, b)| a == b).count();
                ready = ready.max(shared.min(*computed));
                coming = coming.max(if *busy { shared } else { shared.min(*computed) });
            }
            (ready, coming)
        }
    }

    proptest! {
        #[test]
        fn the_tree_tells_what_plain_lists_tell(deeds in deeds()) {
            let (mut tree, mut plain) = (Tree::new(), Plain::default());
            let nth = |plain: &Plain, n: usize, busy: bool| {
                let of_kind: Vec<Seq> = plain.all.iter().filter(|(_, held)| held.3 == busy).map(|(seq, _)| *seq).collect();
                (!of_kind.is_empty()).then(|| of_kind[n % of_kind.len()])
            };
            for deed in deeds {
                match deed {
                    Deed::Begin(adapter, tokens) => {
                        let Some(seq) = tree.free(8) else { continue };
                        let from = tree.find(adapter, &tokens).ready;
                        tree.begin(seq, adapter, from, &tokens);
                        plain.adapters.insert(seq, adapter);
                        let shared = from.map_or(Vec::new(), |(from, depth)| plain.all[&from].1[..depth].to_vec());
                        let depth = shared.len();
                        let own = plain.cells(tokens.len() - depth);
                        plain.all.insert(seq, (tokens, [shared, own].concat(), depth, true));
                    }
                    Deed::Compute(n) => if let Some(seq) = nth(&plain, n, true) {
                        let held = plain.all.get_mut(&seq).unwrap();
                        held.2 = (held.2 + 1).min(held.0.len());
                        tree.computed(seq, held.2);
                    },
                    Deed::Extend(n, tokens) => if let Some(seq) = nth(&plain, n, true) {
                        tree.extend(seq, &tokens);
                        let own = plain.cells(tokens.len());
                        let held = plain.all.get_mut(&seq).unwrap();
                        held.0.extend(tokens);
                        held.1.extend(own);
                    },
                    Deed::Rest(n) => if let Some(seq) = nth(&plain, n, true) {
                        tree.rest(seq);
                        let held = plain.all.get_mut(&seq).unwrap();
                        held.0.truncate(held.2);
                        held.1.truncate(held.2);
                        held.3 = false;
                    },
                    Deed::Remove(n) => if let Some(seq) = nth(&plain, n, false) {
                        tree.remove(seq);
                        plain.all.remove(&seq);
                    },
                }
                let cells: std::collections::BTreeSet<usize> =
                    plain.all.values().flat_map(|held| held.1.iter().copied()).collect();
                prop_assert_eq!((tree.tokens(), tree.sequences()), (cells.len(), plain.all.len()));
                for (seq, held) in &plain.all {
                    let others: std::collections::BTreeSet<usize> =
                        plain.all.iter().filter(|(other, _)| *other != seq).flat_map(|(_, held)| held.1.clone()).collect();
                    let own = held.1.iter().filter(|cell| !others.contains(cell)).count();
                    prop_assert_eq!(tree.tokens_of(*seq), (held.0.clone(), own));
                    prop_assert_eq!(tree.adapter_of(*seq), plain.adapters[seq]);
                }
                for but in [None, plain.all.keys().next().copied()] {
                    let stay = || plain.all.iter().filter(|(seq, held)| held.3 || Some(**seq) == but);
                    let cells: std::collections::BTreeSet<usize> =
                        stay().flat_map(|(_, held)| held.1.iter().copied()).collect();
                    prop_assert_eq!(tree.least(but), (cells.len(), stay().count()));
                }
                for prompt in plain.all.values().map(|held| held.0.clone()).chain([vec![0, 1, 2], vec![2, 2]]) {
                    for adapter in [None, Some(0), Some(1)] {
                        let found = tree.find(adapter, &prompt);
                        let ready = found.ready.map_or(0, |(_, ready)| ready);
                        prop_assert_eq!((ready, found.coming), plain.find(adapter, &prompt));
                    }
                }
            }
        }
    }
}
