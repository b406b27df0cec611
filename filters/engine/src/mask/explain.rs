use std::collections::BTreeMap;

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

/// Lists the masked paths of a plan, in the order of the response; cyclic parts of a plan are
/// followed once.
pub fn explain(plan: &Plan) -> Vec<ExplainedPath> {
    let mut found: BTreeMap<(usize, String), ExplainedPath> = BTreeMap::new();
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
                    let order = found.len();
                    found.insert(
                        (order, path.clone()),
                        ExplainedPath {
                            path,
                            coordinates: spec.coordinates.iter().map(|c| c.to_string()).collect(),
                            strategy: spec.strategy.name(),
                            reason: spec.reason.to_string(),
                            source: spec.source.to_string(),
                        },
                    );
                }
                Action::Object(node) => below.push((node, path)),
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
    found.into_values().collect()
}
