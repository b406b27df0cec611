use std::cmp::Ordering;

use super::wide::WIDE;

/// Index of a [`Node`] in its [`Program`].
pub type NodeId = u32;
/// Index of a set of strings in its [`Program`].
pub type SetId = u32;

/// A JSON text that stands in the place of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Literal {
    /// The message of every error whose own message is withheld.
    ErrorMessage,
}

impl Literal {
    /// The text.
    pub fn text(self) -> &'static str {
        match self {
            Self::ErrorMessage => r#""the upstream reported an error""#,
        }
    }
}

/// What happens to a value. Kept at eight bytes: one is moved about for every value.
///
/// Every action but [`Action::Replace`] and [`Action::Drop`] applies to an array by applying to
/// each of its elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The value passes, whatever it is.
    Any,
    /// A scalar passes; an object becomes `null`.
    Scalar,
    /// An object is rewritten by its node; `null` passes; any other scalar becomes `null`.
    Object(NodeId),
    /// The [`super::Masker`] writes the replacement.
    Mask(u32),
    /// The value becomes this JSON text.
    Replace(Literal),
    /// The member is left out, its name included.
    Drop,
    /// A string of the set passes; anything else becomes `null`.
    OneOf(SetId),
    /// A string of the set passes, and so does a number; anything else becomes `null`.
    Path(SetId),
    /// A number passes; anything else becomes `null`.
    Number,
}

/// One member that an object may have.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Field {
    /// The member's name, unescaped.
    pub key: Box<str>,
    /// What happens to its value.
    pub action: Action,
}

/// What may stand in an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Node {
    /// The known members, in the order in which they are expected.
    pub fields: Box<[Field]>,
    /// What happens to a member that no field names.
    pub unknown: Action,
    /// The fields' names as they are usually written, in the order of `fields`.
    written: Box<[Written]>,
    /// Indices into `fields`, sorted by key.
    sorted: Box<[u16]>,
    /// Index of the member whose string value names the object's type.
    pub typename: Option<u16>,
    /// By type name: the node that stands for the rest of the object once the type is known.
    /// Those nodes have the same keys in the same order.
    pub switch: Box<[(Box<str>, NodeId)]>,
}

impl Node {
    /// A node of these fields, which drops any other member; of two with one key the first counts.
    /// At most 65,535 fields.
    pub fn new(fields: Vec<Field>) -> Self {
        let count = u16::try_from(fields.len()).unwrap_or(u16::MAX);
        let key = |i: u16| fields.get(usize::from(i)).map(|f| &*f.key);
        let mut sorted: Vec<u16> = (0..count).collect();
        sorted.sort_by(|a, b| key(*a).cmp(&key(*b)));
        sorted.dedup_by(|a, b| key(*a) == key(*b));
        Self {
            written: fields.iter().map(|f| Written::new(&f.key)).collect(),
            sorted: sorted.into_boxed_slice(),
            fields: fields.into_boxed_slice(),
            unknown: Action::Drop,
            typename: None,
            switch: Box::default(),
        }
    }

    /// If `bytes` start with the name and colon of a field, as they are usually written: its index,
    /// its action and their length. The field at `hint` is looked at first.
    #[inline(always)]
    pub(super) fn expected(&self, bytes: &[u8], hint: usize) -> Option<(usize, Action, usize)> {
        let at = |index: usize, written: &Written| {
            let action = self.fields.get(index)?.action;
            Some((index, action, written.text.len()))
        };
        let head = bytes.first_chunk();
        match self.written.get(hint) {
            Some(written) if written.starts(bytes, head) => at(hint, written),
            _ => self
                .unordered(bytes, head?)
                .and_then(|i| at(i, self.written.get(i)?)),
        }
    }

    /// The field whose name and colon `bytes` start with, if there are not too many to try each.
    #[inline(never)]
    fn unordered(&self, bytes: &[u8], head: &[u8; WIDE]) -> Option<usize> {
        let few = self.written.get(..self.written.len().min(32))?;
        few.iter().position(|w| w.starts(bytes, Some(head)))
    }

    /// What happens to the member `key`.
    pub fn action(&self, key: &str) -> Option<Action> {
        let index = self.find(key.as_bytes(), usize::MAX)?;
        self.fields.get(index).map(|f| f.action)
    }

    /// The index of the member `key`; `hint` is looked at first.
    pub(super) fn find(&self, key: &[u8], hint: usize) -> Option<usize> {
        if self
            .fields
            .get(hint)
            .is_some_and(|f| f.key.as_bytes() == key)
        {
            return Some(hint);
        }
        self.sorted
            .binary_search_by(|i| match self.fields.get(usize::from(*i)) {
                Some(f) => f.key.as_bytes().cmp(key),
                None => Ordering::Less,
            })
            .ok()
            .and_then(|at| self.sorted.get(at).copied())
            .map(usize::from)
    }

    /// The node for the rest of an object of type `name`.
    pub(super) fn switched(&self, name: &str) -> Option<NodeId> {
        self.switch
            .iter()
            .find(|(n, _)| &**n == name)
            .map(|(_, id)| *id)
    }
}

/// A compiled description of a document: which members it may have and what happens to each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Program {
    /// All nodes.
    pub nodes: Vec<Node>,
    /// The node of the document, which must be an object.
    pub root: NodeId,
    /// Sets for [`Action::OneOf`] and [`Action::Path`], each sorted.
    pub sets: Vec<Box<[Box<str>]>>,
}

impl Program {
    /// The node of an id.
    #[inline]
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id as usize)
    }

    /// Whether the set has the string.
    pub(super) fn set_has(&self, set: SetId, text: &str) -> bool {
        self.sets
            .get(set as usize)
            .is_some_and(|s| s.binary_search_by(|x| (**x).cmp(text)).is_ok())
    }
}

/// A field's name as JSON writers write it, quotes and colon included.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Written {
    text: Box<[u8]>,
    /// The text's first bytes, and which of them there are.
    head: u128,
    mask: u128,
}

impl Written {
    fn new(key: &str) -> Self {
        let mut text = Vec::with_capacity(key.len() + 3);
        super::push_string(key, &mut text);
        text.push(b':');
        let (mut head, mut mask) = ([0; WIDE], [0; WIDE]);
        for ((head, mask), byte) in head.iter_mut().zip(&mut mask).zip(&text) {
            (*head, *mask) = (*byte, 0xff);
        }
        let [head, mask] = [head, mask].map(u128::from_ne_bytes);
        Self {
            text: text.into(),
            head,
            mask,
        }
    }

    /// Whether `bytes` start with it; `head` are their first bytes, if there are so many.
    #[inline(always)]
    fn starts(&self, bytes: &[u8], head: Option<&[u8; WIDE]>) -> bool {
        match head {
            Some(head) => {
                (u128::from_ne_bytes(*head) ^ self.head) & self.mask == 0
                    && (self.text.len() <= WIDE || starts_with(bytes, &self.text))
            }
            None => bytes.starts_with(&self.text),
        }
    }
}

/// `starts_with` by words.
fn starts_with(bytes: &[u8], prefix: &[u8]) -> bool {
    bytes
        .get(..prefix.len())
        .is_some_and(|head| super::equal(head, prefix))
}
