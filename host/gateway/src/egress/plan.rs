//! From a specification to the xDS resources of the sidecar. Pure, as the gateway's.

use envoy_types::pb::envoy::config::cluster::v3 as cluster;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::listener::v3 as listener;
use envoy_types::pb::google::protobuf::Any;

use super::spec::{EgressSpec, Protocol, SidecarSpec};
use super::{REFUSAL, http, store_cluster, tcp};
use crate::error::SpecError;
use crate::plan::{Planned, access_log, address, no, one_host, regional, resource, uint};

/// All resources of a sidecar.
///
/// # Errors
/// The specification is faulty: see [`SidecarSpec::check`].
pub fn plan(spec: &SidecarSpec) -> Result<Vec<Planned>, SpecError> {
    spec.check()?;
    let mut planned = Vec::new();
    for each in &spec.listeners {
        let name = store_cluster(&each.name);
        let region = &each.store_region;
        let assignment = regional::assignment(&name, region, &each.endpoints);
        let cluster = regional::cluster(&name, &spec.limits, None);
        planned.push(resource(name.clone(), &cluster));
        planned.push(resource(name, &assignment));
    }
    if spec.listeners.iter().any(|l| l.protocol == Protocol::Tcp) {
        planned.push(resource(REFUSAL.to_owned(), &refusal_cluster()));
        planned.push(resource(REFUSAL.to_owned(), &tcp::refusal_listener()));
    }
    for each in &spec.listeners {
        let filters = match each.protocol {
            Protocol::Http => vec![http::connection_manager(spec, each)],
            Protocol::Tcp => vec![tcp::place(each), tcp::proxy(spec, each)],
        };
        let extension = match each.protocol {
            Protocol::Http => crate::plan::filter::extension(&each.guard),
            Protocol::Tcp => tcp::extension(&each.guard),
        };
        planned.push(resource(each.name.clone(), &door(spec, each, filters)));
        planned.push(resource(each.guard.name.clone(), &extension));
    }
    Ok(planned)
}

fn door(
    spec: &SidecarSpec,
    each: &EgressSpec,
    filters: Vec<listener::Filter>,
) -> listener::Listener {
    listener::Listener {
        name: each.name.clone(),
        address: address(each.listen),
        enable_reuse_port: no(),
        per_connection_buffer_limit_bytes: uint(spec.limits.connection_buffer_bytes),
        traffic_direction: core::TrafficDirection::Outbound as i32,
        filter_chains: vec![listener::FilterChain {
            filters,
            ..Default::default()
        }],
        ..Default::default()
    }
}

pub(super) fn filter(name: &str, config: Any) -> listener::Filter {
    listener::Filter {
        name: name.to_owned(),
        config_type: Some(listener::filter::ConfigType::TypedConfig(config)),
    }
}

/// The access log of a listener: these fields beside those of every listener.
pub(super) fn log(
    spec: &SidecarSpec,
    each: &EgressSpec,
    fields: &[(&str, &str)],
) -> envoy_types::pb::envoy::config::accesslog::v3::AccessLog {
    let constants = [
        ("listener", each.name.as_str()),
        ("node", spec.node_id.as_str()),
        ("region", spec.region.as_str()),
        ("store_region", each.store_region.as_str()),
    ];
    access_log::file(&spec.access_log, fields, &constants)
}

/// The responder, inside of the process.
fn refusal_cluster() -> cluster::Cluster {
    use core::envoy_internal_address::AddressNameSpecifier;
    let address = core::Address {
        address: Some(core::address::Address::EnvoyInternalAddress(
            core::EnvoyInternalAddress {
                address_name_specifier: Some(AddressNameSpecifier::ServerListenerName(
                    REFUSAL.to_owned(),
                )),
                ..Default::default()
            },
        )),
    };
    one_host(REFUSAL, address, cluster::cluster::DiscoveryType::Static)
}
