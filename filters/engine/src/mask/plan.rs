use std::collections::BTreeSet;
use std::sync::Arc;

use crate::json::Program;
use crate::schema::{Shape, TypeSet};

use super::compare::Context;
use super::{PseudonymKey, StrategyKind};

/// What happens to the response of one operation under one decision.
#[derive(Debug)]
pub struct Plan {
    /// What the rewriter runs.
    pub program: Arc<Program>,
    /// What its masks do: [`crate::json::Action::Mask`] is an index.
    pub specs: Vec<Spec>,
    /// The coordinates that the policy reveals though a directive marks them.
    pub revealed: Vec<Box<str>>,
    /// Arguments whose variables must not name masked fields.
    pub guards: Vec<Guard>,
    /// Labels that parts of the response may have, sorted.
    pub labels: Vec<Box<str>>,
}

/// An argument whose value comes with the request, and of which it is decided then whether it names
/// a masked field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Guard {
    /// The variable.
    pub variable: Box<str>,
    /// The names on the way to it: the argument's, and those of members of input objects.
    pub path: Vec<Box<str>>,
    /// The types that the names speak of.
    pub types: TypeSet,
    /// What the names say of the value.
    pub context: Context,
}

/// How the values of one field are masked.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The coordinates that the field can be, by its object's possible types.
    pub coordinates: Vec<Box<str>>,
    /// What is done.
    pub strategy: StrategyKind,
    /// For `partial`: characters kept at the start.
    pub keep_first: u8,
    /// For `partial`: characters kept at the end.
    pub keep_last: u8,
    /// Why, in the words of the rules.
    pub reason: Box<str>,
    /// Where the rules come from.
    pub source: Box<str>,
    /// What a replacement must look like.
    pub leaf: Leaf,
    /// The field's lists and nullability.
    pub shape: Shape,
    /// Whether this stands in only where the object's type has not been seen: where it has, other
    /// specs tell what happens to the same coordinates.
    pub fallback: bool,
    /// What kind of data the policy says it is; the strictest rule's.
    pub class: Option<Box<str>>,
    /// For `hash`: its key, if there is one.
    pub key: Option<PseudonymKey>,
}

/// The JSON shape that a leaf's type asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Leaf {
    /// `String` or `ID`.
    Text,
    /// `Int`
    Int,
    /// `Float`
    Float,
    /// `Boolean`
    Boolean,
    /// An enum, and its first value.
    Enum(Box<str>),
    /// A scalar of the schema's own, an object, or of unknown type.
    Other,
}

impl Plan {
    /// A plan without masks.
    pub(super) fn of(program: Program) -> Self {
        Self {
            program: Arc::new(program),
            specs: Vec::new(),
            revealed: Vec::new(),
            guards: Vec::new(),
            labels: Vec::new(),
        }
    }

    /// Members of all nodes, and masks.
    pub fn size(&self) -> usize {
        let members = |n: &crate::json::Node| 1 + n.fields.len() + n.switch.len();
        self.program.nodes.iter().map(members).sum::<usize>() + self.specs.len()
    }

    /// Why values are masked: the distinct reasons of all masks.
    pub fn reasons(&self) -> String {
        let reasons: BTreeSet<&str> = self.specs.iter().map(|s| &*s.reason).collect();
        reasons.into_iter().collect::<Vec<_>>().join("; ")
    }

    /// Coordinates that the plan redacts, and those that it masks otherwise; each sorted.
    pub fn sets(&self) -> (Vec<&str>, Vec<&str>) {
        let certain: BTreeSet<&str> = self
            .specs
            .iter()
            .filter(|s| !s.fallback)
            .flat_map(|s| s.coordinates.iter().map(|c| &**c))
            .collect();
        let (mut masked, mut redacted) = (Vec::new(), Vec::new());
        for spec in &self.specs {
            let set = if spec.strategy == StrategyKind::Redact {
                &mut redacted
            } else {
                &mut masked
            };
            let told_elsewhere = |c: &&str| spec.fallback && certain.contains(c);
            set.extend(
                spec.coordinates
                    .iter()
                    .map(|c| &**c)
                    .filter(|c| !told_elsewhere(c)),
            );
        }
        for set in [&mut masked, &mut redacted] {
            set.sort_unstable();
            set.dedup();
        }
        (masked, redacted)
    }
}
