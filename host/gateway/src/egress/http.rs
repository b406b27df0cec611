//! A listener before a store that is spoken to by HTTP.
//!
//! Paths are passed as they are: a store's clients sign them, and a key may hold `//` or `%2F`. The guard
//! refuses those in which a server could see another bucket.

use envoy_types::pb::envoy::config::common::mutation_rules::v3::{HeaderMutation, header_mutation};
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::listener::v3 as listener;
use envoy_types::pb::envoy::config::route::v3 as route;
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use envoy_types::pb::envoy::extensions::http::early_header_mutation::header_mutation::v3 as early;
use envoy_types::util::pack_any;

use super::plan::{REQUEST_ID, filter, logs};
use super::spec::{EgressSpec, SidecarSpec};
use crate::plan::{ROUTE_HEADER, filter as wasm, millis, no, route as routes, uint};

/// What is logged of a request. Its path may name a person: the guard's record has the bucket or database.
const FIELDS: [(&str, &str); 16] = [
    ("authority", "%REQ(:AUTHORITY)%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("client", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
    ("duration_ms", "%DURATION%"),
    ("egress", "%FILTER_STATE(wasm.ig.egress:PLAIN)%"),
    ("method", "%REQ(:METHOD)%"),
    // Its own: all sidecars of a region are served the same.
    ("node", "%CEL(xds.node.id)%"),
    REQUEST_ID,
    ("response_code", "%RESPONSE_CODE%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("time", "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%"),
    ("traceparent", "%REQ(TRACEPARENT)%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
];

pub(super) fn connection_manager(spec: &SidecarSpec, each: &EgressSpec) -> listener::Filter {
    use hcm::http_connection_manager::{
        CodecType, PathWithEscapedSlashesAction, RouteSpecifier, ServerHeaderTransformation,
    };
    let limits = &spec.limits;
    let router = hcm::HttpFilter {
        name: "envoy.filters.http.router".to_owned(),
        config_type: Some(hcm::http_filter::ConfigType::TypedConfig(pack_any(
            Router {
                suppress_envoy_headers: true,
                ..Default::default()
            },
        ))),
        ..Default::default()
    };
    let manager = hcm::HttpConnectionManager {
        codec_type: CodecType::Auto as i32,
        stat_prefix: each.name.clone(),
        route_specifier: Some(RouteSpecifier::RouteConfig(only_by_the_guard(each, spec))),
        http_filters: vec![wasm::place(&each.guard), router],
        server_header_transformation: ServerHeaderTransformation::PassThrough as i32,
        common_http_protocol_options: Some(core::HttpProtocolOptions {
            idle_timeout: millis(limits.stream_idle_timeout_ms),
            ..Default::default()
        }),
        max_request_headers_kb: uint(limits.request_headers_kb),
        stream_idle_timeout: millis(limits.stream_idle_timeout_ms),
        request_headers_timeout: millis(limits.request_timeout_ms),
        access_log: logs(spec, each, &FIELDS),
        // The guard takes the whole `x-ig-` space off, but a chain without a guard must not believe
        // a client about the way.
        early_header_mutation_extensions: vec![core::TypedExtensionConfig {
            name: "envoy.http.early_header_mutation.header_mutation".to_owned(),
            typed_config: Some(pack_any(early::HeaderMutation {
                mutations: vec![HeaderMutation {
                    action: Some(header_mutation::Action::Remove(ROUTE_HEADER.to_owned())),
                }],
            })),
        }],
        generate_request_id: no(),
        normalize_path: no(),
        merge_slashes: false,
        path_with_escaped_slashes_action: PathWithEscapedSlashesAction::KeepUnchanged as i32,
        ..Default::default()
    };
    filter(
        "envoy.filters.network.http_connection_manager",
        pack_any(manager),
    )
}

/// One route, whose cluster the guard names.
fn only_by_the_guard(each: &EgressSpec, spec: &SidecarSpec) -> route::RouteConfiguration {
    use route::route_action::{ClusterSpecifier, MaxStreamDuration};
    let action = route::RouteAction {
        cluster_specifier: Some(ClusterSpecifier::ClusterHeader(ROUTE_HEADER.to_owned())),
        // An object may take long, as long as something moves.
        timeout: millis(0),
        max_stream_duration: Some(MaxStreamDuration {
            max_stream_duration: millis(spec.limits.stream_duration_ms),
            ..Default::default()
        }),
        ..Default::default()
    };
    route::RouteConfiguration {
        name: each.name.clone(),
        virtual_hosts: vec![route::VirtualHost {
            name: each.name.clone(),
            domains: vec!["*".to_owned()],
            routes: vec![route::Route {
                name: each.name.clone(),
                r#match: Some(routes::anything()),
                request_headers_to_remove: vec![ROUTE_HEADER.to_owned()],
                action: Some(route::route::Action::Route(action)),
                ..Default::default()
            }],
            ..Default::default()
        }],
        validate_clusters: no(),
        ..Default::default()
    }
}
