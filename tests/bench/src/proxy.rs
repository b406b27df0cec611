//! The Envoy under test: one worker, one listener a variant.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use gateway::run::{Envoy, EnvoyOptions, free_ports};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{load, tenants};

/// What a listener does with its requests.
#[derive(Debug, Clone)]
pub struct Listener {
    /// The filter before the router, if any.
    pub filter: Option<Value>,
    /// The cluster that answers.
    pub cluster: String,
    /// `per_connection_buffer_limit_bytes`, if it is not Envoy's default of 1 MiB.
    pub buffer_limit: Option<usize>,
}

/// A server that Envoy forwards to.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it speaks HTTP/2 without TLS, as gRPC servers do.
    pub http2: bool,
}

/// A running Envoy with a listener for each of several filters.
pub struct Proxy {
    envoy: Envoy,
    addresses: Vec<SocketAddr>,
    // Kept until Envoy has ended.
    _directory: tempfile::TempDir,
}

impl Proxy {
    /// Starts it.
    ///
    /// # Errors
    /// Envoy does not start; with the end of its log.
    pub fn start(
        runtime: &Runtime,
        binary: &Path,
        listeners: &[Listener],
        clusters: &[Cluster],
    ) -> anyhow::Result<Self> {
        Self::with(runtime, binary, listeners, resource, clusters)
    }

    /// Starts one with a listener for each of these, as `resource` writes it for an address.
    ///
    /// # Errors
    /// As [`Proxy::start`].
    pub fn with<L>(
        runtime: &Runtime,
        binary: &Path,
        listeners: &[L],
        resource: impl Fn(&L, SocketAddr) -> Value,
        clusters: &[Cluster],
    ) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let mut addresses = Vec::new();
        for _ in listeners {
            let [port] = free_ports()?;
            addresses.push(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        }
        let [port] = free_ports()?;
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let resources: Vec<Value> = listeners
            .iter()
            .zip(&addresses)
            .map(|(listener, address)| resource(listener, *address))
            .collect();
        let clusters: Vec<Value> = clusters.iter().map(cluster).collect();
        let bootstrap = json!({
            "admin": {"address": socket(admin)},
            "static_resources": {"listeners": resources, "clusters": clusters},
        });
        let options = options(binary, &bootstrap, directory.path(), admin);
        let envoy = runtime
            .block_on(Envoy::start(&options))
            .context("starting Envoy")?;
        Ok(Self {
            envoy,
            addresses,
            _directory: directory,
        })
    }

    /// Where the listeners are, in order.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// A counter or gauge; 0 if it has not been used.
    ///
    /// # Errors
    /// Envoy does not answer.
    pub fn stat(&self, runtime: &Runtime, name: &str) -> anyhow::Result<u64> {
        let stats = runtime.block_on(self.envoy.stats())?;
        Ok(stats.get(name).copied().unwrap_or(0))
    }

    /// Its resident memory in bytes; `None` where the operating system does not say so in `/proc`.
    pub fn resident(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.envoy.pid()?)).ok()?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * 1024)
    }

    /// Ends it.
    ///
    /// # Errors
    /// It can't be ended.
    pub fn stop(self, runtime: &Runtime) -> anyhow::Result<()> {
        Ok(runtime.block_on(self.envoy.stop(Duration::from_secs(3)))?)
    }
}

/// How every Envoy of the benchmark is run: one worker, and the filters' keys in its environment.
pub fn options(
    binary: &Path,
    bootstrap: &Value,
    directory: &Path,
    admin: SocketAddr,
) -> EnvoyOptions {
    let mut options = EnvoyOptions::new(
        binary.to_owned(),
        bootstrap.to_string(),
        directory.to_owned(),
        admin,
    );
    options.concurrency = 1;
    options.env = env();
    options
}

/// The filters' keys, as an environment.
pub fn env() -> Vec<(String, String)> {
    let keys = [load::MASK_KEYS, tenants::CONTEXT_KEYS];
    keys.map(|(name, value)| (name.into(), value.into())).into()
}

/// A Wasm filter of requests in a VM of its own, by the name of the VM.
pub fn wasm(module: &Path, vm: &str, config: &str) -> Value {
    let of = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
    plugin(of, module, vm, config)
}

/// The same of connections.
pub fn network_wasm(module: &Path, vm: &str, config: &str) -> Value {
    let of = "type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm";
    plugin(of, module, vm, config)
}

fn plugin(of: &str, module: &Path, vm: &str, config: &str) -> Value {
    let keys: Vec<String> = env().into_iter().map(|(name, _)| name).collect();
    json!({
        "name": vm,
        "typed_config": {
            "@type": of,
            "config": {
                "name": vm,
                "allow_on_headers_stop_iteration": true,
                "vm_config": {
                    "vm_id": vm,
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": module}},
                    "environment_variables": {"host_env_keys": keys},
                },
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": config,
                },
            },
        },
    })
}

/// An address as Envoy's configuration has it.
pub fn socket(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}

fn cluster(cluster: &Cluster) -> Value {
    let mut resource = json!({
        "name": cluster.name,
        "load_assignment": {
            "cluster_name": cluster.name,
            "endpoints": [{
                "lb_endpoints": [{"endpoint": {"address": socket(cluster.address)}}],
            }],
        },
    });
    if cluster.http2 {
        resource["typed_extension_protocol_options"] = json!({
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.\
                          HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            },
        });
    }
    resource
}

/// The listener as Envoy's configuration has it.
pub fn resource(listener: &Listener, address: SocketAddr) -> Value {
    // The claims that jwt_authn would leave; every variant pays for them.
    let claims = json!({
        "name": "claims",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.set_metadata.v3.Config",
            "metadata": [{
                "metadata_namespace": "envoy.filters.http.jwt_authn",
                "value": {"payload": load::claims()},
            }],
        },
    });
    let router = json!({
        "name": "router",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
        },
    });
    let filters: Vec<Value> = [Some(claims), listener.filter.clone(), Some(router)]
        .into_iter()
        .flatten()
        .collect();
    let mut resource = json!({
        "name": format!("listener-{}", address.port()),
        "address": socket(address),
        "filter_chains": [{"filters": [{
            "name": "http",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.\
                          http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": format!("p{}", address.port()),
                "http_filters": filters,
                "route_config": {"virtual_hosts": [{
                    "name": "all", "domains": ["*"],
                    "routes": [{
                        "match": {"prefix": "/"},
                        "route": {"cluster": listener.cluster, "timeout": "60s"},
                    }],
                }]},
            },
        }]}],
    });
    if let Some(bytes) = listener.buffer_limit {
        resource["per_connection_buffer_limit_bytes"] = bytes.into();
    }
    resource
}
