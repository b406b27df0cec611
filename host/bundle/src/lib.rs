//! The policy directory: what the conductor turns into the filters' configurations.
//!
//! The layout is OPA's: every `*.rego` file is a module, every `data.json` is data under the path
//! of its directory. Beside them `schema.graphql` is the upstream's schema. Anything else (cases,
//! notes) is not part of the policy.

mod check;
mod data;
mod error;
mod load;
mod patch;

pub use check::{Examined, examine, examine_guards};
pub use error::BundleError;
pub use load::Bundle;
pub use patch::Patch;
