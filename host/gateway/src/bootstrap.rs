//! The bootstrap: what an Envoy is started with.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::egress::SidecarSpec;
use crate::error::SpecError;
use crate::identity;
use crate::spec::{GatewaySpec, HostPort, Variant, XdsSpec};

/// The documented template.
const TEMPLATE: &str = include_str!("../../../envoy/bootstrap.yaml");

/// The static cluster of the conductor's HTTP port.
pub(crate) const API_CLUSTER: &str = "conductor";

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
    });
    Ok(format!("{text}\n{SIDECAR}"))
}

fn node(node: &Node<'_>) -> String {
    let api_endpoints = match node.api {
        None => json!([]),
        Some(api) => json!([{"lb_endpoints": [{"endpoint": {"address": {"socket_address": {
            "address": api.host, "port_value": api.port,
        }}}}]}]),
    };
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
                .map_or(Value::Null, identity::transport_socket),
        ),
        ("xds_address", json!(node.xds.server.host)),
        ("xds_port", json!(node.xds.server.port)),
        ("api_cluster_type", discovery(node.api)),
        ("api_endpoints", api_endpoints),
    ];
    fill(TEMPLATE, &values)
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
    fn a_bootstrap_reads_like_this() {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("../../../envoy/golden");
        settings.set_prepend_module_to_snapshot(false);
        settings.bind(|| {
            insta::assert_snapshot!("bootstrap", bootstrap(&sample()).unwrap());
        });
    }
}
