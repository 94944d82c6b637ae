//! The Merkle tree over the events of a store, as RFC 6962 defines it: which nodes a new leaf completes, and the root.
//!
//! A node of level 0 is a leaf's hash; node `i` of level `k` stands over the leaves from `i * 2^k` to `(i + 1) * 2^k - 1`,
//! counted from 0. A node is complete once all of its leaves exist, and never changes from then on.

use crate::id::Digest;

/// The hash of a leaf: SHA-256 of a zero byte and the leaf's bytes.
pub fn leaf_hash(bytes: &[u8]) -> Digest {
    Digest::of(&[&[0], bytes])
}

/// The hash of an interior node: SHA-256 of a one byte and the hashes of its children.
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    Digest::of(&[&[1], left.as_bytes(), right.as_bytes()])
}

/// The place of a complete node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// How far it is above the leaves.
    pub level: u32,
    /// Its place among the nodes of its level, from 0.
    pub index: u64,
}

impl Node {
    /// The last of its leaves, from 0: the one that completes it.
    pub fn last_leaf(self) -> u64 {
        ((self.index + 1) << self.level) - 1
    }
}

/// The right edge of a tree: the complete nodes that no larger one holds. It is all that is needed to append.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// One node for each bit of `size`, largest first.
    nodes: Vec<Digest>,
}

impl Frontier {
    /// The nodes that the frontier of a tree with `size` leaves is made of, largest first.
    pub fn places(size: u64) -> Vec<Node> {
        let levels = (0..u64::BITS).rev().filter(|level| size >> level & 1 == 1);
        levels.map(|level| Node { level, index: (size >> level) - 1 }).collect()
    }

    /// The frontier of a tree with `size` leaves, from the hashes at its [`places`](Frontier::places); `None` if there are
    /// more or fewer of them.
    pub fn new(size: u64, nodes: Vec<Digest>) -> Option<Self> {
        (nodes.len() == size.count_ones() as usize).then_some(Frontier { size, nodes })
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf by its hash. Gives the interior nodes that become complete, from level 1 upwards.
    pub fn append(&mut self, leaf: Digest) -> Vec<Digest> {
        let mut completed = Vec::with_capacity(self.size.trailing_ones() as usize);
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            // There is a node for each bit of the size.
            let Some(left) = self.nodes.pop() else { break };
            node = node_hash(&left, &node);
            completed.push(node);
        }
        self.nodes.push(node);
        self.size += 1;
        completed
    }

    /// The root: the hash that stands for all leaves in their order. That of an empty tree is SHA-256 of nothing.
    pub fn root(&self) -> Digest {
        let mut nodes = self.nodes.iter().rev().copied();
        let Some(last) = nodes.next() else { return Digest::of(&[]) };
        nodes.fold(last, |right, left| node_hash(&left, &right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The leaves of the reference tests of Certificate Transparency.
    const LEAVES: [&str; 8] =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    /// The roots over the first 0, 1, … 8 of them.
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn leaves(count: u64) -> Vec<Digest> {
        (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
    }

    /// The definition in RFC 6962, word for word.
    fn defined(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => Digest::of(&[]),
            [leaf] => *leaf,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                node_hash(&defined(&leaves[..split]), &defined(&leaves[split..]))
            }
        }
    }

    #[test]
    fn the_roots_are_not_those_of_the_reference() {
        let mut tree = Frontier::default();
        assert_eq!(tree.root().to_string(), ROOTS[0]);
        for (leaf, root) in LEAVES.iter().zip(&ROOTS[1..]) {
            tree.append(leaf_hash(&hex::decode(leaf).unwrap()));
            assert_eq!(tree.root().to_string(), *root);
        }
    }

    #[test]
    fn a_root_differs_from_the_definition() {
        let leaves = leaves(200);
        let mut tree = Frontier::default();
        for size in 1..=leaves.len() {
            tree.append(leaves[size - 1]);
            assert_eq!((tree.size(), tree.root()), (size as u64, defined(&leaves[..size])), "{size} leaves");
        }
    }

    #[test]
    fn a_frontier_cannot_be_found_again_among_the_nodes() {
        let leaves = leaves(130);
        let (mut tree, mut stored) = (Frontier::default(), std::collections::HashMap::new());
        for (n, leaf) in (0..).zip(&leaves) {
            stored.insert(Node { level: 0, index: n }, *leaf);
            for (level, hash) in (1..).zip(tree.append(*leaf)) {
                let node = Node { level, index: n >> level };
                assert_eq!(node.last_leaf(), n);
                assert_eq!(stored.insert(node, hash), None, "{node:?} became complete twice");
            }
            let nodes = Frontier::places(n + 1).iter().map(|place| stored[place]).collect();
            assert_eq!(Frontier::new(n + 1, nodes).as_ref(), Some(&tree));
        }
        assert_eq!(stored.len(), 130 + (130 - 130_u32.count_ones() as usize));
        assert_eq!(Frontier::new(3, vec![leaves[0]]), None);
    }
}
