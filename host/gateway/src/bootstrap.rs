//! The bootstrap: what an Envoy is started with.

use std::net::IpAddr;

use serde_json::{Value, json};

use crate::error::SpecError;
use crate::spec::{GatewaySpec, HostPort, Variant};

/// The documented template.
const TEMPLATE: &str = include_str!("../../../envoy/bootstrap.yaml");

/// The static cluster of the conductor's HTTP port.
pub(crate) const API_CLUSTER: &str = "conductor";

/// The bootstrap of a gateway, as YAML.
///
/// # Errors
/// The specification is faulty: see [`GatewaySpec::check`].
pub fn bootstrap(spec: &GatewaySpec) -> Result<String, SpecError> {
    spec.check()?;
    let api_endpoints = match &spec.api {
        None => json!([]),
        Some(api) => json!([{"lb_endpoints": [{"endpoint": {"address": {"socket_address": {
            "address": api.host, "port_value": api.port,
        }}}}]}]),
    };
    let values = [
        ("node_id", json!(spec.node_id)),
        ("node_cluster", json!(spec.node_cluster)),
        ("region", json!(spec.region)),
        ("admin_address", json!(spec.admin.ip().to_string())),
        ("admin_port", json!(spec.admin.port())),
        (
            "api_type",
            json!(match spec.xds.variant {
                Variant::Delta => "DELTA_GRPC",
                Variant::Sotw => "GRPC",
            }),
        ),
        ("xds_type", discovery(Some(&spec.xds.server))),
        ("xds_address", json!(spec.xds.server.host)),
        ("xds_port", json!(spec.xds.server.port)),
        ("api_cluster_type", discovery(spec.api.as_ref())),
        ("api_endpoints", api_endpoints),
    ];
    Ok(fill(TEMPLATE, &values))
}

/// How a host is found: an address is taken as it is, a name is looked up.
fn discovery(server: Option<&HostPort>) -> Value {
    let named = server.is_some_and(|server| server.host.parse::<IpAddr>().is_err());
    json!(if named { "STRICT_DNS" } else { "STATIC" })
}

/// Replaces each `${name}` outside of a comment by its value.
fn fill(template: &str, values: &[(&str, Value)]) -> String {
    let mut text = String::with_capacity(template.len());
    for line in template.lines() {
        let mut line = line.to_owned();
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
