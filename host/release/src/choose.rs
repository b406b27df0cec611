use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use crate::plan::Among;

/// The nodes of a step, sorted: those that have the release already, and those that it adds.
///
/// `connected` are nodes of one kind in one region: a percentage is of each of these by itself, rounded up. It
/// is taken in an order that depends on the release and the
/// node alone, so that the next step adds to this one and no node is always the first to suffer.
pub fn choose(
    among: Among<'_>,
    connected: &[String],
    have: &[String],
    release: u64,
) -> Vec<String> {
    let mut chosen: BTreeSet<String> = have.iter().cloned().collect();
    match among {
        Among::Nodes(nodes) => chosen.extend(nodes.iter().cloned()),
        Among::Percent(percent) => {
            let all: BTreeSet<&String> = connected.iter().collect();
            let share = (all.len() as f64 * percent / 100.0).ceil();
            // At most all of them: the cast can't be out of range.
            let count = (share as usize).clamp(1, all.len().max(1));
            let mut order: Vec<&String> = all.into_iter().collect();
            order.sort_by_key(|node| {
                let mut hash = Sha256::new();
                hash.update(release.to_be_bytes());
                hash.update(node.as_bytes());
                <[u8; 32]>::from(hash.finalize())
            });
            chosen.extend(order.into_iter().take(count).cloned());
        }
    }
    chosen.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_grow_and_releases_differ() {
        let nodes: Vec<String> = (0..10).map(|n| format!("gateway-{n}")).collect();
        let first = choose(Among::Percent(10.0), &nodes, &[], 7);
        assert_eq!(first.len(), 1);
        assert_eq!(first, choose(Among::Percent(0.1), &nodes, &[], 7));
        let second = choose(Among::Percent(25.0), &nodes, &first, 7);
        assert_eq!(second.len(), 3);
        assert!(first.iter().all(|n| second.contains(n)));
        assert_eq!(choose(Among::Percent(100.0), &nodes, &second, 7), nodes);
        let others: BTreeSet<Vec<String>> = (1..20)
            .map(|release| choose(Among::Percent(10.0), &nodes, &[], release))
            .collect();
        assert!(others.len() > 3, "{others:?}");
        // Who has it keeps it, connected or not; whoever is named is taken.
        let named = ["x".to_owned()];
        assert_eq!(
            choose(Among::Nodes(&named), &nodes, &["y".to_owned()], 7),
            ["x", "y"]
        );
        assert!(choose(Among::Percent(50.0), &[], &[], 7).is_empty());
    }
}
