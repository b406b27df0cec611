//! Spans of requests, by OTLP, and where they are sent.
//!
//! The W3C context of a request is kept: Envoy goes on with the client's `traceparent` and hands its
//! own span's on to the upstream.

use envoy_types::pb::envoy::config::cluster::v3 as cluster;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::trace::v3 as trace;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use envoy_types::pb::envoy::extensions::upstreams::http::v3 as http;
use envoy_types::pb::envoy::r#type::tracing::v3::{CustomTag, custom_tag};
use envoy_types::pb::envoy::r#type::v3::Percent;
use envoy_types::util::pack_any;

use super::{millis, one_host, socket, yes};
use crate::spec::{GatewaySpec, HostPort, TracingSpec};

/// The cluster of the OTLP receiver.
pub(super) const CLUSTER: &str = "traces";

const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// The part of a connection manager that reports spans.
pub(super) fn tracing(
    spec: &GatewaySpec,
    tracing: &TracingSpec,
) -> hcm::http_connection_manager::Tracing {
    let percent = |value| Some(Percent { value });
    let collector = core::GrpcService {
        target_specifier: Some(core::grpc_service::TargetSpecifier::EnvoyGrpc(
            core::grpc_service::EnvoyGrpc {
                cluster_name: CLUSTER.to_owned(),
                ..Default::default()
            },
        )),
        timeout: millis(1_000),
        ..Default::default()
    };
    let provider = trace::tracing::Http {
        name: "envoy.tracers.opentelemetry".to_owned(),
        config_type: Some(trace::tracing::http::ConfigType::TypedConfig(pack_any(
            trace::OpenTelemetryConfig {
                grpc_service: Some(collector),
                service_name: spec.node_cluster.clone(),
                ..Default::default()
            },
        ))),
    };
    hcm::http_connection_manager::Tracing {
        client_sampling: percent(100.0),
        random_sampling: percent(tracing.sampling_percent),
        overall_sampling: percent(100.0),
        custom_tags: tags(spec),
        provider: Some(provider),
        spawn_upstream_span: yes(),
        ..Default::default()
    }
}

/// The gateway's region and, once the residency filter has decided, the region of the data.
fn tags(spec: &GatewaySpec) -> Vec<CustomTag> {
    let literal = |value: &str| {
        custom_tag::Type::Literal(custom_tag::Literal {
            value: value.to_owned(),
        })
    };
    let left = |name: &str| custom_tag::Type::Value(format!("%FILTER_STATE(wasm.{name}:PLAIN)%"));
    [
        ("region_src", literal(&spec.region)),
        ("region_dst", left("ig.region_dst")),
        ("ig.node", literal(&spec.node_id)),
    ]
    .into_iter()
    .map(|(tag, value)| CustomTag {
        tag: tag.to_owned(),
        r#type: Some(value),
    })
    .collect()
}

/// The cluster of a receiver; gRPC is HTTP/2.
pub(crate) fn cluster(name: &str, server: &HostPort) -> cluster::Cluster {
    use cluster::cluster::DiscoveryType;
    use http::http_protocol_options::explicit_http_config::ProtocolConfig;
    use http::http_protocol_options::{ExplicitHttpConfig, UpstreamProtocolOptions};
    let kind = match server.is_name() {
        true => DiscoveryType::StrictDns,
        false => DiscoveryType::Static,
    };
    let http2 = http::HttpProtocolOptions {
        upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(
            ExplicitHttpConfig {
                protocol_config: Some(ProtocolConfig::Http2ProtocolOptions(
                    core::Http2ProtocolOptions::default(),
                )),
            },
        )),
        ..Default::default()
    };
    cluster::Cluster {
        typed_extension_protocol_options: [(HTTP_OPTIONS.to_owned(), pack_any(http2))].into(),
        ..one_host(name, socket(server), kind)
    }
}
