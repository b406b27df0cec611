//! Plans of routes that are no GraphQL: every member is known by the field of its object's type. One
//! that is no field is left out, name and all: a name can be data. A table's cells can't be left out,
//! so a column that is no field is redacted, its name included.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::config::RouteConfig;
use crate::graphql::{Document, GraphqlError, Operation};
use crate::json::{Action, Field, Node, NodeId, Program};
use crate::mask::{Keyring, Plan, RuleTable};
use crate::schema::{OperationKind, Schema, TypeId, TypeSet};

use super::action::Candidate;
use super::{Compiler, Limits};

/// What happens to the answers of a route under one decision.
#[derive(Debug)]
pub struct RoutePlan {
    /// Its program and masks. The program's root is the node of one object or row.
    pub plan: Arc<Plan>,
    /// What applies to a whole JSON document.
    pub document: Action,
    /// What applies to one row.
    pub row: Action,
    /// What applies to the cells of a column that is not known.
    pub unknown: Action,
}

impl RoutePlan {
    /// What happens to a column: a field of the row's type, a field of an object in it by its path
    /// (`owner.email`), or a name that the route explains. `None` if it is none of these. An object
    /// in a cell is a text of which nothing is known.
    pub fn column(&self, name: &str) -> Option<Action> {
        let mut at = self.row;
        let root = match at {
            Action::Object(id) => self.plan.program.node(id),
            _ => None,
        };
        if let Some(action) = root.and_then(|n| n.action(name)) {
            at = action;
        } else {
            for part in name.split(['.', '/']) {
                let Action::Object(id) = at else {
                    return None;
                };
                at = self.plan.program.node(id).and_then(|n| n.action(part))?;
            }
        }
        Some(self.of_cell(at))
    }

    fn of_cell(&self, action: Action) -> Action {
        match action {
            Action::Any | Action::Scalar | Action::Mask(_) => action,
            _ => self.unknown,
        }
    }

    /// What is done to the members of a row, or to the columns of `table`: name → strategy. It has
    /// every name that the answers of the route can have, so none that an answer brings.
    pub fn redactions(&self, table: bool) -> BTreeMap<&str, &'static str> {
        let Action::Object(id) = self.row else {
            return BTreeMap::new();
        };
        let fields = self.plan.program.node(id).map(|n| &n.fields);
        fields
            .into_iter()
            .flatten()
            .filter_map(|f| {
                let action = if table {
                    self.of_cell(f.action)
                } else {
                    f.action
                };
                match action {
                    Action::Mask(mask) => {
                        let spec = self.plan.specs.get(mask as usize)?;
                        Some((&*f.key, spec.strategy.name()))
                    }
                    _ => None,
                }
            })
            .collect()
    }
}

/// Compiles the plan of a route.
///
/// # Errors
/// The route names types or fields that the schema does not have, in a sentence; or the plan would
/// exceed the limits.
pub fn compile_route(
    schema: &Schema,
    route: &RouteConfig,
    table: &RuleTable,
    keys: Option<(&Keyring, &str)>,
    limits: Limits,
) -> Result<RoutePlan, String> {
    let of = schema
        .type_id(&route.of)
        .filter(|id| schema.get(*id).is_some_and(|t| !t.possible.is_empty()))
        .ok_or_else(|| format!("the schema has no object type `{}`", route.of))?;
    let document = Document::default();
    let operation = Operation {
        kind: OperationKind::Query,
        name: None,
        set: 0,
        variables: Vec::new(),
    };
    let mut compiler = Compiler::new(schema, &document, &operation, table, keys, limits);
    let routed = compiler.route(route, of).map_err(|e| match e {
        RouteProblem::Graphql(e) => e.to_string(),
        RouteProblem::Said(text) => text,
    })?;
    let (row, whole, unknown) = routed;
    if let Action::Object(id) = row {
        compiler.program.root = id;
    }
    Ok(RoutePlan {
        plan: Arc::new(compiler.into_plan()),
        document: whole,
        row,
        unknown,
    })
}

enum RouteProblem {
    Graphql(GraphqlError),
    Said(String),
}

impl From<GraphqlError> for RouteProblem {
    fn from(error: GraphqlError) -> Self {
        Self::Graphql(error)
    }
}

impl<'s> Compiler<'s> {
    /// The actions of a row, of the document, and of what is unknown.
    fn route(
        &mut self,
        route: &RouteConfig,
        of: TypeId,
    ) -> Result<(Action, Action, Action), RouteProblem> {
        let unknown = Action::Mask(self.unknown_member(&route.of));
        let possible = self
            .schema
            .get(of)
            .map(|t| t.possible.clone())
            .unwrap_or_default();
        let mut known: HashMap<TypeSet, NodeId> = HashMap::new();
        let mut open = vec![possible.clone()];
        let row = self.reserve(&possible, &mut known)?;
        while let Some(types) = open.pop() {
            let Some(id) = known.get(&types).copied() else {
                continue;
            };
            let mut fields = self.fields_of(&types, unknown, &mut known, &mut open)?;
            if id == row {
                self.renamed(route, &mut fields)?;
            }
            if let Some(node) = self.program.nodes.get_mut(id as usize) {
                *node = Node::new(fields);
            }
        }
        let row = Action::Object(row);
        Ok((row, self.way(route, row), unknown))
    }

