//! Compiling an operation into a plan.
//!
//! A selection is walked with the set of object types that the value can have there. Fields that
//! share a response key are merged as the specification merges them (§6.3.2), and the strictest
//! rule of all the coordinates that the key can stand for applies. Where the operation asks for
//! `__typename` by that name, each class of types that the rules tell apart gets a node of its own,
//! to which the rewriter switches once it has seen the type.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::graphql::{Document, FieldIndex, GraphqlError, Operation, Selection, SetIndex};
use crate::json::{Action, Field, Node, NodeId, Program};
use crate::schema::{FieldDef, FieldId, Kind, Scalar, Schema, Shape, TypeId, TypeSet};

use super::plan::{Leaf, Plan, Spec};
use super::table::{Rule, RuleId, RuleTable};
use super::{Envelope, Keyring, StrategyKind};

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
    let mut compiler = Compiler {
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
    };
    let possible = TypeSet::of(root);
    let groups = vec![(operation.set, possible.clone())];
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
    Ok(Plan {
        program: Arc::new(compiler.program),
        specs: compiler.specs,
        revealed: compiler.revealed.into_iter().collect(),
    })
}

/// Everything that a node depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    /// The selection sets that apply, each to these types only.
    groups: Vec<(SetIndex, TypeSet)>,
    /// The types that the object can have.
    possible: TypeSet,
    /// The rule of a field above that masks all of it.
    force: Option<RuleId>,
    /// The node whose members, in its order, this one must have.
    layout: Option<NodeId>,
}

/// What was selected under one response key.
#[derive(Debug)]
struct Entry {
    key: Box<str>,
    fields: Vec<(FieldIndex, TypeSet)>,
}

/// One coordinate that a response key can stand for.
struct Candidate<'s> {
    ty: TypeId,
    field: &'s FieldDef,
    rule: Option<(RuleId, &'s Rule)>,
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
}

/// Why a hash is redacted where the object's type is not known.
const OPEN_TYPE: &str = "the value's type is open, so there is no one key for its hash";

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct SpecKey {
    coordinates: Vec<Box<str>>,
    rules: Vec<RuleId>,
    strategy: StrategyKind,
    leaf: Leaf,
    shape: Shape,
    /// Why the strategy is another than the rules'.
    note: Option<&'static str>,
}

