//! Proofs over the tree of all events, as RFC 9162 (2.1.3, 2.1.4) defines them: that a leaf stands in it, and that a larger tree begins
//! with a smaller one. Places count from 0.

use std::collections::BTreeMap;

use super::tree::{Node, node_hash};
use crate::id::Digest;

/// Leaves next to each other, of which a proof holds one hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first of them.
    pub first: u64,
    /// The one behind the last.
    pub end: u64,
}

impl Span {
    /// The complete nodes that it is made of, largest and leftmost first. There is more than one only at the right edge of a tree.
    pub fn nodes(self) -> Vec<Node> {
        let (mut nodes, mut at) = (Vec::new(), self.first);
        while at < self.end {
            // As large as there is room, and as its place allows.
            let level = (self.end - at).ilog2().min(if at == 0 { u64::BITS - 1 } else { at.trailing_zeros() });
            nodes.push(Node { level, index: at >> level });
            at += 1 << level;
        }
        nodes
    }

    /// Its hash, from those of its [nodes](Span::nodes); `None` if one is missing.
    pub fn hash(self, known: &BTreeMap<Node, Digest>) -> Option<Digest> {
        let mut nodes = self.nodes().into_iter().rev().map(|node| known.get(&node));
        let last = *nodes.next()??;
        nodes.try_fold(last, |right, left| Some(node_hash(left?, &right)))
    }
}

/// What the proof that leaf `index` stands in a tree of `size` leaves is made of, from the leaf upwards; `None` if it does not.
///
/// ```
/// use parkway_core::log::proof::{Span, inclusion};
///
/// let span = |first, end| Span { first, end };
/// assert_eq!(inclusion(2, 7), Some(vec![span(3, 4), span(0, 2), span(4, 7)]));
/// assert_eq!(inclusion(7, 7), None);
/// ```
pub fn inclusion(index: u64, size: u64) -> Option<Vec<Span>> {
    (index < size).then(|| {
        let (mut path, mut span) = (Vec::new(), Span { first: 0, end: size });
        while span.end - span.first > 1 {
            let (left, right) = halves(span);
            let (own, other) = if index < right.first { (left, right) } else { (right, left) };
            path.push(other);
            span = own;
        }
        path.reverse();
        path
    })
}

/// What the proof that a tree of `size` leaves begins with one of `earlier` is made of; `None` if it cannot, or if there is nothing to
/// prove, since the earlier tree is empty.
pub fn consistency(earlier: u64, size: u64) -> Option<Vec<Span>> {
    (earlier > 0 && earlier <= size).then(|| {
        let (mut path, mut span) = (Vec::new(), Span { first: 0, end: size });
        while span.end != earlier {
            let (left, right) = halves(span);
            if earlier <= right.first {
                path.push(right);
                span = left;
            } else {
                path.push(left);
                span = right;
            }
        }
        // Who checks it knows the whole earlier tree.
        if span.first > 0 {
            path.push(span);
        }
        path.reverse();
        path
    })
}

/// The children of a node over several leaves: the left one is as large as it can be, and complete.
fn halves(span: Span) -> (Span, Span) {
    let split = span.first + (1 << (span.end - span.first - 1).ilog2());
    (Span { end: split, ..span }, Span { first: split, ..span })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::tree::{Frontier, leaf_hash};

    fn leaves(count: u64) -> Vec<Digest> {
        (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
    }

    /// All complete nodes over these leaves.
    fn nodes(leaves: &[Digest]) -> BTreeMap<Node, Digest> {
        let (mut tree, mut nodes) = (Frontier::default(), BTreeMap::new());
        for (n, leaf) in (0..).zip(leaves) {
            nodes.insert(Node { level: 0, index: n }, *leaf);
            nodes.extend((1..).zip(tree.append(*leaf)).map(|(level, hash)| (Node { level, index: n >> level }, hash)));
        }
        nodes
    }

    fn root(leaves: &[Digest]) -> Digest {
        let mut tree = Frontier::default();
        leaves.iter().for_each(|leaf| drop(tree.append(*leaf)));
        tree.root()
    }

    /// `PATH(m, D[n])` of the standard, word for word.
    fn path(m: usize, leaves: &[Digest]) -> Vec<Digest> {
        if leaves.len() == 1 {
            return Vec::new();
        }
        let k = leaves.len().next_power_of_two() / 2;
        let (mut path, other) = match m < k {
            true => (path(m, &leaves[..k]), root(&leaves[k..])),
            false => (path(m - k, &leaves[k..]), root(&leaves[..k])),
        };
        path.push(other);
        path
    }

    /// `SUBPROOF(m, D[n], b)` of the standard, word for word.
    fn subproof(m: usize, leaves: &[Digest], whole: bool) -> Vec<Digest> {
        if m == leaves.len() {
            return if whole { Vec::new() } else { vec![root(leaves)] };
        }
        let k = leaves.len().next_power_of_two() / 2;
        let (mut proof, other) = match m <= k {
            true => (subproof(m, &leaves[..k], whole), root(&leaves[k..])),
            false => (subproof(m - k, &leaves[k..], false), root(&leaves[..k])),
        };
        proof.push(other);
        proof
    }

    fn hashes(spans: &[Span], nodes: &BTreeMap<Node, Digest>) -> Vec<Digest> {
        spans.iter().map(|span| span.hash(nodes).unwrap()).collect()
    }

    #[test]
    fn a_proof_differs_from_the_definition() {
        let leaves = leaves(70);
        for size in 1..=leaves.len() {
            let (tree, nodes) = (&leaves[..size], nodes(&leaves[..size]));
            for m in 0..size {
                let spans = inclusion(m as u64, size as u64).unwrap();
                assert_eq!(hashes(&spans, &nodes), path(m, tree), "leaf {m} of {size}");
                let spans = consistency(m as u64 + 1, size as u64).unwrap();
                assert_eq!(hashes(&spans, &nodes), subproof(m + 1, tree, true), "{} in {size}", m + 1);
            }
        }
    }

    #[test]
    fn what_cannot_be_proven_has_a_proof() {
        assert_eq!(inclusion(0, 0), None);
        assert_eq!(inclusion(5, 5), None);
        assert_eq!(consistency(0, 5), None);
        assert_eq!(consistency(6, 5), None);
        let leaves = leaves(5);
        assert_eq!(Span { first: 0, end: 6 }.hash(&nodes(&leaves)), None);
        assert_eq!(Span { first: 3, end: 3 }.hash(&nodes(&leaves)), None);
    }

    #[test]
    fn a_proof_over_a_huge_tree_takes_long() {
        let size = u64::MAX;
        let spans = inclusion(size / 2, size).unwrap();
        assert!(spans.len() <= 64 && spans.iter().flat_map(|span| span.nodes()).count() <= 128);
        assert!(consistency(size / 3, size).unwrap().len() <= 65);
    }
}
