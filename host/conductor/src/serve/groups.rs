//! Which node is served what: those of a release that is under way, and the others.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use xds::{Cache, Node, Offered};

use super::prepare::{Prepared, Served};
use crate::config::Config;
use crate::fleet;

/// What the name of a group ends with that has a release before the others.
const CANARY: &str = "@canary";

/// The nodes that have a release before the others.
#[derive(Clone, Default)]
pub struct Early(Arc<RwLock<BTreeSet<String>>>);

impl Early {
    fn has(&self, node: &str) -> bool {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(node)
    }

    fn set(&self, nodes: BTreeSet<String>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = nodes;
    }
}

/// The group of early nodes beside a group.
pub fn early(group: &str) -> String {
    format!("{group}{CANARY}")
}

/// Whether it is a group of early nodes.
pub fn is_early(group: &str) -> bool {
    group.ends_with(CANARY)
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
        Some(if nodes.has(&node.id) {
            early(&group)
        } else {
            group
        })
    }
}

/// Offers each group what is for it, and moves nodes to where they belong.
pub fn offer(cache: &Cache, prepared: Prepared, nodes: &Early) {
    let stable = prepared.stable.map(|s| s.snapshots).unwrap_or_default();
    let canary = prepared.canary.and_then(|canary| {
        let Served { snapshots, .. } = canary.served.ok()?;
        Some((canary.nodes, snapshots))
    });
    if let Some((_, snapshots)) = &canary {
        for (group, snapshot) in snapshots {
            let name = early(group);
            // Where a node refuses the release, its group is taken back to what is for everybody.
            if let Some((_, good)) = stable.iter().find(|(of, _)| of == group) {
                cache.remember_good(&name, good.clone());
            }
            tell(&name, cache.set(&name, snapshot.clone()));
        }
    }
    let groups: Vec<String> = stable.iter().map(|(group, _)| group.clone()).collect();
    for (group, snapshot) in stable {
        tell(&group, cache.set(&group, snapshot));
    }
    let under_way = canary.is_some();
    nodes.set(canary.map(|(nodes, _)| nodes).unwrap_or_default());
    let moved = cache.regroup();
    if moved.moved > 0 {
        tracing::info!(nodes = moved.moved, "moved to another group");
    }
    if !under_way {
        for group in groups {
            cache.remove(&early(&group), false);
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
