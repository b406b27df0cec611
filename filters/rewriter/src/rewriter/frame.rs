//! What is remembered of an array or object that is not closed yet.

use std::collections::HashSet;

use crate::{Action, Node, NodeId};

/// An array or object that is not closed yet.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) object: bool,
    /// For an array: what applies to its elements. For an object: unused.
    pub(super) element: Action,
    /// For an object that a node describes.
    pub(super) node: Option<NodeId>,
    /// Arrays between the field and this value.
    pub(super) depth: u8,
    /// The field that is expected next.
    pub(super) hint: usize,
    /// Whether a member of this object was written.
    pub(super) wrote: bool,
    /// Which of the node's fields were seen.
    seen: u64,
    seen_more: Vec<u64>,
    /// Hashes of other names seen.
    pub(super) others: Option<Box<Others>>,
    /// The next value is the object's type name.
    pub(super) typename_next: bool,
}

impl Frame {
    /// An object; with a node, only what that names may stand in it.
    #[inline]
    pub(super) fn object(node: Option<NodeId>) -> Self {
        Self {
            object: true,
            element: Action::Any,
            node,
            depth: 0,
            hint: 0,
            wrote: false,
            seen: 0,
            seen_more: Vec::new(),
            others: None,
            typename_next: false,
        }
    }

    /// An array to whose elements `element` applies, the innermost of `depth`.
    #[inline]
    pub(super) fn array(element: Action, depth: u8) -> Self {
        Self {
            object: false,
            element,
            depth,
            ..Self::object(None)
        }
    }

    /// Notes that the node's field `index` is there and the one after it is expected next; false if
    /// it was there before.
    #[inline]
    pub(super) fn mark(&mut self, node: &Node, index: usize) -> bool {
        let (word, bit) = (index / 64, 1u64 << (index % 64));
        let seen = if word == 0 {
            &mut self.seen
        } else {
            if self.seen_more.len() < word {
                self.seen_more.resize(word, 0);
            }
            match self.seen_more.get_mut(word - 1) {
                Some(more) => more,
                None => return false,
            }
        };
        let new = *seen & bit == 0;
        *seen |= bit;
        self.hint = index + 1;
        self.typename_next = node.typename.map(usize::from) == Some(index);
        new
    }
}

/// Hashes of names: the first few in order, all in the set once there are more.
#[derive(Debug, Default)]
pub(super) struct Others {
    few: Vec<u64>,
    pub(super) all: HashSet<u64>,
}

impl Others {
    /// Adds a hash; whether it is new.
    pub(super) fn add(&mut self, hash: u64) -> bool {
        if self.few.len() < 16 {
            let new = !self.few.contains(&hash);
            self.few.push(hash);
            return new;
        }
        if self.all.is_empty() {
            self.all.extend(self.few.iter().copied());
        }
        self.all.insert(hash)
    }
}
