//! Compiling an operation into a plan.
//!
//! A selection is walked with the set of object types that the value can have there. Fields that
//! share a response key are merged as the specification merges them (§6.3.2), and the strictest
//! rule of all the coordinates that the key can stand for applies. Where the operation asks for
//! `__typename` by that name, each class of types that the rules tell apart gets a node of its own,
//! to which the rewriter switches once it has seen the type.

mod action;
mod arguments;
mod class;
mod place;
mod route;
mod spec;

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::graphql::{Document, FieldIndex, GraphqlError, Operation};
use crate::json::{Action, Field, Node, NodeId, Program};
use crate::schema::{Schema, TypeSet};

use super::plan::{Guard, Plan, Spec};
use super::table::RuleTable;
use super::{Envelope, Keyring};

pub use route::{RoutePlan, compile_route, refused};

use place::Place;
use spec::SpecKey;

/// Bounds on a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Nodes: distinct selections with the types they can apply to.
    pub nodes: usize,
    /// Steps: selections visited, and fields looked up in the types that they can stand in.
    pub visits: usize,
    /// Nested fields, fragments followed.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            nodes: 20_000,
            visits: 500_000,
            depth: 64,
        }
    }
}

/// Compiles `operation`. `keys` and the tenant make the pseudonyms of `hash`; without them such
/// fields are redacted.
///
/// # Errors
/// The operation does not fit the schema, or the plan would exceed the limits.
pub fn compile(
    schema: &Schema,
    document: &Document,
    operation: &Operation,
    table: &RuleTable,
    envelope: &Envelope,
    keys: Option<(&Keyring, &str)>,
    limits: Limits,
) -> Result<Plan, GraphqlError> {
    let root = schema.root(operation.kind).ok_or(GraphqlError::NoRoot)?;
    let mut compiler = Compiler::new(schema, document, operation, table, keys, limits);
    let possible = TypeSet::of(root);
    let groups = vec![(operation.set, possible.clone())];
    compiler.admit_directives(root)?;
    let data = compiler.node(
        Place {
            groups,
            possible,
            force: None,
            layout: None,
        },
        0,
    )?;
    let keys_seen = std::mem::take(&mut compiler.keys_seen)
        .into_iter()
        .collect();
    super::envelope::enclose(
        &mut compiler.program,
        Action::Object(data),
        envelope,
        keys_seen,
    );
    let mut plan = compiler.into_plan();
    plan.labels = document.labels().to_vec();
    plan.labels.sort_unstable();
    Ok(plan)
}

struct Compiler<'s> {
    schema: &'s Schema,
    document: &'s Document,
    table: &'s RuleTable,
    keys: Option<(&'s Keyring, &'s str)>,
    limits: Limits,
    visits: usize,
    program: Program,
    specs: Vec<Spec>,
    spec_index: HashMap<SpecKey, u32>,
    memo: HashMap<Place, NodeId>,
    interned: HashMap<Node, NodeId>,
    keys_seen: BTreeSet<Box<str>>,
    revealed: BTreeSet<Box<str>>,
    operation: &'s Operation,
    /// Fields whose arguments were looked at, and the types that they stood in.
    compared: HashSet<(FieldIndex, TypeSet)>,
    guards: Vec<Guard>,
}

impl<'s> Compiler<'s> {
    fn new(
        schema: &'s Schema,
        document: &'s Document,
        operation: &'s Operation,
        table: &'s RuleTable,
        keys: Option<(&'s Keyring, &'s str)>,
        limits: Limits,
    ) -> Self {
        Self {
            schema,
            document,
            table,
            keys,
            limits,
            visits: 0,
            program: Program::default(),
            specs: Vec::new(),
            spec_index: HashMap::new(),
            memo: HashMap::new(),
            interned: HashMap::new(),
            keys_seen: BTreeSet::new(),
            revealed: BTreeSet::new(),
            operation,
            compared: HashSet::new(),
            guards: Vec::new(),
        }
    }

    fn into_plan(self) -> Plan {
        Plan {
            specs: self.specs,
            revealed: self.revealed.into_iter().collect(),
            guards: self.guards,
            ..Plan::of(self.program)
        }
    }

    fn node(&mut self, place: Place, depth: usize) -> Result<NodeId, GraphqlError> {
        if let Some(id) = self.memo.get(&place) {
            return Ok(*id);
        }
        if depth > self.limits.depth || self.program.nodes.len() >= self.limits.nodes {
            return Err(GraphqlError::Limit);
        }
        let entries = self.collect(&place, depth)?;
        if entries.len() > usize::from(u16::MAX) {
            return Err(GraphqlError::Limit);
        }
        let mut fields = Vec::with_capacity(entries.len());
        for entry in &entries {
            let action = self.action(entry, place.force, depth)?;
            self.keys_seen.insert(entry.key.clone());
            fields.push(Field {
                key: entry.key.clone(),
                action,
            });
        }
        if let Some(layout) = place.layout.and_then(|id| self.program.node(id)) {
            fields = lay_out(fields, layout);
        }
        let mut node = Node::new(fields);
        // A node with a layout stands for types that are already told apart.
        if place.layout.is_none()
            && let Some(typename) = self.typename(&entries, &place.possible)
        {
            let classes = self.classes(&entries, &place.possible)?;
            if classes.len() > 1 {
                // The node must have its place before others can follow its layout.
                let layout = self.intern(node.clone())?;
                node.switch = self.switch(&place, classes, layout, depth)?;
                node.typename = Some(typename);
            }
        }
        let id = self.intern(node)?;
        self.memo.insert(place, id);
        Ok(id)
    }

    fn intern(&mut self, node: Node) -> Result<NodeId, GraphqlError> {
        if let Some(id) = self.interned.get(&node) {
            return Ok(*id);
        }
        if self.program.nodes.len() >= self.limits.nodes {
            return Err(GraphqlError::Limit);
        }
        let id = self.program.nodes.len() as NodeId;
        self.program.nodes.push(node.clone());
        self.interned.insert(node, id);
        Ok(id)
    }

    fn charge(&mut self, steps: usize) -> Result<(), GraphqlError> {
        self.visits = self.visits.saturating_add(steps);
        if self.visits > self.limits.visits {
            return Err(GraphqlError::Limit);
        }
        Ok(())
    }

    fn name_of(&self, field: FieldIndex) -> &'s str {
        self.document
            .field(field)
            .map(|f| &*f.name)
            .unwrap_or_default()
    }
}

/// The fields in the order of the layout. What is not selected on these types must not come.
fn lay_out(fields: Vec<Field>, layout: &Node) -> Vec<Field> {
    let mut own: HashMap<Box<str>, Action> =
        fields.into_iter().map(|f| (f.key, f.action)).collect();
    layout
        .fields
        .iter()
        .map(|f| Field {
            key: f.key.clone(),
            action: own.remove(&f.key).unwrap_or(Action::Drop),
        })
        .collect()
}