    fn reserve(
        &mut self,
        types: &TypeSet,
        known: &mut HashMap<TypeSet, NodeId>,
    ) -> Result<NodeId, GraphqlError> {
        if self.program.nodes.len() >= self.limits.nodes {
            return Err(GraphqlError::Limit);
        }
        let id = self.program.nodes.len() as NodeId;
        self.program.nodes.push(Node::new(Vec::new()));
        known.insert(types.clone(), id);
        Ok(id)
    }

    fn fields_of(
        &mut self,
        types: &TypeSet,
        unknown: Action,
        known: &mut HashMap<TypeSet, NodeId>,
        open: &mut Vec<TypeSet>,
    ) -> Result<Vec<Field>, GraphqlError> {
        let mut candidates: BTreeMap<&'s str, Vec<Candidate<'s>>> = BTreeMap::new();
        for ty in types.iter() {
            for field in self.schema.get(ty).into_iter().flat_map(|t| t.fields()) {
                candidates.entry(&field.name).or_default().push(Candidate {
                    ty,
                    field,
                    rule: self.table.rule(field.id),
                });
            }
        }
        let typename = ("__typename".into(), Action::Scalar);
        let mut fields = vec![typename];
        for (name, candidates) in candidates {
            self.charge(candidates.len())?;
            let leaves = candidates
                .iter()
                .filter(|c| self.schema.is_leaf(c.field.shape.named))
                .count();
            let masked = candidates
                .iter()
                .any(|c| c.rule.is_some_and(|(_, r)| r.strategy.is_some()));
            let action = if leaves == candidates.len() {
                self.leaf(&candidates, None)
            } else if leaves > 0 {
                unknown
            } else if masked {
                Action::Mask(self.spec(&candidates, None))
            } else {
                let mut below = TypeSet::default();
                let named = candidates.iter().map(|c| c.field.shape.named);
                for def in named.filter_map(|n| self.schema.get(n)) {
                    below.extend(&def.possible);
                }
                let id = match known.get(&below) {
                    Some(id) => *id,
                    None => {
                        open.push(below.clone());
                        self.reserve(&below, known)?
                    }
                };
                Action::Object(id)
            };
            fields.push((name.into(), action));
        }
        Ok(fields
            .into_iter()
            .map(|(key, action)| Field { key, action })
            .collect())
    }

    /// Adds the members that have another name than their field's.
    fn renamed(
        &mut self,
        route: &RouteConfig,
        fields: &mut Vec<Field>,
    ) -> Result<(), RouteProblem> {
        for (name, coordinate) in &route.columns {
            let meant = self.schema.expand(coordinate);
            let meant = meant.map_err(|e| RouteProblem::Said(format!("column `{name}`: {e}")))?;
            let field = coordinate.split_once('.').map_or("", |(_, f)| f);
            let candidates: Vec<Candidate<'s>> = meant
                .iter()
                .filter_map(|(ty, id)| {
                    Some(Candidate {
                        ty: *ty,
                        field: self.schema.field(*ty, field)?,
                        rule: self.table.rule(*id),
                    })
                })
                .collect();
            let leaf = |c: &Candidate<'_>| self.schema.is_leaf(c.field.shape.named);
            if candidates.is_empty() || !candidates.iter().all(leaf) {
                let text =
                    format!("column `{name}`: `{coordinate}` is no field that holds a value");
                return Err(RouteProblem::Said(text));
            }
            let action = self.leaf(&candidates, None);
            fields.retain(|f| *f.key != **name);
            fields.push(Field {
                key: name.as_str().into(),
                action,
            });
        }
        Ok(())
    }

    /// The nodes from the document's root to the rows.
    fn way(&mut self, route: &RouteConfig, row: Action) -> Action {
        let split = |path: &str| -> Vec<String> {
            let parts = path.split('/').filter(|p| !p.is_empty());
            parts.map(str::to_owned).collect()
        };
        let at = split(&route.at);
        let pass: Vec<Vec<String>> = route.pass.iter().map(|p| split(p)).collect();
        let mut action = row;
        for depth in (0..at.len()).rev() {
            let (way, member) = at.split_at_checked(depth).unwrap_or_default();
            let mut fields: Vec<Field> = member
                .first()
                .into_iter()
                .map(|key| Field {
                    key: key.as_str().into(),
                    action,
                })
                .collect();
            fields.extend(pass.iter().filter_map(|p| match p.split_last() {
                Some((key, before)) if before == way => Some(Field {
                    key: key.as_str().into(),
                    action: Action::Any,
                }),
                _ => None,
            }));
            let id = self.program.nodes.len() as NodeId;
            self.program.nodes.push(Node::new(fields));
            action = Action::Object(id);
        }
        action
    }
}

/// A program that takes the schema's whole document and shows none of it.
pub fn refused(envelope: &crate::mask::Envelope) -> Plan {
    let mut program = Program::default();
    crate::mask::envelope::enclose(&mut program, Action::Drop, envelope, Vec::new());
    Plan::of(program)
}
