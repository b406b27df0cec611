use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::error::RecordError;
use crate::judge::Evidence;
use crate::keyring::Keyring;
use crate::train::Train;

/// The name under which the service itself writes records.
pub const CONDUCTOR: &str = "conductor";

/// What signed bytes begin with, so that no signature made for something else fits.
const CONTEXT: &str = "maestro-release-record/v1\n";

/// The hash that stands in the first record.
pub(crate) const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// One thing that happened to the train: a line of JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its number, from 1.
    pub seq: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at_unix_ms: u64,
    /// By whom: the name of a trusted key, or [`CONDUCTOR`].
    pub by: String,
    /// What.
    #[serde(flatten)]
    pub act: Act,
    /// SHA-256 of the line before it, in hexadecimal; zeros in the first.
    pub prev: String,
    /// That name's signature over everything else: base64 of ASN.1 DER, ECDSA P-256 with SHA-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    /// Somebody puts a bundle on the train: a candidate.
    Released {
        /// Its number.
        release: u64,
        /// The revision that its manifest names.
        revision: String,
        /// SHA-256 of the bundle's bytes, in hexadecimal.
        digest: String,
        /// The release that was stable then, against which it was tried.
        parent: Option<u64>,
        /// What it is for.
        note: String,
        /// What its tests and the replay said.
        tried: Tried,
        /// Coordinates that it is meant to show to more callers than its parent.
        loosens: Vec<String>,
        /// What it is meant to mask or deny more.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tightens: Vec<String>,
    },
    /// Somebody approves a candidate.
    Approved {
        /// The release.
        release: u64,
        /// Its digest, so that it is clear what was approved.
        digest: String,
    },
    /// Somebody sends a candidate on its way.
    Promoted {
        /// The release.
        release: u64,
    },
    /// The release reaches more nodes.
    Step {
        /// The release.
        release: u64,
        /// The step, from 0.
        step: usize,
        /// The nodes that have it from now on.
        nodes: Vec<String>,
        /// What the step before it showed.
        evidence: Option<Box<Evidence>>,
    },
    /// The release is stable: everybody's.
    Completed {
        /// The release.
        release: u64,
        /// What the last step showed; none if there was nothing before it.
        evidence: Option<Box<Evidence>>,
    },
    /// The release is taken back from the nodes that have it, or from the list of candidates.
    Withdrawn {
        /// The release.
        release: u64,
        /// Why.
        reasons: Vec<String>,
        /// What it showed.
        evidence: Option<Box<Evidence>>,
    },
    /// Somebody goes back to an old content, for everybody and at once.
    RolledBack {
        /// The number of the new release.
        release: u64,
        /// The old release.
        of: u64,
        /// Its digest.
        digest: String,
        /// Why.
        reason: String,
    },
    /// Somebody stops promotions.
    Frozen {
        /// Why.
        reason: String,
    },
    /// Somebody lets them go on.
    Thawed {},
}

/// What was found out about a bundle before it went on the train.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tried {
    /// Case folders that were run.
    pub cases: u64,
    /// Those that did not come out as they should.
    pub failed: u64,
    /// Recorded decisions that were made again.
    pub replayed: u64,
    /// Those that come out otherwise.
    pub changed: u64,
    /// Those that show more than before.
    pub loosened: u64,
}

impl Act {
    /// Whether the service may write it by itself.
    pub(crate) fn by_conductor(&self) -> bool {
        matches!(
            self,
            Self::Step { .. } | Self::Completed { .. } | Self::Withdrawn { .. }
        )
    }

    /// Whether a person may.
    pub(crate) fn by_person(&self) -> bool {
        !matches!(self, Self::Step { .. } | Self::Completed { .. })
    }
}

impl Record {
    /// The line, without its end.
    ///
    /// # Errors
    /// Never, in truth: everything in it can be written.
    pub fn line(&self) -> Result<String, serde_json::Error> {
        // By way of a value: members come out sorted, so that a record has one text.
        serde_json::to_string(&serde_json::to_value(self)?)
    }

    /// What is signed: all but the signature.
    fn unsigned(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut value = serde_json::to_value(self)?;
        if let Value::Object(members) = &mut value {
            members.remove("signature");
        }
        Ok(format!("{CONTEXT}{value}").into_bytes())
    }
}

/// Signs a record with the key of who did it.
///
/// # Errors
/// The record can't be written.
pub fn sign(record: &mut Record, key: &SigningKey) -> Result<(), serde_json::Error> {
    let signature: Signature = key.sign(&record.unsigned()?);
    record.signature = Some(STANDARD.encode(signature.to_der()));
    Ok(())
}

/// SHA-256 of a line.
pub(crate) fn hash(line: &str) -> String {
    let digest = Sha256::digest(line.as_bytes());
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

/// Reads records, checks that they follow each other and are of who they say, and adds them up.
///
/// # Errors
/// A line can't be believed.
pub(crate) fn read(text: &str, keys: &Keyring) -> Result<Train, RecordError> {
    let mut train = Train::default();
    for (written, line) in text.lines().zip(1..) {
        let record: Record =
            serde_json::from_str(written).map_err(|error| RecordError::Json { line, error })?;
        if record
            .line()
            .map_err(|error| RecordError::Json { line, error })?
            != written
        {
            return Err(RecordError::Form { line });
        }
        if record.seq != line || record.prev != train.head {
            return Err(RecordError::Chain { line });
        }
        let by = || record.by.clone();
        if !keys.knows(&record.by) {
            return Err(RecordError::Stranger { line, by: by() });
        }
        let bytes = record
            .unsigned()
            .map_err(|error| RecordError::Json { line, error })?;
        let signature = record.signature.as_deref().unwrap_or_default();
        if !keys.verifies(&record.by, line, &bytes, signature) {
            return Err(RecordError::Signature { line, by: by() });
        }
        if record.at_unix_ms < train.last_unix_ms {
            return Err(RecordError::Time { line });
        }
        train
            .check(&record.by, &record.act, None)
            .map_err(|error| RecordError::Act { line, error })?;
        train.add(&record, hash(written));
    }
    Ok(train)
}
