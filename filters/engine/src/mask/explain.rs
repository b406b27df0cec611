use std::collections::HashSet;

use serde::Serialize;

use crate::json::{Action, NodeId};

use super::Plan;

/// One masked path of a response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedPath {
    /// Where: response keys joined by dots; `(Type)` after a key whose object is of that type.
    pub path: String,
    /// The coordinates that the value can be.
    pub coordinates: Vec<String>,
    /// The strategy's name.
    pub strategy: &'static str,
    /// Why, in the words of the rules.
    pub reason: String,
    /// `policy`, `directive`, or both.
    pub source: String,
}

/// Paths listed at the most.
const MOST: usize = 1000;

/// Lists the masked paths of a plan, in the order of the response, up to a thousand.
pub fn explain(plan: &Plan) -> Vec<ExplainedPath> {
    let masking = masking(plan);
    let mut found: Vec<ExplainedPath> = Vec::new();
    let mut open: Vec<(NodeId, String)> = Vec::new();
    let root = plan.program.nodes.get(plan.program.root as usize);
    let data = root.and_then(|n| n.fields.iter().find(|f| &*f.key == "data"));
    if let Some(Action::Object(node)) = data.map(|f| f.action) {
        open.push((node, "data".into()));
    }
    while let Some((id, path)) = open.pop() {
        let Some(node) = plan.program.nodes.get(id as usize) else {
            continue;
        };
        if found.len() >= MOST {
            break;
        }
        let mut below = Vec::new();
        for field in &node.fields {
            let path = format!("{path}.{}", field.key);
            match field.action {
                Action::Mask(spec) => {
                    let Some(spec) = plan.specs.get(spec as usize) else {
                        continue;
                    };
                    found.push(ExplainedPath {
                        path,
                        coordinates: spec.coordinates.iter().map(|c| c.to_string()).collect(),
                        strategy: spec.strategy.name(),
                        reason: spec.reason.to_string(),
                        source: spec.source.to_string(),
                    });
                }
                Action::Object(node) if masking.contains(&node) => below.push((node, path)),
                _ => {}
            }
        }
        below.extend(
            node.switch
                .iter()
                .map(|(ty, node)| (*node, format!("{path}({ty})"))),
        );
        open.extend(below.into_iter().rev());
    }
    found
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
