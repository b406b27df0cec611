//! Resolving names.

use std::collections::HashMap;

use super::read::{RawField, RawKind, RawSchema, RawType, read};
use super::tags;
use super::{
    Directive, FieldDef, Kind, OperationKind, Scalar, Schema, SchemaError, Shape, TypeDef, TypeId,
    TypeSet, Words,
};
use crate::mask::StrategyKind;

/// What every schema has (§4.2, introspection). Meta-fields of the query root are added to it.
const PRELUDE: &str = r#"
scalar String scalar ID scalar Int scalar Float scalar Boolean
type __Schema { description: String types: [__Type!]! queryType: __Type! mutationType: __Type
  subscriptionType: __Type directives: [__Directive!]! }
type __Type { kind: __TypeKind! name: String description: String specifiedByURL: String
  fields: [__Field!] interfaces: [__Type!] possibleTypes: [__Type!] enumValues: [__EnumValue!]
  inputFields: [__InputValue!] ofType: __Type isOneOf: Boolean }
enum __TypeKind { SCALAR OBJECT INTERFACE UNION ENUM INPUT_OBJECT LIST NON_NULL }
type __Field { name: String! description: String args: [__InputValue!]! type: __Type!
  isDeprecated: Boolean! deprecationReason: String }
type __InputValue { name: String! description: String type: __Type! defaultValue: String
  isDeprecated: Boolean! deprecationReason: String }
type __EnumValue { name: String! description: String isDeprecated: Boolean!
  deprecationReason: String }
type __Directive { name: String! description: String isRepeatable: Boolean!
  locations: [__DirectiveLocation!]! args: [__InputValue!]! }
enum __DirectiveLocation { QUERY MUTATION SUBSCRIPTION FIELD FRAGMENT_DEFINITION FRAGMENT_SPREAD
  INLINE_FRAGMENT VARIABLE_DEFINITION SCHEMA SCALAR OBJECT FIELD_DEFINITION ARGUMENT_DEFINITION
  INTERFACE UNION ENUM ENUM_VALUE INPUT_OBJECT INPUT_FIELD_DEFINITION }
"#;
const META: &str = "type Q { __schema: __Schema! __type: __Type }";

fn parse(sdl: &str) -> Result<RawSchema, SchemaError> {
    let tree = apollo_parser::Parser::new(sdl).parse();
    if let Some(error) = tree.errors().next() {
        return Err(SchemaError::at(
            sdl,
            error.index(),
            error.message().to_owned(),
        ));
    }
    Ok(read(tree.document()))
}

