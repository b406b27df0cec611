//! The Merkle tree of RFC 6962, section 2.1, and how RFC 9162, sections 2.1.3 and 2.1.4, checks its
//! proofs.

use sha2::{Digest, Sha256};

/// A SHA-256.
pub type Hash = [u8; 32];

/// Why a proof of the tree can't be made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The leaf or size lies outside of the tree.
    #[error("the tree has {size} leaves, which do not reach to {asked}")]
    Outside {
        /// How many leaves there are.
        size: u64,
        /// What was asked for.
        asked: u64,
    },
}

/// The hash of a leaf: SHA-256 of a zero byte and its data.
#[must_use]
pub fn leaf_hash(data: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([0])
        .chain_update(data)
        .finalize()
        .into()
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new()
        .chain_update([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// A tree that grows. It holds the hashes of all its full subtrees, 64 bytes a leaf, so that a root
/// or a proof of any earlier size costs no more than the square of the tree's height.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// `levels[k][i]` is the hash of the leaves from `i·2^k` on, `2^k` of them.
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// A tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many leaves there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let Some(row) = self.levels.get_mut(level) else {
                return;
            };
            row.push(hash);
            match row.as_slice() {
                [.., left, right] if row.len() % 2 == 0 => hash = node_hash(left, right),
                _ => return,
            }
        }
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.subtree(0, self.size())
    }

    /// The root that the tree had when it had this many leaves.
    ///
    /// # Errors
    /// It has fewer.
    pub fn root_at(&self, size: u64) -> Result<Hash, TreeError> {
        self.reaches(size)?;
        Ok(self.subtree(0, size))
    }

    /// The audit path of a leaf, from the leaf up, in the tree of this size (RFC 6962, section
    /// 2.1.1).
    ///
    /// # Errors
    /// There is no such leaf, or the tree is smaller.
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, TreeError> {
        self.reaches(size)?;
        if index >= size {
            return Err(TreeError::Outside { size, asked: index });
        }
        let (mut start, mut end) = (0, size);
        let mut path = Vec::new();
        while end - start > 1 {
            let middle = start + split(end - start);
            if index < middle {
                path.push(self.subtree(middle, end));
                end = middle;
            } else {
                path.push(self.subtree(start, middle));
                start = middle;
            }
        }
        path.reverse();
        Ok(path)
    }

    /// The proof that the tree of the second size begins with that of the first (RFC 6962, section
    /// 2.1.2).
    ///
    /// # Errors
    /// The tree is smaller, or the sizes are the wrong way round.
    pub fn consistency(&self, first: u64, second: u64) -> Result<Vec<Hash>, TreeError> {
        self.reaches(second)?;
        if first > second {
            return Err(TreeError::Outside {
                size: second,
                asked: first,
            });
        }
        let mut path = Vec::new();
        // Every tree begins with the one that has no leaves: nothing is to be proven.
        if first == 0 {
            return Ok(path);
        }
        let (mut start, mut end) = (0, second);
        let mut known = true;
        while first != end {
            let middle = start + split(end - start);
            if first <= middle {
                path.push(self.subtree(middle, end));
                end = middle;
            } else {
                path.push(self.subtree(start, middle));
                start = middle;
                known = false;
            }
        }
        if !known {
            path.push(self.subtree(start, end));
        }
        path.reverse();
        Ok(path)
    }

    fn reaches(&self, asked: u64) -> Result<(), TreeError> {
        let size = self.size();
        if asked > size {
            return Err(TreeError::Outside { size, asked });
        }
        Ok(())
    }

    /// The hash of the leaves from `start` to before `end`. `start` is a multiple of the least power
    /// of two that is not less than their number, as the splits above make it.
    fn subtree(&self, start: u64, end: u64) -> Hash {
        let count = end.saturating_sub(start);
        if count == 0 {
            return Sha256::digest([]).into();
        }
        if count.is_power_of_two() {
            let level = count.trailing_zeros();
            let row = self.levels.get(level as usize);
            let node = row.and_then(|row| row.get(usize::try_from(start >> level).ok()?));
            // Outside of the tree there is nothing: no caller asks for it.
            return node.copied().unwrap_or_default();
        }
        let middle = start + split(count);
        node_hash(&self.subtree(start, middle), &self.subtree(middle, end))
    }
}

/// The greatest power of two that is less than a number of leaves, which is 2 or more.
fn split(count: u64) -> u64 {
    count.next_power_of_two() >> 1
}

/// Whether a leaf is the one at an index of the tree with this size and root (RFC 9162, section
/// 2.1.3.2).
#[must_use]
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut fn_, mut sn) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in path {
        if sn == 0 {
            return false;
        }
        if fn_ & 1 == 1 || fn_ == sn {
            hash = node_hash(sibling, &hash);
            while fn_ & 1 == 0 && fn_ != 0 {
                fn_ >>= 1;
                sn >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        fn_ >>= 1;
        sn >>= 1;
    }
    sn == 0 && hash == *root
}

/// Whether the tree of the second size and root begins with that of the first (RFC 9162, section
/// 2.1.4.2). Every tree begins with the empty one.
#[must_use]
pub fn verify_consistency(
    (first, first_root): (u64, &Hash),
    (second, second_root): (u64, &Hash),
    path: &[Hash],
) -> bool {
    if first > second {
        return false;
    }
    if first == 0 {
        return path.is_empty() && Hash::from(Sha256::digest([])) == *first_root;
    }
    if first == second {
        return path.is_empty() && first_root == second_root;
    }
    let mut nodes = path.iter();
    let seed = if first.is_power_of_two() {
        Some(first_root)
    } else {
        nodes.next()
    };
    let Some(seed) = seed else {
        return false;
    };
    let (mut fn_, mut sn) = (first - 1, second - 1);
    while fn_ & 1 == 1 {
        fn_ >>= 1;
        sn >>= 1;
    }
    let (mut old, mut new) = (*seed, *seed);
    for node in nodes {
        if sn == 0 {
            return false;
        }
        if fn_ & 1 == 1 || fn_ == sn {
            old = node_hash(node, &old);
            new = node_hash(node, &new);
            while fn_ & 1 == 0 && fn_ != 0 {
                fn_ >>= 1;
                sn >>= 1;
            }
        } else {
            new = node_hash(&new, node);
        }
        fn_ >>= 1;
        sn >>= 1;
    }
    sn == 0 && old == *first_root && new == *second_root
}

#[cfg(test)]
mod tests;
