//! A listener before a store with a protocol of its own: the guard, then `tcp_proxy`.
//!
//! `tcp_proxy` leads to the responder, unless the guard names the store's cluster in filter state: a
//! chain whose guard is not there reaches nothing.

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::listener::v3 as listener;
use envoy_types::pb::envoy::config::rbac::v3 as rbac_rules;
use envoy_types::pb::envoy::extensions::filters::network::echo::v3::Echo;
use envoy_types::pb::envoy::extensions::filters::network::rbac::v3 as rbac;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3 as proxy;
use envoy_types::pb::envoy::extensions::filters::network::wasm::v3 as network_wasm;
use envoy_types::util::pack_any;

use super::REFUSAL;
use super::plan::{REQUEST_ID, filter, logs};
use super::spec::{EgressSpec, SidecarSpec};
use crate::plan::filter::plugin;
use crate::plan::{ads, millis, uint};
use crate::spec::FilterSpec;

/// The type URL of the guard's configuration.
pub const WASM_TYPE_URL: &str = "type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm";

/// The type URL of the filter that stands in and denies.
const DENY_ALL_TYPE_URL: &str = "type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC";

/// Bytes that may come while `tcp_proxy` connects. Unless it takes any, it stops reading before the guard
/// has seen a byte.
const EARLY_BYTES: u32 = 65_536;

/// What is logged of a connection.
const FIELDS: [(&str, &str); 12] = [
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("client", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
    ("duration_ms", "%DURATION%"),
    ("egress", "%FILTER_STATE(wasm.ig.egress:PLAIN)%"),
    // Its own: all sidecars of a region are served the same.
    ("node", "%CEL(xds.node.id)%"),
    REQUEST_ID,
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("termination", "%CONNECTION_TERMINATION_DETAILS%"),
    ("time", "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
];

/// The guard's place.
pub(super) fn place(each: &EgressSpec) -> listener::Filter {
    listener::Filter {
        name: each.guard.name.clone(),
        config_type: Some(listener::filter::ConfigType::ConfigDiscovery(
            core::ExtensionConfigSource {
                config_source: ads(),
                default_config: Some(pack_any(deny_all(&each.name))),
                apply_default_config_without_warming: true,
                type_urls: vec![WASM_TYPE_URL.to_owned(), DENY_ALL_TYPE_URL.to_owned()],
            },
        )),
    }
}

/// The guard's configuration.
pub(super) fn extension(guard: &FilterSpec) -> core::TypedExtensionConfig {
    core::TypedExtensionConfig {
        name: guard.name.clone(),
        typed_config: Some(pack_any(network_wasm::Wasm {
            config: Some(plugin(guard)),
        })),
    }
}

/// Rules that allow what one of no policies allows: nothing.
fn deny_all(name: &str) -> rbac::Rbac {
    rbac::Rbac {
        rules: Some(rbac_rules::Rbac {
            action: rbac_rules::rbac::Action::Allow as i32,
            ..Default::default()
        }),
        stat_prefix: format!("{name}."),
        ..Default::default()
    }
}

pub(super) fn proxy(spec: &SidecarSpec, each: &EgressSpec) -> listener::Filter {
    filter(
        "envoy.filters.network.tcp_proxy",
        pack_any(proxy::TcpProxy {
            stat_prefix: each.name.clone(),
            cluster_specifier: Some(proxy::tcp_proxy::ClusterSpecifier::Cluster(
                REFUSAL.to_owned(),
            )),
            idle_timeout: millis(spec.limits.stream_duration_ms),
            max_connect_attempts: uint(1),
            max_early_data_bytes: uint(EARLY_BYTES),
            access_log: logs(spec, each, &FIELDS),
            ..Default::default()
        }),
    )
}

/// The responder: it sends back what it gets.
pub(super) fn refusal_listener() -> listener::Listener {
    use listener::listener::{InternalListenerConfig, ListenerSpecifier};
    listener::Listener {
        name: REFUSAL.to_owned(),
        listener_specifier: Some(ListenerSpecifier::InternalListener(
            InternalListenerConfig {},
        )),
        filter_chains: vec![listener::FilterChain {
            filters: vec![filter("envoy.filters.network.echo", pack_any(Echo {}))],
            ..Default::default()
        }],
        ..Default::default()
    }
}
