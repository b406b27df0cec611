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
//!
//! Who has something to prove does this, once a period:
//!
//! ```
//! use proof::key::SigningKey;
//! use proof::residency::{Period, Statement};
//! use proof::{Journal, read_folder};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let scratch = tempfile::tempdir()?;
//! # let directory = scratch.path();
//! # let now: jiff::Timestamp = "2026-11-27T10:05:00Z".parse()?;
//! let mut journal = Journal::open(directory, SigningKey::generate()?)?;
//! let period = Period::at(now, 3600)?;
//! let mut batch = Vec::new();
//! for tenant in ["acme", "globex"] {
//!     if journal.covers(tenant, period) {
//!         continue;
//!     }
//!     if let Some(gap) = journal.gap(tenant, period) {
//!         batch.push(Statement::unknown(tenant, "eu", gap, "the conductor was down", now));
//!     }
//!     // What the probes saw comes here.
//!     batch.push(Statement::unknown(tenant, "eu", period, "no probe ran", now));
//! }
//! let proofs = journal.append(batch)?;
//! assert_eq!(proofs[0].sequence, 1);
//!
//! let contents = read_folder(directory).map_err(|(_, error)| error)?;
//! let report = proof::verify::verify(&contents, Default::default());
//! assert!(report.holds());
//! # Ok(())
//! # }
//! ```

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
