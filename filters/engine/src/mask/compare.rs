//! Which arguments name a masked field. A caller who may filter, sort or group by a field learns
//! its values from the answers, masked or not.
//!
//! Schemas don't say what an argument is compared with, so names decide: a name that holds the words
//! of a field (`emailContains`, `EMAIL_ASC`, `owner_email`) speaks of that field. The fields of the
//! types that are selected are asked first; a name that means none of them is held against the names
//! of all masked fields.

use crate::graphql::ArgumentValue;
use crate::schema::{FieldDef, OperationKind, Schema, TypeId, TypeSet, Words};

use super::RuleTable;
use super::plan::Guard;

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

/// Words of names under which a string lists fields.
const LISTING: [&str; 16] = [
    "aggregate",
    "attribute",
    "by",
    "column",
    "columns",
    "distinct",
    "facet",
    "facets",
    "field",
    "fields",
    "group",
    "key",
    "keys",
    "order",
    "select",
    "sort",
];

/// Words of names under which a string is an expression over fields.
const EXPRESSION: [&str; 9] = [
    "condition",
    "expression",
    "filter",
    "having",
    "predicate",
    "q",
    "query",
    "search",
    "where",
];

/// Nested objects and lists that are followed.
const DEEPEST: usize = 64;

/// Names of one request that are looked at.
const MOST_NAMES: usize = 500;

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

/// What a string may do where it stands.
#[derive(Debug, Clone, Copy, Default)]
struct Context {
    listing: bool,
    expression: bool,
}

impl Context {
    fn under(self, name: &Words) -> Self {
        Self {
            listing: self.listing || name.are_among(&LISTING),
            expression: self.expression || name.are_among(&EXPRESSION),
        }
    }
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
        let mut subjects = TypeSet::default();
        let mut open = vec![(named, 0)];
        while let Some((id, hops)) = open.pop() {
            let Some(def) = self.schema.get(id) else {
                continue;
            };
            for object in def.possible.iter() {
                if subjects.contains(object) {
                    continue;
                }
                subjects.insert(object);
                let fields = self.schema.get(object).into_iter().flat_map(|t| t.fields());
                open.extend(
                    fields
                        .filter(|f| hops < 3 && WRAPPERS.contains(&&*f.name))
                        .map(|f| (f.shape.named, hops + 1)),
                );
            }
        }
        subjects
    }

    /// Whether what an argument of this name says is only written, not compared: it stands on a
    /// field of the mutation type and is no condition.
    pub fn is_write(kind: OperationKind, name: &str) -> bool {
        let name = Words::of(name);
        kind == OperationKind::Mutation && !name.are_among(&LISTING) && !name.are_among(&EXPRESSION)
    }

    /// A masked field that the argument names; and the variables in it that have to be looked into.
    pub fn argument(
        &self,
        types: &TypeSet,
        name: &str,
        value: &ArgumentValue,
    ) -> Result<Vec<Guard>, Compared> {
        let mut walk = Walk {
            comparison: self,
            path: Vec::new(),
            guards: Vec::new(),
            names: 0,
        };
        walk.member(types, name, value, Context::default())?;
        Ok(walk.guards)
    }

    /// A masked field that the value of a guarded variable names.
    pub fn guarded(&self, guard: &Guard, value: &ArgumentValue) -> Result<(), Compared> {
        let mut context = Context::default();
        for name in &guard.path {
            context = context.under(&Words::of(name));
        }
        let mut walk = Walk {
            comparison: self,
            path: guard.path.clone(),
            guards: Vec::new(),
            names: 0,
        };
        walk.value(&guard.types, value, context)
    }

    /// Whether a string that the variable brings can name anything where it stands.
    pub fn reads_strings(guard: &Guard) -> bool {
        let mut names = guard.path.iter().map(|n| Words::of(n));
        names.any(|n| n.are_among(&LISTING) || n.are_among(&EXPRESSION))
    }

    /// The masked field that a name means; else the types that what stands under it speaks of.
    fn meaning(&self, types: &TypeSet, name: &Words) -> Result<TypeSet, String> {
        let mut known = false;
        let mut below = TypeSet::default();
        for ty in types.iter() {
            let Some(def) = self.schema.get(ty) else {
                continue;
            };
            for field in def.fields().filter(|f| name.hold(&f.words)) {
                known = true;
                if self.is_masked(field) {
                    return Err(format!("{}.{}", def.name, field.name));
                }
                if !self.schema.is_leaf(field.shape.named) {
                    let subjects = self.subjects(field.shape.named);
                    self.masked_in(&subjects, name)?;
                    below.extend(&subjects);
                }
            }
        }
        if !known {
            if let Some(coordinate) = self
                .table
                .masked_name(self.schema, |masked| name.hold(masked))
            {
                return Err(coordinate.to_owned());
            }
            return Ok(types.clone());
        }
        Ok(if below.is_empty() {
            types.clone()
        } else {
            below
        })
    }

    fn masked_in(&self, types: &TypeSet, name: &Words) -> Result<(), String> {
        for def in types.iter().filter_map(|t| self.schema.get(t)) {
            let named = |f: &&FieldDef| self.is_masked(f) && name.hold(&f.words);
            if let Some(field) = def.fields().find(named) {
                return Err(format!("{}.{}", def.name, field.name));
            }
        }
        Ok(())
    }

    fn is_masked(&self, field: &FieldDef) -> bool {
        let rule = self.table.rule(field.id);
        rule.is_some_and(|(_, r)| r.strategy.is_some() && !r.compare)
    }
}

