//! What one gateway is, in the terms of its operator.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::SpecError;
use crate::identity::TlsSpec;
use crate::plan::PROBE_PATH;

/// One gateway Envoy: a region's front door.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewaySpec {
    /// The region that it stands in, and the only one whose endpoints it knows.
    pub region: String,
    /// The node id by which the control plane knows it.
    pub node_id: String,
    /// The node's service cluster.
    #[serde(default = "default_node_cluster")]
    pub node_cluster: String,
    /// Where clients are served.
    pub listen: SocketAddr,
    /// Envoy's administration port. It has no authentication: keep it on the loopback.
    pub admin: SocketAddr,
    /// The control plane.
    pub xds: XdsSpec,
    /// The conductor's port for Wasm binaries. Needed if a filter's code comes by HTTP.
    #[serde(default)]
    pub api: Option<HostPort>,
    /// Paths that are GraphQL endpoints. A path that is neither one nor a route is answered 404.
    pub paths: Vec<String>,
    /// Routes that are no GraphQL.
    #[serde(default)]
    pub routes: Vec<RouteSpec>,
    /// The region's own endpoints.
    pub endpoints: Vec<EndpointSpec>,
    /// The region's probe agents, which [`crate::PROBE_PATH`] leads to; without any it leads nowhere.
    #[serde(default)]
    pub agents: Vec<EndpointSpec>,
    /// The role that a caller's token must list for its requests to lead to the agents.
    #[serde(default = "probe_role")]
    pub probe_role: String,
    /// Whether and how endpoints are checked.
    #[serde(default)]
    pub health_check: Option<HealthCheckSpec>,
    /// Whose tokens are believed.
    pub jwt: JwtSpec,
    /// The Wasm filters in the order in which a request meets them.
    pub filters: Vec<FilterSpec>,
    /// The access log: a JSON line a request.
    pub access_log: PathBuf,
    /// Who receives the same lines by gRPC beside it, if anyone.
    #[serde(default)]
    pub access_log_service: Option<HostPort>,
    /// Where spans of requests go, if anywhere.
    #[serde(default)]
    pub tracing: Option<TracingSpec>,
    /// Sizes and times.
    #[serde(default)]
    pub limits: Limits,
}

fn probe_role() -> String {
    "probe".to_owned()
}

/// Where and how often spans of requests are reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TracingSpec {
    /// The OTLP receiver (gRPC).
    pub server: HostPort,
    /// Of requests without a trace context of their own, how many of a hundred are reported. Those
    /// that have one are reported as it says.
    #[serde(default = "TracingSpec::default_sampling")]
    pub sampling_percent: f64,
}

impl TracingSpec {
    fn default_sampling() -> f64 {
        1.0
    }
}

fn default_node_cluster() -> String {
    "gateway".to_owned()
}

/// A host by name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostPort {
    /// A DNS name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl HostPort {
    /// Whether the host is a name that is looked up, and no address.
    pub fn is_name(&self) -> bool {
        self.host.parse::<std::net::IpAddr>().is_err()
    }
}

impl From<SocketAddr> for HostPort {
    fn from(address: SocketAddr) -> Self {
        Self {
            host: address.ip().to_string(),
            port: address.port(),
        }
    }
}

/// Where the configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct XdsSpec {
    /// The control plane's address.
    pub server: HostPort,
    /// The variant of the protocol.
    #[serde(default)]
    pub variant: Variant,
    /// Mutual TLS, if the control plane asks for it.
    #[serde(default)]
    pub tls: Option<TlsSpec>,
    /// Whether its other ports ask for it too: that of the filters' code, and that of decisions. An Envoy
    /// knows them from its bootstrap then, which says where its certificates are.
    #[serde(default)]
    pub others_secured: bool,
}

impl XdsSpec {
    pub(crate) fn check(&self) -> Result<(), SpecError> {
        self.tls.as_ref().map_or(Ok(()), TlsSpec::check)
    }
}

/// The variant of the xDS protocol that Envoy speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// Incremental: only what changes travels.
    #[default]
    Delta,
    /// State of the world.
    Sotw,
}

/// One endpoint of the region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointSpec {
    /// Its address: Envoy takes no name here.
    pub address: SocketAddr,
    /// 0 for a primary; 1 takes over when no 0 is healthy, and so on, without gaps.
    #[serde(default)]
    pub priority: u32,
}

