//! Which node is served what: those of a release that is under way, and the others.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use xds::{Cache, Node, Offered};

use super::prepare::{Prepared, Served};
use crate::config::Config;
use crate::fleet;

/// What stands in the name of a group that has a release before the others, before its number.
const CANARY: &str = "@canary-";

/// The nodes that have a release before the others.
#[derive(Clone, Default)]
pub struct Early(Arc<RwLock<Option<UnderWay>>>);

/// A release that is under way.
struct UnderWay {
    release: u64,
    nodes: BTreeSet<String>,
}

impl Early {
    /// The release that a node has before the others.
    fn of(&self, node: &str) -> Option<u64> {
        let early = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let early = early.as_ref()?;
        early.nodes.contains(node).then_some(early.release)
    }

    fn set(&self, early: Option<UnderWay>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = early;
    }
}

/// The group of those that have a release early, beside a group. Each release has its own: what a node
/// refused, or was moved for, counts for no other.
fn early(group: &str, release: u64) -> String {
    format!("{group}{CANARY}{release}")
}

/// The region of a group's nodes, whatever they are.
pub fn region_of(group: &str) -> &str {
    let group = group.split_once(CANARY).map_or(group, |(group, _)| group);
    group.rsplit_once('/').map_or(group, |(_, region)| region)
}

/// Whether it is a group of early nodes.
pub fn is_early(group: &str) -> bool {
    group.contains(CANARY)
}

/// Whether it is a group of those that have this release early.
pub fn is_early_of(group: &str, release: u64) -> bool {
    let number = group.rsplit_once(CANARY).map(|(_, number)| number);
    number.is_some_and(|n| n.parse() == Ok(release))
}

/// Which group a node belongs to, if the configuration knows it.
pub fn by_node(config: &Config, nodes: Early) -> impl Fn(&Node) -> Option<String> + use<> {
    let regions: Vec<String> = config.gateways.iter().map(|g| g.region.clone()).collect();
    let guarded: Vec<String> = config.sidecars.iter().map(|s| s.region.clone()).collect();
    move |node| {
        let group = match node.cluster.as_str() {
            "gateway" if regions.contains(&node.region) => node.region.clone(),
            fleet::sidecar::CLUSTER if guarded.contains(&node.region) => {
                fleet::sidecar::group(&node.region)
            }
            _ => return None,
        };
        Some(match nodes.of(&node.id) {
            Some(release) => early(&group, release),
            None => group,
        })
    }
}

/// Offers each group what is for it, and moves nodes to where they belong.
pub fn offer(cache: &Cache, prepared: Prepared, nodes: &Early) {
    let stable = prepared.stable.map(|s| s.snapshots).unwrap_or_default();
    let canary = prepared.canary.and_then(|canary| {
        let Served { snapshots, .. } = canary.served.ok()?;
        Some((canary.release, canary.nodes, snapshots))
    });
    // Nobody is in these groups yet, or they are of a step before.
    if let Some((release, _, snapshots)) = &canary {
        for (group, snapshot) in snapshots {
            let name = early(group, *release);
            // Where a node refuses the release, its group is taken back to what is for everybody.
            if let Some((_, good)) = stable.iter().find(|(of, _)| of == group) {
                cache.remember_good(&name, good.clone());
            }
            tell(&name, cache.set(&name, snapshot.clone()));
        }
    }
    for (group, snapshot) in stable {
        tell(&group, cache.set(&group, snapshot));
    }
    let release = canary.as_ref().map(|(release, ..)| *release);
    nodes.set(canary.map(|(release, nodes, _)| UnderWay { release, nodes }));
    let moved = cache.regroup();
    if moved.moved > 0 {
        tracing::info!(nodes = moved.moved, "moved to another group");
    }
    for group in cache.status().groups.into_keys() {
        if is_early(&group) && !release.is_some_and(|release| is_early_of(&group, release)) {
            cache.remove(&group, false);
        }
    }
}

fn tell(group: &str, offered: Offered) {
    if offered == Offered::Parked {
        tracing::warn!(
            group,
            "still holds what a node refused: the last good one stays"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_s_name_tells_its_region() {
        for (group, region) in [
            ("eu".to_owned(), "eu"),
            (early("eu", 7), "eu"),
            (fleet::sidecar::group("eu-west.1"), "eu-west.1"),
            (early(&fleet::sidecar::group("us"), 12), "us"),
        ] {
            assert_eq!(region_of(&group), region, "{group}");
        }
    }
}
