//! The record of a decision: one line of the access log. It never holds a value of the response.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

use serde::{Deserialize, Serialize};

use crate::config::Mode;
use crate::policy::{Surface, WarrantRefusal};
use crate::schema::OperationKind;
use crate::warrant::Operation;

/// What a masking filter decided about one request, and what came of it.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MaskingRecord {
    /// `dec_` and 32 hexadecimal digits.
    pub decision_id: String,
    /// What came of it.
    pub outcome: Outcome,
    /// The caller's tenant.
    pub tenant: Option<String>,
    /// The caller.
    pub subject: Option<String>,
    /// The caller's roles.
    pub roles: Vec<String>,
    /// The request's purpose.
    pub purpose: Option<String>,
    /// How the caller authenticated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// The gateway's region.
    pub region: String,
    /// The configuration's revision.
    pub revision: String,
    /// What answers.
    pub surface: Surface,
    /// The route's name, where it is no GraphQL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Whether it writes, where it is no GraphQL.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub writes: bool,
    /// `shadow`: what is said here was only said, and nothing of it done.
    #[serde(skip_serializing_if = "is_enforced")]
    pub mode: Mode,
    /// The operation; of a batch the first.
    pub operation: Option<OperationRecord>,
    /// The other operations of a batch.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub batch: Vec<OperationRecord>,
    /// Coordinates of the operation that are masked, other than by `redact`.
    pub mask_set: Vec<String>,
    /// Coordinates of the operation that are redacted.
    pub redact_set: Vec<String>,
    /// Coordinates that a directive masks and the policy reveals.
    pub revealed: Vec<String>,
    /// Why, in the words of the rules; or why the request was refused.
    pub reason: String,
    /// The code of the refusal or failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Values masked, by coordinate (several joined by `|` where one value could be of either).
    pub counts: BTreeMap<String, u64>,
    /// Values masked, by what kind of data the policy says they are.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub classes: BTreeMap<String, u64>,
    /// Members left out because they were not selected.
    pub dropped: u64,
    /// Values replaced because the schema expects another shape.
    pub mismatched: u64,
}

fn is_enforced(mode: &Mode) -> bool {
    *mode == Mode::Enforce
}

/// What a decision names of the operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OperationRecord {
    /// Its name.
    pub name: Option<String>,
    /// Its kind.
    pub kind: OperationKind,
    /// SHA-256 of the document, hexadecimal.
    pub hash: String,
}

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Not finished: the client or the upstream went away.
    #[default]
    Incomplete,
    /// Answered under the decision.
    Allowed,
    /// Refused before the upstream saw it.
    Denied,
    /// The upstream gave no response: the proxy answered in its place.
    Unavailable,
    /// The response could not be masked, and was withheld or cut off; or a guard could decide nothing, or its
    /// store did not speak its protocol.
    Failed,
}

/// What a residency filter decided about one request.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResidencyRecord {
    /// `dec_` and 32 hexadecimal digits.
    pub decision_id: String,
    /// `allowed` or `denied`.
    pub outcome: Outcome,
    /// The caller's tenant.
    pub tenant: Option<String>,
    /// Where the tenant's data is.
    pub home: Option<String>,
    /// The region in which the request arrived.
    pub region_src: String,
    /// The region that serves it.
    pub region_dst: Option<String>,
    /// The region whose data is asked for, if the request names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_region: Option<String>,
    /// The authentic warrant that the request presented.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub warrant: Option<WarrantRecord>,
    /// Why the warrant that the request presented is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warrant_refused: Option<WarrantRefusal>,
    /// The configuration's revision.
    pub revision: String,
    /// Why.
    pub reason: String,
    /// The code of the refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// What a decision names of a warrant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WarrantRecord {
    /// Its id.
    pub warrant: String,
    /// Whose it is.
    pub authority: String,
    /// The authority's reference.
    pub case: String,
    /// The region that data may leave.
    pub warrant_src: String,
    /// The region that it may reach.
    pub warrant_dst: String,
    /// What may be done.
    pub warrant_operations: Vec<Operation>,
    /// What for.
    pub warrant_purpose: String,
    /// The jurisdiction in which the authority acts.
    pub warrant_jurisdiction: String,
    /// Whether it opened the border for this request.
    pub warrant_used: bool,
}

/// Makes decision ids that do not repeat.
#[derive(Debug, Default)]
pub struct DecisionIds {
    seeds: [RandomState; 2],
    count: u64,
}

impl DecisionIds {
    /// The next id.
    pub fn next_id(&mut self) -> String {
        self.count += 1;
        let [a, b] = &self.seeds;
        format!(
            "dec_{:016x}{:016x}",
            a.hash_one(self.count),
            b.hash_one(self.count)
        )
    }
}

/// A record as a line of JSON.
pub fn json(record: &impl Serialize) -> Option<String> {
    serde_json::to_string(record).ok()
}
