use std::future::Future;

use crate::error::SinkError;

/// What kind of decision it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A request at a gateway.
    Gateway,
    /// A request that ended with 500 or more and on which no filter decided.
    Undecided,
    /// A decision of an Open Policy Agent.
    Opa,
    /// A request or connection to a store, at a sidecar.
    Guard,
}

/// A decision and the line that told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The decision's id: the masking filter's, or the residency filter's where that one decided alone; or
    /// the guard's. Where nobody decided, a SHA-256 of node, time and request id.
    pub id: String,
    /// Its kind.
    pub kind: Kind,
    /// The id of the residency filter's decision on the same request, where it is another one.
    pub beside: Option<String>,
    /// When the request began, in milliseconds since 1970.
    pub time_ms: i64,
    /// The gateway's or sidecar's node id, or what labels an OPA.
    pub node: String,
    /// The policies' revision.
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
    /// Bytes that were read and stored: the beginning of a line.
    pub at: u64,
    /// SHA-256 of its first bytes: whether it is the same file still, and to know a copy of it.
    pub head: [u8; 32],
    /// How many bytes those are.
    pub head_len: u64,
    /// Whether nothing more is expected of it.
    pub done: bool,
}

/// A place where decisions may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The file, or what else names the place.
    pub file: String,
    /// Where in it, in bytes.
    pub at: i64,
    /// What kind of gap: `torn`, `malformed`, `too-long`, `cut`, `gone`, `dropped`, `restarted`.
    pub why: &'static str,
    /// One sentence.
    pub detail: String,
    /// The beginning of what could not be used.
    pub sample: String,
    /// When it was noticed, in milliseconds since 1970.
    pub time_ms: i64,
}

/// What is stored at once.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The source.
    pub source: String,
    /// Its decisions.
    pub records: Vec<Record>,
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

impl Batch {
    pub(crate) fn of(source: &str) -> Self {
        Self {
            source: source.to_owned(),
            ..Self::default()
        }
    }
}

/// Who stores what is read. A record whose id and kind are known is not stored again.
pub trait Sink: Clone + Send + Sync + 'static {
    /// How far the files of a source are read.
    fn checkpoints(
        &self,
        source: &str,
    ) -> impl Future<Output = Result<Vec<Checkpoint>, SinkError>> + Send;

    /// Stores all of a batch, or nothing.
    fn commit(&self, batch: Batch) -> impl Future<Output = Result<(), SinkError>> + Send;

    /// Notes what an OPA says of itself.
    fn node_status(
        &self,
        node: &str,
        time_ms: i64,
        status: &str,
    ) -> impl Future<Output = Result<(), SinkError>> + Send;

    /// Reading or storing a source fails, or works again: called at each change.
    fn trouble(&self, source: &str, what: Option<&str>);

    /// Somebody sent decisions that are not its own, or does not say who it is: nothing was taken from it.
    fn refused(&self, sender: &str, why: &str) {
        tracing::warn!(sender, "decisions refused: {why}");
    }
}
