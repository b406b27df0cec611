//! What one sidecar is: the Envoy beside the services of a region, with a listener for each store that
//! they may open.
//!
//! # Invariants
//! - A connection or request passes no missing guard: each place in a chain denies until it is
//!   configured, and only the guard knows the way to the store.
//! - A sidecar knows stores of its own region, and of other regions that are listed.
//! - No retry, no mirror, no hedge, and bytes of an admitted connection pass untouched.

mod http;
mod plan;
mod spec;
mod tcp;

pub use plan::plan;
pub use spec::{EgressSpec, Protocol, SidecarSpec};
pub(crate) use tcp::WASM_TYPE_URL as NETWORK_WASM_TYPE_URL;

/// The cluster and the listener of the responder, to which refused connections are led: it sends back
/// what it gets, in the place of which the guard puts its refusal.
pub const REFUSAL: &str = "refusal";

/// The name of the cluster of a store, which is what a guard names as the way.
pub fn store_cluster(listener: &str) -> String {
    format!("store-{listener}")
}

#[cfg(test)]
pub(crate) mod tests;
