//! What the two variants of the protocol have in common: requests and snapshots in, responses and
//! answers out, no I/O and no clock.

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3 as core;
use prost::Message;

use crate::error::ProtocolError;
use crate::patches::Patches;
use crate::resource::{Resource, Snapshot};
use crate::wire::Encoded;

/// The name that subscribes to everything of a type.
pub(crate) const WILDCARD: &str = "*";

/// The version shown for a type of which a snapshot has no resource.
const EMPTY_VERSION: &str = "empty";

/// One stream's state: the server's half of the protocol.
pub trait Protocol: Default + Send + 'static {
    /// What the client sends.
    type Request: Message + Default + 'static;

    /// The variant's name in status and log.
    const VARIANT: &'static str;

    /// The node in a request, which only the first of a stream is bound to carry.
    fn node_of(request: &Self::Request) -> Option<&core::Node>;

    /// Takes in how to say what changed of a large resource, in a variant that can send that.
    fn with_patches(&mut self, _: Arc<Patches>) {}

    /// Takes a request in and says which earlier response it answers, if any.
    ///
    /// # Errors
    /// A malformed request; the stream is to be closed with it.
    fn on_request(
        &mut self,
        request: Self::Request,
        max_names: usize,
    ) -> Result<Vec<Answer>, ProtocolError>;

    /// Takes in what the node's group is served from now on. Only the latest counts.
    fn on_snapshot(&mut self, snapshot: Arc<Snapshot>);

    /// Takes in that the next snapshot is another group's, which has yet to be told what of it the client
    /// has.
    fn on_move(&mut self);

    /// What is to be sent now, in the order in which it is to be sent.
    fn poll(&mut self) -> Turn;

    /// Whether the client has answered everything, and, after a [`Protocol::poll`], nothing of the
    /// snapshot is left to send for its present subscriptions.
    fn is_settled(&self) -> bool;

    /// How long to wait before [`Protocol::again`], if the client could not take something in yet.
    fn waiting(&self) -> Option<Duration>;

    /// Owes the client again what it could not take in.
    fn again(&mut self);

    /// What the client has asked for, by type.
    fn subscriptions(&self) -> Vec<Subscribed>;
}

/// A type that a client has asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribed {
    /// The type.
    pub type_url: String,
    /// The number of names; none stands for all.
    pub names: Option<usize>,
    /// Whether it lacks something of the type that it refused, and was sent nothing else of since.
    pub lacks: bool,
}

/// What a stream has to say at one moment.
#[derive(Debug, Default)]
pub struct Turn {
    /// Responses to send, in order.
    pub responses: Vec<Outgoing>,
    /// What became known about the client without an ACK: resources that it brought along.
    pub answers: Vec<Answer>,
}

/// A response and what it is about.
#[derive(Debug)]
pub struct Outgoing {
    /// The type of its resources.
    pub type_url: String,
    /// The version that the type has with it.
    pub version: String,
    /// The response.
    pub response: Encoded,
}

/// What a client said about a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was accepted.
    Acked {
        /// The type of the response.
        type_url: String,
        /// The type's version in the response.
        version: String,
        /// The resources in the response.
        resources: Vec<Arc<Resource>>,
    },
    /// It was refused, as a whole or in part: the protocol does not say which.
    Nacked {
        /// The type of the response.
        type_url: String,
        /// The type's version in the response.
        version: String,
        /// The resources in the response.
        resources: Vec<Arc<Resource>>,
        /// The client's reason.
        error: String,
    },
    /// It could not be taken in yet, and is sent again.
    Postponed {
        /// The type of the response.
        type_url: String,
        /// The type's version in the response.
        version: String,
        /// The client's reason.
        error: String,
    },
    /// The client came with these resources already in force: from an earlier stream
    /// (`initial_resource_versions`), or from another group.
    Held {
        /// The type of the resources.
        type_url: String,
        /// The type's version in the snapshot.
        version: String,
        /// The resources.
        resources: Vec<Arc<Resource>>,
    },
}

/// The version of a type in a snapshot.
pub(crate) fn type_version<'a>(snapshot: &'a Snapshot, type_url: &str) -> &'a str {
    snapshot
        .types()
        .get(type_url)
        .map_or(EMPTY_VERSION, |of_type| of_type.version())
}