struct Walk<'w, 's> {
    comparison: &'w Comparison<'s>,
    path: Vec<Box<str>>,
    guards: Vec<Guard>,
    names: usize,
}

impl Walk<'_, '_> {
    fn named(&self, coordinate: String) -> Compared {
        Compared::Field {
            argument: self.path.join("."),
            coordinate,
        }
    }

    fn member(
        &mut self,
        types: &TypeSet,
        name: &str,
        value: &ArgumentValue,
        context: Context,
    ) -> Result<(), Compared> {
        self.path.push(name.into());
        self.count()?;
        let words = Words::of(name);
        let below = self
            .comparison
            .meaning(types, &words)
            .map_err(|c| self.named(c))?;
        self.value(&below, value, context.under(&words))?;
        self.path.pop();
        Ok(())
    }

    fn value(
        &mut self,
        types: &TypeSet,
        value: &ArgumentValue,
        context: Context,
    ) -> Result<(), Compared> {
        if self.path.len() > DEEPEST {
            return Err(Compared::TooMuch);
        }
        match value {
            ArgumentValue::Object(members) => {
                for m in members {
                    self.member(types, &m.name, &m.value, context)?;
                }
            }
            ArgumentValue::List(items) => {
                for item in items {
                    self.value(types, item, context)?;
                }
            }
            ArgumentValue::Enum(name) => self.word(types, name)?,
            ArgumentValue::Text(text) => self.text(types, text, context)?,
            ArgumentValue::Word(text) => {
                let upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
                if !text.is_empty() && text.chars().all(upper) {
                    self.word(types, text)?;
                }
                self.text(types, text, context)?;
            }
            ArgumentValue::Variable(variable) => self.guards.push(Guard {
                variable: variable.clone(),
                path: self.path.clone(),
                types: types.clone(),
            }),
            ArgumentValue::Other => {}
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), Compared> {
        self.names += 1;
        if self.names > MOST_NAMES {
            return Err(Compared::TooMuch);
        }
        Ok(())
    }

    fn word(&mut self, types: &TypeSet, word: &str) -> Result<(), Compared> {
        self.count()?;
        let meaning = self.comparison.meaning(types, &Words::of(word));
        meaning.map(|_| ()).map_err(|c| self.named(c))
    }

    /// A string: what it lists, or what it compares.
    fn text(&mut self, types: &TypeSet, text: &str, context: Context) -> Result<(), Compared> {
        if !context.listing && !context.expression {
            return Ok(());
        }
        let name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
        let mut rest = text;
        while let Some(start) = rest.find(name) {
            let from = rest.get(start..).unwrap_or_default();
            let end = from.find(|c| !name(c)).unwrap_or(from.len());
            let (word, after) = from.split_at_checked(end).unwrap_or((from, ""));
            let mut follows = after.trim_start_matches(['"', '\'', '`', ']', ' ', '\\', '\t']);
            follows = follows.trim_start();
            let compared = follows.starts_with(['=', '<', '>', '!', ':', '~', '(', '*']) || {
                let next: String = follows.chars().take_while(|c| c.is_alphabetic()).collect();
                let next = next.to_lowercase();
                matches!(
                    next.as_str(),
                    "like"
                        | "ilike"
                        | "in"
                        | "is"
                        | "between"
                        | "eq"
                        | "ne"
                        | "neq"
                        | "gt"
                        | "ge"
                        | "gte"
                        | "lt"
                        | "le"
                        | "lte"
                        | "contains"
                        | "starts"
                        | "ends"
                        | "matches"
                        | "not"
                        | "asc"
                        | "desc"
                        | "co"
                        | "sw"
                        | "ew"
                        | "pr"
                )
            };
            if context.listing || compared {
                self.word(types, word)?;
            }
            rest = after;
        }
        Ok(())
    }
}
