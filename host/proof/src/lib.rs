//! Evidence of residency that an auditor can check without us: signed proofs, one a tenant and
//! period, in an append-only log.
//!
//! - [`residency`]: what a proof says, and its signed bytes;
//! - [`key`]: the keys, and how one hands over to the next;
//! - [`log`]: the Merkle tree, its entries and checkpoints;
//! - [`folder`]: which files a log implies;
//! - [`verify`]: the check of such a folder, by what is in it alone;
//! - [`Journal`]: the log on disk, for those who have something to prove.
//!
//! Only `run` touches files. Nothing reads a clock.

mod canonical;
mod error;
pub mod folder;
pub mod key;
pub mod log;
pub mod residency;
mod run;
pub mod verify;

pub use error::{CanonicalError, JournalError, KeyFileError, RotateError};
pub use run::{Journal, KeyFiles, Rotated, read_folder, read_public, rotate};
