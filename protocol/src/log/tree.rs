//! The Merkle tree over the log's entries (RFC 6962 §2.1), and what of it must be stored.

use std::cell::RefCell;
use std::collections::HashMap;

use tlog_tiles::tlog::{self, Hash, HashReader};

use crate::ids::TreeHash;

/// Hashes by their place in the store.
pub type Hashes = HashMap<u64, TreeHash>;

/// Hashes that the store lacks, or that fit no tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log's stored hashes are not those of its tree")]
pub struct NoSuchHashes;

/// SPEC 14.3  The hash of a leaf: SHA-256 of a zero byte and the entry.
pub fn leaf_hash(entry: &[u8]) -> TreeHash {
    TreeHash(tlog::record_hash(entry).0)
}

/// A tree of `size` leaves, over hashes that lie elsewhere.
///
/// Inner hashes are stored as they become final, at places in the order of Crosby and Wallach ("Efficient Data Structures
/// for Tamper-Evident Logging", 2009, §3.3): an append adds two on average, and reads as many as the tree is high.
#[derive(Clone, Copy, Debug)]
pub struct Tree<'h> {
    pub size: u64,
    hashes: &'h Hashes,
}

impl<'h> Tree<'h> {
    pub fn new(size: u64, hashes: &'h Hashes) -> Self {
        Self { size, hashes }
    }

    pub fn root(&self) -> Result<TreeHash, NoSuchHashes> {
        tlog::tree_hash(self.size, self).map(|hash| TreeHash(hash.0)).map_err(|_| NoSuchHashes)
    }

    /// What to store with the next leaf: its hash and those of the subtrees that it completes, each with its place.
    pub fn next(&self, leaf: TreeHash) -> Result<Vec<(u64, TreeHash)>, NoSuchHashes> {
        let hashes = tlog::stored_hashes_for_record_hash(self.size, Hash(leaf.0), self).map_err(|_| NoSuchHashes)?;
        let places = tlog::stored_hash_index(0, self.size)..;
        Ok(places.zip(hashes.into_iter().map(|hash| TreeHash(hash.0))).collect())
    }

    /// That a leaf is in the tree (RFC 6962 §2.1.1).
    pub fn inclusion(&self, leaf: u64) -> Result<Vec<TreeHash>, NoSuchHashes> {
        proof(tlog::prove_record(self.size, leaf, self))
    }

    /// That the tree continues the one of `before` leaves (RFC 6962 §2.1.2).
    pub fn consistency(&self, before: u64) -> Result<Vec<TreeHash>, NoSuchHashes> {
        proof(tlog::prove_tree(self.size, before, self))
    }
}

fn proof<E>(hashes: Result<Vec<Hash>, E>) -> Result<Vec<TreeHash>, NoSuchHashes> {
    hashes.map(|hashes| hashes.into_iter().map(|hash| TreeHash(hash.0)).collect()).map_err(|_| NoSuchHashes)
}

impl HashReader for Tree<'_> {
    fn read_hashes(&self, places: &[u64]) -> Result<Vec<Hash>, tlog::Error> {
        let hash = |place| self.hashes.get(place).map(|hash| Hash(hash.0)).ok_or(tlog::Error::IndexesNotInTree);
        places.iter().map(hash).collect()
    }
}

/// Finds out which places a piece of work will read, so that they can be fetched together.
pub struct HashesNeeded {
    size: u64,
    places: RefCell<Vec<u64>>,
}

impl HashesNeeded {
    pub fn of(size: u64) -> Self {
        Self { size, places: RefCell::default() }
    }

    pub fn root(self) -> Self {
        let _ = tlog::tree_hash(self.size, &self);
        self
    }

    pub fn next(self) -> Self {
        let _ = tlog::stored_hashes_for_record_hash(self.size, tlog::EMPTY_HASH, &self);
        self
    }

    pub fn inclusion(self, leaf: u64) -> Self {
        let _ = tlog::prove_record(self.size, leaf, &self);
        self
    }

    pub fn consistency(self, before: u64) -> Self {
        let _ = tlog::prove_tree(self.size, before, &self);
        self
    }

    /// Each place once.
    pub fn places(self) -> Vec<u64> {
        let mut places = self.places.into_inner();
        places.sort_unstable();
        places.dedup();
        places
    }
}

impl HashReader for HashesNeeded {
    fn read_hashes(&self, places: &[u64]) -> Result<Vec<Hash>, tlog::Error> {
        self.places.borrow_mut().extend(places);
        Ok(vec![tlog::EMPTY_HASH; places.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition (RFC 6962 §2.1), word for word.
    fn definition(leaves: &[TreeHash]) -> TreeHash {
        match leaves {
            [] => TreeHash(tlog::EMPTY_HASH.0),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                TreeHash(tlog::node_hash(Hash(definition(left).0), Hash(definition(right).0)).0)
            }
        }
    }

    #[test]
    fn a_tree_grown_leaf_by_leaf_is_the_one_of_the_definition_and_asks_for_what_it_reads() {
        let leaves: Vec<TreeHash> = (0u8..70).map(|number| leaf_hash(&[number])).collect();
        let mut stored = Hashes::new();
        for (size, leaf) in (0u64..).zip(&leaves) {
            let places = HashesNeeded::of(size).root().next().places();
            let fetched: Hashes = places.iter().map(|place| (*place, stored[place])).collect();
            let tree = Tree::new(size, &fetched);
            assert_eq!(tree.root().unwrap(), definition(&leaves[..size as usize]), "{size}");
            stored.extend(tree.next(*leaf).unwrap());
        }
        assert_eq!(Tree::new(70, &Hashes::new()).root(), Err(NoSuchHashes));
    }

    // RFC 6962's reference tests (Certificate Transparency's `merkletree` tests): leaves "", 00, 10, 2021
    #[test]
    fn roots_are_those_of_certificate_transparency() {
        let leaves: Vec<TreeHash> = [&[][..], &[0x00], &[0x10], &[0x20, 0x21]].into_iter().map(leaf_hash).collect();
        let root = |size: usize| definition(&leaves[..size]).to_string();
        assert_eq!(root(0), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(root(1), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        assert_eq!(root(2), "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125");
        assert_eq!(root(3), "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77");
        assert_eq!(root(4), "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7");
    }
}
