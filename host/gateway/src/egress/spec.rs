use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::SpecError;
use crate::spec::{
    EndpointSpec, FilterSpec, HostPort, Limits, PRIORITIES, XdsSpec, check_filters, check_node,
    is_label, priorities_fit,
};

/// One sidecar Envoy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SidecarSpec {
    /// The region of the services that it stands beside.
    pub region: String,
    /// The node id by which the control plane knows it.
    pub node_id: String,
    /// The node's service cluster.
    #[serde(default = "default_node_cluster")]
    pub node_cluster: String,
    /// Envoy's administration port. It has no authentication: keep it on the loopback.
    pub admin: SocketAddr,
    /// The control plane.
    pub xds: XdsSpec,
    /// The conductor's port for Wasm binaries. Needed if a filter's code comes by HTTP.
    #[serde(default)]
    pub api: Option<HostPort>,
    /// Other regions whose stores it may know.
    #[serde(default)]
    pub other_regions: Vec<String>,
    /// The stores, a listener each.
    pub listeners: Vec<EgressSpec>,
    /// The access log: a JSON line a request or connection.
    pub access_log: PathBuf,
    /// Where it is streamed too, if anywhere: Envoy's gRPC access log service.
    #[serde(default)]
    pub access_log_service: Option<HostPort>,
    /// Sizes and times.
    #[serde(default)]
    pub limits: Limits,
}

/// A listener before a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EgressSpec {
    /// Its name, for metrics and access log.
    pub name: String,
    /// What is spoken.
    pub protocol: Protocol,
    /// Where services are served.
    pub listen: SocketAddr,
    /// The store's region.
    pub store_region: String,
    /// The store's endpoints.
    pub endpoints: Vec<EndpointSpec>,
    /// The guard.
    pub guard: FilterSpec,
}

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP: a decision a request.
    Http,
    /// Something of the store's own: a decision a connection.
    Tcp,
}

fn default_node_cluster() -> String {
    "sidecar".to_owned()
}

impl SidecarSpec {
    /// Says what Envoy, or the operator, would not forgive.
    ///
    /// # Errors
    /// The first fault found.
    pub fn check(&self) -> Result<(), SpecError> {
        check_node(&self.region, &self.node_id, self.admin)?;
        self.xds.check()?;
        let (mut names, mut ports) = (BTreeSet::new(), BTreeSet::new());
        for listener in &self.listeners {
            let fault = |reason: &str| {
                Err(SpecError::Listener {
                    name: listener.name.clone(),
                    reason: reason.to_owned(),
                })
            };
            if !is_label(&listener.name) {
                return fault("its name must be lower-case letters, digits and dashes");
            }
            if listener.name == super::REFUSAL {
                return fault("the responder to refused connections has its name");
            }
            if !names.insert(&listener.name) {
                return fault("another listener has its name");
            }
            if listener.listen == self.admin {
                return fault("the administration port has its address");
            }
            if !ports.insert(listener.listen) {
                return fault("another listener has its address");
            }
            // Services on the same machine open it with what they have been told of a request.
            if !listener.listen.ip().is_loopback() {
                return fault("it must listen on a loopback address: what comes is not encrypted");
            }
            if listener.store_region != self.region
                && !self.other_regions.contains(&listener.store_region)
            {
                return fault("its store is in another region, which is not listed");
            }
            if listener.endpoints.is_empty() {
                return fault("its store has no endpoints");
            }
            if !priorities_fit(&listener.endpoints) {
                return fault(PRIORITIES);
            }
        }
        let guards: Vec<&FilterSpec> = self.listeners.iter().map(|l| &l.guard).collect();
        check_filters(&guards, self.api.is_some())
    }
}
