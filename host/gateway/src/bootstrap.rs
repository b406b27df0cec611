//! The bootstrap: what an Envoy is started with.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::egress::SidecarSpec;
use crate::error::SpecError;
use crate::identity::{self, TlsSpec};
use crate::spec::{GatewaySpec, HostPort, Variant, XdsSpec};

/// The documented template.
const TEMPLATE: &str = include_str!("../../../envoy/bootstrap.yaml");

/// The static cluster of the conductor's port for the filters' code.
pub(crate) const API_CLUSTER: &str = "conductor";

/// The static cluster of the conductor's port for decisions, where it asks for certificates.
pub(crate) const DECISIONS_CLUSTER: &str = "conductor-decisions";

/// What a sidecar has beside.
const SIDECAR: &str = include_str!("../../../envoy/sidecar.yaml");

/// What every Envoy is told.
struct Node<'a> {
    id: &'a str,
    cluster: &'a str,
    region: &'a str,
    admin: SocketAddr,
    xds: &'a XdsSpec,
    api: Option<&'a HostPort>,
    decisions: Option<&'a HostPort>,
}

/// The bootstrap of a gateway, as YAML.
///
/// # Errors
/// The specification is faulty: see [`GatewaySpec::check`].
pub fn bootstrap(spec: &GatewaySpec) -> Result<String, SpecError> {
    spec.check()?;
    Ok(node(&Node {
        id: &spec.node_id,
        cluster: &spec.node_cluster,
        region: &spec.region,
        admin: spec.admin,
        xds: &spec.xds,
        api: spec.api.as_ref(),
        decisions: spec.access_log_service.as_ref(),
    }))
}

/// The bootstrap of a sidecar, as YAML.
///
/// # Errors
/// The specification is faulty: see [`SidecarSpec::check`].
pub fn sidecar_bootstrap(spec: &SidecarSpec) -> Result<String, SpecError> {
    spec.check()?;
    let text = node(&Node {
        id: &spec.node_id,
        cluster: &spec.node_cluster,
        region: &spec.region,
        admin: spec.admin,
        xds: &spec.xds,
        api: spec.api.as_ref(),
        decisions: spec.access_log_service.as_ref(),
    });
    Ok(format!("{text}\n{SIDECAR}"))
}

fn node(node: &Node<'_>) -> String {
    let api_endpoints = node.api.map_or(json!([]), endpoints);
    let others = node.xds.tls.as_ref().filter(|_| node.xds.others_secured);
    let api_socket = others
        .filter(|_| node.api.is_some())
        .map(|tls| identity::transport_socket(tls, "http/1.1"));
    let decisions = others
        .zip(node.decisions)
        .map(|(tls, server)| decisions_cluster(tls, server));
    let values = [
        ("node_id", json!(node.id)),
        ("node_cluster", json!(node.cluster)),
        ("region", json!(node.region)),
        ("admin_address", json!(node.admin.ip().to_string())),
        ("admin_port", json!(node.admin.port())),
        (
            "api_type",
            json!(match node.xds.variant {
                Variant::Delta => "DELTA_GRPC",
                Variant::Sotw => "GRPC",
            }),
        ),
        ("xds_type", discovery(Some(&node.xds.server))),
        (
            "xds_transport_socket",
            node.xds
                .tls
                .as_ref()
                .map_or(Value::Null, |tls| identity::transport_socket(tls, "h2")),
        ),
        ("xds_address", json!(node.xds.server.host)),
        ("xds_port", json!(node.xds.server.port)),
        ("api_cluster_type", discovery(node.api)),
        ("api_transport_socket", api_socket.unwrap_or_default()),
        ("api_endpoints", api_endpoints),
        ("decisions_cluster", decisions.unwrap_or_default()),
    ];
    fill(TEMPLATE, &values)
}

fn endpoints(server: &HostPort) -> Value {
    json!([{"lb_endpoints": [{"endpoint": {"address": {"socket_address": {
        "address": server.host, "port_value": server.port,
    }}}}]}])
}

/// The receiver of decisions; gRPC is HTTP/2.
fn decisions_cluster(tls: &TlsSpec, server: &HostPort) -> Value {
    const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    json!({
        "name": DECISIONS_CLUSTER,
        "type": discovery(Some(server)),
        "connect_timeout": "1s",
        "transport_socket": identity::transport_socket(tls, "h2"),
        "typed_extension_protocol_options": {OPTIONS: {
            "@type": format!("type.googleapis.com/{OPTIONS}"),
            "explicit_http_config": {"http2_protocol_options": {}},
        }},
        "load_assignment": {"cluster_name": DECISIONS_CLUSTER, "endpoints": endpoints(server)},
    })
}

/// How a host is found: an address is taken as it is, a name is looked up.
fn discovery(server: Option<&HostPort>) -> Value {
    let named = server.is_some_and(HostPort::is_name);
    json!(if named { "STRICT_DNS" } else { "STATIC" })
}

/// Replaces each `${name}` outside of a comment by its value. A line whose value is null is left out.
fn fill(template: &str, values: &[(&str, Value)]) -> String {
    let mut text = String::with_capacity(template.len());
    for line in template.lines() {
        let mut line = line.to_owned();
        let absent = |(name, value): &(&str, Value)| {
            value.is_null() && line.contains(&format!("${{{name}}}"))
        };
        if values.iter().any(absent) {
            continue;
        }
        if !line.trim_start().starts_with('#') {
            for (name, value) in values {
                line = line.replace(&format!("${{{name}}}"), &value.to_string());
            }
        }
        text.push_str(&line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::sample;

    #[test]
    fn every_name_of_the_template_is_filled_in() {
        let text = bootstrap(&sample()).unwrap();
        let left: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with('#') && line.contains("${"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn a_value_cannot_break_out_of_its_place() {
        let mut spec = sample();
        spec.node_id = "x\"\nadmin: {}".to_owned();
        let text = bootstrap(&spec).unwrap();
        assert!(text.contains(r#"id: "x\"\nadmin: {}""#), "{text}");
    }

    #[test]
    fn the_other_ports_are_shown_the_same_certificate() {
        use std::net::SocketAddr;
        let mut spec = sample();
        spec.access_log_service = Some(SocketAddr::from(([10, 0, 0, 1], 4318)).into());
        let file = |name: &str| std::path::Path::new("/identity").join(name);
        spec.xds.tls = Some(TlsSpec {
            identity: identity::IdentitySpec {
                certificate: file("node.pem"),
                key: file("node.key"),
                ca: file("ca.pem"),
            },
            server_name: "conductor.example".to_owned(),
            sds: "/sds".into(),
        });
        let count = |spec: &GatewaySpec, what: &str| bootstrap(spec).unwrap().matches(what).count();
        let socket = "transport_sockets.tls.v3.UpstreamTlsContext";
        assert_eq!(count(&spec, socket), 1);
        assert_eq!(count(&spec, DECISIONS_CLUSTER), 0);
        spec.xds.others_secured = true;
        assert_eq!(count(&spec, socket), 3);
        assert_eq!(count(&spec, "[\"http/1.1\"]"), 1);
        assert_eq!(count(&spec, DECISIONS_CLUSTER), 2);
        // Without a port for it there is nothing to be secured.
        spec.access_log_service = None;
        assert_eq!(count(&spec, socket), 2);
    }

    #[test]
    fn a_bootstrap_reads_like_this() {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("../../../envoy/golden");
        settings.set_prepend_module_to_snapshot(false);
        settings.bind(|| {
            insta::assert_snapshot!("bootstrap", bootstrap(&sample()).unwrap());
        });
    }
}
