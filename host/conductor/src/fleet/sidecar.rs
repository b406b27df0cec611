//! From configuration and policies to what each sidecar is served.

use anyhow::Context;
use bundle::Bundle;
use engine::guard::GuardConfig;
use gateway::egress::{self, EgressSpec, Protocol, SidecarSpec, store_cluster};
use gateway::identity::TlsSpec;
use gateway::spec::FilterSpec;

use super::FilterCode;
use crate::config::{Config, Sidecar};

/// The service cluster of sidecars, by which they are told from gateways.
pub const CLUSTER: &str = "sidecar";

/// The name under which the control plane keeps what the sidecars of a region are served. No region
/// has it: there is no `/` in a region's name.
pub fn group(region: &str) -> String {
    format!("{CLUSTER}/{region}")
}

/// The guards of a sidecar, one a listener, in their order.
pub fn guards(sidecar: &Sidecar, bundle: &Bundle) -> Vec<GuardConfig> {
    let guard = |listener: &crate::config::Listener| {
        let store = listener.store(&sidecar.region);
        bundle.guard(&sidecar.region, store, &store_cluster(&listener.name))
    };
    sidecar.listeners.iter().map(guard).collect()
}

/// What a sidecar is, under these policies.
///
/// # Errors
/// There is no code for the guard.
pub fn spec(
    config: &Config,
    sidecar: &Sidecar,
    code: &FilterCode,
    bundle: &Bundle,
) -> anyhow::Result<SidecarSpec> {
    let code = code
        .guard
        .as_ref()
        .context("there is no code for the guard")?;
    let mut listeners = Vec::new();
    for (listener, guard) in sidecar.listeners.iter().zip(guards(sidecar, bundle)) {
        let name = format!("guard-{}", listener.name);
        listeners.push(EgressSpec {
            name: listener.name.clone(),
            protocol: match listener.kind.is_http() {
                true => Protocol::Http,
                false => Protocol::Tcp,
            },
            listen: listener.listen,
            store_region: guard.store.region.clone(),
            endpoints: listener.endpoints.clone(),
            guard: FilterSpec {
                vm_id: name.clone(),
                name,
                wasm: super::source(config, code)?,
                configuration: serde_json::to_string(&guard)?,
                env_keys: vec![super::CONTEXT_KEYS_ENV.into()],
                allow_on_headers_stop_iteration: false,
            },
        });
    }
    Ok(SidecarSpec {
        region: sidecar.region.clone(),
        node_id: format!("sidecar-{}", sidecar.region),
        node_cluster: CLUSTER.into(),
        admin: sidecar.admin,
        xds: super::xds_spec(config, sidecar.xds_variant),
        api: super::code_port(config),
        other_regions: sidecar.other_regions.clone(),
        listeners,
        access_log: sidecar.access_log.clone(),
        access_log_service: super::access_log_service(config, sidecar.access_log_service),
        limits: sidecar.limits.clone(),
    })
}

/// The snapshot that a sidecar is served, labelled with the policies' revision.
///
/// # Errors
/// The configuration makes no sidecar.
pub fn snapshot(spec: &SidecarSpec, revision: &str) -> anyhow::Result<xds::Snapshot> {
    let planned =
        egress::plan(spec).with_context(|| format!("the sidecar of region {}", spec.region))?;
    super::labelled(planned, revision)
}

/// The bootstrap of a region's sidecar.
///
/// # Errors
/// The configuration can't be used.
pub fn bootstrap(
    config: &Config,
    sidecar: &Sidecar,
    node_id: Option<&str>,
    tls: Option<TlsSpec>,
) -> anyhow::Result<String> {
    let (bundle, code) = super::in_force(config)?;
    let mut spec = spec(config, sidecar, &code, &bundle)?;
    if let Some(id) = node_id {
        spec.node_id = id.to_owned();
    }
    spec.xds.tls = tls;
    Ok(gateway::sidecar_bootstrap(&spec)?)
}
