//! Specs: how the values of one field are masked, by all the rules that can apply to them.

use std::collections::BTreeSet;

use crate::mask::plan::{Leaf, Spec};
use crate::mask::{Rule, RuleId, RuleTable, Source, StrategyKind};
use crate::schema::{Kind, Scalar, Schema, Shape, TypeId};

use super::Compiler;
use super::action::Candidate;

/// Why a hash is redacted where it is not known of which coordinate a value is.
const OPEN: &str = "it is open which field the value is of, so there is no one key for its hash";

/// Why a hash is redacted where the policy forbids it.
const LOW_ENTROPY: &str = "its values are so few that a hash could be guessed";

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SpecKey {
    coordinates: Vec<Box<str>>,
    rules: Vec<RuleId>,
    strategy: StrategyKind,
    leaf: Leaf,
    shape: Shape,
    /// Why the strategy is another than the rules'.
    note: Option<&'static str>,
}

impl<'s> Compiler<'s> {
    pub(super) fn coordinate(&self, ty: TypeId, field: &str) -> Box<str> {
        let name = self.schema.get(ty).map(|t| &*t.name).unwrap_or_default();
        format!("{name}.{field}").into()
    }

    /// The mask of a field that the schema does not have: the SDL may lag behind the upstream.
    pub(super) fn unknown(&mut self, ty: TypeId, name: &str) -> u32 {
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

    /// The mask of a member of which nothing is known.
    pub(super) fn unknown_member(&mut self, of: &str) -> u32 {
        let key = SpecKey {
            coordinates: vec![format!("{of}.?").into()],
            rules: Vec::new(),
            strategy: StrategyKind::Redact,
            leaf: Leaf::Text,
            shape: Shape {
                named: 0,
                lists: 0,
                nullable: 0,
            },
            note: None,
        };
        self.intern_spec(key, None)
    }

    pub(super) fn spec(&mut self, candidates: &[Candidate<'s>], force: Option<RuleId>) -> u32 {
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
            let domains: BTreeSet<Box<str>> = candidates
                .iter()
                .map(|c| RuleTable::domain(self.schema, c.ty, &c.field.name))
                .collect();
            let all_hashed = masked.len() == candidates.len()
                && masked.iter().all(|(_, _, s)| *s == StrategyKind::Hash);
            if domains.len() > 1 || !all_hashed {
                // A value that may be of another field would get a pseudonym of this one's: who can
                // write that field could try what this one holds.
                strategy = StrategyKind::Redact;
                note = Some(OPEN);
            } else if masked
                .iter()
                .any(|(c, _, _)| self.table.has_low_entropy(c.field.id))
            {
                strategy = StrategyKind::Redact;
                note = Some(LOW_ENTROPY);
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
        let key = SpecKey {
            coordinates,
            rules,
            strategy,
            leaf: common_leaf(self.schema, candidates),
            shape: common_shape(candidates),
            note,
        };
        self.intern_spec(key, domain)
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
                Source::Directive(_) => "directive",
                Source::Policy => "policy",
            });
            (
                join(rules.iter().map(|r| &*r.reason).chain(key.note).collect()),
                join(source.collect()),
            )
        };
        let class = rules
            .iter()
            .max_by_key(|r| r.strategy)
            .and_then(|r| r.class.clone());
        let pseudonyms = match (key.strategy, self.keys, domain) {
            (StrategyKind::Hash, Some((keys, tenant)), Some(domain)) => {
                keys.pseudonym_key(tenant, &domain)
            }
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
            fallback: key.note == Some(OPEN),
            class,
            key: pseudonyms,
        });
        self.spec_index.insert(key, id);
        id
    }
}

/// The lists and nulls that a value of any of the candidates may have.
fn common_shape(candidates: &[Candidate<'_>]) -> Shape {
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
    shape
}

/// The leaf that all candidates are, if they are one.
fn common_leaf(schema: &Schema, candidates: &[Candidate<'_>]) -> Leaf {
    let mut leaves: Vec<Leaf> = candidates
        .iter()
        .map(|c| leaf_kind(schema, c.field.shape.named))
        .collect();
    leaves.dedup();
    match <[Leaf; 1]>::try_from(leaves) {
        Ok([leaf]) => leaf,
        Err(_) => Leaf::Other,
    }
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
