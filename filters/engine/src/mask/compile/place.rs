//! Places: which selections apply to an object, and which fields they collect (§6.3.2).

use std::collections::{HashMap, HashSet};

use crate::graphql::{FieldIndex, GraphqlError, Selection, SetIndex};
use crate::json::NodeId;
use crate::mask::RuleId;
use crate::schema::TypeSet;

use super::Compiler;

/// Everything that a node depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// The selection sets that apply, each to these types only.
    pub(super) groups: Vec<(SetIndex, TypeSet)>,
    /// The types that the object can have.
    pub(super) possible: TypeSet,
    /// The rule of a field above that masks all of it.
    pub(super) force: Option<RuleId>,
    /// The node whose members, in its order, this one must have.
    pub(super) layout: Option<NodeId>,
}

impl Place {
    /// The same for the types of a class only, with the layout's members.
    pub(super) fn of_class(&self, class: &TypeSet, layout: NodeId) -> Self {
        let groups = self.groups.iter();
        Self {
            groups: groups
                .map(|(set, types)| (*set, types.intersect(class)))
                .collect(),
            possible: class.clone(),
            force: self.force,
            layout: Some(layout),
        }
    }
}

/// What was selected under one response key.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Box<str>,
    pub(super) fields: Vec<(FieldIndex, TypeSet)>,
}

impl<'s> Compiler<'s> {
    /// All fields that can stand in the object, fragments followed, by response key.
    pub(super) fn collect(
        &mut self,
        place: &Place,
        depth: usize,
    ) -> Result<Vec<Entry>, GraphqlError> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut index: HashMap<Box<str>, usize> = HashMap::new();
        let mut standing: HashMap<(usize, &str, Option<SetIndex>), usize> = HashMap::new();
        let mut visited: HashSet<(Box<str>, TypeSet)> = HashSet::new();
        // Last in, first out: pushed in reverse, so that fields come in the document's order.
        let mut open: Vec<(&Selection, TypeSet)> = Vec::new();
        let document = self.document;
        let push = |set: SetIndex, types: &TypeSet, open: &mut Vec<(&'s Selection, TypeSet)>| {
            open.extend(document.set(set).iter().rev().map(|s| (s, types.clone())));
        };
        for (set, types) in place.groups.iter().rev() {
            push(*set, &types.intersect(&place.possible), &mut open);
        }
        while let Some((selection, types)) = open.pop() {
            self.charge(1)?;
            if types.is_empty() {
                continue;
            }
            match selection {
                Selection::Field(id) => {
                    let Some(field) = document.field(*id) else {
                        continue;
                    };
                    self.admit(*id, field, &types, depth)?;
                    let key = field.response_key();
                    let at = match index.get(key) {
                        Some(at) => *at,
                        None => {
                            index.insert(key.into(), entries.len());
                            entries.push(Entry {
                                key: key.into(),
                                fields: Vec::new(),
                            });
                            entries.len() - 1
                        }
                    };
                    let Some(entry) = entries.get_mut(at) else {
                        continue;
                    };
                    // A leaf that stands there a thousand times is still one field.
                    let known = *standing
                        .entry((at, &*field.name, field.set))
                        .or_insert(entry.fields.len());
                    match entry.fields.get_mut(known) {
                        Some((_, standing)) => standing.extend(&types),
                        None => entry.fields.push((*id, types)),
                    }
                }
                Selection::Inline { condition, set } => {
                    let types = self.narrow(condition.as_deref(), &types)?;
                    push(*set, &types, &mut open);
                }
                Selection::Spread(name) => {
                    let Some((condition, set)) = document.fragment(name) else {
                        continue;
                    };
                    let types = self.narrow(Some(condition), &types)?;
                    if visited.insert((name.clone(), types.clone())) {
                        push(set, &types, &mut open);
                    }
                }
            }
        }
        Ok(entries)
    }

    fn narrow(&self, condition: Option<&str>, types: &TypeSet) -> Result<TypeSet, GraphqlError> {
        let Some(name) = condition else {
            return Ok(types.clone());
        };
        match self.schema.type_id(name).and_then(|id| self.schema.get(id)) {
            Some(def) => Ok(types.intersect(&def.possible)),
            None => Err(GraphqlError::UnknownType(name.to_owned())),
        }
    }
}
