//! The log of proofs: an append-only Merkle tree (RFC 6962) whose leaves are the signed bytes of
//! proofs, the handovers between keys, and the checkpoints before them.
//!
//! Each batch of entries begins with the checkpoint that was in force before it. So the tree itself
//! holds its history: that it only grew is checked wherever a checkpoint stands, and no checkpoint
//! can be taken out.

mod checkpoint;
mod entry;
mod fault;
mod history;
mod merkle;

pub use checkpoint::{Checkpoint, CheckpointError, ORIGIN};
pub use entry::{Entry, EntryError};
pub(crate) use entry::{first_key, first_of, lines};
pub use fault::EntryFault;
pub(crate) use fault::{Place, faults_at};
pub use history::{History, Signed, Tally, Tenant};
pub use merkle::{Hash, Tree, TreeError, leaf_hash, verify_consistency, verify_inclusion};
