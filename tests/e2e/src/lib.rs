//! Recorded exchanges (`policies/cases`) and what runs them: the engine natively, and the filters'
//! Wasm under the harness. Both give an [`Outcome`], which must be the same.
//!
//! A masking case passes both filters in the gateway's order, residency and then masking; a
//! residency case passes residency alone.

mod fixture;
mod native;
mod wasm;

pub use bundle::cases::fixture::{CLUSTERS, GRAPHQL_PATHS, KEYS, KEYS_VARIABLE};
pub use bundle::cases::{
    Case, EncodedClaims, HeaderList, Input, Kind, Outcome, RequestInput, ResponseInput, Want,
};
pub use fixture::{KnownAuthorities, bundle, case, cases, checkout};
pub use native::Native;
pub use wasm::{Wasm, filters, guard};
