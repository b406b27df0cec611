//! Recorded exchanges (`policies/cases`) and what runs them: the engine natively, and the filters'
//! Wasm under the harness. Both give an [`Outcome`], which must be the same.
//!
//! A masking case passes both filters in the gateway's order, residency and then masking; a
//! residency case passes residency alone.

mod case;
mod claims;
mod fixture;
mod native;
mod outcome;
mod wasm;

pub use case::{Case, Input, Kind, RequestInput, ResponseInput, Want, case, cases};
pub use claims::EncodedClaims;
pub use fixture::{CLUSTERS, GRAPHQL_PATHS, KEYS, KEYS_VARIABLE, bundle, checkout};
pub use native::Native;
pub use outcome::{HeaderList, Outcome};
pub use wasm::{Wasm, filters, guard};
