use std::collections::HashMap;

use super::{Argument, ArgumentValue, GraphqlError, Limits};
use crate::schema::OperationKind;

/// Bytes of a response key.
const LONGEST_NAME: usize = 1024;

/// Index of a selection set in its document.
pub type SetIndex = u32;
/// Index of a field selection in its document.
pub type FieldIndex = u32;

/// An executable document. Selections are kept in two flat lists, so that a selection is a number.
#[derive(Debug, Default)]
pub struct Document {
    pub(super) operations: Vec<Operation>,
    pub(super) fragments: HashMap<Box<str>, Fragment>,
    pub(super) sets: Vec<Vec<Selection>>,
    pub(super) fields: Vec<Field>,
    /// Labels of `@defer` and `@stream`.
    pub(super) labels: Vec<Box<str>>,
    /// Directives that do not stand on fields.
    pub(super) directives: Vec<Directive>,
}

/// One operation of a document.
#[derive(Debug)]
pub struct Operation {
    /// What it does.
    pub kind: OperationKind,
    /// Its name, if it has one.
    pub name: Option<Box<str>>,
    /// What it selects.
    pub set: SetIndex,
    /// Its variables.
    pub variables: Vec<Variable>,
}

/// A variable of an operation.
#[derive(Debug)]
pub struct Variable {
    /// Its name.
    pub name: Box<str>,
    /// The type inside its lists.
    pub named: Box<str>,
    /// Its value where the request gives none.
    pub default: Option<ArgumentValue>,
}

#[derive(Debug)]
pub(super) struct Fragment {
    pub condition: Box<str>,
    pub set: SetIndex,
}

/// One selection.
#[derive(Debug)]
pub enum Selection {
    /// A field.
    Field(FieldIndex),
    /// `...Name`
    Spread(Box<str>),
    /// `... on Type { … }` or `... { … }`
    Inline {
        /// The type, if it is named.
        condition: Option<Box<str>>,
        /// What it selects.
        set: SetIndex,
    },
}

/// A directive of the upstream's own: what it does is not known.
#[derive(Debug)]
pub struct Directive {
    /// Its name.
    pub name: Box<str>,
    /// Its arguments.
    pub arguments: Vec<Argument>,
}

/// A selected field. The directives of the specification are not kept, but for labels: a field that
/// `@skip` may leave out is assumed to be there.
#[derive(Debug)]
pub struct Field {
    /// Its name in the response, if it is not its own.
    pub alias: Option<Box<str>>,
    /// Its name in the schema.
    pub name: Box<str>,
    /// What is selected of it.
    pub set: Option<SetIndex>,
    /// Its arguments.
    pub arguments: Vec<Argument>,
    /// Directives of the upstream's own.
    pub directives: Vec<Directive>,
}

impl Field {
    /// The name under which it stands in the response.
    pub fn response_key(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.name)
    }
}

impl Document {
    /// Parses a document.
    ///
    /// # Errors
    /// It is not GraphQL, exceeds the limits, or its fragments are missing, doubled or cyclic.
    pub fn parse(text: &str, limits: Limits) -> Result<Self, GraphqlError> {
        let document = super::read::read(text, limits)?;
        document.check()?;
        Ok(document)
    }

    /// The operation that runs (§6.1, `GetOperation`), and its index in the document.
    ///
    /// # Errors
    /// The name chooses none, or is needed and missing.
    pub fn operation(&self, name: Option<&str>) -> Result<(usize, &Operation), GraphqlError> {
        match (name, self.operations.as_slice()) {
            (_, []) => Err(GraphqlError::NoOperation),
            (None, [only]) => Ok((0, only)),
            (None, _) => Err(GraphqlError::OperationNameMissing),
            (Some(name), all) => all
                .iter()
                .enumerate()
                .find(|(_, o)| o.name.as_deref() == Some(name))
                .ok_or_else(|| GraphqlError::UnknownOperation(name.to_owned())),
        }
    }

    /// The labels of parts that may come later (`@defer`, `@stream`).
    pub fn labels(&self) -> &[Box<str>] {
        &self.labels
    }

    /// Directives of the upstream's own that stand on operations, variables and fragments.
    pub fn directives(&self) -> &[Directive] {
        &self.directives
    }

    /// The selections of a set.
    pub fn set(&self, index: SetIndex) -> &[Selection] {
        self.sets
            .get(index as usize)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// A selected field.
    pub fn field(&self, index: FieldIndex) -> Option<&Field> {
        self.fields.get(index as usize)
    }

    /// The type condition and selections of a fragment.
    pub fn fragment(&self, name: &str) -> Option<(&str, SetIndex)> {
        self.fragments.get(name).map(|f| (&*f.condition, f.set))
    }

    fn check(&self) -> Result<(), GraphqlError> {
        // The rewriter takes no longer names: better said before the upstream has run anything.
        if self
            .fields
            .iter()
            .any(|f| f.response_key().len() > LONGEST_NAME)
        {
            return Err(GraphqlError::Limit);
        }
        let anonymous = self.operations.iter().filter(|o| o.name.is_none()).count();
        let names: std::collections::HashSet<_> =
            self.operations.iter().map(|o| o.name.as_deref()).collect();
        if names.len() != self.operations.len() || (anonymous > 0 && self.operations.len() > 1) {
            return Err(GraphqlError::AmbiguousNames);
        }
        // Kahn's algorithm over "fragment spreads fragment": what can't be taken off is a cycle.
        let mut uses: HashMap<&str, Vec<&str>> = HashMap::new();
        for (name, fragment) in &self.fragments {
            uses.insert(name, self.spreads(fragment.set)?);
        }
        for operation in &self.operations {
            self.spreads(operation.set)?;
        }
        let mut ready = true;
        let mut done: std::collections::HashSet<&str> = std::collections::HashSet::new();
        while ready {
            let next: Vec<&str> = uses
                .iter()
                .filter(|(_, used)| used.iter().all(|u| done.contains(u)))
                .map(|(name, _)| *name)
                .collect();
            ready = !next.is_empty();
            for name in next {
                uses.remove(name);
                done.insert(name);
            }
        }
        match uses.keys().min() {
            Some(name) => Err(GraphqlError::CyclicFragment((*name).to_owned())),
            None => Ok(()),
        }
    }

    /// The fragments spread anywhere below a set.
    fn spreads(&self, root: SetIndex) -> Result<Vec<&str>, GraphqlError> {
        let mut found = Vec::new();
        let mut open = vec![root];
        while let Some(set) = open.pop() {
            for selection in self.set(set) {
                match selection {
                    Selection::Field(f) => open.extend(self.field(*f).and_then(|f| f.set)),
                    Selection::Inline { set, .. } => open.push(*set),
                    Selection::Spread(name) if self.fragments.contains_key(name) => {
                        found.push(&**name);
                    }
                    Selection::Spread(name) => {
                        return Err(GraphqlError::UnknownFragment(name.to_string()));
                    }
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}
