//! From a specification to the xDS resources of the sidecar. Pure, as the gateway's.

use envoy_types::pb::envoy::config::accesslog::v3::AccessLog;
use envoy_types::pb::envoy::config::cluster::v3 as cluster;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::listener::v3 as listener;
use envoy_types::pb::google::protobuf::Any;

use super::spec::{EgressSpec, Protocol, SidecarSpec};
use super::{REFUSAL, http, store_cluster, tcp};
use crate::error::SpecError;
use crate::plan::access_log::{self, Entries};
use crate::plan::{Planned, address, no, one_host, regional, resource, tracing, uint};

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
    if let Some(server) = &spec.access_log_service
        && !spec.xds.others_secured
    {
        let name = access_log::SERVICE;
        planned.push(resource(name.to_owned(), &tracing::cluster(name, server)));
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

/// What tells a request or connection from all others of its sidecar, where no guard has given it an id: its
/// connection, and when it began, in nanoseconds.
pub(super) const REQUEST_ID: (&str, &str) = ("request_id", "%CONNECTION_ID%-%START_TIME(%s%9f)%");

pub(super) fn filter(name: &str, config: Any) -> listener::Filter {
    listener::Filter {
        name: name.to_owned(),
        config_type: Some(listener::filter::ConfigType::TypedConfig(config)),
    }
}

/// The access logs of a listener, the file and the service if there is one: these fields beside those of
/// every listener.
pub(super) fn logs(
    spec: &SidecarSpec,
    each: &EgressSpec,
    fields: &[(&str, &str)],
) -> Vec<AccessLog> {
    let entries = match each.protocol {
        Protocol::Http => Entries::Http,
        Protocol::Tcp => Entries::Tcp,
    };
    let constants = [
        ("listener", each.name.as_str()),
        ("region", spec.region.as_str()),
        ("store_region", each.store_region.as_str()),
    ];
    let mut logs = vec![access_log::file(&spec.access_log, fields, &constants)];
    if spec.access_log_service.is_some() {
        let cluster = access_log::service_cluster(spec.xds.others_secured);
        logs.push(access_log::service(cluster, entries, fields, &constants));
    }
    logs
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
