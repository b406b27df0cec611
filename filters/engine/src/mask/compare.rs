//! Which arguments name a masked field. A caller who may filter, sort or group by a field learns
//! its values from the answers, masked or not.
//!
//! Schemas don't say what an argument is compared with, so names decide: a name that holds the words
//! of a field (`emailContains`, `EMAIL_ASC`, `owner_email`) speaks of that field. The fields of the
//! types that are selected are asked first; what else a name says is held against the names of all
//! masked fields. Where names don't tell, the settings can ([`Known`]).

mod context;
mod known;
mod text;
mod walk;

use crate::graphql::{Argument, ArgumentValue};
use crate::schema::{FieldDef, FieldId, OperationKind, Schema, TypeId, TypeSet, Words};

use super::RuleTable;
use super::plan::Guard;

pub use context::Context;
pub use known::{BODY, Known};

use walk::Walk;

/// Members that stand between a field and the objects that it is about.
const WRAPPERS: [&str; 14] = [
    "data",
    "documents",
    "edges",
    "entries",
    "hits",
    "items",
    "list",
    "node",
    "nodes",
    "page",
    "records",
    "results",
    "rows",
    "values",
];

/// Why an argument is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compared {
    /// It names a masked field.
    Field {
        /// The names on the way to it, joined by dots.
        argument: String,
        /// The field.
        coordinate: String,
    },
    /// It holds more names than are looked at, or nests too deeply.
    TooMuch,
}

/// What a name means.
enum Meaning {
    /// A field with a value: what stands under it is such a value.
    Value,
    /// Something about these types.
    About(TypeSet),
}

/// Looks for masked fields in arguments.
#[derive(Debug, Clone, Copy)]
pub struct Comparison<'s> {
    schema: &'s Schema,
    table: &'s RuleTable,
}

impl<'s> Comparison<'s> {
    /// Under these rules.
    pub fn new(schema: &'s Schema, table: &'s RuleTable) -> Self {
        Self { schema, table }
    }

    /// The types that arguments of a field of type `named` speak of.
    pub fn subjects(&self, named: TypeId) -> TypeSet {
        subjects(self.schema, named)
    }

    /// Whether what arguments of a field say is written, unless members of it compare: it is a field
    /// of the mutation type that does not only select.
    pub fn is_write(kind: OperationKind, field: &str) -> bool {
        kind == OperationKind::Mutation && !context::selects(field)
    }

    /// Whether any field is masked that may not be compared.
    pub fn has_masked(&self) -> bool {
        self.table.masked_name(self.schema, |_| true).is_some()
    }

    /// A masked field that the argument names; and the variables in it that have to be looked into.
    pub fn argument(
        &self,
        types: &TypeSet,
        name: &str,
        value: &ArgumentValue,
    ) -> Result<Vec<Guard>, Compared> {
        let mut walk = Walk::new(self);
        walk.member(types, name, value, Context::default())?;
        Ok(walk.guards)
    }

