//! An entry of the log: a line of JSON in its file, a leaf in its tree.

use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::error::CanonicalError;
use crate::key::{Handover, PublicKey};
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
    /// A line without its end.
    #[error("it is cut off")]
    CutOff,
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

/// The lines of a log's file, numbered from 1, without their ends; an error where the last has none.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, Result<&[u8], EntryError>)> {
    let lines = bytes.split_inclusive(|b| *b == b'\n');
    lines.enumerate().map(|(n, line)| {
        let whole = line.strip_suffix(b"\n").ok_or(EntryError::CutOff);
        (n + 1, whole)
    })
}

/// The first entry of a kind, by what its line begins with. The rest is not looked at: a log may be
/// much longer than what follows from it.
pub(crate) fn first_of(bytes: &[u8], kind: &str) -> Option<Entry> {
    let begin = format!("{{\"{kind}\":");
    let of_kind = lines(bytes).filter_map(|(_, line)| line.ok());
    let mut of_kind = of_kind.filter(|line| line.starts_with(begin.as_bytes()));
    of_kind.find_map(|line| Entry::from_line(line).ok())
}

/// The key that a log began under, if it ever handed over.
pub(crate) fn first_key(bytes: &[u8]) -> Option<PublicKey> {
    match first_of(bytes, "handover")? {
        Entry::Handover(handover) => handover.keys().ok().map(|(old, _)| old),
        _ => None,
    }
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
