use crate::record::CONDUCTOR;

/// Why a line of the records can't be believed.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is no record.
    #[error("line {line} is no record: {error}")]
    Json {
        /// Its number, from 1.
        line: u64,
        /// What was found.
        error: serde_json::Error,
    },
    /// It is not written as records are: something was added or moved.
    #[error("line {line} is not as it was written")]
    Form {
        /// Its number.
        line: u64,
    },
    /// Its number or the hash of the line before it is another.
    #[error(
        "line {line} does not follow the one before it: a line was changed, taken out or moved"
    )]
    Chain {
        /// Its number.
        line: u64,
    },
    /// Nobody of that name may sign.
    #[error("line {line} is of {by}, whose public key is not among the trusted ones")]
    Stranger {
        /// Its number.
        line: u64,
        /// Who is said to have written it.
        by: String,
    },
    /// The signature is missing or not that person's over this record.
    #[error("line {line} is not signed by {by}")]
    Signature {
        /// Its number.
        line: u64,
        /// Who is said to have written it.
        by: String,
    },
    /// It is said to be older than the one before it.
    #[error("line {line} is said to be older than the line before it")]
    Time {
        /// Its number.
        line: u64,
    },
    /// It can't have happened after what stands before it.
    #[error("line {line}: {error}")]
    Act {
        /// Its number.
        line: u64,
        /// What it contradicts.
        error: TrainError,
    },
}

/// Why something may not be done to the train.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrainError {
    /// There is no such release.
    #[error("there is no release {0}")]
    Unknown(u64),
    /// Numbers go up one by one.
    #[error("the next release is {expected}, not {found}: somebody was quicker, run it again")]
    Number {
        /// The next.
        expected: u64,
        /// What was written.
        found: u64,
    },
    /// Another release became stable meanwhile.
    #[error(
        "release {release} was tried against {}, but {} is stable: release its bundle anew",
        parent(*.tried), parent(*.stable)
    )]
    Parent {
        /// The release.
        release: u64,
        /// What was stable when it was tried.
        tried: Option<u64>,
        /// What is stable.
        stable: Option<u64>,
    },
    /// A name that is none, or a digest.
    #[error("{0}")]
    Malformed(&'static str),
    /// It is no candidate (any more).
    #[error("release {release} is {standing}, and no candidate")]
    NotCandidate {
        /// The release.
        release: u64,
        /// What it is.
        standing: &'static str,
    },
    /// Nobody approves twice.
    #[error("{by} has approved release {release} already")]
    Twice {
        /// The release.
        release: u64,
        /// Who.
        by: String,
    },
    /// Who releases does not approve.
    #[error("{by} is the author of release {release}: somebody else has to approve it")]
    OwnWork {
        /// The release.
        release: u64,
        /// Who.
        by: String,
    },
    /// Approvals are missing.
    #[error("release {release} has {found} of {needed} approvals")]
    Approvals {
        /// The release.
        release: u64,
        /// Those that it has.
        found: usize,
        /// Those that it needs.
        needed: usize,
    },
    /// Its tests failed.
    #[error("release {0} did not pass its tests")]
    Untested(u64),
    /// One at a time.
    #[error("release {0} is under way: wait for it, or withdraw it")]
    Busy(u64),
    /// It is not under way.
    #[error("release {0} is not under way")]
    NotUnderWay(u64),
    /// Steps are taken one by one.
    #[error("release {release} is at step {at}: step {found} does not follow")]
    Step {
        /// The release.
        release: u64,
        /// Where it is.
        at: usize,
        /// What was written.
        found: usize,
    },
    /// Nothing is promoted.
    #[error("releases are frozen by {by}: {reason}")]
    Frozen {
        /// By whom.
        by: String,
        /// Why.
        reason: String,
    },
    /// There is nothing to thaw.
    #[error("releases are not frozen")]
    NotFrozen,
    /// Only what was in force once.
    #[error("release {0} was never stable: there is no going back to it")]
    NeverStable(u64),
    /// It was taken back once.
    #[error("release {0} was withdrawn: release its bundle anew")]
    Barred(u64),
    /// It is in force.
    #[error("release {0} is stable already")]
    AlreadyStable(u64),
    /// Going back means the old content.
    #[error("release {of} has another content than what is written")]
    OtherContent {
        /// The old one.
        of: u64,
    },
    /// Some things are for people.
    #[error("{CONDUCTOR} may not do this by itself: somebody has to")]
    Person,
    /// And some are not.
    #[error("this is for {CONDUCTOR} alone to say")]
    Conductor,
}

fn parent(release: Option<u64>) -> String {
    release.map_or_else(|| "no release".into(), |n| format!("release {n}"))
}

/// Why public keys can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// A name that can't stand in a record.
    #[error(
        "`{0}` is no name for a key: use small letters, digits, `.`, `-` and `_`, and not `conductor`; \
         `NAME@RECORD` for a key that signs nothing after that record"
    )]
    Name(String),
    /// No key.
    #[error("the key of {0} is no P-256 public key in PEM (`BEGIN PUBLIC KEY`)")]
    Key(String),
    /// Two people with one key are one person.
    #[error("{0} and {1} have the same key: each person needs one of their own")]
    Shared(String, String),
}

/// Why steps and thresholds can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct PlanError {
    /// The setting.
    pub place: String,
    /// What is wrong with it.
    pub reason: &'static str,
}
