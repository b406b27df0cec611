//! Who has what: the control plane's state as an API shows it.
//!
//! Times are milliseconds since the Unix epoch.

use std::collections::BTreeMap;

use serde::Serialize;

/// The state of the control plane at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Every group that was offered a snapshot or asked for one, by name.
    pub groups: BTreeMap<String, GroupStatus>,
    /// Every open stream, oldest first.
    pub streams: Vec<StreamStatus>,
    /// How many nodes were refused since the start: without an identity, with another's, or of no group.
    pub refused: u64,
}

/// A snapshot's version and label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SnapshotStatus {
    /// The content hash.
    pub version: String,
    /// The name for people.
    pub label: String,
}

/// What a group is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupStatus {
    /// What was set last.
    pub offered: Option<SnapshotStatus>,
    /// What its nodes are sent.
    pub served: Option<SnapshotStatus>,
    /// What all of its nodes last accepted whole.
    pub last_good: Option<SnapshotStatus>,
    /// Whether a refusal keeps the group from what was offered.
    pub rolled_back: bool,
    /// The refusals in force.
    pub parked: Vec<ParkedStatus>,
    /// `type_url/name` of served resources that no node has accepted yet.
    pub unproven: Vec<String>,
    /// Open streams.
    pub streams: usize,
}

/// Resources that are not sent until a new snapshot changes one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ParkedStatus {
    /// Their type.
    pub type_url: String,
    /// Their versions by name.
    pub resources: BTreeMap<String, String>,
    /// Why they were refused.
    pub error: String,
    /// By whom.
    pub node: String,
    /// Since when.
    pub since_unix_ms: u64,
}

/// One client's stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StreamStatus {
    /// The node's id.
    pub node: String,
    /// The node's service cluster.
    pub cluster: String,
    /// Its group.
    pub group: String,
    /// `sotw` or `delta`.
    pub variant: &'static str,
    /// The peer's address.
    pub peer: Option<String>,
    /// The identity that it proved, where one is asked for.
    pub identity: Option<String>,
    /// Since when it is connected.
    pub connected_unix_ms: u64,
    /// Whether it has answered all that its group is served.
    pub settled: bool,
    /// The snapshot that it last had whole.
    pub has: Option<HasStatus>,
    /// What it asked for, by type URL.
    pub types: BTreeMap<String, TypeStatus>,
}

/// A snapshot that a client has, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HasStatus {
    /// The content hash.
    pub version: String,
    /// The name for people.
    pub label: String,
    /// Since when.
    pub since_unix_ms: u64,
}

/// One type on one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TypeStatus {
    /// Names subscribed to; `None` stands for all.
    pub subscribed: Option<usize>,
    /// The version last accepted.
    pub acked: Option<VersionAt>,
    /// The version sent and not answered.
    pub pending: Option<VersionAt>,
    /// The last refusal, even if a later version was accepted.
    pub last_nack: Option<NackStatus>,
    /// Whether the client lacks something that it refused, and was sent nothing else of since.
    pub refused: bool,
}

impl StreamStatus {
    /// Whether the client has all that its group is served: it has answered everything and accepted it.
    pub fn has_all(&self) -> bool {
        self.settled && !self.types.values().any(|of_type| of_type.refused)
    }
}

/// A version and when it got there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VersionAt {
    /// The type's version.
    pub version: String,
    /// When.
    pub unix_ms: u64,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NackStatus {
    /// The type's version that was refused.
    pub version: String,
    /// The names in the refused response.
    pub resources: Vec<String>,
    /// The client's reason.
    pub error: String,
    /// When.
    pub unix_ms: u64,
}
