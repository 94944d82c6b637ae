//! The Merkle tree of RFC 6962: a root from leaves that come one by one, and the two proofs of RFC 9162 (2.1.3.2, 2.1.4.2).

use sha2::{Digest as _, Sha256};

/// SHA-256.
pub type Hash = [u8; 32];

/// The hash of a leaf: SHA-256 of a zero byte and the leaf's bytes.
pub fn leaf_hash(bytes: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(bytes).finalize().into()
}

/// The hash of an interior node: SHA-256 of a one byte and the hashes of its children.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// A tree that grows, of which only its right edge is kept.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    size: u64,
    /// The complete nodes that no larger one holds: one for each bit of the size, largest first.
    edge: Vec<Hash>,
}

impl Tree {
    /// How many leaves it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf.
    pub fn append(&mut self, leaf: Hash) {
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.edge.pop() {
                node = node_hash(&left, &node);
            }
        }
        self.edge.push(node);
        self.size += 1;
    }

    /// The hash that stands for all leaves in their order; that of no leaves is SHA-256 of nothing.
    pub fn root(&self) -> Hash {
        let mut nodes = self.edge.iter().rev();
        let Some(last) = nodes.next() else { return Sha256::digest([]).into() };
        nodes.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// Whether `proof` shows that the leaf stands at place `index`, from 0, in the tree of `size` leaves with this root.
pub fn is_included(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut place, mut last, mut hash) = (index, size - 1, *leaf);
    for other in proof {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            hash = node_hash(other, &hash);
            // At the right edge levels are passed where there is nothing to the left.
            while place & 1 == 0 && place != 0 {
                (place, last) = (place >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, other);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    last == 0 && hash == *root
}

/// Whether `proof` shows that the tree of `size` leaves begins with the one of `earlier` leaves, each with its root. Of an empty
/// earlier tree there is nothing to show.
pub fn is_consistent(earlier: u64, earlier_root: &Hash, size: u64, root: &Hash, proof: &[Hash]) -> bool {
    if earlier == 0 || earlier > size {
        return false;
    }
    if earlier == size {
        return proof.is_empty() && earlier_root == root;
    }
    // A complete earlier tree is a node of the larger one: who checks knows it.
    let (first, rest) = match (earlier.is_power_of_two(), proof) {
        (true, rest) => (*earlier_root, rest),
        (false, [first, rest @ ..]) => (*first, rest),
        (false, []) => return false,
    };
    let (mut place, mut last) = (earlier - 1, size - 1);
    while place & 1 == 1 {
        (place, last) = (place >> 1, last >> 1);
    }
    let (mut old, mut new) = (first, first);
    for other in rest {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            (old, new) = (node_hash(other, &old), node_hash(other, &new));
            while place & 1 == 0 && place != 0 {
                (place, last) = (place >> 1, last >> 1);
            }
        } else {
            new = node_hash(&new, other);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    last == 0 && old == *earlier_root && new == *root
}
