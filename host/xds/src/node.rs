//! Who is asking: the node that a client says it is, and the group it belongs to.

use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};

use crate::peer::Identity;

/// A client's description of itself, from the first request of its stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// The node's id.
    pub id: String,
    /// The service cluster it belongs to.
    pub cluster: String,
    /// `locality.region`.
    pub region: String,
    /// `locality.zone`.
    pub zone: String,
    /// `metadata` as JSON; `null` if there is none.
    pub metadata: serde_json::Value,
    /// `user_agent_name`: `envoy` for an Envoy.
    pub user_agent: String,
    /// Who it proved to be, where the transport asks for that: then the id, the region and the cluster are
    /// those of the identity.
    pub identity: Option<Identity>,
}

impl Node {
    /// Whether this is what the same node says of itself later on.
    pub(crate) fn is_same(&self, later: &Self) -> bool {
        let of =
            |node: &Self| [&node.id, &node.cluster, &node.region, &node.zone].map(String::clone);
        of(self) == of(later)
    }
}

impl From<&core::Node> for Node {
    fn from(node: &core::Node) -> Self {
        let locality = node.locality.clone().unwrap_or_default();
        Self {
            id: node.id.clone(),
            cluster: node.cluster.clone(),
            region: locality.region,
            zone: locality.zone,
            metadata: node
                .metadata
                .as_ref()
                .map_or(serde_json::Value::Null, struct_to_json),
            user_agent: node.user_agent_name.clone(),
            identity: None,
        }
    }
}

/// The function from node to node group. `None` refuses the node: it gets no configuration at all.
pub type GroupOf = Arc<dyn Fn(&Node) -> Option<String> + Send + Sync>;

fn struct_to_json(fields: &Struct) -> serde_json::Value {
    fields
        .fields
        .iter()
        .map(|(key, value)| (key.clone(), value_to_json(value)))
        .collect()
}

fn value_to_json(value: &Value) -> serde_json::Value {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::BoolValue(value)) => (*value).into(),
        Some(Kind::NumberValue(value)) => (*value).into(),
        Some(Kind::StringValue(value)) => value.clone().into(),
        Some(Kind::StructValue(fields)) => struct_to_json(fields),
        Some(Kind::ListValue(list)) => list.values.iter().map(value_to_json).collect(),
    }
}
