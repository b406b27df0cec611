//! `@tag(name: …)`: what kind of data a field holds, by a name that the policy's data explains.

use std::collections::BTreeMap;

use apollo_parser::SyntaxKind;
use apollo_parser::cst::{self, CstNode};

use super::SchemaError;
use super::error::position;
use super::read::{RawType, at, plain_string, text};

/// One `@tag` of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagUse {
    /// Its name.
    pub name: Box<str>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What it stands on.
    pub place: TagPlace,
}

/// What a `@tag` stands on, as far as that says which values it speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagPlace {
    /// A field, or a type with fields, and so all of them.
    Fields,
    /// An argument or input, which no response holds.
    Input,
    /// Something else, of which no field is known that it would speak of.
    Elsewhere,
}

/// A `@tag` as it is written.
pub(super) struct RawTag {
    at: usize,
    name: Option<String>,
    place: TagPlace,
}

/// Every `@tag` of a document.
pub(super) fn read(document: &cst::Document) -> Vec<RawTag> {
    let directives = document.syntax().descendants();
    directives
        .filter_map(cst::Directive::cast)
        .filter(is_tag)
        .map(|directive| RawTag {
            at: at(&directive),
            name: name(&directive),
            place: place(&directive),
        })
        .collect()
}

fn is_tag(directive: &cst::Directive) -> bool {
    text(directive.name()) == "tag"
}

/// The name, if the directive has that argument and no other, and it is a string without escapes.
fn name(directive: &cst::Directive) -> Option<String> {
    let mut arguments = directive.arguments()?.arguments();
    let argument = arguments.next()?;
    match (text(argument.name()).as_str(), argument.value()) {
        ("name", Some(cst::Value::StringValue(s))) if arguments.next().is_none() => {
            plain_string(&s).filter(|name| !name.is_empty())
        }
        _ => None,
    }
}

fn place(directive: &cst::Directive) -> TagPlace {
    // Directives stand in a list of their own below what they are of.
    let of = directive.syntax().ancestors().nth(2);
    match of.map(|node| node.kind()) {
        Some(
            SyntaxKind::FIELD_DEFINITION
            | SyntaxKind::OBJECT_TYPE_DEFINITION
            | SyntaxKind::OBJECT_TYPE_EXTENSION
            | SyntaxKind::INTERFACE_TYPE_DEFINITION
            | SyntaxKind::INTERFACE_TYPE_EXTENSION,
        ) => TagPlace::Fields,
        Some(
            SyntaxKind::INPUT_VALUE_DEFINITION
            | SyntaxKind::INPUT_OBJECT_TYPE_DEFINITION
            | SyntaxKind::INPUT_OBJECT_TYPE_EXTENSION,
        ) => TagPlace::Input,
        _ => TagPlace::Elsewhere,
    }
}

/// The places of all tags.
///
/// # Errors
/// One has no name: what it should classify is not known.
pub(super) fn uses(sdl: &str, tags: Vec<RawTag>) -> Result<Vec<TagUse>, SchemaError> {
    let uses = tags.into_iter().map(|tag| {
        let name = tag.name.ok_or_else(|| {
            let message = "@tag needs a name: write @tag(name: \"…\"), without escapes";
            SchemaError::at(sdl, tag.at, message)
        })?;
        let (line, column) = position(sdl, tag.at);
        Ok(TagUse {
            name: name.into(),
            line,
            column,
            place: tag.place,
        })
    });
    uses.collect()
}

/// The names of the `@tag`s among directives.
pub(super) fn names(directives: Option<cst::Directives>) -> Vec<String> {
    let tags = directives.into_iter().flat_map(|d| d.directives());
    tags.filter(is_tag).filter_map(|d| name(&d)).collect()
}

/// What `@tag` says of fields, by coordinate: a type's tags are those of all its fields.
pub(super) fn by_coordinate(raws: &[RawType]) -> BTreeMap<Box<str>, Vec<Box<str>>> {
    let mut tags = BTreeMap::new();
    for raw in raws {
        for field in &raw.fields {
            let mut names: Vec<Box<str>> = raw
                .tags
                .iter()
                .chain(&field.tags)
                .map(|t| t.as_str().into())
                .collect();
            names.sort_unstable();
            names.dedup();
            if !names.is_empty() {
                tags.insert(format!("{}.{}", raw.name, field.name).into(), names);
            }
        }
    }
    tags
}
