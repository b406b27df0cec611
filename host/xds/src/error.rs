//! Errors of the control plane.

use std::net::SocketAddr;

use thiserror::Error;

/// Why the settings can't be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// Nodes of other machines would be believed without a proof.
    #[error(
        "`xds.listen` = {listen} can be reached by other machines, where anyone could ask for any region's \
         configuration: add [xds.tls], or listen on 127.0.0.1, or say `insecure = true` in [xds] if only nodes \
         reach that network"
    )]
    Exposed {
        /// Where it would listen.
        listen: SocketAddr,
    },
}

/// Why a set of resources is no snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SnapshotError {
    /// A resource lacks a type URL or a name.
    #[error("resource {name:?} of type {type_url:?} lacks a type or a name")]
    Unnamed {
        /// The type URL as given.
        type_url: String,
        /// The name as given.
        name: String,
    },
    /// Two resources of one type share a name.
    #[error("two resources of type {type_url} are named {name:?}")]
    Duplicate {
        /// The type URL.
        type_url: String,
        /// The name that occurs twice.
        name: String,
    },
}

/// Why a discovery request is refused. The stream ends with it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// The first request names no node, or a node without an id.
    #[error("the first request of a stream must carry a node with an id")]
    NoNode,
    /// A later request names another node than the first.
    #[error("a stream is of one node: {first:?} can't become {later:?}")]
    OtherNode {
        /// The id in the first request.
        first: String,
        /// The id in the later one.
        later: String,
    },
    /// An aggregated request without a type.
    #[error("a request on an aggregated stream must carry a type_url")]
    NoType,
    /// A request by resource locators instead of names.
    #[error("resource locators are not supported: subscribe by name")]
    Locators,
    /// More subscriptions on one stream than the configuration allows.
    #[error("more than {limit} subscriptions on one stream")]
    TooManyNames {
        /// The configured limit.
        limit: usize,
    },
    /// More responses without an answer than a client can owe.
    #[error("more than {limit} responses of one type without an ACK or NACK")]
    TooManyUnanswered {
        /// The limit.
        limit: usize,
    },
}

/// Why the server stopped.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The gRPC transport failed.
    #[error("the xDS server failed")]
    Transport(#[from] tonic::transport::Error),
}