/// A route that is no GraphQL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteSpec {
    /// Its name, for the access log.
    pub name: String,
    /// The path, without query string: `{name}` stands for one segment that is not empty.
    pub path: String,
    /// Whether answers may last as streams do.
    #[serde(default)]
    pub streams: bool,
}

/// An active health check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheckSpec {
    /// The path of an HTTP check; without it a TCP connect is the check.
    #[serde(default)]
    pub http_path: Option<String>,
    /// Milliseconds between checks.
    #[serde(default = "HealthCheckSpec::default_interval_ms")]
    pub interval_ms: u64,
    /// Milliseconds until a check has failed.
    #[serde(default = "HealthCheckSpec::default_timeout_ms")]
    pub timeout_ms: u64,
}

impl HealthCheckSpec {
    fn default_interval_ms() -> u64 {
        2_000
    }

    fn default_timeout_ms() -> u64 {
        1_000
    }
}

/// The issuer of tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtSpec {
    /// The `iss` that a token must carry.
    pub issuer: String,
    /// The audiences of which a token must name one.
    pub audiences: Vec<String>,
    /// The issuer's public keys: a JWKS document.
    pub jwks: String,
    /// Whether the upstream sees the token.
    #[serde(default)]
    pub forward: bool,
}

/// One Wasm filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterSpec {
    /// The filter's name: of its ECDS resource, its plugin and its place in the chain.
    pub name: String,
    /// Where its code comes from.
    pub wasm: WasmSource,
    /// The virtual machine it runs in. A trap ends all filters of a machine, so each has its own.
    pub vm_id: String,
    /// The plugin configuration, as the filter reads it.
    pub configuration: String,
    /// Variables of Envoy's environment that the filter may read: secrets, which thus are in no
    /// configuration that an administration port shows.
    #[serde(default)]
    pub env_keys: Vec<String>,
    /// Whether the filter may stop at headers while it goes on to receive the body. One that holds
    /// response headers until the first part of the body is rewritten needs it.
    #[serde(default)]
    pub allow_on_headers_stop_iteration: bool,
}

/// Where a filter's code comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum WasmSource {
    /// A file on the gateway's machine. Envoy reads it when the configuration arrives and at no other
    /// time: new code needs a new path.
    Local {
        /// The file.
        path: PathBuf,
    },
    /// From the conductor's HTTP port.
    Http {
        /// The URL.
        url: String,
        /// The code's SHA-256 in hexadecimal; Envoy refuses other bytes.
        sha256: String,
    },
}

/// Sizes and times of a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes that Envoy buffers of a client's connection, either way; a fourth of it of an
    /// endpoint's.
    pub connection_buffer_bytes: u32,
    /// Kilobytes of request headers.
    pub request_headers_kb: u32,
    /// Milliseconds without a byte after which a stream is closed.
    pub stream_idle_timeout_ms: u64,
    /// Milliseconds for a whole request to arrive.
    pub request_timeout_ms: u64,
    /// Milliseconds for a whole response of the upstream.
    pub response_timeout_ms: u64,
    /// Milliseconds for a response that comes bit by bit: events, parts, exports. 0: no end, as long
    /// as something comes within the idle timeout.
    pub stream_duration_ms: u64,
    /// Milliseconds to connect to an endpoint.
    pub connect_timeout_ms: u64,
    /// Connections to the region.
    pub max_connections: u32,
    /// Requests that wait for a connection to the region.
    pub max_pending_requests: u32,
    /// Requests to the region at once.
    pub max_requests: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connection_buffer_bytes: 1 << 20,
            request_headers_kb: 32,
            stream_idle_timeout_ms: 60_000,
            request_timeout_ms: 15_000,
            response_timeout_ms: 30_000,
            stream_duration_ms: 3_600_000,
            connect_timeout_ms: 1_000,
            max_connections: 1_024,
            max_pending_requests: 1_024,
            max_requests: 4_096,
        }
    }
}

