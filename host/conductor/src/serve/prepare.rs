//! From what is to be in force to what each group of nodes is served.

use std::collections::BTreeSet;

use anyhow::Context;
use bundle::Bundle;

use crate::bundles::{Packed, Shelf};
use crate::config::Config;
use crate::fleet::{self, FilterCode};
use crate::ingest::Keeper;
use crate::release::content::{Content, Wanted};

/// Policies, code and keys that were read and tried together.
pub struct Prepared {
    /// For everybody; nothing, as long as nothing was released.
    pub stable: Option<Served>,
    /// For some nodes, if a release is under way.
    pub canary: Option<Canary>,
}

/// What some nodes are served before the others.
pub struct Canary {
    /// The release.
    pub release: u64,
    /// The nodes.
    pub nodes: BTreeSet<String>,
    /// What they are served, or why it can't be.
    pub served: anyhow::Result<Served>,
}

/// What nodes are served.
pub struct Served {
    /// The policies.
    pub bundle: Bundle,
    /// Decisions that were tried.
    pub examined: bundle::Examined,
    /// Decisions of `ig.egress` that were tried.
    pub guarded: usize,
    /// The filters' code.
    pub code: FilterCode,
    /// By group of nodes.
    pub snapshots: Vec<(String, xds::Snapshot)>,
    /// The bundle, if it was released.
    pub packed: Option<Packed>,
}

impl Prepared {
    /// Tries what is to be in force.
    ///
    /// # Errors
    /// What is for everybody can't be used.
    pub fn of(config: &Config, wanted: Wanted) -> anyhow::Result<Self> {
        let jwks = fleet::jwks(config)?;
        let stable = wanted
            .stable
            .map(|content| Served::prepare(config, content, &jwks))
            .transpose()?;
        let canary = wanted.canary.map(|canary| Canary {
            release: canary.release,
            nodes: canary.nodes,
            served: canary
                .content
                .and_then(|content| Served::prepare(config, content, &jwks)),
        });
        Ok(Self { stable, canary })
    }

    /// Hands the policies in, to be kept with what is decided by them.
    pub fn keep(&self, keeper: &Keeper) {
        let canary = self.canary.as_ref().and_then(|c| c.served.as_ref().ok());
        for served in self.stable.iter().chain(canary) {
            keeper.keep(&served.bundle);
        }
    }

    /// The bundles that are for somebody.
    pub fn shelf(&self) -> Shelf {
        let packed = |served: &Served| served.packed.clone();
        Shelf {
            stable: self.stable.as_ref().and_then(packed),
            canary: self.canary.as_ref().and_then(|canary| {
                let served = canary.served.as_ref().ok()?;
                Some((canary.nodes.clone(), packed(served)?))
            }),
        }
    }

    /// The code of all that is served.
    pub fn codes(&self) -> Vec<FilterCode> {
        let canary = self.canary.as_ref().and_then(|c| c.served.as_ref().ok());
        let served = self.stable.iter().chain(canary);
        served.map(|s| s.code.clone()).collect()
    }
}

impl Served {
    fn prepare(config: &Config, content: Content, jwks: &str) -> anyhow::Result<Self> {
        let bundle = content.bundle;
        let examined = bundle::examine(&bundle)?;
        let code = FilterCode::keep(config, &content.filters)?;
        let (snapshots, guarded) = snapshots(config, &bundle, &code, jwks)?;
        Ok(Self {
            bundle,
            examined,
            guarded,
            code,
            snapshots,
            packed: content.packed,
        })
    }
}

/// What each group of nodes is served under these policies, and how many decisions of `ig.egress` were tried.
///
/// # Errors
/// The policies don't fit the configuration.
pub fn snapshots(
    config: &Config,
    bundle: &Bundle,
    code: &FilterCode,
    jwks: &str,
) -> anyhow::Result<(Vec<(String, xds::Snapshot)>, usize)> {
    let probes = fleet::probes(config, bundle)?;
    let mut snapshots = Vec::new();
    for gateway in &config.gateways {
        let regions = bundle.policy.data.pointer("/ig/regions");
        regions
            .and_then(|r| r.get(&gateway.region))
            .with_context(|| {
                format!(
                    "the policies have no region `{}`, for which there are [[gateways]]",
                    gateway.region
                )
            })?;
        let spec = fleet::spec(config, gateway, code, bundle, jwks, probes.as_ref())?;
        let snapshot = fleet::snapshot(&spec, &bundle.revision)?;
        snapshots.push((gateway.region.clone(), snapshot));
    }
    let mut guards = Vec::new();
    for sidecar in &config.sidecars {
        guards.extend(fleet::sidecar::guards(sidecar, bundle));
    }
    let guarded = bundle::examine_guards(bundle, &guards)?;
    for sidecar in &config.sidecars {
        let spec = fleet::sidecar::spec(config, sidecar, code, bundle)?;
        let snapshot = fleet::sidecar::snapshot(&spec, &bundle.revision)?;
        snapshots.push((fleet::sidecar::group(&sidecar.region), snapshot));
    }
    Ok((snapshots, guarded))
}
