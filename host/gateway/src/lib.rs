//! What one gateway is: the Envoy of a region, from a specification to a running process; and what a
//! sidecar is ([`egress`]), the Envoy beside its services.
//!
//! [`plan`] turns a [`GatewaySpec`] into the xDS resources that the control plane serves it;
//! [`bootstrap`] into what it is started with; [`locate`] finds the Envoy to start and [`run`] runs it.
//! What Envoy does when something of this is broken is written down in [`faults`].
//!
//! # Invariants
//! - A request passes no missing filter: each place in the chain denies until it is configured.
//! - A gateway knows the endpoints of its own region only.
//! - No retry, no mirror, no hedge, no upgrade.
//! - Secrets reach a filter through Envoy's environment, never through a resource.
//! - [`plan`] is pure, and writes the same bytes for the same specification.

mod bootstrap;
pub mod egress;
mod error;
pub mod identity;
pub mod locate;
mod plan;
pub mod run;
pub mod spec;

/// What Envoy does with broken filters, as measured.
pub mod faults {
    #![doc = include_str!("faults.md")]
}

pub use bootstrap::{bootstrap, sidecar_bootstrap};
pub use error::{LocateError, RunError, SpecError};
pub use plan::{
    CLUSTER_HEADER, DENY_ALL_TYPE_URL, PROBE_PATH, Planned, RESERVED_HEADERS, ROUTE_HEADER,
    WASM_TYPE_URL, cluster_name, patch, plan,
};
pub use spec::GatewaySpec;
