//! The served schema and the one that the policies know, compared; and what the latter marks.

use std::collections::BTreeMap;

use async_graphql::{
    Name, Positioned, Value,
    parser::{
        parse_schema,
        types::{
            FieldDefinition, InputValueDefinition, TypeDefinition, TypeKind, TypeSystemDefinition,
        },
    },
};

use super::*;

const KNOWN: &str = include_str!("../../../../policies/schema.graphql");

fn types(sdl: &str) -> Vec<TypeDefinition> {
    let document = parse_schema(sdl).expect("the schema parses");
    let definitions = document.definitions.into_iter();
    definitions
        .filter_map(|definition| match definition {
            TypeSystemDefinition::Type(ty) => Some(ty.node),
            _ => None,
        })
        .collect()
}

fn fields(ty: &TypeDefinition) -> &[Positioned<FieldDefinition>] {
    match &ty.kind {
        TypeKind::Object(object) => &object.fields,
        TypeKind::Interface(interface) => &interface.fields,
        _ => &[],
    }
}

fn argument(argument: &Positioned<InputValueDefinition>) -> String {
    let InputValueDefinition {
        name,
        ty,
        default_value,
        ..
    } = &argument.node;
    match default_value {
        None => format!("{name}: {ty}"),
        Some(default) => format!("{name}: {ty} = {default}"),
    }
}

/// Each type with its kind and its members in order of name: types, nullability and arguments
/// included, descriptions and directives left out.
fn shape(sdl: &str) -> BTreeMap<String, (&'static str, Vec<String>)> {
    let types = types(sdl).into_iter();
    types
        .map(|ty| {
            let mut members: Vec<String> = fields(&ty)
                .iter()
                .map(|Positioned { node, .. }| {
                    let arguments: Vec<_> = node.arguments.iter().map(argument).collect();
                    format!("{}({}): {}", node.name, arguments.join(", "), node.ty)
                })
                .collect();
            let implements = |names: &[Positioned<Name>]| {
                let names = names.iter();
                names
                    .map(|name| format!("implements {name}"))
                    .collect::<Vec<_>>()
            };
            let kind = match &ty.kind {
                TypeKind::Scalar => "scalar",
                TypeKind::Object(object) => {
                    members.extend(implements(&object.implements));
                    "type"
                }
                TypeKind::Interface(interface) => {
                    members.extend(implements(&interface.implements));
                    "interface"
                }
                TypeKind::Union(union) => {
                    members.extend(union.members.iter().map(ToString::to_string));
                    "union"
                }
                TypeKind::Enum(of) => {
                    members.extend(of.values.iter().map(|value| value.node.value.to_string()));
                    "enum"
                }
                TypeKind::InputObject(input) => {
                    members.extend(input.fields.iter().map(argument));
                    "input"
                }
            };
            members.sort();
            (ty.name.to_string(), (kind, members))
        })
        .collect()
}

/// `Type.field` → strategy, for every coordinate that a directive marks.
fn marks(sdl: &str) -> BTreeMap<String, String> {
    let types = types(sdl);
    let mut marks = BTreeMap::new();
    for ty in &types {
        for field in fields(ty) {
            let named = field.node.ty.node.to_string();
            let named = named.trim_matches(|c| "[]!".contains(c));
            // On a leaf the directive names the leaf, which is a field of the type around it.
            let owner = types
                .iter()
                .find(|ty| ty.name.node == named && !fields(ty).is_empty())
                .unwrap_or(ty);
            for directive in field
                .node
                .directives
                .iter()
                .map(|directive| &directive.node)
            {
                // What a tag means, the policy's data says.
                if directive.name.node == "tag" {
                    continue;
                }
                assert_eq!(directive.name.node, "mask");
                let strategy = match directive.get_argument("strategy").map(|value| &value.node) {
                    None => "hash".to_owned(),
                    Some(Value::String(strategy)) => strategy.clone(),
                    Some(other) => panic!("{other} is no strategy"),
                };
                let Some(Value::List(names)) =
                    directive.get_argument("fields").map(|value| &value.node)
                else {
                    panic!("@mask on {} names no fields", field.node.name);
                };
                for name in names {
                    let Value::String(name) = name else {
                        panic!("{name} is no name");
                    };
                    assert!(
                        fields(owner)
                            .iter()
                            .any(|field| field.node.name.node == *name),
                        "@mask on {} names {name}, which {} does not have",
                        field.node.name,
                        owner.name
                    );
                    let coordinate = format!("{}.{name}", owner.name);
                    let before = marks.insert(coordinate.clone(), strategy.clone());
                    assert!(
                        before.is_none_or(|before| before == strategy),
                        "{coordinate} has two strategies"
                    );
                }
            }
        }
    }
    marks
}

#[test]
fn the_served_schema_is_the_one_that_the_policies_know() {
    let served = sdl();
    let (known, served) = (shape(KNOWN), shape(&served));
    for name in known.keys().chain(served.keys()) {
        assert_eq!(served.get(name), known.get(name), "type {name}");
    }
}

#[test]
fn the_comparison_sees_every_kind_of_drift() {
    for (now, then) in [
        ("salary: Int ", "salary: Int! "),
        ("value: Float", "value: Int"),
        ("  IN_REPAIR\n", ""),
        ("= Asset | Person", "= Person"),
        ("implements Node & Contact", "implements Node"),
        ("after: String,", "before: String,"),
        ("minValue: Float", "minValue: Float = 1"),
        ("scalar JSON", "scalar Json"),
    ] {
        assert!(KNOWN.contains(now), "{now}");
        assert_ne!(shape(&KNOWN.replacen(now, then, 1)), shape(KNOWN), "{now}");
    }
}

#[test]
fn the_directives_tell_the_demos_story() {
    let marks = marks(KNOWN);
    let marks: Vec<_> = marks
        .iter()
        .map(|(coordinate, strategy)| (coordinate.as_str(), strategy.as_str()))
        .collect();
    assert_eq!(
        marks,
        [
            ("Asset.email", "hash"),
            ("Export.body", "redact"),
            ("Location.latitude", "redact"),
            ("Location.longitude", "redact"),
            ("Person.email", "hash"),
            ("Person.nationalId", "redact"),
            ("Person.phone", "partial"),
            ("Person.salary", "null"),
            ("Vendor.email", "hash"),
            ("Vendor.phone", "partial"),
        ]
    );
}
