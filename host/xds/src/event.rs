//! What happens, as it happens, for whoever listens.

use serde::Serialize;

/// Something that happened between the control plane and a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A node opened a stream and was let in.
    Connected {
        /// The node's id.
        node: String,
        /// Its group.
        group: String,
        /// `sotw` or `delta`.
        variant: &'static str,
    },
    /// A node was refused: nothing was sent to it.
    Refused {
        /// The id that it claims.
        node: String,
        /// Its address.
        peer: Option<String>,
        /// Why.
        reason: String,
    },
    /// A node accepted a response.
    Acked {
        /// The node's id.
        node: String,
        /// Its group.
        group: String,
        /// The type of the response.
        type_url: String,
        /// The type's version.
        version: String,
    },
    /// A node refused a response.
    Nacked {
        /// The node's id.
        node: String,
        /// Its group.
        group: String,
        /// The type of the response.
        type_url: String,
        /// The type's version.
        version: String,
        /// The names in the response.
        resources: Vec<String>,
        /// The node's reason.
        error: String,
    },
    /// A group went back to its last known good snapshot because of a refusal.
    RolledBack {
        /// The group.
        group: String,
        /// The refused snapshot's version.
        from: String,
        /// The version served now.
        to: String,
        /// The type that was refused.
        type_url: String,
        /// The node that refused it.
        node: String,
        /// Its reason.
        error: String,
    },
    /// A snapshot was accepted whole by all connected nodes of a group.
    Proven {
        /// The group.
        group: String,
        /// The snapshot's version.
        version: String,
    },
    /// A connected node was moved to another group; its stream stays open.
    Moved {
        /// The node's id.
        node: String,
        /// The group it was in.
        from: String,
        /// The group it is in.
        to: String,
    },
    /// No group wants a connected node any more: its stream ends.
    Dismissed {
        /// The node's id.
        node: String,
        /// The group it was in.
        from: String,
    },
    /// A stream ended.
    Disconnected {
        /// The node's id.
        node: String,
        /// Its group.
        group: String,
    },
}
