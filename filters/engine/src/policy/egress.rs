use serde::{Deserialize, Serialize};

use crate::context::WarrantUse;
use crate::guard::StoreKind;

use super::Question;

/// All that `ig.egress` can know of a request or connection to a store.
#[derive(Debug, Clone, Serialize)]
pub struct EgressInput<'a> {
    /// The tenant whose request it is, by the context token.
    pub tenant: &'a str,
    /// The region where the tenant's data is, by the context token.
    pub home: &'a str,
    /// The guard's region, for which alone it takes tokens.
    pub region: &'a str,
    /// What is opened.
    pub store: StoreInput<'a>,
    /// What is done with it.
    pub operation: EgressOperation,
    /// The warrant that the gateway has verified.
    pub warrant: Option<&'a WarrantUse>,
}

/// What `ig.egress` can know of a store.
#[derive(Debug, Clone, Serialize)]
pub struct StoreInput<'a> {
    /// What it speaks.
    pub kind: StoreKind,
    /// Its region, or that of its bucket.
    pub region: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Whose the bucket, database or user is, where rules tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<&'a str>,
}

/// What is done with a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EgressOperation {
    /// A connection, through which anything can be done.
    Connect,
    /// Reading.
    Read,
    /// Writing, which may bring back what is there.
    Write,
    /// Deleting.
    Delete,
}

/// What `data.ig.egress.decision` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EgressDecision {
    /// Whether the store may be opened.
    pub allow: bool,
    /// A stable code, where it may not.
    #[serde(default)]
    pub code: Option<String>,
    /// A sentence.
    pub reason: String,
}

impl Question for EgressDecision {
    const RULE: &'static str = "data.ig.egress.decision";
    type Answer = Self;
}
