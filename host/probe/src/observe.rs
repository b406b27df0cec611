//! What can be seen of a probe.

use std::collections::BTreeMap;

use serde::Serialize;

/// What is done in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Puts the sentinel there.
    Write,
    /// Looks for it.
    Read,
    /// Takes it away.
    Delete,
}

impl Operation {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Delete => "delete",
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Written or deleted.
    Done,
    /// The sentinel is there.
    Found,
    /// The store was asked, and it is not there.
    Absent,
    /// Something is there under the sentinel's name that is another tenant's.
    Foreign,
    /// The guard let it through, and the store itself said no.
    Reached(String),
    /// A guard or gateway said no, with this code.
    Refused(String),
    /// Nobody knows: nothing answered, or something else was wrong.
    Failed(String),
}

/// What an agent saw in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSeen {
    /// What came of the operation.
    pub outcome: Outcome,
    /// What the store says that it is; empty if it did not.
    pub identity: String,
    /// The region that follows from it.
    pub region: Option<String>,
}

/// What came of a request through a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Through {
    /// The gateway let it pass, and the agent behind it did this.
    Passed(StoreSeen),
    /// The gateway refused it, with this status.
    Refused(u16),
    /// Nothing, or no answer that says anything.
    Failed(String),
}

/// What a request left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The span's regions, from and to.
    pub span: Option<(String, String)>,
    /// The line of the decision log.
    pub decision: Option<Decision>,
}

/// A line of the decision log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Its id.
    pub id: String,
    /// The tenant that it names.
    pub tenant: String,
    /// Whether the request was allowed.
    pub allowed: bool,
    /// The revision of the policies that decided.
    pub revision: String,
}

/// What is in force in a region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InForce {
    /// The revision of the policies.
    pub revision: String,
    /// SHA-256 of each filter's code.
    pub filters: BTreeMap<String, String>,
    /// The version of the configuration that the gateway accepted.
    pub xds_version: String,
    /// The gateway's node.
    pub node: String,
}

/// A step of a probe and what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The tenant's own region, through its gateway.
    Home {
        /// The store's name.
        store: String,
        /// What it speaks.
        kind: String,
        /// What was done.
        operation: Operation,
        /// Whether the sentinel was deleted before.
        deleted: bool,
        /// What came of it.
        through: Through,
        /// What it left behind.
        evidence: Evidence,
    },
    /// Another region's gateway was asked for the tenant's data.
    Gateway {
        /// The region.
        region: String,
        /// What came of it.
        through: Through,
    },
    /// A service of another region tried a store there, with what the home's gateway had signed.
    Elsewhere {
        /// The region.
        region: String,
        /// The store's name.
        store: String,
        /// What came of it.
        seen: StoreSeen,
    },
}
