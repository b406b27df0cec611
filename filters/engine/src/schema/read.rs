//! From syntax tree to plain definitions, names not yet resolved.

use apollo_parser::cst::{self, CstNode};

use super::tags::{self, RawTag};

/// A definition or extension of a type.
pub(super) struct RawType {
    pub name: String,
    pub at: usize,
    pub extends: bool,
    pub kind: RawKind,
    pub fields: Vec<RawField>,
    pub interfaces: Vec<(String, usize)>,
    /// Members of a union, values of an enum.
    pub members: Vec<(String, usize)>,
    /// The names of its `@tag`s.
    pub tags: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RawKind {
    Scalar,
    Enum,
    Object,
    Interface,
    Union,
    Input,
}

pub(super) struct RawField {
    pub name: String,
    pub at: usize,
    pub named: String,
    pub lists: u8,
    pub nullable: u32,
    pub masks: Vec<RawMask>,
    /// The names of its `@tag`s.
    pub tags: Vec<String>,
}

pub(super) struct RawMask {
    pub at: usize,
    pub fields: Option<Vec<String>>,
    pub strategy: Option<String>,
    pub odd: Option<String>,
}

/// What stands at the top of an SDL document.
#[derive(Default)]
pub(super) struct RawSchema {
    pub types: Vec<RawType>,
    /// (query | mutation | subscription, type, place)
    pub roots: Vec<(String, String, usize)>,
    pub executable: Option<usize>,
    /// Every `@tag`, wherever it stands.
    pub tags: Vec<RawTag>,
}

pub(super) fn at(node: &impl CstNode) -> usize {
    node.syntax().text_range().start().into()
}

pub(super) fn text(name: Option<cst::Name>) -> String {
    name.map(|n| n.text().to_string()).unwrap_or_default()
}

pub(super) fn read(document: cst::Document) -> RawSchema {
    let mut schema = RawSchema {
        tags: tags::read(&document),
        ..RawSchema::default()
    };
    for definition in document.definitions() {
        read_definition(definition, &mut schema);
    }
    schema
}

macro_rules! raw {
    ($d:expr, $kind:ident, $extends:expr, fields: $fields:expr, interfaces: $interfaces:expr, members: $members:expr) => {
        RawType {
            name: text($d.name()),
            at: at(&$d),
            extends: $extends,
            kind: RawKind::$kind,
            fields: $fields,
            interfaces: $interfaces,
            members: $members,
            tags: tags::names($d.directives()),
        }
    };
}

fn read_definition(definition: cst::Definition, schema: &mut RawSchema) {
    use cst::Definition as D;
    let mut roots = |roots: cst::CstChildren<cst::RootOperationTypeDefinition>| {
        for root in roots {
            let kind = root.operation_type().map(|k| k.syntax().text().to_string());
            let ty = text(root.named_type().and_then(|t| t.name()));
            schema
                .roots
                .push((kind.unwrap_or_default().trim().to_owned(), ty, at(&root)));
        }
    };
    let raw = match definition {
        D::SchemaDefinition(d) => return roots(d.root_operation_type_definitions()),
        D::SchemaExtension(d) => return roots(d.root_operation_type_definitions()),
        D::OperationDefinition(d) => {
            schema.executable = Some(at(&d));
            return;
        }
        D::FragmentDefinition(d) => {
            schema.executable = Some(at(&d));
            return;
        }
        D::DirectiveDefinition(_) => return,
        D::ScalarTypeDefinition(d) => {
            raw!(d, Scalar, false, fields: vec![], interfaces: vec![], members: vec![])
        }
        D::ScalarTypeExtension(d) => {
            raw!(d, Scalar, true, fields: vec![], interfaces: vec![], members: vec![])
        }
        D::InputObjectTypeDefinition(d) => {
            raw!(d, Input, false, fields: vec![], interfaces: vec![], members: vec![])
        }
        D::InputObjectTypeExtension(d) => {
            raw!(d, Input, true, fields: vec![], interfaces: vec![], members: vec![])
        }
        D::ObjectTypeDefinition(d) => raw!(d, Object, false, fields: fields(d.fields_definition()),
            interfaces: interfaces(d.implements_interfaces()), members: vec![]),
        D::ObjectTypeExtension(d) => raw!(d, Object, true, fields: fields(d.fields_definition()),
            interfaces: interfaces(d.implements_interfaces()), members: vec![]),
        D::InterfaceTypeDefinition(d) => {
            raw!(d, Interface, false, fields: fields(d.fields_definition()),
                interfaces: interfaces(d.implements_interfaces()), members: vec![])
        }
        D::InterfaceTypeExtension(d) => {
            raw!(d, Interface, true, fields: fields(d.fields_definition()),
                interfaces: interfaces(d.implements_interfaces()), members: vec![])
        }
        D::UnionTypeDefinition(d) => raw!(d, Union, false, fields: vec![], interfaces: vec![],
            members: d.union_member_types().map(|m| named(m.named_types())).unwrap_or_default()),
        D::UnionTypeExtension(d) => raw!(d, Union, true, fields: vec![], interfaces: vec![],
            members: d.union_member_types().map(|m| named(m.named_types())).unwrap_or_default()),
        D::EnumTypeDefinition(d) => raw!(d, Enum, false, fields: vec![], interfaces: vec![],
            members: values(d.enum_values_definition())),
        D::EnumTypeExtension(d) => raw!(d, Enum, true, fields: vec![], interfaces: vec![],
            members: values(d.enum_values_definition())),
    };
    schema.types.push(raw);
}

fn named(types: cst::CstChildren<cst::NamedType>) -> Vec<(String, usize)> {
    types.map(|t| (text(t.name()), at(&t))).collect()
}

fn interfaces(list: Option<cst::ImplementsInterfaces>) -> Vec<(String, usize)> {
    list.map(|l| named(l.named_types())).unwrap_or_default()
}

fn values(list: Option<cst::EnumValuesDefinition>) -> Vec<(String, usize)> {
    list.into_iter()
        .flat_map(|l| l.enum_value_definitions())
        .map(|v| (text(v.enum_value().and_then(|v| v.name())), at(&v)))
        .collect()
}

fn fields(list: Option<cst::FieldsDefinition>) -> Vec<RawField> {
    list.into_iter()
        .flat_map(|l| l.field_definitions())
        .map(field)
        .collect()
}

fn field(d: cst::FieldDefinition) -> RawField {
    let mut raw = RawField {
        name: text(d.name()),
        at: at(&d),
        named: String::new(),
        lists: 0,
        nullable: 0,
        masks: Vec::new(),
        tags: tags::names(d.directives()),
    };
    let mut ty = d.ty();
    while let Some(t) = ty {
        // A type nested in more lists than this is refused when it is resolved.
        if raw.lists > 30 {
            raw.named = String::new();
            break;
        }
        let bit = 1 << raw.lists;
        ty = match t {
            cst::Type::NamedType(n) => {
                raw.nullable |= bit;
                raw.named = text(n.name());
                None
            }
            cst::Type::ListType(l) => {
                raw.nullable |= bit;
                raw.lists += 1;
                l.ty()
            }
            cst::Type::NonNullType(n) => match (n.named_type(), n.list_type()) {
                (Some(n), _) => {
                    raw.named = text(n.name());
                    None
                }
                (None, Some(l)) => {
                    raw.lists += 1;
                    l.ty()
                }
                (None, None) => None,
            },
        };
    }
    let directives = d.directives().into_iter().flat_map(|d| d.directives());
    raw.masks = directives
        .filter(|d| text(d.name()) == "mask")
        .map(mask)
        .collect();
    raw
}

fn mask(directive: cst::Directive) -> RawMask {
    let mut raw = RawMask {
        at: at(&directive),
        fields: None,
        strategy: None,
        odd: None,
    };
    for argument in directive
        .arguments()
        .into_iter()
        .flat_map(|a| a.arguments())
    {
        let name = text(argument.name());
        match (name.as_str(), argument.value()) {
            ("fields", Some(cst::Value::ListValue(list))) => {
                let names = list.values().map(|v| match v {
                    cst::Value::StringValue(s) => plain_string(&s),
                    _ => None,
                });
                raw.fields = names.collect();
            }
            // A single value where a list is expected is a list of one (§3.11, input coercion).
            ("fields", Some(cst::Value::StringValue(s))) => {
                raw.fields = plain_string(&s).map(|s| vec![s])
            }
            ("strategy", Some(cst::Value::StringValue(s))) => {
                raw.strategy = Some(plain_string(&s).unwrap_or_default());
            }
            _ => raw.odd = Some(name),
        }
    }
    raw
}

/// The content of a string literal that has no escapes: all that a name can need.
pub(super) fn plain_string(value: &cst::StringValue) -> Option<String> {
    let text = value.syntax().text().to_string();
    let inner = text.trim().strip_prefix('"')?.strip_suffix('"')?;
    (!inner.contains(['"', '\\'])).then(|| inner.to_owned())
}
