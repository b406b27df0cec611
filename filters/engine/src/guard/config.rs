use serde::{Deserialize, Serialize};

use crate::config::{DataFault, default_context_keys_env};
use crate::keys::KeyError;
use crate::policy::{PolicyError, PolicySource};

/// The configuration of a guard: what the conductor pushes and the filter loads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardConfig {
    /// Names the policy and settings together; it stands in every decision.
    pub revision: String,
    /// The guard's own region.
    pub region: String,
    /// Modules and data with the package `ig.egress`.
    pub policy: PolicySource,
    /// What is guarded.
    pub store: StoreConfig,
    /// The proxy's cluster of the store.
    pub cluster: String,
    /// The environment variable that holds the context keys.
    #[serde(default = "default_context_keys_env")]
    pub keys_env: String,
    /// Bounds.
    #[serde(default)]
    pub limits: GuardLimits,
}

/// One store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// What protocol it speaks.
    pub kind: StoreKind,
    /// Its name, for policy and access log.
    pub name: String,
    /// The region where it stands.
    pub region: String,
    /// Buckets or databases. Where there is any rule, what fits none is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<ObjectRule>,
    /// Users of a PostgreSQL store. Where there is any rule, what fits none is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<ObjectRule>,
    /// The names of an S3 store, without port: a bucket may stand before each, as in
    /// `BUCKET.s3.example`. Requests to any other host are refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
}

/// What a store speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// PostgreSQL's protocol 3.
    Postgres,
    /// Bolt, from version 3 on.
    Bolt,
    /// S3 by HTTP.
    S3,
    /// Neo4j's HTTP interface: Query API v2 and transactions.
    Neo4j,
}

impl StoreKind {
    /// Whether it is a protocol over HTTP.
    pub fn is_http(self) -> bool {
        matches!(self, Self::S3 | Self::Neo4j)
    }

    /// Bytes of the longest name of a bucket, database or user. Clients choose names, and decisions are
    /// remembered under what they name.
    pub(super) fn longest_name(self) -> usize {
        match self {
            // NAMEDATALEN without its zero byte. Servers cut what is longer, and open what has the rest
            // for its name.
            Self::Postgres => 63,
            Self::Bolt | Self::S3 | Self::Neo4j => 255,
        }
    }
}

/// Whose a bucket, database or user is, by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectRule {
    /// The name; `{tenant}` in it, once, stands for a tenant's.
    pub name: String,
    /// Its region, if it is not the store's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Its tenant, where the name does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// Bounds on what is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuardLimits {
    /// Bytes that a connection may send before it is let in.
    pub opening_bytes: usize,
    /// Milliseconds that a connection has to be let in.
    pub opening_ms: u64,
    /// Entries of the decision cache.
    pub cache_entries: usize,
}

impl Default for GuardLimits {
    fn default() -> Self {
        Self {
            opening_bytes: 16_384,
            opening_ms: 10_000,
            cache_entries: 4096,
        }
    }
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// Not JSON, an unknown member, a missing member.
    #[error("the guard's configuration can't be read: {0}")]
    Form(#[from] serde_json::Error),
    /// The policy is broken.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// There are no keys.
    #[error("the environment has no context keys: without them no token can be believed")]
    NoKeys,
    /// The policy data holds something else than it must: what denies would not.
    #[error(transparent)]
    Data(#[from] DataFault),
    /// The keys are malformed.
    #[error("the keys in the environment can't be used: {0}")]
    Keys(#[from] KeyError),
    /// A setting that must not be empty is.
    #[error("the guard's configuration has an empty `{0}`")]
    Empty(&'static str),
    /// A rule of a store that can't see what it is about.
    #[error("a {kind:?} store can have no `{setting}`: the guard does not see them")]
    Unseen {
        /// What the store speaks.
        kind: StoreKind,
        /// The setting.
        setting: &'static str,
    },
    /// A rule contradicts itself.
    #[error("the rule for `{name}` {problem}")]
    Rule {
        /// The rule's name.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
}

impl GuardConfig {
    /// Says what the guard could not work with.
    ///
    /// # Errors
    /// The first fault found.
    pub fn check(&self) -> Result<(), GuardError> {
        let store = &self.store;
        for (setting, value) in [
            ("region", &self.region),
            ("cluster", &self.cluster),
            ("store.name", &store.name),
            ("store.region", &store.region),
        ] {
            if value.is_empty() {
                return Err(GuardError::Empty(setting));
            }
        }
        let unseen = |setting| {
            let kind = store.kind;
            Err(GuardError::Unseen { kind, setting })
        };
        if store.kind == StoreKind::S3 && store.hosts.is_empty() {
            return Err(GuardError::Empty("store.hosts"));
        }
        if store.kind != StoreKind::S3 && !store.hosts.is_empty() {
            return unseen("hosts");
        }
        if store.kind != StoreKind::Postgres && !store.users.is_empty() {
            return unseen("users");
        }
        if store.kind == StoreKind::Bolt && !store.objects.is_empty() {
            return unseen("objects");
        }
        store
            .objects
            .iter()
            .chain(&store.users)
            .try_for_each(ObjectRule::check)
    }
}
