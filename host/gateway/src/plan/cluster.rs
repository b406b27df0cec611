//! The gateway's clusters: its own region's endpoints, and its probe agents.

use envoy_types::pb::envoy::config::cluster::v3 as cluster;
use envoy_types::pb::envoy::config::endpoint::v3 as endpoint;

use super::{AGENTS, cluster_name, regional};
use crate::spec::GatewaySpec;

pub(super) fn cluster(spec: &GatewaySpec) -> cluster::Cluster {
    let name = cluster_name(&spec.region);
    regional::cluster(&name, &spec.limits, spec.health_check.as_ref())
}

pub(super) fn assignment(spec: &GatewaySpec) -> endpoint::ClusterLoadAssignment {
    let name = cluster_name(&spec.region);
    regional::assignment(&name, &spec.region, &spec.endpoints)
}

pub(super) fn agents(spec: &GatewaySpec) -> cluster::Cluster {
    regional::cluster(AGENTS, &spec.limits, None)
}

pub(super) fn agents_assignment(spec: &GatewaySpec) -> endpoint::ClusterLoadAssignment {
    regional::assignment(AGENTS, &spec.region, &spec.agents)
}
