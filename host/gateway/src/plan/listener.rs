//! The listener and its HTTP connection manager: the door.

use envoy_types::pb::envoy::config::common::mutation_rules::v3::{HeaderMutation, header_mutation};
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::listener::v3 as listener;
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use envoy_types::pb::envoy::extensions::http::early_header_mutation::header_mutation::v3 as early;
use envoy_types::pb::google::protobuf::Any;
use envoy_types::util::pack_any;

use super::{
    RESERVED_HEADERS, access_log, address, ads, filter, jwt, local_reply, millis, no, route,
    tracing, uint, yes,
};
use crate::spec::GatewaySpec;

/// The listener's name.
pub(super) const NAME: &str = "gateway";

pub(super) fn listener(spec: &GatewaySpec) -> listener::Listener {
    listener::Listener {
        name: NAME.to_owned(),
        address: address(spec.listen),
        // With it, a second gateway on the port by mistake would take a share of the connections,
        // without a word. Without it, the second one is refused.
        enable_reuse_port: no(),
        per_connection_buffer_limit_bytes: uint(spec.limits.connection_buffer_bytes),
        filter_chains: vec![listener::FilterChain {
            filters: vec![listener::Filter {
                name: "envoy.filters.network.http_connection_manager".to_owned(),
                config_type: Some(listener::filter::ConfigType::TypedConfig(pack_any(
                    connection_manager(spec),
                ))),
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn connection_manager(spec: &GatewaySpec) -> hcm::HttpConnectionManager {
    use core::http_protocol_options::HeadersWithUnderscoresAction;
    use hcm::http_connection_manager::{
        CodecType, PathWithEscapedSlashesAction, RouteSpecifier, ServerHeaderTransformation,
    };
    let limits = &spec.limits;
    hcm::HttpConnectionManager {
        codec_type: CodecType::Auto as i32,
        stat_prefix: NAME.to_owned(),
        route_specifier: Some(RouteSpecifier::Rds(hcm::Rds {
            config_source: ads(),
            route_config_name: route::NAME.to_owned(),
        })),
        http_filters: http_filters(spec),
        server_name: "maestro-conductor".to_owned(),
        server_header_transformation: ServerHeaderTransformation::Overwrite as i32,
        common_http_protocol_options: Some(core::HttpProtocolOptions {
            idle_timeout: millis(limits.stream_idle_timeout_ms),
            // A filter that knows `x-ig-mask` must not meet `x_ig_mask` at an upstream that takes
            // the two for one.
            headers_with_underscores_action: HeadersWithUnderscoresAction::RejectRequest as i32,
            ..Default::default()
        }),
        max_request_headers_kb: uint(limits.request_headers_kb),
        stream_idle_timeout: millis(limits.stream_idle_timeout_ms),
        request_timeout: millis(limits.request_timeout_ms),
        request_headers_timeout: millis(limits.request_timeout_ms),
        access_log: access_log::access_logs(spec),
        tracing: spec.tracing.as_ref().map(|t| tracing::tracing(spec, t)),
        local_reply_config: Some(local_reply::config(spec)),
        use_remote_address: yes(),
        early_header_mutation_extensions: vec![core::TypedExtensionConfig {
            name: "envoy.http.early_header_mutation.header_mutation".to_owned(),
            typed_config: Some(pack_any(remove_reserved())),
        }],
        generate_request_id: yes(),
        always_set_request_id_in_response: true,
        normalize_path: yes(),
        merge_slashes: true,
        path_with_escaped_slashes_action: PathWithEscapedSlashesAction::RejectRequest as i32,
        // No upgrade is configured, so none is done: a WebSocket is not masked.
        upgrade_configs: Vec::new(),
        stream_error_on_invalid_http_message: no(),
        ..Default::default()
    }
}

/// Token, then the Wasm filters, then the router.
fn http_filters(spec: &GatewaySpec) -> Vec<hcm::HttpFilter> {
    let mut filters = vec![native(jwt::NAME, pack_any(jwt::filter(spec)))];
    filters.extend(spec.filters.iter().map(filter::place));
    filters.push(native(
        "envoy.filters.http.router",
        pack_any(Router {
            // What Envoy would tell the upstream of itself, and believe of a client.
            suppress_envoy_headers: true,
            ..Default::default()
        }),
    ));
    filters
}

fn native(name: &str, config: Any) -> hcm::HttpFilter {
    hcm::HttpFilter {
        name: name.to_owned(),
        config_type: Some(hcm::http_filter::ConfigType::TypedConfig(config)),
        ..Default::default()
    }
}

fn remove_reserved() -> early::HeaderMutation {
    early::HeaderMutation {
        mutations: RESERVED_HEADERS
            .iter()
            .map(|&name| HeaderMutation {
                action: Some(header_mutation::Action::Remove(name.to_owned())),
            })
            .collect(),
    }
}