impl GatewaySpec {
    /// Says what Envoy, or the operator, would not forgive.
    ///
    /// # Errors
    /// The first fault found.
    pub fn check(&self) -> Result<(), SpecError> {
        check_node(&self.region, &self.node_id, self.admin)?;
        self.xds.check()?;
        if self.paths.is_empty() || self.paths.iter().any(|path| !is_path(path)) {
            return fault(
                "paths",
                "must be absolute paths without query, at least one",
            );
        }
        let sampling = self.tracing.as_ref().map(|t| t.sampling_percent);
        if sampling.is_some_and(|percent| !(0.0..=100.0).contains(&percent)) {
            return fault("sampling_percent", "must be from 0 to 100");
        }
        self.check_routes()?;
        if !priorities_fit(&self.endpoints) {
            return fault("endpoints", PRIORITIES);
        }
        if !priorities_fit(&self.agents) {
            return fault("agents", PRIORITIES);
        }
        if self.jwt.issuer.is_empty() || self.jwt.audiences.is_empty() {
            return fault("jwt", "must name an issuer and at least one audience");
        }
        let jwks: Result<serde_json::Value, _> = serde_json::from_str(&self.jwt.jwks);
        if !jwks.is_ok_and(|jwks| jwks["keys"].as_array().is_some_and(|keys| !keys.is_empty())) {
            return fault("jwt.jwks", "must be a JWKS document with at least one key");
        }
        check_filters(&self.filters.iter().collect::<Vec<_>>(), self.api.is_some())
    }

    fn check_routes(&self) -> Result<(), SpecError> {
        for route in &self.routes {
            let fault = |reason: &str| {
                Err(SpecError::Route {
                    name: route.name.clone(),
                    reason: reason.to_owned(),
                })
            };
            if route.name.is_empty() {
                return fault("it needs a name");
            }
            if !is_path(&route.path) {
                return fault("its path must be absolute, without query and escapes");
            }
            if !self.agents.is_empty() && route.path == PROBE_PATH {
                return fault("its path is that of probes");
            }
            if self.paths.contains(&route.path) {
                return fault("its path is a GraphQL endpoint");
            }
        }
        Ok(())
    }
}

/// What every set of filters of an Envoy must be.
pub(crate) fn check_filters(filters: &[&FilterSpec], has_api: bool) -> Result<(), SpecError> {
    let mut names = BTreeSet::new();
    let mut vm_ids = BTreeSet::new();
    for filter in filters {
        let fault = |reason: &str| {
            Err(SpecError::Filter {
                name: filter.name.clone(),
                reason: reason.to_owned(),
            })
        };
        if !is_label(&filter.name) {
            return fault("its name must be lower-case letters, digits and dashes");
        }
        if !names.insert(&filter.name) {
            return fault("another filter has its name");
        }
        if filter.vm_id.is_empty() || !vm_ids.insert(&filter.vm_id) {
            return fault("it needs a vm_id of its own: a trap ends all filters of a machine");
        }
        match &filter.wasm {
            WasmSource::Local { path } if !path.is_absolute() => {
                return fault("the path of its code must be absolute");
            }
            WasmSource::Http { sha256, .. }
                if sha256.len() != 64 || !sha256.bytes().all(|b| b.is_ascii_hexdigit()) =>
            {
                return fault("the sha256 of its code must be 64 hexadecimal digits");
            }
            WasmSource::Http { .. } if !has_api => {
                return fault("its code comes by HTTP, but `api` names no server");
            }
            _ => {}
        }
    }
    Ok(())
}

/// What is the matter with priorities that Envoy takes in silence.
pub(crate) const PRIORITIES: &str = "priorities must count up from 0 without gaps";

/// Whether priorities count up from 0 without gaps.
pub(crate) fn priorities_fit(endpoints: &[EndpointSpec]) -> bool {
    let priorities: BTreeSet<u32> = endpoints.iter().map(|e| e.priority).collect();
    priorities.iter().zip(0..).all(|(&got, want)| got == want)
}

/// What every node has, a gateway or a sidecar.
pub(crate) fn check_node(region: &str, node_id: &str, admin: SocketAddr) -> Result<(), SpecError> {
    if !is_label(region) {
        return fault("region", "must be lower-case letters, digits and dashes");
    }
    if node_id.is_empty() {
        return fault("node_id", "must not be empty");
    }
    if !admin.ip().is_loopback() {
        return fault(
            "admin",
            "must be a loopback address: it has no authentication",
        );
    }
    Ok(())
}

pub(crate) fn fault(field: &'static str, reason: &str) -> Result<(), SpecError> {
    Err(SpecError::Invalid {
        field,
        reason: reason.to_owned(),
    })
}

pub(crate) fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && !text.contains(['?', '#', '%', ' ']) && !text.contains("//")
}
