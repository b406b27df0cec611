//! Errors of the log's files and of what is written to them.

use std::path::PathBuf;

use crate::key::KeyError;
use crate::log::EntryFault;

/// A value that has no canonical JSON.
#[derive(Debug, thiserror::Error)]
#[error("it can't be written as canonical JSON (RFC 8785)")]
pub struct CanonicalError(#[source] pub serde_json::Error);

/// Why a key file can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file can't be read or written.
    #[error("can't use {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key is there already.
    #[error("{path} is there already: keys are replaced by a rotation, never overwritten")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others may read the private key.
    #[error("{path} can be read by others than its owner: take that away (chmod 600)")]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// What is in the file is no key.
    #[error("can't use {path}")]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeyError,
    },
    /// The two files of a key are not of one key.
    #[error("{path} is not the public key of the private key beside it")]
    Pair {
        /// The public key's file.
        path: PathBuf,
    },
}

/// Why the log can't be opened or added to.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A file can't be read or written.
    #[error("can't use {path}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process writes this log.
    #[error("{path} is in use by another process: a log has one writer")]
    Busy {
        /// The directory.
        path: PathBuf,
    },
    /// The log is not what was written. It is left as it is.
    #[error("{path} was changed by somebody else: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The log goes on under another key.
    #[error("the log in {path} goes on under the key {want}, not {got}")]
    WrongKey {
        /// The directory.
        path: PathBuf,
        /// The id of the key in force.
        want: String,
        /// The id of the key that was given.
        got: String,
    },
    /// The statement does not follow from what the log holds.
    #[error("nothing was added to the log")]
    Refused(#[source] EntryFault),
    /// A tenant whose name makes no name of a file.
    #[error("nothing was added to the log: the tenant's name is empty or too long for a file")]
    TenantName,
    /// An earlier write failed half-way.
    #[error("an earlier write to {path} failed half-way: open the log again")]
    Unsure {
        /// The directory.
        path: PathBuf,
    },
    /// The directory for a copy holds something.
    #[error("{path} is not empty")]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// Something can't be written as JSON.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// A key can't be written.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Why a key was not rotated.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// A key file can't be read or written.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// The log can't be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The new key is in place, but no key ever handed over in this log.
    #[error("the key in place was never handed over to in this log: it is the key of another")]
    NotHandedOver,
}
