//! An entry of the log: a line of JSON in its file, a leaf in its tree.

use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::error::CanonicalError;
use crate::key::Handover;
use crate::residency::Proof;

/// What the log holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Entry {
    /// A proof. The leaf is its signed bytes.
    Proof(Box<Proof>),
    /// A new key. The leaf is what both keys signed.
    Handover(Box<Handover>),
    /// The checkpoint that was in force, as a note. The leaf is the note.
    Checkpoint(String),
}

/// Why a line is no entry.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// Not the JSON of an entry.
    #[error("it is no entry: {0}")]
    Json(#[source] serde_json::Error),
    /// Another text of the same JSON, or more than an entry has.
    #[error("it is not as the log writes it (RFC 8785), or says more than an entry may")]
    Form,
    /// It can't be written as canonical JSON.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

impl Entry {
    /// Reads a line without its end; it must be the one that [`Entry::to_line`] writes.
    ///
    /// # Errors
    /// It is another.
    pub fn from_line(line: &[u8]) -> Result<Self, EntryError> {
        let entry: Self = serde_json::from_slice(line).map_err(EntryError::Json)?;
        let mut written = entry.to_line()?;
        written.pop();
        if written == line {
            Ok(entry)
        } else {
            Err(EntryError::Form)
        }
    }

    /// Canonical JSON, with a line end.
    ///
    /// # Errors
    /// It can't be written so.
    pub fn to_line(&self) -> Result<Vec<u8>, CanonicalError> {
        let mut line = canonical::to_vec(self)?;
        line.push(b'\n');
        Ok(line)
    }

    /// The data of its leaf.
    ///
    /// # Errors
    /// It can't be written as canonical JSON.
    pub fn leaf(&self) -> Result<Vec<u8>, CanonicalError> {
        match self {
            Self::Proof(proof) => proof.payload(),
            Self::Handover(handover) => handover.payload(),
            Self::Checkpoint(note) => Ok(note.clone().into_bytes()),
        }
    }
}
