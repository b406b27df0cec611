//! The residency proof: what was seen of one tenant's data in one period, signed.

mod period;
mod sigstore;

pub use period::{Period, PeriodError};
pub(crate) use sigstore::bundle;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::error::CanonicalError;
use crate::key::{PublicKey, Signature, SigningKey};

/// The regions between which data went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Where it was asked for.
    pub src: String,
    /// Where it was found to be, by the word of the store itself.
    pub dst: String,
}

impl Route {
    /// From one region to another.
    pub fn new(src: impl Into<String>, dst: impl Into<String>) -> Self {
        Self {
            src: src.into(),
            dst: dst.into(),
        }
    }
}

/// What came of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// Every probe saw what residency demands.
    Pass,
    /// A probe saw what must not be.
    Fail,
    /// Nobody looked, or nothing could be seen: said all the same, so that no period is missing.
    Unknown,
}

/// A store that was probed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// `postgres`, `bolt`, `s3` or `neo4j`.
    pub kind: String,
    /// What the store says that it is.
    pub identity: String,
    /// The region that follows from it.
    pub region: String,
}

/// What is said of one tenant and period, before it has a place in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    /// Whose data it is about.
    pub tenant: String,
    /// When it was looked at.
    pub period: Period,
    /// Where reads came from and where they found the data.
    pub reads: Route,
    /// Where writes came from and where the data went.
    pub writes: Route,
    /// What made the sentinel of this period unguessable.
    pub nonce: String,
    /// The revision of the policies in force.
    pub revision: String,
    /// The SHA-256 of each filter's code, in hexadecimal.
    pub filters: BTreeMap<String, String>,
    /// The version of the configuration that the gateway accepted.
    pub xds_version: String,
    /// The gateway's node id.
    pub node: String,
    /// The stores that were probed.
    pub stores: Vec<Store>,
    /// What came of it.
    pub verdict: Verdict,
    /// Whether it was issued later than it should have been.
    pub late: bool,
    /// Whether it is the tenant's last: no period after it is expected.
    #[serde(rename = "final", default, skip_serializing_if = "is_false")]
    pub last: bool,
    /// What was seen that must not be, or why nothing was seen; sentences without data.
    pub findings: Vec<String>,
    /// When it was said.
    pub issued_at: Timestamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Statement {
    /// Says that nothing is known of a period, for instance since the conductor did not run.
    pub fn unknown(
        tenant: impl Into<String>,
        home: &str,
        period: Period,
        reason: impl Into<String>,
        issued_at: Timestamp,
    ) -> Self {
        let nowhere = Route::new(home, "unknown");
        Self {
            tenant: tenant.into(),
            period,
            reads: nowhere.clone(),
            writes: nowhere,
            nonce: String::new(),
            revision: String::new(),
            filters: BTreeMap::new(),
            xds_version: String::new(),
            node: String::new(),
            stores: Vec::new(),
            verdict: Verdict::Unknown,
            late: true,
            last: false,
            findings: vec![reason.into()],
            issued_at,
        }
    }
}

/// A signed proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    /// What is said.
    #[serde(flatten)]
    pub statement: Statement,
    /// Its place among the proofs of the tenant: 1, 2, 3, …
    pub sequence: u64,
    /// The key that signed it.
    pub key_id: String,
    /// The signature of [`Proof::payload`].
    pub signature: Signature,
}

/// What is signed of a proof.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    #[serde(flatten)]
    statement: &'a Statement,
    sequence: u64,
    key_id: &'a str,
}

impl Proof {
    /// Signs a statement.
    ///
    /// # Errors
    /// It can't be written as canonical JSON.
    pub fn sign(
        statement: Statement,
        sequence: u64,
        key: &SigningKey,
    ) -> Result<Self, CanonicalError> {
        let key_id = key.public().id().to_owned();
        let payload = canonical::to_vec(&Payload {
            statement: &statement,
            sequence,
            key_id: &key_id,
        })?;
        Ok(Self {
            statement,
            sequence,
            key_id,
            signature: key.sign(&payload),
        })
    }

    /// The signed bytes: canonical JSON (RFC 8785) without `signature`.
    ///
    /// # Errors
    /// It can't be written as canonical JSON.
    pub fn payload(&self) -> Result<Vec<u8>, CanonicalError> {
        canonical::to_vec(&Payload {
            statement: &self.statement,
            sequence: self.sequence,
            key_id: &self.key_id,
        })
    }

    /// Whether the key signed it, under the id that it names.
    ///
    /// # Errors
    /// It can't be written as canonical JSON.
    pub fn is_signed_by(&self, key: &PublicKey) -> Result<bool, CanonicalError> {
        Ok(self.key_id == key.id() && key.signed(&self.payload()?, &self.signature))
    }
}
