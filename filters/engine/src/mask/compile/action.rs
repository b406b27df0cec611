//! Actions: what happens to the values under one response key.

use std::collections::HashSet;

use crate::graphql::{GraphqlError, SetIndex};
use crate::json::Action;
use crate::mask::{Rule, RuleId};
use crate::schema::{FieldDef, FieldId, Kind, Scalar, TypeId, TypeSet};

use super::Compiler;
use super::place::{Entry, Place};

/// One coordinate that a response key can stand for.
pub(super) struct Candidate<'s> {
    pub(super) ty: TypeId,
    pub(super) field: &'s FieldDef,
    pub(super) rule: Option<(RuleId, &'s Rule)>,
}

impl<'s> Compiler<'s> {
    pub(super) fn action(
        &mut self,
        entry: &Entry,
        force: Option<RuleId>,
        depth: usize,
    ) -> Result<Action, GraphqlError> {
        let mut candidates: Vec<Candidate<'s>> = Vec::new();
        let mut known: HashSet<(TypeId, FieldId)> = HashSet::new();
        let mut unknown = None;
        let mut meta = false;
        let mut selected = false;
        for (field, types) in &entry.fields {
            let name = self.name_of(*field);
            selected |= self.document.field(*field).is_some_and(|f| f.set.is_some());
            if name == "__typename" {
                meta = true;
                continue;
            }
            self.charge(types.len())?;
            for ty in types.iter() {
                match self.schema.field(ty, name) {
                    Some(field) => {
                        if known.insert((ty, field.id)) {
                            candidates.push(Candidate {
                                ty,
                                field,
                                rule: self.table.rule(field.id),
                            });
                        }
                    }
                    None => unknown = Some((ty, name)),
                }
            }
        }
        if let Some((ty, name)) = unknown {
            return Ok(Action::Mask(self.unknown(ty, name)));
        }
        if meta {
            // `__typename` and a field under one key can't both be valid: keep neither.
            return Ok(if candidates.is_empty() {
                Action::Scalar
            } else {
                Action::Drop
            });
        }
        let leaves = candidates
            .iter()
            .filter(|c| self.schema.is_leaf(c.field.shape.named))
            .count();
        let name = candidates
            .first()
            .map(|c| c.field.name.to_string())
            .unwrap_or_default();
        if leaves == candidates.len() {
            if selected {
                return Err(GraphqlError::BadSelection(name, "has no fields to select"));
            }
            return Ok(self.leaf(&candidates, force));
        }
        if leaves > 0 {
            return Ok(Action::Drop);
        }
        if !selected {
            return Err(GraphqlError::BadSelection(
                name,
                "needs a selection of its fields",
            ));
        }
        self.composite(entry, &candidates, force, depth)
    }

    pub(super) fn leaf(&mut self, candidates: &[Candidate<'s>], force: Option<RuleId>) -> Action {
        if let Some(rule) = force {
            return Action::Mask(self.spec(candidates, Some(rule)));
        }
        for (c, rule) in candidates.iter().filter_map(|c| Some((c, c.rule?.1))) {
            if rule.strategy.is_none() {
                self.revealed.insert(self.coordinate(c.ty, &c.field.name));
            }
        }
        if candidates
            .iter()
            .any(|c| c.rule.is_some_and(|(_, r)| r.strategy.is_some()))
        {
            return Action::Mask(self.spec(candidates, None));
        }
        let custom = |c: &Candidate<'_>| {
            self.schema
                .get(c.field.shape.named)
                .is_some_and(|t| t.kind == Kind::Scalar(Scalar::Custom))
        };
        if candidates.iter().any(custom) {
            Action::Any
        } else {
            Action::Scalar
        }
    }

    fn composite(
        &mut self,
        entry: &Entry,
        candidates: &[Candidate<'s>],
        force: Option<RuleId>,
        depth: usize,
    ) -> Result<Action, GraphqlError> {
        let strictest = candidates
            .iter()
            .filter_map(|c| c.rule)
            .filter(|(_, r)| r.strategy.is_some())
            .max_by_key(|(_, r)| r.strategy);
        if force.is_none() && strictest.is_some() {
            let nullable = candidates
                .iter()
                .all(|c| c.field.shape.nullable_at(c.field.shape.lists));
            if nullable {
                return Ok(Action::Mask(self.spec(candidates, None)));
            }
        }
        // An object that may not be null is masked leaf by leaf.
        let force = force.or(strictest.map(|(id, _)| id));
        let mut groups: Vec<(SetIndex, TypeSet)> = Vec::new();
        let mut possible = TypeSet::default();
        for (field, types) in &entry.fields {
            let Some(selected) = self.document.field(*field) else {
                continue;
            };
            let Some(set) = selected.set else { continue };
            let mut below = TypeSet::default();
            for ty in types.iter() {
                let named = self.schema.field(ty, &selected.name).map(|f| f.shape.named);
                if let Some(def) = named.and_then(|n| self.schema.get(n)) {
                    below.extend(&def.possible);
                }
            }
            possible.extend(&below);
            groups.push((set, below));
        }
        let place = Place {
            groups,
            possible,
            force,
            layout: None,
        };
        Ok(Action::Object(self.node(place, depth + 1)?))
    }
}