    /// The first of a request's parameters that names a masked field, and how.
    pub fn parameters<'p>(
        &self,
        types: &TypeSet,
        parameters: &'p [(String, String)],
    ) -> Result<(), (&'p str, Compared)> {
        // One walk, so that a request can't bring more by bringing it in parts.
        let mut walk = Walk::new(self);
        for (name, value) in parameters {
            let mut found = || {
                if self.listed(None, name)? {
                    return Ok(());
                }
                let value = ArgumentValue::Word(value.as_str().into());
                walk.member(types, name, &value, Context::default())
            };
            found().map_err(|e| (name.as_str(), e))?;
        }
        Ok(())
    }

    /// The same of an argument whose value is written: what of it compares is looked for.
    pub fn written(
        &self,
        types: &TypeSet,
        name: &str,
        value: &ArgumentValue,
    ) -> Result<Vec<Guard>, Compared> {
        let mut walk = Walk::new(self);
        walk.written(types, name, value)?;
        Ok(walk.guards)
    }

    /// The same of a directive: what it does, its name may say.
    pub fn directive(
        &self,
        types: &TypeSet,
        name: &str,
        arguments: &[Argument],
    ) -> Result<Vec<Guard>, Compared> {
        self.name(types, name, false)?;
        let mut walk = Walk::new(self);
        walk.directive(types, name, arguments)?;
        Ok(walk.guards)
    }

    /// The same of a JSON body, of which members compare, or with `reads` all of it does.
    pub fn body(
        &self,
        types: &TypeSet,
        value: &ArgumentValue,
        reads: bool,
    ) -> Result<(), Compared> {
        let context = match (reads, value) {
            (false, _) => Context::WRITTEN,
            (true, ArgumentValue::Object(_)) => Context::default(),
            (true, _) => Context::EXPRESSION,
        };
        Walk::new(self).value(types, value, context)
    }

    /// A masked field that the value of a guarded variable names.
    pub fn guarded(&self, guard: &Guard, value: &ArgumentValue) -> Result<(), Compared> {
        let mut walk = Walk::new(self);
        walk.path.clone_from(&guard.path);
        walk.value(&guard.types, value, guard.context)
    }

    /// Whether a string that the variable brings can name anything where it stands.
    pub fn reads_strings(guard: &Guard) -> bool {
        guard.context.reads()
    }

    /// A masked field by which a field or path of this name selects (`personByEmail`).
    pub fn name(&self, types: &TypeSet, name: &str, writes: bool) -> Result<(), Compared> {
        let Some(by) = context::selected_by(&Words::of(name), writes) else {
            return Ok(());
        };
        let meaning = self.meaning(types, &by, false);
        meaning.map(|_| ()).map_err(|coordinate| Compared::Field {
            argument: name.to_owned(),
            coordinate,
        })
    }

    /// A masked field of exactly this name.
    pub fn spelled(&self, types: &TypeSet, name: &str) -> Option<String> {
        let words = Words::of(name);
        let column = self.table.known().columns().iter();
        if let Some((_, fields)) = column.clone().find(|(column, _)| column.spell(&words)) {
            let masked = fields.iter().find(|(id, _)| self.hides(*id));
            return masked.map(|(_, coordinate)| coordinate.to_string());
        }
        let defs = types.iter().filter_map(|t| self.schema.get(t));
        defs.flat_map(|def| def.fields().map(move |f| (def, f)))
            .find(|(_, f)| self.is_masked(f) && f.words.spell(&words))
            .map(|(def, f)| format!("{}.{}", def.name, f.name))
    }

    /// Whether the settings say what the argument compares: then whether one of it is masked is the
    /// only question.
    ///
    /// # Errors
    /// A field that it compares is masked.
    pub fn listed(&self, of: Option<FieldId>, name: &str) -> Result<bool, Compared> {
        let Some(fields) = self.table.known().argument(of, name) else {
            return Ok(false);
        };
        match fields.iter().find(|(id, _)| self.hides(*id)) {
            Some((_, coordinate)) => Err(Compared::Field {
                argument: name.to_owned(),
                coordinate: coordinate.to_string(),
            }),
            None => Ok(true),
        }
    }

    /// The masked field that a name means; else what the name says of what stands under it. `loose`:
    /// also where the field's name is only a part of a word.
    fn meaning(&self, types: &TypeSet, name: &Words, loose: bool) -> Result<Meaning, String> {
        let means = |field: &Words| name.hold(field) || (loose && name.embed(field));
        let columns = self.table.known().columns();
        if !columns.is_empty() {
            let exact = columns.iter().any(|(column, _)| column.spell(name));
            let meant = columns.iter().filter(|(column, _)| match exact {
                true => column.spell(name),
                false => means(column),
            });
            let mut fields = meant.flat_map(|(_, fields)| fields);
            if let Some((_, coordinate)) = fields.find(|(id, _)| self.hides(*id)) {
                return Err(coordinate.to_string());
            }
            if exact {
                return Ok(Meaning::Value);
            }
        }
        let mut named: Vec<&Words> = Vec::new();
        let mut below = TypeSet::default();
        let (mut masked, mut exact, mut value) = (None, false, false);
        for def in types.iter().filter_map(|t| self.schema.get(t)) {
            for field in def.fields().filter(|f| means(&f.words)) {
                let spelled = field.words.spell(name);
                if self.is_masked(field) {
                    let found = format!("{}.{}", def.name, field.name);
                    if spelled {
                        return Err(found);
                    }
                    masked.get_or_insert(found);
                    continue;
                }
                if name.hold(&field.words) {
                    named.push(&field.words);
                }
                if self.schema.is_leaf(field.shape.named) {
                    value = true;
                    exact |= spelled;
                } else {
                    let subjects = self.subjects(field.shape.named);
                    masked = masked.or_else(|| self.masked_in(&subjects, &means));
                    below.extend(&subjects);
                }
            }
        }
        // A field of just that name is meant, though its name may hold another's.
        if exact {
            return Ok(Meaning::Value);
        }
        if let Some(coordinate) = masked {
            return Err(coordinate);
        }
        let other = |masked: &Words| means(masked) && !named.iter().any(|n| n.are(masked));
        if let Some(coordinate) = self.table.masked_name(self.schema, other) {
            return Err(coordinate.to_owned());
        }
        Ok(match (below.is_empty(), value) {
            (false, _) => Meaning::About(below),
            (true, true) => Meaning::Value,
            (true, false) => Meaning::About(types.clone()),
        })
    }

    fn masked_in(&self, types: &TypeSet, means: &impl Fn(&Words) -> bool) -> Option<String> {
        types
            .iter()
            .filter_map(|t| self.schema.get(t))
            .find_map(|def| {
                let masked = def.fields().find(|f| self.is_masked(f) && means(&f.words));
                masked.map(|field| format!("{}.{}", def.name, field.name))
            })
    }

    fn is_masked(&self, field: &FieldDef) -> bool {
        self.hides(field.id)
    }

    fn hides(&self, field: FieldId) -> bool {
        self.table.hides(field)
    }
}

/// The types that arguments of something of type `named` speak of, under whatever rules.
pub fn subjects(schema: &Schema, named: TypeId) -> TypeSet {
    let mut subjects = TypeSet::default();
    let mut open = vec![(named, 0)];
    while let Some((id, hops)) = open.pop() {
        let Some(def) = schema.get(id) else {
            continue;
        };
        for object in def.possible.iter() {
            if subjects.contains(object) {
                continue;
            }
            subjects.insert(object);
            let fields = schema.get(object).into_iter().flat_map(|t| t.fields());
            open.extend(
                fields
                    .filter(|f| hops < 3 && WRAPPERS.contains(&&*f.name))
                    .map(|f| (f.shape.named, hops + 1)),
            );
        }
    }
    subjects
}
