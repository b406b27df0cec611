//! Sidecars: the Envoys beside the services, with a guard before each store.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::ensure;
use engine::guard::{ObjectRule, StoreConfig, StoreKind};
use serde::Deserialize;

use super::Config;

/// The sidecars of a region. Several Envoys may run with this configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sidecar {
    /// The region.
    pub region: String,
    /// Envoy's administration port.
    pub admin: SocketAddr,
    /// Other regions whose stores services may reach, under a warrant.
    #[serde(default)]
    pub other_regions: Vec<String>,
    /// The stores, a listener each.
    pub listeners: Vec<Listener>,
    /// The access log, on the sidecar's machine.
    pub access_log: PathBuf,
    /// Whether it streams its access log to the conductor too (`decisions.grpc_listen`). What is streamed
    /// while nobody listens is lost; the file is the durable way.
    #[serde(default)]
    pub access_log_service: bool,
    /// The variant of the xDS protocol.
    #[serde(default)]
    pub xds_variant: gateway::spec::Variant,
    /// With which certificate it shows the control plane who it is: absolute paths on the sidecar's machine.
    #[serde(default)]
    pub identity: Option<gateway::identity::IdentitySpec>,
    /// Sizes and times.
    #[serde(default)]
    pub limits: gateway::spec::Limits,
}

/// A listener before a store.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// The store's name.
    pub name: String,
    /// What the store speaks: `postgres`, `bolt`, `s3` or `neo4j`.
    pub kind: StoreKind,
    /// Where services are served, on the loopback.
    pub listen: SocketAddr,
    /// The store's endpoints.
    pub endpoints: Vec<gateway::spec::EndpointSpec>,
    /// The store's region, if it is not the sidecar's.
    #[serde(default)]
    pub store_region: Option<String>,
    /// Whose which database is, of `postgres` and `neo4j`.
    #[serde(default)]
    pub databases: Vec<ObjectRule>,
    /// Whose which bucket is, of `s3`.
    #[serde(default)]
    pub buckets: Vec<ObjectRule>,
    /// Whose which user is, of `postgres`.
    #[serde(default)]
    pub users: Vec<ObjectRule>,
    /// The names of an `s3` store, before which a bucket may stand.
    #[serde(default)]
    pub hosts: Vec<String>,
}

impl Listener {
    /// What the guard is told of the store of a sidecar's region.
    pub fn store(&self, region: &str) -> StoreConfig {
        let objects = match self.kind {
            StoreKind::S3 => &self.buckets,
            _ => &self.databases,
        };
        StoreConfig {
            kind: self.kind,
            name: self.name.clone(),
            region: self.store_region.as_deref().unwrap_or(region).to_owned(),
            objects: objects.clone(),
            users: self.users.clone(),
            hosts: self.hosts.clone(),
        }
    }
}

pub(super) fn check(config: &Config) -> anyhow::Result<()> {
    ensure!(
        config.sidecars.is_empty() || config.filters.guard.is_some(),
        "there are [[sidecars]], but `filters.guard` names no module"
    );
    for (i, sidecar) in config.sidecars.iter().enumerate() {
        let region = &sidecar.region;
        let before = config.sidecars.iter().take(i);
        ensure!(
            before.into_iter().all(|s| s.region != *region),
            "region `{region}` has two [[sidecars]]: one configuration serves all Envoys of a region"
        );
        ensure!(
            !sidecar.listeners.is_empty(),
            "the sidecar of region `{region}` has no listeners"
        );
        ensure!(
            !sidecar.access_log_service || config.decisions.grpc_listen.is_some(),
            "the sidecar of region `{region}`: `access_log_service` needs `decisions.grpc_listen`, where the \
             conductor receives it"
        );
        for listener in &sidecar.listeners {
            let name = &listener.name;
            ensure!(
                listener.listen.port() != 0,
                "the listener `{name}` needs a port"
            );
            ensure!(
                listener.kind == StoreKind::S3 || listener.buckets.is_empty(),
                "the listener `{name}` is for a store that has no buckets: say `databases`"
            );
            ensure!(
                listener.kind != StoreKind::S3 || listener.databases.is_empty(),
                "the listener `{name}` is for a store that has no databases: say `buckets`"
            );
        }
    }
    Ok(())
}
