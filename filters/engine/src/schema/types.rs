use std::collections::HashMap;

use crate::mask::StrategyKind;

use super::Words;

/// Index of a type in its schema.
pub type TypeId = u32;
/// Index of a field of a type in its schema, unique among all types.
pub type FieldId = u32;

/// A type.
#[derive(Debug)]
pub struct TypeDef {
    /// Its name.
    pub name: Box<str>,
    /// What it is.
    pub kind: Kind,
    /// The object types that a value of it can be: itself for an object type.
    pub possible: TypeSet,
    /// The interfaces that it says it implements.
    pub interfaces: Vec<TypeId>,
    pub(super) fields: Vec<FieldDef>,
    pub(super) by_name: HashMap<Box<str>, usize>,
}

impl TypeDef {
    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&FieldDef> {
        self.by_name.get(name).and_then(|i| self.fields.get(*i))
    }

    /// All fields, in the order of the SDL.
    pub fn fields(&self) -> impl Iterator<Item = &FieldDef> {
        self.fields.iter()
    }
}

/// What a type is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A scalar.
    Scalar(Scalar),
    /// An enum; the first of its values.
    Enum {
        /// The value that stands for a redacted one where null is not allowed.
        first: Box<str>,
    },
    /// An object type.
    Object,
    /// An interface.
    Interface,
    /// A union.
    Union,
    /// An input object: never in a response.
    Input,
}

/// The scalars whose JSON shape is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// `String`
    String,
    /// `ID`
    Id,
    /// `Int`
    Int,
    /// `Float`
    Float,
    /// `Boolean`
    Boolean,
    /// A scalar of the schema's own: any JSON value.
    Custom,
}

/// A field of a type.
#[derive(Debug)]
pub struct FieldDef {
    /// Its index in the schema.
    pub id: FieldId,
    /// Its name.
    pub name: Box<str>,
    /// The words of its name.
    pub words: Words,
    /// What it returns.
    pub shape: Shape,
}

/// The type of a field: a named type under lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// The innermost type.
    pub named: TypeId,
    /// How many lists it stands in.
    pub lists: u8,
    /// Bit d set: the value under d lists may be null.
    pub nullable: u32,
}

impl Shape {
    /// Whether the value under `depth` lists may be null.
    pub fn nullable_at(&self, depth: u8) -> bool {
        self.nullable
            .checked_shr(u32::from(depth.min(self.lists)))
            .unwrap_or(0)
            & 1
            == 1
    }
}

/// One coordinate that an `@mask` directive marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// `Type.field`; the type may be an interface or union.
    pub coordinate: Box<str>,
    /// The directive's strategy.
    pub strategy: StrategyKind,
    /// Where the directive stands: `Type.field`.
    pub at: Box<str>,
}

/// A set of types.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct TypeSet(Vec<u64>);

impl TypeSet {
    /// The set of none.
    pub const EMPTY: Self = Self(Vec::new());

    /// The set of one type.
    pub fn of(id: TypeId) -> Self {
        let mut set = Self::default();
        set.insert(id);
        set
    }

    /// Adds a type.
    pub fn insert(&mut self, id: TypeId) {
        let (word, bit) = (id as usize / 64, 1 << (id % 64));
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        if let Some(w) = self.0.get_mut(word) {
            *w |= bit;
        }
    }

    /// Whether the type is in the set.
    pub fn contains(&self, id: TypeId) -> bool {
        self.0
            .get(id as usize / 64)
            .is_some_and(|w| w & (1 << (id % 64)) != 0)
    }

    /// The types in both sets.
    pub fn intersect(&self, other: &Self) -> Self {
        let mut words: Vec<u64> = self.0.iter().zip(&other.0).map(|(a, b)| a & b).collect();
        while words.last() == Some(&0) {
            words.pop();
        }
        Self(words)
    }

    /// Adds all types of the other set.
    pub fn extend(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (a, b) in self.0.iter_mut().zip(&other.0) {
            *a |= b;
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|w| *w == 0)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// The types, in order.
    pub fn iter(&self) -> impl Iterator<Item = TypeId> + '_ {
        (0u32..).zip(&self.0).flat_map(|(i, word)| {
            (0..64)
                .filter(move |b| word & (1u64 << b) != 0)
                .map(move |b| i * 64 + b)
        })
    }
}
