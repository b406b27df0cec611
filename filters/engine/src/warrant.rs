//! Warrants: an authority's signed word that a tenant's data may leave one region and be worked on in
//! another.
//!
//! A warrant is a JWS of compact form (RFC 7515) with ES256 (RFC 7518, section 3.4). It is verified
//! from the policy data alone: whose keys are known (`ig.authorities`), which jurisdiction a region is
//! of (`ig.regions`) and what was revoked (`ig.revocations`) come by configuration push, so no request
//! waits for a call to anyone.
//!
//! What is looked at, in this order: form, key, signature, binding to the authority
//! ([`Warrants::authenticate`]); revocation, time, jurisdiction ([`Registry::upholds`]); tenant,
//! operation, purpose ([`Warrant::covers`]); regions ([`Warrant::opens`]); the number of uses
//! ([`Uses`]).

mod claims;
mod error;
mod jws;
mod registry;
mod uses;
mod verify;

pub use claims::{AuthorityBinding, Operation, Use, Warrant};
pub use error::WarrantError;
pub use jws::{Jwk, TYPE};
pub use registry::{Authority, Registry};
pub use uses::{CountedUses, Uncounted, Uses};
pub use verify::Warrants;

/// The header in which a client presents a warrant.
pub const WARRANT_HEADER: &str = "x-ig-warrant";

/// Longest warrant that is looked at, in bytes.
pub const LONGEST: usize = 4096;

/// How far the clock of an authority may be ahead of a gateway's, in seconds. The end of a warrant has
/// no such grace.
pub const SKEW_S: u64 = 5;

#[cfg(test)]
pub(crate) mod tests;