pub(super) fn build(sdl: &str) -> Result<Schema, SchemaError> {
    let error = |at: usize, message: String| SchemaError::at(sdl, at, message);
    let own = parse(sdl)?;
    if let Some(at) = own.executable {
        return Err(error(
            at,
            "an operation or fragment does not belong in a schema".into(),
        ));
    }

    let mut raws: Vec<RawType> = Vec::new();
    let mut index: HashMap<String, usize> = HashMap::new();
    let mut extensions = Vec::new();
    let prelude = parse(PRELUDE)?.types;
    for raw in prelude.into_iter().chain(own.types) {
        if raw.extends {
            extensions.push(raw);
            continue;
        }
        match index.get(&raw.name).and_then(|i| raws.get_mut(*i)) {
            // A schema may declare the built-in scalars itself.
            Some(first) if first.kind == RawKind::Scalar && raw.kind == RawKind::Scalar => {}
            // A printed schema may hold the introspection types.
            Some(first) if raw.name.starts_with("__") => *first = raw,
            Some(_) => {
                return Err(error(
                    raw.at,
                    format!("type `{}` is defined twice", raw.name),
                ));
            }
            None => {
                index.insert(raw.name.clone(), raws.len());
                raws.push(raw);
            }
        }
    }
    for raw in extensions {
        match index.get(&raw.name).and_then(|i| raws.get_mut(*i)) {
            Some(base) if base.kind == raw.kind => {
                base.fields.extend(raw.fields);
                base.interfaces.extend(raw.interfaces);
                base.members.extend(raw.members);
                base.tags.extend(raw.tags);
            }
            Some(_) => {
                let message = format!("the extension of `{}` is of another kind", raw.name);
                return Err(error(raw.at, message));
            }
            // A subgraph extends types that another subgraph defines.
            None if raw.kind == RawKind::Object || raw.kind == RawKind::Interface => {
                index.insert(raw.name.clone(), raws.len());
                raws.push(raw);
            }
            None => {
                return Err(error(
                    raw.at,
                    format!("there is no type `{}` to extend", raw.name),
                ));
            }
        }
    }

    let mut roots = [None, None, None];
    let named: Vec<(String, String, usize)> = if own.roots.is_empty() {
        ["Query", "Mutation", "Subscription"]
            .map(|n| (n.to_lowercase(), n.to_owned(), 0))
            .into_iter()
            .filter(|(_, n, _)| index.contains_key(n))
            .collect()
    } else {
        own.roots
    };
    for (kind, ty, at) in named {
        let slot = match kind.as_str() {
            "query" => OperationKind::Query,
            "mutation" => OperationKind::Mutation,
            _ => OperationKind::Subscription,
        };
        let id = index
            .get(&ty)
            .copied()
            .ok_or_else(|| error(at, format!("the root type `{ty}` is not defined")))?;
        if raws.get(id).is_none_or(|t| t.kind != RawKind::Object) {
            return Err(error(
                at,
                format!("the root type `{ty}` is not an object type"),
            ));
        }
        if let Some(r) = roots.get_mut(slot as usize) {
            *r = Some(id as TypeId);
        }
    }
    let Some(query) = roots.first().copied().flatten() else {
        return Err(error(0, "there is no query root type".into()));
    };
    let meta = parse(META)?.types.into_iter().flat_map(|t| t.fields);
    if let Some(raw) = raws.get_mut(query as usize) {
        raw.fields.extend(meta);
    }
    let tag_uses = tags::uses(sdl, own.tags)?;
    let schema = resolve(sdl, &raws, &index, roots)?;
    Ok(Schema { tag_uses, ..schema })
}

fn resolve(
    sdl: &str,
    raws: &[RawType],
    index: &HashMap<String, usize>,
    roots: [Option<TypeId>; 3],
) -> Result<Schema, SchemaError> {
    let error = |at: usize, message: String| SchemaError::at(sdl, at, message);
    let lookup = |name: &str, at: usize| {
        index
            .get(name)
            .copied()
            .ok_or_else(|| error(at, format!("type `{name}` is not defined")))
    };
    let mut types = Vec::with_capacity(raws.len());
    let mut next_field = 0;
    for raw in raws {
        let mut def = TypeDef {
            name: raw.name.as_str().into(),
            kind: kind(raw),
            possible: TypeSet::default(),
            interfaces: Vec::new(),
            fields: Vec::with_capacity(raw.fields.len()),
            by_name: HashMap::new(),
        };
        for (name, at) in &raw.interfaces {
            let id = lookup(name, *at)?;
            if raws.get(id).is_none_or(|t| t.kind != RawKind::Interface) {
                return Err(error(*at, format!("`{name}` is not an interface")));
            }
            def.interfaces.push(id as TypeId);
        }
        for field in &raw.fields {
            if field.lists > 30 {
                return Err(error(field.at, "a type is nested in too many lists".into()));
            }
            let named = lookup(&field.named, field.at)?;
            if raws.get(named).is_some_and(|t| t.kind == RawKind::Input) {
                let message = format!("field `{}` returns an input type", field.name);
                return Err(error(field.at, message));
            }
            if def
                .by_name
                .insert(field.name.as_str().into(), def.fields.len())
                .is_some()
            {
                let message = format!("field `{}.{}` is defined twice", raw.name, field.name);
                return Err(error(field.at, message));
            }
            let shape = Shape {
                named: named as TypeId,
                lists: field.lists,
                nullable: field.nullable,
            };
            def.fields.push(FieldDef {
                id: next_field,
                name: field.name.as_str().into(),
                words: Words::of(&field.name),
                shape,
            });
            next_field += 1;
        }
        types.push(def);
    }

    let mut possible: Vec<TypeSet> = vec![TypeSet::default(); raws.len()];
    let mut add = |of: usize, object: usize| {
        if let Some(set) = possible.get_mut(of) {
            set.insert(object as TypeId);
        }
    };
    for (id, raw) in raws.iter().enumerate() {
        match raw.kind {
            RawKind::Object => {
                add(id, id);
                for (interface, at) in &raw.interfaces {
                    add(lookup(interface, *at)?, id);
                }
            }
            RawKind::Union => {
                for (member, at) in &raw.members {
                    let object = lookup(member, *at)?;
                    if raws.get(object).is_none_or(|t| t.kind != RawKind::Object) {
                        return Err(error(*at, format!("`{member}` is not an object type")));
                    }
                    add(id, object);
                }
            }
            _ => {}
        }
    }
    for (def, set) in types.iter_mut().zip(possible) {
        def.possible = set;
    }
    let mut schema = Schema {
        by_name: index
            .iter()
            .map(|(n, i)| (n.as_str().into(), *i as TypeId))
            .collect(),
        types,
        roots,
        directives: Vec::new(),
        tags: tags::by_coordinate(raws),
        tag_uses: Vec::new(),
        fields: next_field as usize,
    };
    schema.directives = directives(sdl, raws, &schema)?;
    Ok(schema)
}

