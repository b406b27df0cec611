//! The upstream's schema, as far as masking needs it: types, fields, nullability, who implements
//! what, and where `@mask` stands. Built from SDL (GraphQL specification, October 2021, §3).

mod build;
mod error;
mod read;
mod tags;
mod types;
mod words;

pub use error::SchemaError;
pub(crate) use error::position;
pub use tags::{TagPlace, TagUse};
pub use types::{Directive, FieldDef, FieldId, Kind, Scalar, Shape, TypeDef, TypeId, TypeSet};
pub use words::{Words, lists};

use std::collections::{BTreeMap, HashMap};

/// A schema with all names resolved.
#[derive(Debug)]
pub struct Schema {
    types: Vec<TypeDef>,
    by_name: HashMap<Box<str>, TypeId>,
    roots: [Option<TypeId>; 3],
    /// What `@mask` marks, by concrete or abstract coordinate, as written in the SDL.
    directives: Vec<Directive>,
    tags: BTreeMap<Box<str>, Vec<Box<str>>>,
    tag_uses: Vec<TagUse>,
    fields: usize,
}

/// The three kinds of operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OperationKind {
    /// `query`
    Query,
    /// `mutation`
    Mutation,
    /// `subscription`
    Subscription,
}

impl Schema {
    /// Parses SDL.
    ///
    /// # Errors
    /// The text is not SDL, names an unknown type, uses `@mask` on what is not there, or a `@tag`
    /// without a name; the error gives line and column.
    pub fn parse(sdl: &str) -> Result<Self, SchemaError> {
        build::build(sdl)
    }

    /// The type of that id.
    pub fn get(&self, id: TypeId) -> Option<&TypeDef> {
        self.types.get(id as usize)
    }

    /// The type of that name.
    pub fn type_id(&self, name: &str) -> Option<TypeId> {
        self.by_name.get(name).copied()
    }

    /// The root type of a kind of operation.
    pub fn root(&self, kind: OperationKind) -> Option<TypeId> {
        self.roots.get(kind as usize).copied().flatten()
    }

    /// A field of a type.
    pub fn field(&self, ty: TypeId, name: &str) -> Option<&FieldDef> {
        self.get(ty)?.field(name)
    }

    /// What `@mask` marks.
    pub fn directives(&self) -> &[Directive] {
        &self.directives
    }

    /// What `@tag(name: …)` says of fields and their types: coordinate → tags.
    pub fn tags(&self) -> &BTreeMap<Box<str>, Vec<Box<str>>> {
        &self.tags
    }

    /// Every `@tag`, wherever it stands, in the order of the SDL.
    pub fn tag_uses(&self) -> &[TagUse] {
        &self.tag_uses
    }

    /// All types.
    pub fn types(&self) -> impl Iterator<Item = (TypeId, &TypeDef)> {
        (0..).zip(self.types.iter())
    }

    /// How many fields all types have together: every [`FieldId`] is below it.
    pub fn field_count(&self) -> usize {
        self.fields
    }

    /// The fields of object types that a coordinate stands for: `Type.field`, or `Type.*` for all
    /// of its leaves. One of an interface or union stands for the fields of all possible types.
    ///
    /// # Errors
    /// There is no such type or field.
    pub fn expand(&self, coordinate: &str) -> Result<Vec<(TypeId, FieldId)>, UnknownCoordinate> {
        let unknown = || UnknownCoordinate(coordinate.to_owned());
        let (ty, field) = coordinate.split_once('.').ok_or_else(unknown)?;
        let ty = self
            .type_id(ty)
            .and_then(|id| self.get(id))
            .ok_or_else(unknown)?;
        let mut found = Vec::new();
        for object in ty.possible.iter() {
            let Some(def) = self.get(object) else {
                continue;
            };
            if field == "*" {
                let leaves = def.fields().filter(|f| self.is_leaf(f.shape.named));
                found.extend(leaves.map(|f| (object, f.id)));
            } else if let Some(f) = def.field(field) {
                found.push((object, f.id));
            }
        }
        if found.is_empty() && ty.field(field).is_none() {
            Err(unknown())
        } else {
            Ok(found)
        }
    }

    /// Whether values of the type have no selection.
    pub fn is_leaf(&self, ty: TypeId) -> bool {
        self.get(ty)
            .is_some_and(|t| matches!(t.kind, Kind::Scalar(_) | Kind::Enum { .. }))
    }
}

/// A coordinate that names no field of the schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schema has no field `{0}` (write `Type.field` or `Type.*`)")]
pub struct UnknownCoordinate(pub String);

#[cfg(test)]
mod tests;
