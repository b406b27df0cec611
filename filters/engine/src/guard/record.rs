use serde::Serialize;

use crate::audit::Outcome;
use crate::policy::EgressOperation;

use super::config::StoreKind;

/// What a guard decided about one request or connection.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EgressRecord {
    /// `dec_` and 32 hexadecimal digits.
    pub decision_id: String,
    /// `allowed` or `denied`; `failed` if nothing could be decided, or the store does not speak its protocol;
    /// `incomplete` if the client went away before.
    pub outcome: Outcome,
    /// The tenant whose request it is, by the context token.
    pub tenant: Option<String>,
    /// The region where the tenant's data is, by the context token.
    pub home: Option<String>,
    /// The guard's region.
    pub region_src: String,
    /// The region of the store, or of the bucket.
    pub region_dst: String,
    /// What is opened.
    pub store: StoreRecord,
    /// What is done with it.
    pub operation: EgressOperation,
    /// The warrant under which a border is crossed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warrant: Option<String>,
    /// The context token's id: the decision of the gateway that let the request in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The configuration's revision.
    pub revision: String,
    /// Why.
    pub reason: String,
    /// The code of the refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

impl EgressRecord {
    /// What was allowed can't be done, and is not.
    #[must_use]
    pub fn undone(self, reason: &str) -> Self {
        Self {
            outcome: Outcome::Failed,
            reason: reason.to_owned(),
            code: Some("GUARD_UNAVAILABLE".to_owned()),
            ..self
        }
    }
}

/// What a record names of the store.
#[derive(Debug, Clone, Serialize)]
pub struct StoreRecord {
    /// What it speaks.
    pub kind: StoreKind,
    /// Its name.
    pub name: String,
    /// The bucket or database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
}
