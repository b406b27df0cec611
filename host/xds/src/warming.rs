//! What a changed cluster waits for.
//!
//! Envoy warms a changed cluster before it uses it, and warming ends with an EDS response that comes
//! after the cluster's, even if no endpoint changed. It does not ask for one (seen on 1.40.0, in the
//! incremental variant: the cluster stays cold until the fetch times out): the server has to know.

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType};
use prost::Message;

use crate::resource::Resource;
use crate::type_url;

/// The EDS resource that this cluster warms by, if it is a cluster that does.
pub(crate) fn endpoints_of(resource: &Resource) -> Option<String> {
    if resource.type_url() != type_url::CLUSTER {
        return None;
    }
    let cluster = Cluster::decode(resource.bytes()).ok()?;
    let eds = ClusterDiscoveryType::Type(DiscoveryType::Eds as i32);
    if cluster.cluster_discovery_type != Some(eds) {
        return None;
    }
    let service = cluster.eds_cluster_config.unwrap_or_default().service_name;
    Some(if service.is_empty() {
        cluster.name
    } else {
        service
    })
}
