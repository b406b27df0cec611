use std::collections::HashSet;

use serde::Serialize;

use crate::json::{Action, NodeId};

use super::Plan;

/// One path of a response, and what happens to the values there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedPath {
    /// Where: response keys joined by dots; `(Type)` after a key whose object is of that type; `*`
    /// for any other key.
    pub path: String,
    /// What happens.
    pub action: PathAction,
    /// The coordinates that a masked value can be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub coordinates: Vec<String>,
    /// The strategy's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<&'static str>,
    /// Why, in the words of the rules; for [`PathAction::Again`] the path that it is like.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// `policy`, `directive`, or both.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
}

/// What happens to the values at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PathAction {
    /// They pass.
    Pass,
    /// What is well known of them passes: codes of errors, keys that the operation selects.
    Known,
    /// They are masked.
    Mask,
    /// They are left out.
    Drop,
    /// They are objects like those around them.
    Again,
}

impl PathAction {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Known => "known",
            Self::Mask => "mask",
            Self::Drop => "drop",
            Self::Again => "again",
        }
    }
}

/// What of a plan is explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What is masked below `data`.
    Masked,
    /// The whole response.
    All,
    /// What is masked in a row of a route's answer.
    MaskedInRow,
    /// A whole row of a route's answer.
    Row,
}

impl Scope {
    fn is_row(self) -> bool {
        matches!(self, Self::MaskedInRow | Self::Row)
    }

    fn is_all(self) -> bool {
        matches!(self, Self::All | Self::Row)
    }
}

/// Paths listed at the most.
const MOST: usize = 1000;

/// Objects looked at at the most.
const MOST_OBJECTS: usize = 10_000;

/// An object that is still to be looked at.
struct Open {
    node: NodeId,
    path: String,
    /// The objects around it, and their paths.
    around: Vec<(NodeId, String)>,
}

/// Lists paths of a plan, in the order of the response, up to a thousand.
pub fn explain(plan: &Plan, scope: Scope) -> Vec<ExplainedPath> {
    let masking = masking(plan);
    let mut found: Vec<ExplainedPath> = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let root = plan.program.root;
    let data = plan.program.node(root).and_then(|n| n.action("data"));
    let start = match (scope, data) {
        (Scope::Masked, Some(Action::Object(data))) => Some((data, "data")),
        (Scope::Masked, _) => None,
        _ => Some((root, "")),
    };
    open.extend(start.map(|(node, path)| Open {
        node,
        path: path.into(),
        around: Vec::new(),
    }));
    let mut looked = 0;
    while let Some(at) = open.pop() {
        let Some(node) = plan.program.node(at.node) else {
            continue;
        };
        looked += 1;
        if found.len() >= MOST || looked > MOST_OBJECTS {
            break;
        }
        let below = |key: &str| match at.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        };
        let mut around = at.around.clone();
        around.push((at.node, at.path.clone()));
        let mut inner = Vec::new();
        for field in &node.fields {
            let path = below(&field.key);
            let Action::Object(node) = field.action else {
                found.extend(value(plan, field.action, path, scope));
                continue;
            };
            if !scope.is_all() && !masking.contains(&node) {
                continue;
            }
            match around.iter().find(|(id, _)| *id == node) {
                Some((_, like)) => found.push(ExplainedPath {
                    reason: like.clone(),
                    ..plain(path, PathAction::Again)
                }),
                None => inner.push((node, path)),
            }
        }
        if scope.is_row() && at.path.is_empty() {
            found.extend(value(plan, node.unknown, below("*"), scope));
        }
        inner.extend(
            node.switch
                .iter()
                .map(|(ty, node)| (*node, format!("{}({ty})", at.path))),
        );
        open.extend(inner.into_iter().rev().map(|(node, path)| Open {
            node,
            path,
            around: around.clone(),
        }));
    }
    found
}

fn plain(path: String, action: PathAction) -> ExplainedPath {
    ExplainedPath {
        path,
        action,
        coordinates: Vec::new(),
        strategy: None,
        reason: String::new(),
        source: String::new(),
    }
}

/// What happens to a value, unless it is not asked for.
fn value(plan: &Plan, action: Action, path: String, scope: Scope) -> Option<ExplainedPath> {
    let action = match action {
        Action::Mask(spec) => {
            let spec = plan.specs.get(spec as usize)?;
            return Some(ExplainedPath {
                path,
                action: PathAction::Mask,
                coordinates: spec.coordinates.iter().map(|c| c.to_string()).collect(),
                strategy: Some(spec.strategy.name()),
                reason: spec.reason.to_string(),
                source: spec.source.to_string(),
            });
        }
        Action::Any | Action::Scalar | Action::Object(_) => PathAction::Pass,
        Action::OneOf(_) | Action::Path(_) | Action::Number | Action::Replace(_) => {
            PathAction::Known
        }
        Action::Drop => PathAction::Drop,
    };
    scope.is_all().then(|| plain(path, action))
}

/// The nodes below which something is masked. Nodes are shared between paths, of which there can
/// be exponentially many: only those that lead somewhere are followed.
fn masking(plan: &Plan) -> HashSet<NodeId> {
    let mut masking = HashSet::new();
    loop {
        let before = masking.len();
        for (id, node) in (0..).zip(&plan.program.nodes) {
            let found = node.fields.iter().any(|f| match f.action {
                Action::Mask(_) => true,
                Action::Object(below) => masking.contains(&below),
                _ => false,
            }) || node.switch.iter().any(|(_, to)| masking.contains(to));
            if found {
                masking.insert(id);
            }
        }
        if masking.len() == before {
            return masking;
        }
    }
}
