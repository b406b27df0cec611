use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What kind of decision a row holds. Together with the decision's id it is the row's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A request at a gateway: the residency filter's decision, the masking filter's, or both.
    Gateway,
    /// A request that ended with 500 or more and on which no filter decided. Its id is made up.
    Undecided,
    /// A decision of an Open Policy Agent.
    Opa,
    /// A request or connection to a store, at a sidecar: the guard's decision. Where no guard decided,
    /// outcome and revision are empty and the id is made up.
    Guard,
}

impl Kind {
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::Gateway => 1,
            Self::Undecided => 2,
            Self::Opa => 3,
            Self::Guard => 4,
        }
    }

    pub(crate) fn of(number: i64) -> Option<Self> {
        [Self::Gateway, Self::Undecided, Self::Opa, Self::Guard]
            .into_iter()
            .find(|kind| kind.number() == number)
    }
}

/// A decision and the line that told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The decision's id: the masking filter's, or the residency filter's where that one decided alone;
    /// or the guard's.
    pub id: String,
    /// Its kind.
    pub kind: Kind,
    /// The id of the residency filter's decision on the same request, where it is another one.
    pub beside: Option<String>,
    /// When the request began, in milliseconds since 1970.
    pub time_ms: i64,
    /// The gateway's or sidecar's node id, or what labels an OPA.
    pub node: String,
    /// The revision of the policies; empty where nobody decided.
    pub revision: String,
    /// The caller's tenant.
    pub tenant: Option<String>,
    /// `allowed`, `denied`, `failed`, `incomplete` or `unavailable`; empty where nobody decided.
    pub outcome: String,
    /// The status of the response.
    pub response_code: Option<i64>,
    /// How long the request took, in milliseconds.
    pub duration_ms: Option<i64>,
    /// How much of it was the gateway's own, in microseconds.
    pub own_us: Option<i64>,
    /// Values that were masked.
    pub masked: i64,
    /// The store that a guard stands before.
    pub store: Option<String>,
    /// The region of that store, or of its bucket or database.
    pub store_region: Option<String>,
    /// The line, JSON.
    pub line: String,
}

/// Which file it is, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// The device.
    pub dev: u64,
    /// The inode.
    pub ino: u64,
}

/// How far a file was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The file.
    pub file: FileId,
    /// Bytes that were read and stored.
    pub at: u64,
    /// SHA-256 of its first bytes.
    pub head: [u8; 32],
    /// How many bytes those are.
    pub head_len: u64,
    /// Whether nothing more is expected of it.
    pub done: bool,
}

/// A place where decisions may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The file, or what else names the place.
    pub file: String,
    /// Where in it, in bytes.
    pub at: i64,
    /// What kind of gap.
    pub why: String,
    /// One sentence.
    pub detail: String,
    /// The beginning of what could not be used.
    pub sample: String,
    /// When it was noticed, in milliseconds since 1970.
    pub time_ms: i64,
}

/// A gap and where it is from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GapRow {
    /// The source.
    pub source: String,
    /// The gap.
    #[serde(flatten)]
    pub gap: Gap,
}

/// What is committed at once.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The source.
    pub source: String,
    /// Its decisions.
    pub decisions: Vec<Decision>,
    /// How far its files are read with that.
    pub checkpoints: Vec<Checkpoint>,
    /// Files that are read and gone.
    pub forget: Vec<FileId>,
    /// What is missing.
    pub gaps: Vec<Gap>,
    /// Lines that were read.
    pub lines: u64,
    /// Lines that are no JSON.
    pub malformed: u64,
    /// Lines that hold no decision.
    pub undecided: u64,
    /// Decisions that the mask policy drops.
    pub dropped: u64,
    /// Decisions on which the mask policy failed.
    pub mask_failures: u64,
}

/// What came of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Committed {
    /// Decisions that are new.
    pub stored: u64,
    /// Decisions that were known.
    pub duplicates: u64,
    /// Gaps that are new.
    pub gaps: u64,
}

/// What came of a source since it is known. Counted in the transaction that stores: nothing twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// The source.
    pub source: String,
    /// Lines that were read.
    pub lines: i64,
    /// Decisions that were stored.
    pub stored: i64,
    /// Decisions that were known.
    pub duplicates: i64,
    /// Lines that are no JSON.
    pub malformed: i64,
    /// Lines that hold no decision.
    pub undecided: i64,
    /// Decisions that the mask policy drops.
    pub dropped: i64,
    /// Decisions on which the mask policy failed: stored without their input.
    pub mask_failures: i64,
    /// Gaps.
    pub gaps: i64,
}

/// What a node last said of itself (OPA's status API).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeStatus {
    /// The node.
    pub node: String,
    /// When it said so, in milliseconds since 1970.
    pub time_ms: i64,
    /// What, JSON.
    pub status: String,
}

/// An id as it is stored: the 16 bytes of a `dec_…` or of an UUID, else the first 16 of its SHA-256.
pub(crate) fn key(id: &str) -> Vec<u8> {
    let digits = id.strip_prefix("dec_").unwrap_or(id);
    let is_uuid = digits.len() == 36;
    let mut bytes = Vec::with_capacity(16);
    let mut high = None;
    for (place, digit) in digits.bytes().enumerate() {
        if is_uuid && matches!(place, 8 | 13 | 18 | 23) && digit == b'-' {
            continue;
        }
        // Upper case would be another id.
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => break,
        };
        match high.take() {
            None => high = Some(value << 4),
            Some(high) => bytes.push(high | value),
        }
    }
    let read = bytes.len() * 2 + if is_uuid { 4 } else { 0 };
    if bytes.len() == 16 && read == digits.len() && high.is_none() {
        return bytes;
    }
    Sha256::digest(id).iter().take(16).copied().collect()
}

/// PostgreSQL's texts hold no zero.
pub(crate) fn text(text: &str) -> std::borrow::Cow<'_, str> {
    match text.contains('\0') {
        true => text.replace('\0', "\u{fffd}").into(),
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_apart() {
        let id = "dec_000102030405060708090a0b0c0d0e0f";
        assert_eq!(key(id), (0..16).collect::<Vec<u8>>());
        let uuid = "00010203-0405-0607-0809-0a0b0c0d0e0f";
        assert_eq!(key(uuid), (0..16).collect::<Vec<u8>>());
        for other in [
            "dec_1",
            "",
            "dec_000102030405060708090A0B0C0D0E0F",
            "dec_000102030405060708090a0b0c0d0e0f0",
        ] {
            let key = key(other);
            assert_eq!(key.len(), 16);
            assert_ne!(key, (0..16).collect::<Vec<u8>>(), "{other}");
        }
    }
}
