//! Argument values, as far as they can name a field of the answer.

use std::fmt;

use apollo_parser::cst::{self, CstNode};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A value written in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArgumentValue {
    /// An input object.
    Object(Vec<Argument>),
    /// A list.
    List(Vec<ArgumentValue>),
    /// An enum value.
    Enum(Box<str>),
    /// A string.
    Text(Box<str>),
    /// A string of the request's variables: a string, or an enum value.
    Word(Box<str>),
    /// A variable: its value comes with the request.
    Variable(Box<str>),
    /// What can name nothing: a number, a boolean, null.
    Other,
}

/// A name and its value: an argument, or a member of an input object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// The name.
    pub name: Box<str>,
    /// The value.
    pub value: ArgumentValue,
}

/// Reads JSON. A member that stands twice is there twice: whichever of them the upstream takes, it
/// was looked at.
impl<'de> Deserialize<'de> for ArgumentValue {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Json;

        impl<'de> Visitor<'de> for Json {
            type Value = ArgumentValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_str<E>(self, text: &str) -> Result<ArgumentValue, E> {
                Ok(ArgumentValue::Word(text.into()))
            }

            fn visit_bool<E>(self, _: bool) -> Result<ArgumentValue, E> {
                Ok(ArgumentValue::Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<ArgumentValue, E> {
                Ok(ArgumentValue::Other)
            }

            fn visit_u64<E>(self, _: u64) -> Result<ArgumentValue, E> {
                Ok(ArgumentValue::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<ArgumentValue, E> {
                Ok(ArgumentValue::Other)
            }

            fn visit_unit<E>(self) -> Result<ArgumentValue, E> {
                Ok(ArgumentValue::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<ArgumentValue, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(ArgumentValue::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ArgumentValue, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, _>()? {
                    members.push(Argument {
                        name: name.into(),
                        value,
                    });
                }
                Ok(ArgumentValue::Object(members))
            }
        }

        d.deserialize_any(Json)
    }
}

/// The arguments of a field or directive.
pub(super) fn arguments(list: Option<cst::Arguments>) -> Vec<Argument> {
    let list = list.into_iter().flat_map(|l| l.arguments());
    list.map(|a| Argument {
        name: name(a.name()),
        value: a.value().map_or(ArgumentValue::Other, value),
    })
    .collect()
}

/// A value. The parser bounds how deeply values nest.
pub(super) fn value(from: cst::Value) -> ArgumentValue {
    match from {
        cst::Value::Variable(v) => ArgumentValue::Variable(name(v.name())),
        cst::Value::StringValue(s) => ArgumentValue::Text(text(&s).into()),
        cst::Value::EnumValue(e) => ArgumentValue::Enum(name(e.name())),
        cst::Value::ListValue(l) => ArgumentValue::List(l.values().map(value).collect()),
        cst::Value::ObjectValue(o) => {
            let members = o.object_fields().map(|f| Argument {
                name: name(f.name()),
                value: f.value().map_or(ArgumentValue::Other, value),
            });
            ArgumentValue::Object(members.collect())
        }
        _ => ArgumentValue::Other,
    }
}

fn name(name: Option<cst::Name>) -> Box<str> {
    name.map(|n| n.text().as_str().into()).unwrap_or_default()
}

/// The content of a string literal, escapes resolved (§2.9.4); a block string as it is written.
pub(super) fn text(literal: &cst::StringValue) -> String {
    let whole = literal.syntax().text().to_string();
    let whole = whole.trim();
    if let Some(block) = whole
        .strip_prefix("\"\"\"")
        .and_then(|t| t.strip_suffix("\"\"\""))
    {
        return block.to_owned();
    }
    let inner = whole.strip_prefix('"').unwrap_or(whole);
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.next() {
            Some('u') if chars.peek() == Some(&'{') => {
                chars.next();
                let hex: String = chars.by_ref().take_while(|c| *c != '}').collect();
                text.extend(u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32));
            }
            Some('u') => {
                let hex: String = chars.by_ref().take(4).collect();
                text.extend(u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32));
            }
            Some('n' | 'r' | 't' | 'b' | 'f') => text.push(' '),
            Some(other) => text.push(other),
            None => {}
        }
    }
    text
}
