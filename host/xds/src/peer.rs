//! Who is on the other side of a connection, as far as the transport proved it.

use std::net::SocketAddr;

use serde::Serialize;
use thiserror::Error;

use crate::node::Node;

/// The other side of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: Option<SocketAddr>,
    /// What it proved about itself.
    pub proof: Proof,
}

/// What a client proved about itself when it connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Nothing, and it was not asked to: nodes are believed.
    NotAsked,
    /// It was asked, and what it showed names no node.
    Failed {
        /// Why not.
        reason: String,
    },
    /// It is this node.
    Identity(Identity),
}

/// A verified identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// The whole identity, as its certificate has it: a SPIFFE ID.
    pub id: String,
    /// The region that it may be configured for.
    pub region: String,
    /// What it may be: a node's service cluster.
    pub role: String,
    /// The node's id.
    pub node: String,
}

/// Why a node is not who it says it is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IdentityError {
    /// The transport proved nothing.
    #[error("node {node:?} shows no identity: {reason}")]
    Missing {
        /// The id that it claims.
        node: String,
        /// Why what it showed is none.
        reason: String,
    },
    /// The node's message contradicts the identity.
    #[error("identity {id} may not ask as a node whose {field} is {claimed:?}")]
    Contradicted {
        /// The identity.
        id: String,
        /// The field of the node's message.
        field: &'static str,
        /// What it says.
        claimed: String,
    },
}

impl Proof {
    /// The identity of a node that says this of itself; none if nodes are believed.
    ///
    /// # Errors
    /// There is no identity, or it is another's.
    pub fn identify(&self, node: &Node) -> Result<Option<Identity>, IdentityError> {
        let identity = match self {
            Self::NotAsked => return Ok(None),
            Self::Failed { reason } => {
                return Err(IdentityError::Missing {
                    node: node.id.clone(),
                    reason: reason.clone(),
                });
            }
            Self::Identity(identity) => identity,
        };
        for (field, proven, claimed) in [
            ("locality.region", &identity.region, &node.region),
            ("cluster", &identity.role, &node.cluster),
            ("id", &identity.node, &node.id),
        ] {
            if proven != claimed {
                return Err(IdentityError::Contradicted {
                    id: identity.id.clone(),
                    field,
                    claimed: claimed.clone(),
                });
            }
        }
        Ok(Some(identity.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, cluster: &str, region: &str) -> Node {
        Node {
            id: id.to_owned(),
            cluster: cluster.to_owned(),
            region: region.to_owned(),
            ..Node::default()
        }
    }

    #[test]
    fn a_node_is_what_its_identity_says_in_all_three() {
        let identity = Identity {
            id: "spiffe://example.org/region/eu/gateway/g1".to_owned(),
            region: "eu".to_owned(),
            role: "gateway".to_owned(),
            node: "g1".to_owned(),
        };
        let proof = Proof::Identity(identity.clone());
        let right = node("g1", "gateway", "eu");
        assert_eq!(proof.identify(&right), Ok(Some(identity)));
        for (wrong, field) in [
            (node("g2", "gateway", "eu"), "id"),
            (node("g1", "sidecar", "eu"), "cluster"),
            (node("g1", "gateway", "us"), "locality.region"),
            (node("g1", "gateway", ""), "locality.region"),
            (node("g1", "gateway", "EU"), "locality.region"),
        ] {
            let error = proof.identify(&wrong).unwrap_err();
            assert!(
                matches!(error, IdentityError::Contradicted { field: f, .. } if f == field),
                "{error}"
            );
        }
        assert_eq!(Proof::NotAsked.identify(&right), Ok(None));
        let failed = Proof::Failed {
            reason: "no SPIFFE ID".to_owned(),
        };
        assert!(failed.identify(&right).is_err());
    }
}
