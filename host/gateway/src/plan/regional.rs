//! The cluster of a region and its endpoints.
//!
//! A failover never leaves the region: endpoints of another are not there at all, at no priority. With
//! a panic threshold of 0 Envoy answers 503 rather than try hosts that it knows to be down.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::cluster::v3 as cluster;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::endpoint::v3 as endpoint;
use envoy_types::pb::envoy::r#type::v3::Percent;

use super::{address, ads, millis, uint};
use crate::spec::{EndpointSpec, HealthCheckSpec, Limits};

/// The part of a buffer that one read from an endpoint may fill.
const READ_SHARE: u32 = 4;

pub(crate) fn cluster(
    name: &str,
    limits: &Limits,
    checked: Option<&HealthCheckSpec>,
) -> cluster::Cluster {
    cluster::Cluster {
        name: name.to_owned(),
        cluster_discovery_type: Some(cluster::cluster::ClusterDiscoveryType::Type(
            cluster::cluster::DiscoveryType::Eds as i32,
        )),
        eds_cluster_config: Some(cluster::cluster::EdsClusterConfig {
            eds_config: ads(),
            service_name: String::new(),
        }),
        connect_timeout: millis(limits.connect_timeout_ms),
        // What is read at once must fit, beside what a filter holds and what it adds, into the buffer
        // of the client's side: a response that is held there and grows beyond it becomes a 500.
        per_connection_buffer_limit_bytes: uint(limits.connection_buffer_bytes / READ_SHARE),
        lb_policy: cluster::cluster::LbPolicy::LeastRequest as i32,
        health_checks: checked.into_iter().map(health_check).collect(),
        circuit_breakers: Some(cluster::CircuitBreakers {
            thresholds: vec![cluster::circuit_breakers::Thresholds {
                max_connections: uint(limits.max_connections),
                max_pending_requests: uint(limits.max_pending_requests),
                max_requests: uint(limits.max_requests),
                max_retries: uint(0),
                ..Default::default()
            }],
            ..Default::default()
        }),
        // An endpoint that is taken away is gone: by default Envoy keeps it while it looks healthy.
        ignore_health_on_host_removal: true,
        common_lb_config: Some(cluster::cluster::CommonLbConfig {
            healthy_panic_threshold: Some(Percent { value: 0.0 }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub(crate) fn assignment(
    name: &str,
    region: &str,
    endpoints: &[EndpointSpec],
) -> endpoint::ClusterLoadAssignment {
    let mut by_priority: BTreeMap<u32, Vec<endpoint::LbEndpoint>> = BTreeMap::new();
    for each in endpoints {
        by_priority
            .entry(each.priority)
            .or_default()
            .push(endpoint::LbEndpoint {
                host_identifier: Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(
                    endpoint::Endpoint {
                        address: address(each.address),
                        ..Default::default()
                    },
                )),
                ..Default::default()
            });
    }
    endpoint::ClusterLoadAssignment {
        cluster_name: name.to_owned(),
        endpoints: by_priority
            .into_iter()
            .map(|(priority, lb_endpoints)| endpoint::LocalityLbEndpoints {
                locality: Some(core::Locality {
                    region: region.to_owned(),
                    ..Default::default()
                }),
                lb_endpoints,
                priority,
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    }
}

fn health_check(spec: &HealthCheckSpec) -> core::HealthCheck {
    use core::health_check::{HealthChecker, HttpHealthCheck, TcpHealthCheck};
    let checker = match &spec.http_path {
        Some(path) => HealthChecker::HttpHealthCheck(HttpHealthCheck {
            path: path.clone(),
            ..Default::default()
        }),
        None => HealthChecker::TcpHealthCheck(TcpHealthCheck::default()),
    };
    core::HealthCheck {
        timeout: millis(spec.timeout_ms),
        interval: millis(spec.interval_ms),
        // A region that nobody calls yet is checked as often: its first request finds it known.
        no_traffic_interval: millis(spec.interval_ms),
        unhealthy_threshold: uint(2),
        healthy_threshold: uint(1),
        health_checker: Some(checker),
        ..Default::default()
    }
}
