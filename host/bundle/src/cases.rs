//! Recorded exchanges: case folders, and the engine that runs them natively, driven as the filters'
//! shells drive it. `policies/cases/README.md` describes the folders.
//!
//! A masking case passes both filters in the gateway's order, residency and then masking; a
//! residency case passes residency alone.

mod case;
mod claims;
pub mod fixture;
mod native;
mod outcome;

pub use case::{Case, Input, Kind, RequestInput, ResponseInput, Want, read_case, read_cases};
pub use claims::EncodedClaims;
pub use native::Native;
pub use outcome::{HeaderList, Outcome};

use std::path::PathBuf;

use serde_json::Value;

/// The authorities of cases: keys that everybody can make from their names.
pub trait Authorities {
    /// Signs a case's warrant: `{"key", "claims"}`, and `"named"` if another key is said to have signed.
    ///
    /// # Errors
    /// It has another form.
    fn sign(&self, warrant: &Value) -> Result<String, String>;

    /// Puts keys in the place of their names in `authorities[…].keys` of a case's data.
    fn name_keys(&self, data: &mut Value);
}

/// Why a case can't be run.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// A file or directory can't be read.
    #[error("can't read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is no part of a case.
    #[error("{path} is no case: {reason}")]
    Form {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// What a case changes can't be laid over the policies.
    #[error("the case {case} can't be laid over the policies")]
    Patch {
        /// The case.
        case: String,
        /// Why.
        #[source]
        error: Box<crate::BundleError>,
    },
    /// The policies do not load with what a case changes of them.
    #[error("the policies do not load for the case {case}")]
    Policies {
        /// The case.
        case: String,
        /// Why.
        #[source]
        error: Box<engine::config::ConfigError>,
    },
}
