//! What the settings say of names: columns, and what an argument compares.

use serde_json::{Map, Value};

use crate::config::RouteConfig;
use crate::schema::{FieldId, Schema, Words};

/// Under this name a route says what its request's body compares.
pub const BODY: &str = ":body";

/// Fields that something is compared with.
type Fields = Vec<(FieldId, Box<str>)>;

/// What the settings of the GraphQL endpoint or of a route say of names.
#[derive(Debug, Default)]
pub struct Known {
    columns: Vec<(Words, Fields)>,
    /// The field that has the argument, if any, the argument's name, and what it compares.
    arguments: Vec<(Option<FieldId>, Box<str>, Fields)>,
}

impl Known {
    /// Arguments of GraphQL fields: `Type.field.argument` → the fields that it compares.
    ///
    /// # Errors
    /// The schema does not have one of them, in a sentence.
    pub fn of_graphql(schema: &Schema, compared: &Map<String, Value>) -> Result<Self, String> {
        let mut known = Self::default();
        for (key, fields) in compared {
            let (coordinate, argument) = key
                .rsplit_once('.')
                .filter(|(c, a)| c.contains('.') && !a.is_empty())
                .ok_or_else(|| format!("`{key}` is no `Type.field.argument`"))?;
            let fields = listed(schema, key, fields)?;
            let of = schema.expand(coordinate);
            for (_, field) in of.map_err(|e| format!("`{key}`: {e}"))? {
                known.add(Some(field), argument, &fields);
            }
        }
        Ok(known)
    }

    /// Columns and parameters of a route.
    ///
    /// # Errors
    /// The schema does not have one of the fields, in a sentence.
    pub fn of_route(schema: &Schema, route: &RouteConfig) -> Result<Self, String> {
        let mut known = Self::default();
        for (name, coordinate) in &route.columns {
            let fields = expand(schema, name, coordinate);
            let fields = fields.map_err(|e| format!("column {e}"))?;
            known.columns.push((Words::of(name), fields));
        }
        for (name, fields) in &route.compared {
            let fields = listed(schema, name, fields);
            let fields = fields.map_err(|e| format!("`compared`: {e}"))?;
            known.add(None, name, &fields);
        }
        Ok(known)
    }

    /// An argument that is listed twice, by an object and its interface, compares all that is listed.
    fn add(&mut self, of: Option<FieldId>, name: &str, fields: &Fields) {
        let mut arguments = self.arguments.iter_mut();
        match arguments.find(|(field, argument, _)| *field == of && **argument == *name) {
            Some((_, _, known)) => known.extend_from_slice(fields),
            None => self.arguments.push((of, name.into(), fields.clone())),
        }
    }

    /// Names that stand for fields beside the fields' own, and the fields.
    pub(in crate::mask) fn columns(&self) -> &[(Words, Fields)] {
        &self.columns
    }

    /// What an argument compares, if the settings say it.
    pub(super) fn argument(&self, of: Option<FieldId>, name: &str) -> Option<&Fields> {
        let mut arguments = self.arguments.iter();
        let found = arguments.find(|(field, argument, _)| *field == of && **argument == *name);
        found.map(|(_, _, fields)| fields)
    }
}

/// The fields of a list of coordinates.
fn listed(schema: &Schema, key: &str, list: &Value) -> Result<Fields, String> {
    let wrong = || format!("`{key}` has no list of `Type.field`");
    let mut fields = Fields::new();
    for coordinate in list.as_array().ok_or_else(wrong)? {
        let coordinate = coordinate.as_str().ok_or_else(wrong)?;
        fields.extend(expand(schema, key, coordinate)?);
    }
    Ok(fields)
}

fn expand(schema: &Schema, key: &str, coordinate: &str) -> Result<Fields, String> {
    let found = schema.expand(coordinate);
    let found = found.map_err(|e| format!("`{key}`: {e}"))?;
    Ok(found
        .into_iter()
        .map(|(_, id)| (id, coordinate.into()))
        .collect())
}
