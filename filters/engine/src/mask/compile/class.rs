//! Classes: the types of an object that the rules tell apart once it has said its type.

use std::collections::HashMap;

use crate::graphql::GraphqlError;
use crate::json::NodeId;
use crate::schema::TypeSet;

use super::Compiler;
use super::place::{Entry, Place};

/// As [`crate::json::Node`] has it.
type Switch = Box<[(Box<str>, NodeId)]>;

impl<'s> Compiler<'s> {
    /// The member that tells the object's type: `__typename` itself, for all possible types.
    pub(super) fn typename(&self, entries: &[Entry], possible: &TypeSet) -> Option<u16> {
        let at = entries.iter().position(|e| &*e.key == "__typename")?;
        let entry = entries.get(at)?;
        let meta = entry
            .fields
            .iter()
            .all(|(f, _)| self.name_of(*f) == "__typename");
        let covered = entry
            .fields
            .iter()
            .any(|(_, types)| types.intersect(possible) == *possible);
        if meta && covered {
            u16::try_from(at).ok()
        } else {
            None
        }
    }

    /// The possible types, grouped by what the entries and rules tell apart.
    pub(super) fn classes(
        &mut self,
        entries: &[Entry],
        possible: &TypeSet,
    ) -> Result<Vec<TypeSet>, GraphqlError> {
        let fields: usize = entries.iter().map(|e| e.fields.len()).sum();
        self.charge(fields.saturating_mul(possible.len()))?;
        let mut classes: Vec<TypeSet> = Vec::new();
        let mut index: HashMap<Vec<u64>, usize> = HashMap::new();
        for ty in possible.iter() {
            let mut signature = Vec::new();
            for (field, types) in entries.iter().flat_map(|e| &e.fields) {
                if !types.contains(ty) {
                    signature.push(0);
                    continue;
                }
                let def = self.schema.field(ty, self.name_of(*field));
                let rule = def.and_then(|d| self.table.rule(d.id));
                signature.push(1 + def.map_or(0, |d| 1 + u64::from(d.shape.named)));
                signature.push(def.map_or(0, |d| u64::from(d.shape.nullable)));
                // A masked field is its own class: its coordinate is named in the audit.
                signature.push(rule.map_or(0, |_| def.map_or(0, |d| 1 + u64::from(d.id))));
            }
            let known = *index.entry(signature).or_insert(classes.len());
            match classes.get_mut(known) {
                Some(class) => class.insert(ty),
                None => classes.push(TypeSet::of(ty)),
            }
        }
        Ok(classes)
    }

    /// By type name: the node for the rest of an object at the place, in the layout's order.
    pub(super) fn switch(
        &mut self,
        place: &Place,
        classes: Vec<TypeSet>,
        layout: NodeId,
        depth: usize,
    ) -> Result<Switch, GraphqlError> {
        let mut switch = Vec::new();
        for class in classes {
            let id = self.node(place.of_class(&class, layout), depth)?;
            if id != layout {
                let names = class.iter().filter_map(|t| self.schema.get(t));
                switch.extend(names.map(|t| (t.name.clone(), id)));
            }
        }
        Ok(switch.into())
    }
}
