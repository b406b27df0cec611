//! Probing tenants, several at once.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::config::Config;
use crate::judge::{Judgement, judge};
use crate::observe::{Evidence, InForce, Operation, Seen, StoreSeen, Through};
use crate::plan::{Regions, Step, Store, Tenant, steps};

/// A request that was sent through a gateway.
#[derive(Clone, Debug)]
pub struct Sent {
    /// What came of it.
    pub through: Through,
    /// Its trace id.
    pub trace: String,
}

/// One operation on a tenant's sentinel.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Whose it is.
    pub tenant: &'a Tenant,
    /// Where it is.
    pub store: &'a Store,
    /// What is done.
    pub operation: Operation,
    /// What makes the sentinel unguessable.
    pub nonce: &'a str,
}

/// How requests are sent, and where what they left behind is found.
pub trait World: Send + Sync + 'static {
    /// Asks through the gateway of a region.
    fn through(&self, region: &str, ask: Ask<'_>) -> impl Future<Output = Sent> + Send;

    /// Lets a service of a region try the same that must not be let in: of another region than the
    /// tenant's with whatever gateways sign, at the tenant's home with none of its gateway's.
    fn attempt(&self, region: &str, ask: Ask<'_>) -> impl Future<Output = StoreSeen> + Send;

    /// What a request through a region's gateway left behind; waits for it, but no longer than this.
    fn evidence(
        &self,
        region: &str,
        trace: &str,
        within: Duration,
    ) -> impl Future<Output = Evidence> + Send;

    /// Waits until a revision of the policies is served, but no longer than this.
    fn until_served(&self, revision: &str, within: Duration) -> impl Future<Output = ()> + Send;

    /// What is in force in a region; where some of its gateways have a release before the others, what those
    /// have as well, after what the others have.
    fn in_force(&self, region: &str) -> impl Future<Output = Vec<InForce>> + Send;

    /// 32 hexadecimal digits that nobody can guess.
    fn nonce(&self) -> String;
}

/// What came of a tenant's probes.
#[derive(Clone, Debug)]
pub struct Probed {
    /// The tenant.
    pub tenant: Tenant,
    /// What made its sentinel unguessable.
    pub nonce: String,
    /// What was in force where its home decided.
    pub in_force: InForce,
    /// The verdict.
    pub judgement: Judgement,
}

/// Probes tenants.
#[derive(Debug)]
pub struct Prober<W> {
    config: Config,
    regions: Arc<Regions>,
    world: Arc<W>,
}

impl<W: World> Prober<W> {
    /// In a world with these regions.
    pub fn new(config: Config, regions: Regions, world: W) -> Self {
        Self {
            config,
            regions: Arc::new(regions),
            world: Arc::new(world),
        }
    }

    /// The world that is probed.
    pub fn world(&self) -> &W {
        &self.world
    }

    /// Probes all tenants once and gives what came of each to `take`, in the order in which they end.
    pub async fn run(&self, tenants: Vec<Tenant>, mut take: impl FnMut(Probed)) {
        let mut in_force: BTreeMap<String, Vec<InForce>> = BTreeMap::new();
        for tenant in &tenants {
            if !in_force.contains_key(&tenant.home) {
                let seen = self.world.in_force(&tenant.home).await;
                in_force.insert(tenant.home.clone(), seen);
            }
        }
        let mut running = JoinSet::new();
        for tenant in tenants {
            if running.len() >= self.config.at_once
                && let Some(probed) = running.join_next().await
            {
                self.ended(probed, &mut take);
            }
            let (regions, world) = (self.regions.clone(), self.world.clone());
            let in_force = in_force.get(&tenant.home).cloned().unwrap_or_default();
            let within = Duration::from_secs(self.config.evidence_s.into());
            running.spawn(async move {
                let nonce = world.nonce();
                let seen = look(&*world, &regions, &tenant, &nonce, within).await;
                Probed {
                    judgement: judge(&tenant, &seen),
                    in_force: decided_by(&in_force, &seen),
                    tenant,
                    nonce,
                }
            });
        }
        while let Some(probed) = running.join_next().await {
            self.ended(probed, &mut take);
        }
    }

    fn ended(&self, probed: Result<Probed, tokio::task::JoinError>, take: &mut impl FnMut(Probed)) {
        match probed {
            Ok(probed) => take(probed),
            // The tenant has no proof then, which is noticed.
            Err(error) => tracing::error!("a probe ended without a result: {error}"),
        }
    }
}

/// Of what is in force in a region, that by which all that was seen was decided; the first, if that is not to be
/// told.
fn decided_by(in_force: &[InForce], seen: &[Seen]) -> InForce {
    let revisions: BTreeSet<&str> = seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Home { evidence, .. } => Some(evidence.decision.as_ref()?.revision.as_str()),
            Seen::Gateway { .. } | Seen::Elsewhere { .. } => None,
        })
        .collect();
    let mut found = in_force
        .iter()
        .filter(|each| revisions.len() == 1 && revisions.contains(each.revision.as_str()));
    let found = found.next().or(in_force.first());
    found.cloned().unwrap_or_default()
}

/// Does all steps for a tenant, then looks what the requests left behind.
async fn look<W: World>(
    world: &W,
    regions: &Regions,
    tenant: &Tenant,
    nonce: &str,
    within: Duration,
) -> Vec<Seen> {
    let ask = |store, operation| Ask {
        tenant,
        store,
        operation,
        nonce,
    };
    let mut seen = Vec::new();
    let mut traces = Vec::new();
    for step in &steps(tenant, regions) {
        match step {
            Step::Home {
                store,
                operation,
                deleted,
            } => {
                let sent = world.through(&tenant.home, ask(store, *operation)).await;
                traces.push((seen.len(), sent.trace));
                seen.push(Seen::Home {
                    store: store.name.clone(),
                    kind: store.kind.clone(),
                    operation: *operation,
                    deleted: *deleted,
                    through: sent.through,
                    evidence: Evidence::default(),
                });
            }
            Step::Gateway { region, store } => {
                let sent = world.through(region, ask(store, Operation::Read)).await;
                seen.push(Seen::Gateway {
                    region: region.clone(),
                    through: sent.through,
                });
            }
            Step::Elsewhere { region, store } => {
                let there = world.attempt(region, ask(store, Operation::Read)).await;
                seen.push(Seen::Elsewhere {
                    region: region.clone(),
                    store: store.name.clone(),
                    seen: there,
                });
            }
        }
    }
    // One wait for all: where nothing arrives, it is not waited for each of them anew.
    let began = tokio::time::Instant::now();
    for (place, trace) in traces {
        if let Some(Seen::Home {
            through, evidence, ..
        }) = seen.get_mut(place)
            && !matches!(through, Through::Failed(_))
        {
            let left = within.saturating_sub(began.elapsed());
            *evidence = world.evidence(&tenant.home, &trace, left).await;
        }
    }
    seen
}

#[cfg(test)]
mod tests;
