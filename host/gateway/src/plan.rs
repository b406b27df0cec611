//! From a specification to the xDS resources of the gateway. Pure: no I/O, and the same bytes for the
//! same specification, so that a hash of the bytes is a version.

use envoy_types::pb::envoy::config::cluster::v3 as cluster_pb;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::endpoint::v3 as endpoint_pb;
use envoy_types::pb::google::protobuf::{BoolValue, Duration, UInt32Value};
use prost::{Message, Name};

use crate::error::SpecError;
use crate::spec::{GatewaySpec, HostPort};

pub(crate) mod access_log;
mod cluster;
pub(crate) mod filter;
mod jwt;
mod listener;
mod local_reply;
mod patch;
pub(crate) mod regional;
pub(crate) mod route;
pub(crate) mod tracing;

pub use filter::{DENY_ALL_TYPE_URL, WASM_TYPE_URL};
pub use patch::patch;

/// The header by which the residency filter names the cluster. No client can set it.
pub const CLUSTER_HEADER: &str = "x-ig-cluster";

/// The header by which routes find the cluster: the last filter hands [`CLUSTER_HEADER`] over to it.
/// Envoy leaves out a filter whose code it is still fetching, or has failed to fetch in some ways;
/// what such a chain lets through has no way to an upstream.
pub const ROUTE_HEADER: &str = "x-ig-route";

/// Headers that only the gateway's filters set. Envoy takes them off every request before a filter
/// sees it; the filters do too, for the whole `x-ig-` space but for a client's own intents
/// (`x-ig-purpose`, `x-ig-data-region`) and its warrant (`x-ig-warrant`), which the residency filter takes
/// off.
pub const RESERVED_HEADERS: [&str; 14] = [
    CLUSTER_HEADER,
    ROUTE_HEADER,
    "x-ig-admin",
    "x-ig-context",
    "x-ig-decision",
    "x-ig-mask",
    "x-ig-operations",
    "x-ig-policy",
    "x-ig-region",
    "x-ig-region-dst",
    "x-ig-region-src",
    "x-ig-roles",
    "x-ig-subject",
    "x-ig-tenant",
];

/// One xDS resource.
#[derive(Clone, PartialEq, Eq)]
pub struct Planned {
    /// The message's type URL.
    pub type_url: String,
    /// The resource's name.
    pub name: String,
    /// The encoded message.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Planned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {} ({} bytes)",
            self.type_url,
            self.name,
            self.bytes.len()
        )
    }
}

/// The name of the cluster of a region, which is what the residency filter writes into
/// [`CLUSTER_HEADER`].
pub fn cluster_name(region: &str) -> String {
    format!("region-{region}")
}

/// Where a gateway takes the requests of residency probes.
pub const PROBE_PATH: &str = "/ig/probe";

/// The cluster of the region's probe agents.
pub(crate) const AGENTS: &str = "ig-agents";

/// All resources of a gateway.
///
/// # Errors
/// The specification is faulty: see [`GatewaySpec::check`].
pub fn plan(spec: &GatewaySpec) -> Result<Vec<Planned>, SpecError> {
    spec.check()?;
    let mut planned = vec![
        resource(cluster_name(&spec.region), &cluster::cluster(spec)),
        resource(cluster_name(&spec.region), &cluster::assignment(spec)),
        resource(listener::NAME.to_owned(), &listener::listener(spec)),
        resource(route::NAME.to_owned(), &route::routes(spec)),
    ];
    if !spec.agents.is_empty() {
        planned.push(resource(AGENTS.to_owned(), &cluster::agents(spec)));
        planned.push(resource(
            AGENTS.to_owned(),
            &cluster::agents_assignment(spec),
        ));
    }
    if let Some(server) = spec.tracing.as_ref().map(|t| &t.server) {
        planned.push(resource(
            tracing::CLUSTER.to_owned(),
            &tracing::cluster(tracing::CLUSTER, server),
        ));
    }
    if let Some(server) = &spec.access_log_service
        && !spec.xds.others_secured
    {
        planned.push(resource(
            access_log::SERVICE.to_owned(),
            &tracing::cluster(access_log::SERVICE, server),
        ));
    }
    for filter in &spec.filters {
        planned.push(resource(filter.name.clone(), &filter::extension(filter)));
    }
    Ok(planned)
}

pub(crate) fn resource<M: Message + Name>(name: String, message: &M) -> Planned {
    Planned {
        type_url: M::type_url(),
        name,
        bytes: message.encode_to_vec(),
    }
}

pub(crate) fn millis(ms: u64) -> Option<Duration> {
    let seconds = i64::try_from(ms / 1_000).unwrap_or(i64::MAX);
    let nanos = i32::try_from(ms % 1_000).unwrap_or(0) * 1_000_000;
    Some(Duration { seconds, nanos })
}

pub(crate) fn uint(value: u32) -> Option<UInt32Value> {
    Some(UInt32Value { value })
}

fn yes() -> Option<BoolValue> {
    Some(BoolValue { value: true })
}

pub(crate) fn no() -> Option<BoolValue> {
    Some(BoolValue { value: false })
}

pub(crate) fn address(address: std::net::SocketAddr) -> Option<core::Address> {
    Some(socket(&address.into()))
}

/// A host by name or address.
fn socket(server: &HostPort) -> core::Address {
    core::Address {
        address: Some(core::address::Address::SocketAddress(core::SocketAddress {
            address: server.host.clone(),
            port_specifier: Some(core::socket_address::PortSpecifier::PortValue(u32::from(
                server.port,
            ))),
            ..Default::default()
        })),
    }
}

/// A cluster of one host that does not change.
pub(crate) fn one_host(
    name: &str,
    address: core::Address,
    kind: cluster_pb::cluster::DiscoveryType,
) -> cluster_pb::Cluster {
    let host = endpoint_pb::lb_endpoint::HostIdentifier::Endpoint(endpoint_pb::Endpoint {
        address: Some(address),
        ..Default::default()
    });
    cluster_pb::Cluster {
        name: name.to_owned(),
        cluster_discovery_type: Some(cluster_pb::cluster::ClusterDiscoveryType::Type(kind as i32)),
        connect_timeout: millis(1_000),
        load_assignment: Some(endpoint_pb::ClusterLoadAssignment {
            cluster_name: name.to_owned(),
            endpoints: vec![endpoint_pb::LocalityLbEndpoints {
                lb_endpoints: vec![endpoint_pb::LbEndpoint {
                    host_identifier: Some(host),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// "From the aggregated stream".
pub(crate) fn ads() -> Option<core::ConfigSource> {
    Some(core::ConfigSource {
        resource_api_version: core::ApiVersion::V3 as i32,
        config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::Ads(
            core::AggregatedConfigSource {},
        )),
        ..Default::default()
    })
}

#[cfg(test)]
pub(crate) mod tests;
