//! Policy bundles: what the conductor turns into the filters' configurations, as a directory and as one
//! signed file.
//!
//! The layout is OPA's: every `*.rego` file is a module, every `data.json` is data under the path
//! of its directory. Beside them `schema.graphql` is the upstream's schema. Anything else (cases,
//! notes) is not part of the policy.
//!
//! - [`Bundle`]: a policy directory, or the content of an archive, ready for the filters;
//! - [`Archive`]: the signed file, read from anybody and written the same to the byte;
//! - [`attest`]: the bill of materials and the provenance that stand beside it;
//! - [`cases`]: recorded exchanges, run natively;
//! - [`test`]: all cases, and what of the rules they reach;
//! - [`diff`]: what differs between two bundles;
//! - [`replay`]: what another bundle would have decided;
//! - [`examine`]: tries a bundle on every kind of caller before anything is pushed.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]

mod archive;
pub mod attest;
pub mod cases;
mod check;
mod data;
pub mod diff;
mod error;
mod json;
pub mod key;
mod load;
mod patch;
pub mod replay;
pub mod test;
mod tree;

pub use archive::{
    Archive, ArchiveError, BuildOptions, Claimed, MANIFEST, Manifest, SIGNATURES, SignedFile,
    Verified, VerifyError,
};
pub use check::{Examined, examine, examine_guards};
pub use error::BundleError;
pub use load::Bundle;
pub use patch::Patch;
pub use tree::{FILTERS, PERSISTED, SCHEMA, SETTINGS, Tree};