impl<'s> Compiler<'s> {
    fn node(&mut self, place: Place, depth: usize) -> Result<NodeId, GraphqlError> {
        if let Some(id) = self.memo.get(&place) {
            return Ok(*id);
        }
        if depth > self.limits.depth || self.program.nodes.len() >= self.limits.nodes {
            return Err(GraphqlError::Limit);
        }
        let entries = self.collect(&place)?;
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
        if let Some(layout) = place
            .layout
            .and_then(|id| self.program.nodes.get(id as usize))
        {
            let mut own: HashMap<Box<str>, Action> =
                fields.drain(..).map(|f| (f.key, f.action)).collect();
            // What is not selected on these types must not come.
            fields.extend(layout.fields.iter().map(|f| Field {
                key: f.key.clone(),
                action: own.remove(&f.key).unwrap_or(Action::Drop),
            }));
        }
        let mut node = Node::new(fields);
        // A node with a layout stands for types that are already told apart.
        let typename = match place.layout {
            None => self.typename(&entries, &place.possible),
            Some(_) => None,
        };
        if typename.is_some() {
            let classes = self.classes(&entries, &place.possible)?;
            if classes.len() > 1 {
                // The node must have its place before others can follow its layout.
                let layout = self.intern(node.clone())?;
                let mut switch = Vec::new();
                for class in classes {
                    let groups = restrict(&place.groups, &class);
                    let inner = Place {
                        groups,
                        possible: class.clone(),
                        force: place.force,
                        layout: Some(layout),
                    };
                    let id = self.node(inner, depth)?;
                    if id != layout {
                        let names = class.iter().filter_map(|t| self.schema.get(t));
                        switch.extend(names.map(|t| (t.name.clone(), id)));
                    }
                }
                node.typename = typename;
                node.switch = switch.into();
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

    /// All fields that can stand in the object, fragments followed, by response key.
    fn collect(&mut self, place: &Place) -> Result<Vec<Entry>, GraphqlError> {
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

    fn charge(&mut self, steps: usize) -> Result<(), GraphqlError> {
        self.visits = self.visits.saturating_add(steps);
        if self.visits > self.limits.visits {
            return Err(GraphqlError::Limit);
        }
        Ok(())
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

    fn name_of(&self, field: FieldIndex) -> &'s str {
        self.document
            .field(field)
            .map(|f| &*f.name)
            .unwrap_or_default()
    }

    /// The member that tells the object's type: `__typename` itself, for all possible types.
    fn typename(&self, entries: &[Entry], possible: &TypeSet) -> Option<u16> {
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
    fn classes(
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

    fn action(
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

    fn leaf(&mut self, candidates: &[Candidate<'s>], force: Option<RuleId>) -> Action {
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

    fn coordinate(&self, ty: TypeId, field: &str) -> Box<str> {
        let name = self.schema.get(ty).map(|t| &*t.name).unwrap_or_default();
        format!("{name}.{field}").into()
    }

    /// The mask of a field that the schema does not have: the SDL may lag behind the upstream.
    fn unknown(&mut self, ty: TypeId, name: &str) -> u32 {
        let key = SpecKey {
            coordinates: vec![self.coordinate(ty, name)],
            rules: Vec::new(),
            strategy: StrategyKind::Redact,
            leaf: Leaf::Other,
            shape: Shape {
                named: 0,
                lists: 0,
                nullable: u32::MAX,
            },
            note: None,
        };
        self.intern_spec(key, None)
    }

    fn spec(&mut self, candidates: &[Candidate<'s>], force: Option<RuleId>) -> u32 {
        let masked: Vec<(&Candidate<'_>, RuleId, StrategyKind)> = candidates
            .iter()
            .filter_map(|c| {
                let (id, rule) = match force {
                    Some(id) => (id, self.table.get(id)?),
                    None => c.rule?,
                };
                Some((c, id, rule.strategy?))
            })
            .collect();
        let mut strategy = masked
            .iter()
            .map(|(_, _, s)| *s)
            .max()
            .unwrap_or(StrategyKind::Redact);
        let mut domain = None;
        let mut note = None;
        if strategy == StrategyKind::Hash {
            let domains: BTreeSet<Box<str>> = masked
                .iter()
                .filter(|(_, _, s)| *s == StrategyKind::Hash)
                .map(|(c, _, _)| RuleTable::domain(self.schema, c.ty, &c.field.name))
                .collect();
            if domains.len() > 1 {
                // One value would get one pseudonym or another by the luck of its type.
                strategy = StrategyKind::Redact;
                note = Some(OPEN_TYPE);
            } else if self.keys.is_none() {
                strategy = StrategyKind::Redact;
                note = Some("there is no key to hash with");
            }
            domain = domains.into_iter().next();
        }
        if force.is_some() {
            strategy = StrategyKind::Redact;
            note = None;
        }
        let mut rules: Vec<RuleId> = masked.iter().map(|(_, id, _)| *id).collect();
        rules.sort_unstable();
        rules.dedup();
        let mut coordinates: Vec<Box<str>> = masked
            .iter()
            .map(|(c, _, _)| self.coordinate(c.ty, &c.field.name))
            .collect();
        coordinates.sort_unstable();
        coordinates.dedup();
        let mut shapes = candidates.iter().map(|c| c.field.shape);
        let mut shape = shapes.next().unwrap_or(Shape {
            named: 0,
            lists: 0,
            nullable: 0,
        });
        for other in shapes {
            shape.nullable &= other.nullable;
            shape.lists = shape.lists.max(other.lists);
        }
        let mut leaves: Vec<Leaf> = candidates
            .iter()
            .map(|c| leaf_kind(self.schema, c.field.shape.named))
            .collect();
        leaves.dedup();
        let leaf = match <[Leaf; 1]>::try_from(leaves) {
            Ok([leaf]) => leaf,
            Err(_) => Leaf::Other,
        };
        self.intern_spec(
            SpecKey {
                coordinates,
                rules,
                strategy,
                leaf,
                shape,
                note,
            },
            domain,
        )
    }

    fn intern_spec(&mut self, key: SpecKey, domain: Option<Box<str>>) -> u32 {
        if let Some(id) = self.spec_index.get(&key) {
            return *id;
        }
        let rules: Vec<&Rule> = key
            .rules
            .iter()
            .filter_map(|id| self.table.get(*id))
            .collect();
        let join = |parts: BTreeSet<&str>| -> Box<str> {
            parts.into_iter().collect::<Vec<_>>().join("; ").into()
        };
        let partial = rules
            .iter()
            .filter(|r| r.strategy == Some(StrategyKind::Partial));
        let (keep_first, keep_last) = partial
            .map(|r| (r.keep_first, r.keep_last))
            .reduce(|a, b| (a.0.min(b.0), a.1.min(b.1)))
            .unwrap_or((0, 0));
        let (reason, source) = if rules.is_empty() {
            ("the schema has no such field".into(), "schema".into())
        } else {
            let source = rules.iter().map(|r| match &r.source {
                super::Source::Directive(_) => "directive",
                super::Source::Policy => "policy",
            });
            (
                join(rules.iter().map(|r| &*r.reason).chain(key.note).collect()),
                join(source.collect()),
            )
        };
        let mac = match (key.strategy, self.keys, domain) {
            (StrategyKind::Hash, Some((keys, tenant)), Some(domain)) => keys.mac(tenant, &domain),
            _ => None,
        };
        let id = self.specs.len() as u32;
        self.specs.push(Spec {
            coordinates: key.coordinates.clone(),
            strategy: key.strategy,
            keep_first,
            keep_last,
            reason,
            source,
            leaf: key.leaf.clone(),
            shape: key.shape,
            fallback: key.note == Some(OPEN_TYPE),
            mac,
        });
        self.spec_index.insert(key, id);
        id
    }
}

fn restrict(groups: &[(SetIndex, TypeSet)], class: &TypeSet) -> Vec<(SetIndex, TypeSet)> {
    groups
        .iter()
        .map(|(set, types)| (*set, types.intersect(class)))
        .collect()
}

fn leaf_kind(schema: &Schema, ty: TypeId) -> Leaf {
    match schema.get(ty).map(|t| &t.kind) {
        Some(Kind::Scalar(Scalar::String | Scalar::Id)) => Leaf::Text,
        Some(Kind::Scalar(Scalar::Int)) => Leaf::Int,
        Some(Kind::Scalar(Scalar::Float)) => Leaf::Float,
        Some(Kind::Scalar(Scalar::Boolean)) => Leaf::Boolean,
        Some(Kind::Enum { first }) => Leaf::Enum(first.clone()),
        _ => Leaf::Other,
    }
}