fn kind(raw: &RawType) -> Kind {
    match raw.kind {
        RawKind::Scalar => Kind::Scalar(match raw.name.as_str() {
            "String" => Scalar::String,
            "ID" => Scalar::Id,
            "Int" => Scalar::Int,
            "Float" => Scalar::Float,
            "Boolean" => Scalar::Boolean,
            _ => Scalar::Custom,
        }),
        RawKind::Enum => {
            let first = raw
                .members
                .first()
                .map(|(n, _)| n.as_str())
                .unwrap_or_default();
            Kind::Enum {
                first: first.into(),
            }
        }
        RawKind::Object => Kind::Object,
        RawKind::Interface => Kind::Interface,
        RawKind::Union => Kind::Union,
        RawKind::Input => Kind::Input,
    }
}

fn directives(sdl: &str, raws: &[RawType], schema: &Schema) -> Result<Vec<Directive>, SchemaError> {
    let mut found = Vec::new();
    for raw in raws {
        for field in &raw.fields {
            for mask in &field.masks {
                mark(raw, field, mask, schema, &mut found)
                    .map_err(|message| SchemaError::at(sdl, mask.at, message))?;
            }
        }
    }
    Ok(found)
}

fn mark(
    raw: &RawType,
    field: &RawField,
    mask: &super::read::RawMask,
    schema: &Schema,
    found: &mut Vec<Directive>,
) -> Result<(), String> {
    if let Some(odd) = &mask.odd {
        return Err(format!(
            "@mask does not take `{odd}` like this: write \
            @mask(fields: [\"name\", …], strategy: \"hash\")"
        ));
    }
    let strategy = match mask.strategy.as_deref() {
        None => StrategyKind::Hash,
        Some(name) => StrategyKind::parse(name).ok_or_else(|| {
            format!(
                "@mask has no strategy `{name}`: use {}",
                StrategyKind::NAMES.join(", ")
            )
        })?,
    };
    let fields = mask
        .fields
        .as_deref()
        .filter(|f| !f.is_empty())
        .ok_or_else(|| "@mask needs `fields`, a list of field names".to_owned())?;
    let leaf = schema
        .type_id(&field.named)
        .is_some_and(|id| schema.is_leaf(id));
    let at: Box<str> = format!("{}.{}", raw.name, field.name).into();
    for name in fields {
        let coordinate: Box<str> = if leaf {
            if *name != field.name {
                return Err(format!(
                    "@mask on the leaf `{at}` names `{name}`: it must name \
                    `{}` itself",
                    field.name
                ));
            }
            at.clone()
        } else {
            format!("{}.{name}", field.named).into()
        };
        schema
            .expand(&coordinate)
            .map_err(|e| format!("@mask on `{at}`: {e}"))?;
        found.push(Directive {
            coordinate,
            strategy,
            at: at.clone(),
        });
    }
    Ok(())
}
